"""The examples in the docstrings of the maths and of the pure numbers of evaluation are true."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = [
    *(
        f"rlhf.maths.{name}"
        for name in (
            "masked",
            "logprobs",
            "kl",
            "rewards",
            "advantages",
            "losses",
            "controllers",
            "ranking",
            "moments",
            "averaging",
        )
    ),
    *(f"rlhf.evaluation.{name}" for name in ("intervals", "pairs", "calibration", "winrate", "best_of_n")),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    results = doctest.testmod(module)
    assert results.failed == 0
    assert results.attempted > 0


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_has_an_example(name: str) -> None:
    module = importlib.import_module(name)
    functions = [
        value
        for key, value in vars(module).items()
        if not key.startswith("_") and callable(value) and getattr(value, "__module__", "") == name
    ]
    without = [f.__name__ for f in functions if not isinstance(f, type) and ">>>" not in (f.__doc__ or "")]
    assert without == [] or without == ["check_mask"]  # which returns nothing and only raises
