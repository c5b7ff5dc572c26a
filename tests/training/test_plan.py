from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate import PartialState

from rlhf.errors import RunError, SettingsError
from rlhf.runs.folder import RunFolder
from rlhf.training.loop import RunCallback, check_finite
from rlhf.training.order import LengthBatchSampler
from rlhf.training.plan import TrainingPlan, learning_rate_factor, trainer_arguments


def plan(**changes: object) -> TrainingPlan:
    values = {"epochs": 1.0, "learning_rate": 1e-3, "batch_size": 8, "microbatch_size": 4, "seed": 1}
    return TrainingPlan(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    opened = RunFolder.open(tmp_path / "run", {"run": {"seed": 1}}, stage="sft")
    yield opened
    opened.finish()


def test_sizes_are_global_and_divide(run: RunFolder) -> None:
    arguments = trainer_arguments(plan(), run, 100, "sft")
    assert arguments["per_device_train_batch_size"] * arguments["gradient_accumulation_steps"] == 8
    with pytest.raises(
        SettingsError, match=r"sft.batch_size: 8 is no multiple of sft.microbatch_size x processes"
    ):
        trainer_arguments(plan(microbatch_size=3), run, 100, "sft")


def test_a_process_takes_no_more_at_once_than_its_share_of_the_batch(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PartialState(), "num_processes", 2)
    arguments = trainer_arguments(plan(microbatch_size=8), run, 100, "sft")
    assert arguments["per_device_train_batch_size"] == 4
    assert arguments["gradient_accumulation_steps"] == 1
    with pytest.raises(SettingsError, match=r"sft.batch_size: 9 is no multiple of the 2 processes"):
        trainer_arguments(plan(batch_size=9), run, 100, "sft")


def test_inv69_fewer_elements_than_a_batch_is_an_error(run: RunFolder) -> None:
    with pytest.raises(SettingsError, match="7 usable elements, fewer than one batch of 8"):
        trainer_arguments(plan(), run, 7, "sft")


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_inv58_learning_rate_by_hand(schedule: str) -> None:
    shape = {"num_steps": 10, "warmup_fraction": 0.2, "schedule": schedule, "final_fraction": 0.1}
    factors = [learning_rate_factor(step, **shape) for step in range(11)]  # type: ignore[arg-type]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[6] == pytest.approx(0.55)  # half way from 1 to 0.1, for both shapes
    assert factors[10] == pytest.approx(0.1)
    assert factors[2:] == sorted(factors[2:], reverse=True)


def test_inv55_order_visits_each_element_once_an_epoch() -> None:
    lengths = [(7 * i) % 50 for i in range(103)]
    sampler = LengthBatchSampler(lengths, 4, seed=0)
    first = list(sampler)
    assert sorted(first) == list(range(103))
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    spread = [
        max(lengths[i] for i in first[k : k + 4]) - min(lengths[i] for i in first[k : k + 4])
        for k in range(0, 100, 4)
    ]
    assert sum(spread) / len(spread) < 8  # in random batches of 4 it is about 30
    batch_means = [sum(lengths[i] for i in first[k : k + 4]) / 4 for k in range(0, 100, 4)]
    assert batch_means != sorted(batch_means)
    assert batch_means != sorted(batch_means, reverse=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_loss_that_is_no_number_stops_with_the_numbers(value: float) -> None:
    class State:
        global_step = 213
        log_history = ({"loss": 2.5}, {"loss": 80.0})

    check_finite(torch.tensor(1.0), State, "sft", 0.1)
    with pytest.raises(
        RunError,
        match=r"step 214: loss is (nan|inf) \(learning rate 0.1, last recorded losses \[2.5, 80.0\]\); lower sft",
    ):
        check_finite(torch.tensor(value), State, "sft", 0.1)


def test_other_elements_share_a_batch_in_the_next_epoch() -> None:
    sampler = LengthBatchSampler([5] * 128, 4, seed=0)
    batches = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        order = list(sampler)
        batches.append({frozenset(order[k : k + 4]) for k in range(0, 128, 4)})
    assert len(batches[0] & batches[1]) < 5


def test_batches_of_a_pool_are_shuffled() -> None:
    order = list(LengthBatchSampler(list(range(64)), 4, seed=0))  # one pool, sorted inside
    firsts = order[::4]
    assert firsts not in (sorted(firsts), sorted(firsts, reverse=True))


def test_inv73_epoch_of_the_order_follows_the_trainer_state(run: RunFolder) -> None:
    class State:
        epoch = 2.0

    sampler = LengthBatchSampler([1, 2], 1, seed=0)
    callback = RunCallback("sft", run, sampler, None, None)
    callback.on_epoch_begin(None, State, None)
    assert sampler.epoch == 2
    State.epoch = 2.75  # resumed within an epoch
    callback.on_epoch_begin(None, State, None)
    assert sampler.epoch == 2
