"""What a plan says is what happens: measured at the optimizer and inside the model, not in the arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from rlhf.errors import RunError
from rlhf.models.inputs import disable_dropout
from rlhf.ppo.parts import is_checkpointing
from rlhf.rendering import Rendered
from rlhf.runs.folder import RunFolder
from rlhf.sft import train_sft
from rlhf.training.plan import TrainingPlan
from tests.helpers import tiny_gpt2, tiny_tokenizer

DEMONSTRATIONS = [Rendered([5, 6, 7 + n], [20 + n] * (1 + n % 4) + [1]) for n in range(16)]


def train(path: Path, spoil: bool = False, **changes: Any) -> tuple[torch.nn.Module, list[dict[str, Any]]]:
    """Train a tiny model; returns it and what each optimizer step found: rate, decay, norm of the gradient."""
    tokenizer = tiny_tokenizer()
    model = tiny_gpt2(tokenizer)
    disable_dropout(model)
    if spoil:
        model.transformer.ln_f.weight.data.fill_(torch.nan)
    model.found = {"dtypes": set(), "checkpointing": set()}
    model.transformer.h[0].mlp.c_fc.register_forward_hook(
        lambda _, __, out: model.found["dtypes"].add(out.dtype)
    )
    steps: list[dict[str, Any]] = []

    def note(optimizer: Any, *_: Any) -> None:
        grads = [p.grad.norm() for group in optimizer.param_groups for p in group["params"]]
        steps.append(
            {
                "rate": optimizer.param_groups[0]["lr"],
                "decay": max(group["weight_decay"] for group in optimizer.param_groups),
                "norm": float(torch.stack(grads).norm()),
            }
        )
        model.found["checkpointing"].add(is_checkpointing(model))

    values = {"epochs": 2.0, "learning_rate": 1e-3, "batch_size": 4, "microbatch_size": 2, "seed": 1}
    run = RunFolder.open(path, {"run": {"seed": 1}}, stage="sft")
    hook = register_optimizer_step_pre_hook(note)
    try:
        train_sft(model, tokenizer, DEMONSTRATIONS, TrainingPlan(**{**values, **changes}), run=run)
    finally:
        hook.remove()
        run.finish()
    return model, steps


def test_inv58_the_optimizer_steps_at_the_rates_of_the_schedule(tmp_path: Path) -> None:
    """Warm-up over 2 of 8 steps, then linear to a fifth: 1/2, 1, then 1, 5/6 ... of the way from 1 to 0.2."""
    shape = {"schedule": "linear", "warmup_fraction": 0.25, "final_learning_rate_fraction": 0.2}
    _, steps = train(tmp_path, **shape)
    falling = [0.2 + 0.8 * k / 6 for k in (6, 5, 4, 3, 2, 1)]
    assert [step["rate"] for step in steps] == pytest.approx([1e-3 * f for f in (0.5, 1.0, *falling)])


def test_inv57_gradients_are_clipped_and_decay_is_what_was_asked_for(tmp_path: Path) -> None:
    _, clipped = train(tmp_path / "clipped", max_grad_norm=0.01, weight_decay=0.3)
    assert [step["norm"] for step in clipped] == pytest.approx([0.01] * 8, rel=1e-3)
    assert {step["decay"] for step in clipped} == {0.3}
    _, free = train(tmp_path / "free", max_grad_norm=100.0)
    assert min(step["norm"] for step in free) > 0.1
    assert {step["decay"] for step in free} == {0.0}


@pytest.mark.parametrize(("asked", "dtype"), [("bf16", torch.bfloat16), ("no", torch.float32)])
def test_inv72_mixed_precision_is_on_inside_the_forward(
    tmp_path: Path, asked: str, dtype: torch.dtype
) -> None:
    model, _ = train(tmp_path, mixed_precision=asked)
    assert model.found["dtypes"] == {dtype}
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("asked", [False, True])
def test_inv71_gradient_checkpointing_is_on_while_training(tmp_path: Path, asked: bool) -> None:
    model, _ = train(tmp_path, gradient_checkpointing=asked)
    assert model.found["checkpointing"] == {asked}


def test_a_loss_that_is_no_number_stops_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"step 1: loss is nan.*; the model came with weights that are not finite"
    ):
        train(tmp_path, spoil=True)
