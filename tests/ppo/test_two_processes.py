"""Two processes (gloo, CPU) give what one gives, in every mode, and take up each other's runs."""

from __future__ import annotations

import shutil

import pytest
import torch

from rlhf.runs.existing import find_checkpoints
from rlhf.runs.jsonl import read_jsonl
from tests.launching import launch
from tests.ppo.two_processes import MODES, main

pytestmark = pytest.mark.slow
MODULE = "tests.ppo.two_processes"
STOPPED = ("full", "trunk", "one_base")
IN_EVERY_MODE = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    main(folder, None, *MODES)
    return torch.load(folder / "left_0.pt", weights_only=True), folder


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return launch(MODULE, folder, 2, "none", *MODES), folder


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Two processes, of which the second was asked to stop in the first update."""
    folder = tmp_path_factory.mktemp("stopped")
    return launch(MODULE, folder, 2, "1", *STOPPED), folder


@pytest.fixture(scope="module")
def resumed(tmp_path_factory, stopped):
    """The same, taken up by two processes."""
    folder = tmp_path_factory.mktemp("resumed")
    shutil.copytree(stopped[1], folder, dirs_exist_ok=True)
    return launch(MODULE, folder, 2, "none", *STOPPED)


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=0, msg=name)


@IN_EVERY_MODE
def test_inv68_weights_are_equal_on_all_processes_and_the_forward_goes_through_the_wrapper(two, mode):
    first, second = (left[mode] for left in two[0])
    assert first["wrapper"] == "DistributedDataParallel"
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name]), name


@IN_EVERY_MODE
def test_inv36_inv37_the_kl_coefficient_and_the_moments_are_equal_on_all_processes(two, mode):
    first, second = (left[mode] for left in two[0])
    assert first["kl_coef"] == second["kl_coef"]
    assert first["moments"] == second["moments"]


@IN_EVERY_MODE
def test_inv49_inv54_inv69_two_processes_end_with_the_weights_of_one(one, two, mode):
    """Two epochs, adaptive KL, three updates: within 1e-5 (sums in another order)."""
    found, expected = two[0][0][mode], one[0][mode]
    assert_close(found["weights"], expected["weights"])
    assert_close(found["average"], expected["average"])
    assert found["moments"] == pytest.approx(expected["moments"], rel=1e-5)


def test_inv59_processes_stop_their_epochs_together(two):
    """The mode "trunk" has a KL limit; processes that disagreed would hang."""
    rows = read_jsonl(two[1] / "trunk" / "ppo" / "metrics.jsonl")
    assert any(row.get("ppo/stopped_early") == 1.0 for row in rows)


@pytest.mark.parametrize(("mode", "equal"), [("full", False), ("equal", True)])
def test_the_modes_have_responses_of_different_and_of_equal_lengths(two, mode, equal):
    rows = read_jsonl(two[1] / mode / "ppo" / "samples.jsonl")
    assert (len({row["response_tokens"] for row in rows}) == 1) is equal


@IN_EVERY_MODE
def test_metrics_and_evaluation_of_two_processes_are_those_of_one(one, two, mode):
    rows = [read_jsonl(folder / mode / "ppo" / "metrics.jsonl") for folder in (one[1], two[1])]
    assert len(rows[0]) == len(rows[1]) == 6  # three updates; evaluations after 0, 2 and 3
    for single, double in zip(*rows, strict=True):
        assert single.keys() == double.keys()
        for name, value in single.items():
            if not name.startswith("seconds/") and name != "ppo/first_ratio_error":
                assert double[name] == pytest.approx(value, abs=1e-4), name


@pytest.mark.parametrize("mode", STOPPED)
def test_inv59_inv75_all_processes_stop_where_one_is_asked_to_and_go_on_bitwise(stopped, resumed, two, mode):
    assert [left[mode]["stopped"] for left in stopped[0]] == [True, True]
    assert find_checkpoints(stopped[1] / mode / "ppo")[-1].name == "step_000001"
    for left, expected in zip(resumed, two[0], strict=True):
        for name, value in expected[mode]["weights"].items():
            assert torch.equal(left[mode]["weights"][name], value), name


@pytest.mark.parametrize("mode", ["full", "trunk"])
def test_inv73_one_process_goes_on_with_a_run_of_two(tmp_path, stopped, one, mode):
    shutil.copytree(stopped[1] / mode, tmp_path / mode)
    main(tmp_path, None, mode)
    found = torch.load(tmp_path / "left_0.pt", weights_only=True)[mode]
    assert_close(found["weights"], one[0][mode]["weights"])
    assert_close(found["average"], one[0][mode]["average"])


def test_inv73_two_processes_go_on_with_a_run_of_one(tmp_path, one):
    main(tmp_path, 0, "full")  # stops after the first update
    assert find_checkpoints(tmp_path / "full" / "ppo")[-1].name == "step_000001"
    for left in launch(MODULE, tmp_path, 2, "none", "full"):
        assert_close(left["full"]["weights"], one[0]["full"]["weights"])
