"""Two processes (gloo, CPU) train the reward model that one trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rlhf.runs.jsonl import read_jsonl
from tests.helpers import tiny_reward_model, tiny_tokenizer
from tests.launching import launch
from tests.ranking.two_processes import CASES, main

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
    return launch("tests.ranking.two_processes", folder, 2), folder


@pytest.mark.parametrize("case", CASES)
def test_inv68_weights_are_equal_on_both_processes(two: Left, case: str) -> None:
    first, second = (left[case] for left in two[0])
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize("case", CASES)
def test_inv69_two_processes_end_with_the_weights_of_one(one: Left, two: Left, case: str) -> None:
    """Rankings of unequal lengths and counts: within 1e-5 (sums in another order)."""
    start = tiny_reward_model(tiny_tokenizer()).state_dict()
    moved = 0.0
    for name, value in one[0][0][case].items():
        torch.testing.assert_close(two[0][0][case][name], value, atol=1e-5, rtol=0, msg=name)
        moved = max(moved, float((value - start[name]).abs().max()))
    assert moved > 1e-3  # or nothing was trained, and all would be equal


@pytest.mark.parametrize("case", CASES)
def test_losses_of_two_processes_are_those_of_one(one: Left, two: Left, case: str) -> None:
    rows = [read_jsonl(folder / case / "metrics.jsonl") for _, folder in (one, two)]
    losses = [[row["reward/loss"] for row in of_run if "reward/loss" in row] for of_run in rows]
    assert len(losses[0]) == 6  # two epochs of three batches
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
