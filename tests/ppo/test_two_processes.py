"""Two processes (gloo, CPU) give what one gives."""

from __future__ import annotations

import pytest
import torch

from rlhf.runs.existing import find_checkpoints
from rlhf.runs.jsonl import read_jsonl
from tests.launching import launch
from tests.ppo.two_processes import main

pytestmark = pytest.mark.slow
MODULE = "tests.ppo.two_processes"


@pytest.fixture(scope="module", params=["full", "one_base"])
def mode(request):
    return request.param


@pytest.fixture(scope="module")
def one(tmp_path_factory, mode):
    folder = tmp_path_factory.mktemp("one")
    main(folder, None, mode)
    return torch.load(folder / "left_0.pt", weights_only=True), folder


@pytest.fixture(scope="module")
def two(tmp_path_factory, mode):
    folder = tmp_path_factory.mktemp("two")
    return launch(MODULE, folder, 2, "none", mode), folder


def test_inv68_weights_are_equal_on_all_processes_and_the_forward_goes_through_the_wrapper(two):
    (first, second), _ = two
    assert first["wrapper"] == "DistributedDataParallel"
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name]), name


def test_inv36_the_kl_coefficient_is_equal_on_all_processes(two):
    (first, second), _ = two
    assert first["kl_coef"] == second["kl_coef"]


def test_inv49_inv54_inv69_two_processes_end_with_the_weights_of_one(one, two):
    """Unequal lengths, two epochs, adaptive KL, three updates: within 1e-5 (sums in another order)."""
    for name, value in one[0]["weights"].items():
        torch.testing.assert_close(two[0][0]["weights"][name], value, atol=1e-5, rtol=0)


def test_metrics_and_evaluation_of_two_processes_are_those_of_one(one, two):
    rows = [read_jsonl(folder / "ppo" / "metrics.jsonl") for folder in (one[1], two[1])]
    assert len(rows[0]) == len(rows[1]) == 6  # three updates; evaluations after 0, 2 and 3
    for single, double in zip(*rows, strict=True):
        for name, value in single.items():
            if not name.startswith("seconds/"):
                assert double[name] == pytest.approx(value, abs=1e-4), name


def test_inv59_inv75_all_processes_stop_where_one_is_asked_to_and_go_on_bitwise(tmp_path, two, mode):
    stopped = launch(MODULE, tmp_path, 2, "1", mode)
    assert [left["stopped"] for left in stopped] == [True, True]
    assert find_checkpoints(tmp_path / "ppo")[-1].name == "step_000001"
    resumed = launch(MODULE, tmp_path, 2, "none", mode)
    for left, expected in zip(resumed, two[0], strict=True):
        for name, value in expected["weights"].items():
            assert torch.equal(left["weights"][name], value), name
