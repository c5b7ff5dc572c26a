"""SFT and reward training alike: what `transformers.Trainer` is told has an effect, step by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch.nn.functional import cross_entropy, logsigmoid

from rlhf.models import LoraSpec, add_lora, disable_dropout, sequence_scores
from rlhf.ppo.parts import is_checkpointing
from rlhf.ranking.training import train_reward_model
from rlhf.rendering import Rendered
from rlhf.runs.existing import find_checkpoints
from rlhf.runs.folder import RunFolder
from rlhf.runs.jsonl import read_jsonl
from rlhf.sft import train_sft
from rlhf.training.order import LengthBatchSampler
from rlhf.training.plan import TrainingPlan, learning_rate_factor
from tests.helpers import tiny_gpt2, tiny_reward_model, tiny_tokenizer
from tests.ranking.test_training import rankings

NUM_ELEMENTS = 20  # a batch of 16 and one of 4
DEMONSTRATIONS = [Rendered([5, 6, 7 + n], [20 + n] * (1 + n % 4) + [1]) for n in range(NUM_ELEMENTS)]
RANKINGS = rankings(NUM_ELEMENTS)


class Stage(NamedTuple):
    """One of the two trainings, on tiny data."""

    name: str
    build: Callable[[], Any]
    head: tuple[str, ...]  # trained whole beside LoRA
    train: Callable[..., int]
    lengths: list[int]
    loss: Callable[[Any, list[int]], torch.Tensor]  # of some elements, from its definition


def token_mean(model: Any, chosen: list[int]) -> torch.Tensor:
    """Mean over all response tokens of these demonstrations, each put through the model by itself."""
    losses = []
    for one in (DEMONSTRATIONS[i] for i in chosen):
        logits = model(input_ids=torch.tensor([one.ids])).logits[0]
        start = len(one.prompt_ids)
        losses.append(cross_entropy(logits[start - 1 : -1], torch.tensor(one.ids[start:]), reduction="none"))
    return torch.cat(losses).mean()


def prompt_mean(model: Any, chosen: list[int]) -> torch.Tensor:
    """Mean over these rankings of the mean over their pairs."""
    losses = []
    for one in (RANKINGS[i] for i in chosen):
        scores = [sequence_scores(model, torch.tensor([ids]), torch.ones(1, len(ids))) for ids in one.ids]
        losses.append(torch.stack([-logsigmoid(scores[i] - scores[j]) for i, j, _ in one.comparisons]).mean())
    return torch.stack(losses).mean()


STAGES = (
    Stage(
        "sft",
        lambda: tiny_gpt2(tiny_tokenizer()),
        (),
        lambda model, plan, run: train_sft(model, tiny_tokenizer(), DEMONSTRATIONS, plan, run=run),
        [len(one.ids) for one in DEMONSTRATIONS],
        token_mean,
    ),
    Stage(
        "reward",
        lambda: tiny_reward_model(tiny_tokenizer()),
        ("score",),
        lambda model, plan, run: train_reward_model(model, RANKINGS, plan, run=run),
        [max(len(ids) for ids in one.ids) for one in RANKINGS],
        prompt_mean,
    ),
)
stages = pytest.mark.parametrize("stage", STAGES, ids=[stage.name for stage in STAGES])


def plan(**changes: Any) -> TrainingPlan:
    values = {
        "epochs": 2.0,
        "learning_rate": 3e-3,
        "batch_size": 16,
        "microbatch_size": 4,
        "seed": 1,
        "log_every": 1,
    }
    return TrainingPlan(**{**values, **changes})


def build(stage: Stage, lora: bool = False) -> Any:
    model = stage.build()
    disable_dropout(model)
    if lora:
        torch.manual_seed(0)
        model = add_lora(model, LoraSpec(rank=2, alpha=4.0), keep_trainable=stage.head)
    return model.train()


def fit(
    stage: Stage, path: Path, model: Any, told: TrainingPlan, *, stop: bool = False, resume: bool = False
) -> None:
    run = RunFolder.open(path, {"run": {"seed": 1}}, stage=stage.name, resume=resume)
    run.stop_requested = stop
    try:
        stage.train(model, told, run)
    finally:
        run.finish("interrupted" if stop else "finished")


def steps_of(stage: Stage, path: Path) -> list[dict[str, float]]:
    rows = [row for row in read_jsonl(path / "metrics.jsonl") if f"{stage.name}/loss" in row]
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    return [{key.partition("/")[2]: value for key, value in row.items() if "/" in key} for row in rows]


def trained(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


@stages
def test_inv55_a_last_batch_that_is_not_full_is_weighted_by_what_it_holds(
    stage: Stage, tmp_path: Path
) -> None:
    """At a learning rate of next to 0 each step's loss and gradient are those of its elements alone."""
    model = build(stage)
    fit(stage, tmp_path / "run", model, plan(learning_rate=1e-12, max_grad_norm=1e9))
    found = steps_of(stage, tmp_path / "run")
    assert len(found) == 2 * 2, "two epochs of two steps"
    sampler = LengthBatchSampler(stage.lengths, 4, seed=1)
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        order = list(sampler)
        for chosen, row in zip((order[:16], order[16:]), found[2 * epoch :], strict=False):
            model.zero_grad()
            loss = stage.loss(model, chosen)
            loss.backward()
            norm = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()
            assert row["loss"] == pytest.approx(loss.item(), rel=1e-4)
            assert row["gradient_norm"] == pytest.approx(norm.item(), rel=1e-3)


@stages
@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_inv58_every_step_is_taken_at_the_schedules_rate(
    stage: Stage, tmp_path: Path, schedule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = []
    step = torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> Any:
        rates.append({group["lr"] for group in self.param_groups})
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    told = plan(epochs=4.0, schedule=schedule, warmup_fraction=0.25, final_learning_rate_fraction=0.1)
    fit(stage, tmp_path / "run", build(stage), told)
    factors = [
        learning_rate_factor(number, num_steps=8, warmup_fraction=0.25, schedule=schedule, final_fraction=0.1)
        for number in range(8)
    ]
    assert [rate for (rate,) in rates] == pytest.approx([3e-3 * factor for factor in factors])
    assert factors[:2] == [0.5, 1.0]


@stages
@pytest.mark.parametrize("lora", [False, True], ids=["all weights", "lora"])
def test_inv71_gradient_checkpointing_is_on_and_changes_no_weight(
    stage: Stage, lora: bool, tmp_path: Path
) -> None:
    ends = []
    for checkpointing in (False, True):
        model, seen = build(stage, lora), set()
        before = trained(model)
        for module in model.modules():
            if type(module).__name__ == "GPT2Model":
                module.register_forward_pre_hook(
                    lambda module, args, kwargs, seen=seen: seen.add(
                        (is_checkpointing(module), kwargs.get("use_cache"))
                    ),
                    with_kwargs=True,
                )
        fit(stage, tmp_path / str(checkpointing), model, plan(gradient_checkpointing=checkpointing))
        assert seen == {(checkpointing, False)}
        ends.append(trained(model))
        moved = [name for name, value in ends[-1].items() if not torch.equal(value, before[name])]
        assert len(moved) == len(before), "a frozen embedding must not keep the gradient away"
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, msg=name)


@stages
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_inv72_mixed_precision_is_on_inside_the_forward(stage: Stage, precision: str, tmp_path: Path) -> None:
    model, seen = build(stage), set()
    for name, module in model.named_modules():
        if name.endswith("mlp.c_fc"):
            module.register_forward_hook(lambda _, __, out: seen.add(out.dtype))
    fit(stage, tmp_path / "run", model, plan(mixed_precision=precision))
    assert seen == {torch.bfloat16 if precision == "bf16" else torch.float32}
    assert {value.dtype for value in trained(model).values()} == {torch.float32}
    assert all(math.isfinite(row["loss"]) for row in steps_of(stage, tmp_path / "run"))


@stages
def test_inv75_a_stop_that_is_asked_for_saves_and_the_run_goes_on_bitwise(
    stage: Stage, tmp_path: Path
) -> None:
    whole, broken = build(stage), build(stage)
    fit(stage, tmp_path / "whole", whole, plan())
    with pytest.raises(KeyboardInterrupt):
        fit(stage, tmp_path / "broken", broken, plan(), stop=True)
    assert [folder.name for folder in find_checkpoints(tmp_path / "broken")] == ["step_000001"]
    resumed = build(stage)
    fit(stage, tmp_path / "broken", resumed, plan(), resume=True)
    for name, value in trained(whole).items():
        assert torch.equal(trained(resumed)[name], value), name
