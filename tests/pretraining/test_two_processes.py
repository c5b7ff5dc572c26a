"""Two processes (gloo, CPU) make the T5 and the BERT that one makes, each with a tokenizer that it trained itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rlhf.runs.jsonl import read_jsonl
from tests.launching import launch
from tests.pretraining.test_training import KINDS, model_of
from tests.pretraining.two_processes import main

pytestmark = pytest.mark.slow
Left = tuple[list[dict[str, Any]], Path]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Left:
    folder = tmp_path_factory.mktemp("one")
    main(folder)
    return [torch.load(folder / "left_0.pt", weights_only=True)], folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Left:
    folder = tmp_path_factory.mktemp("two")
    return launch("tests.pretraining.two_processes", folder, 2), folder


@pytest.mark.parametrize("kind", KINDS)
def test_inv68_weights_are_equal_on_both_processes(two: Left, kind: str) -> None:
    first, second = (left[kind] for left in two[0])
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_inv54_inv69_two_processes_end_with_the_weights_of_one(one: Left, two: Left, kind: str) -> None:
    """Examples with other numbers of labels: within 1e-4 (sums in another order).

    The bias of the keys moves nothing: its gradient is rounding, which Adam blows up to whole steps.
    """
    start, moved = model_of(kind).state_dict(), 0.0
    for name, value in one[0][0][kind].items():
        if not name.endswith("key.bias"):
            torch.testing.assert_close(two[0][0][kind][name], value, atol=1e-4, rtol=0, msg=name)
            moved = max(moved, float((value - start[name]).abs().max()))
    assert moved > 1e-2  # or nothing was trained, and all would be equal


@pytest.mark.parametrize("kind", KINDS)
def test_losses_of_two_processes_are_those_of_one(one: Left, two: Left, kind: str) -> None:
    rows = [read_jsonl(folder / kind / "metrics.jsonl") for _, folder in (one, two)]
    losses = [[row["base/loss"] for row in of_run if "base/loss" in row] for of_run in rows]
    assert len(losses[0]) == 10  # two epochs of five batches
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
