"""Which values are numbers, and which labels are one."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

from rlhf.feedback import numbers
from rlhf.feedback.numbers import number_in, spelled


def test_examples() -> None:
    assert doctest.testmod(numbers).attempted > 0
    assert doctest.testmod(numbers).failed == 0


@pytest.mark.parametrize(
    "value",
    [
        "1e999",
        float("inf"),
        float("nan"),
        "inf",
        "nan",
        10**400,
        True,
        None,
        [],
        "1,5",
        "",
        "0x1",
        "1_000",
        "\u0661",
    ],
)
def test_no_number(value: Any) -> None:
    assert number_in(value) is None


@pytest.mark.parametrize(
    ("value", "number"), [(" -1.50 ", -1.5), ("1e3", 1000.0), (".5", 0.5), ("+2", 2.0), (0, 0.0), (-0.0, 0.0)]
)
def test_number(value: Any, number: float) -> None:
    assert number_in(value) == number


def test_labels_that_are_one_and_those_that_are_not() -> None:
    assert len({spelled(value) for value in (1, 1.0, "1", "1.0", "1.00")}) == 1
    assert len({spelled(value) for value in ("1", "01", "+1", True, "1e0", "1.5", None)}) == 7
    assert spelled(-0.0) == spelled(0)
