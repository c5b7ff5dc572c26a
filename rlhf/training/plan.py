"""How long, how fast and in what portions to train."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch

from rlhf.errors import SettingsError
from rlhf.runs.folder import RunFolder

__all__ = ["TrainingPlan", "build_scheduler", "learning_rate_factor", "trainer_arguments"]

Schedule = Literal["cosine", "linear", "constant"]


@dataclass(frozen=True)
class TrainingPlan:
    """How long, how fast and in what portions to train; the stages' YAML files explain each number.

    Sizes are global: `batch_size` elements an optimizer step over all processes, `microbatch_size` elements
    at most in one forward pass of one process.
    """

    epochs: float
    learning_rate: float
    batch_size: int
    microbatch_size: int
    seed: int
    schedule: Schedule = "cosine"
    final_learning_rate_fraction: float = 0.0
    warmup_fraction: float = 0.0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    log_every: int = 10
    evaluate_every: int | None = None
    checkpoint_every: int | None = None
    keep_checkpoints: int = 1
    gradient_checkpointing: bool = False
    mixed_precision: Literal["no", "bf16", "fp16"] | None = None  # None: what `accelerate launch` was told
    trackers: tuple[str, ...] = ()
    name: str | None = None


def trainer_arguments(plan: TrainingPlan, run: RunFolder, num_elements: int, section: str) -> dict[str, Any]:
    """Build the keyword arguments of `TrainingArguments` (and its subclasses) for a plan.

    Args:
        plan: see `TrainingPlan`.
        run: where checkpoints go.
        num_elements: size of the training set.
        section: the section of the YAML that errors name, e.g. "sft".

    Raises:
        SettingsError: the sizes do not divide, or the training set is smaller than a batch.

    """
    from accelerate import PartialState

    state = PartialState()
    microbatch_size, num_microbatches = _portions(plan, state.num_processes, section)
    if num_elements < plan.batch_size:
        raise SettingsError(
            f"the training set has {num_elements} usable elements, "
            f"fewer than one batch of {plan.batch_size}; "
            f"lower {section}.batch_size or add data",
            where=f"{section}.batch_size",
        )
    return {
        "output_dir": str(run.path / "checkpoints"),
        "seed": plan.seed,
        "data_seed": plan.seed,
        "num_train_epochs": plan.epochs,
        "per_device_train_batch_size": microbatch_size,
        "per_device_eval_batch_size": microbatch_size,
        "gradient_accumulation_steps": num_microbatches,
        "learning_rate": plan.learning_rate,
        "weight_decay": plan.weight_decay,
        "max_grad_norm": plan.max_grad_norm,
        _checkpointing_name(): plan.gradient_checkpointing,
        "bf16": plan.mixed_precision == "bf16",
        "fp16": plan.mixed_precision == "fp16",
        "logging_steps": plan.log_every,
        "logging_nan_inf_filter": False,  # it would hide what must stop the run
        "save_strategy": "steps" if plan.checkpoint_every else "no",
        "save_steps": plan.checkpoint_every or 500,
        "report_to": list(plan.trackers) or "none",
        "run_name": plan.name,
        "remove_unused_columns": False,
        "use_cpu": state.device.type == "cpu",
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "ddp_find_unused_parameters": False,
    }


def _portions(plan: TrainingPlan, num_processes: int, section: str) -> tuple[int, int]:
    """Return the elements of a microbatch, and how many microbatches a process takes in an optimizer step.

    A microbatch is what fits into memory at once; a process whose part of the batch is smaller takes that.
    """
    where = f"{section}.batch_size"
    if plan.batch_size % num_processes:
        raise SettingsError(f"{plan.batch_size} is no multiple of the {num_processes} processes", where=where)
    own_batch = plan.batch_size // num_processes
    microbatch_size = min(plan.microbatch_size, own_batch)
    if own_batch % microbatch_size:
        raise SettingsError(
            f"{plan.batch_size} is no multiple of {section}.microbatch_size x processes "
            f"({microbatch_size} x {num_processes})",
            where=where,
        )
    return microbatch_size, own_batch // microbatch_size


def _checkpointing_name() -> str:
    """What transformers calls it: renamed after 5.20, the last release for Python 3.10."""
    from transformers import TrainingArguments

    new = "activation_checkpointing"
    return new if new in TrainingArguments.__dataclass_fields__ else "gradient_checkpointing"


def learning_rate_factor(
    step: int, *, num_steps: int, warmup_fraction: float, schedule: Schedule, final_fraction: float
) -> float:
    """Compute by what the learning rate is multiplied at an optimizer step.

    It rises from 1/warm-up steps to 1 and falls to `final_fraction`, which it reaches after the last step.

    >>> shape = {"num_steps": 4, "warmup_fraction": 0.5, "schedule": "linear", "final_fraction": 0.0}
    >>> [learning_rate_factor(step, **shape) for step in range(5)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    warmup_steps = math.ceil(num_steps * warmup_fraction)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule == "constant":
        return 1.0
    done = min(1.0, (step - warmup_steps) / max(1, num_steps - warmup_steps))
    shape = 1.0 - done if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
    return final_fraction + (1.0 - final_fraction) * shape


def build_scheduler(optimizer: Any, plan: TrainingPlan, num_steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """Wrap `learning_rate_factor` for an optimizer."""
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: learning_rate_factor(
            step,
            num_steps=num_steps,
            warmup_fraction=plan.warmup_fraction,
            schedule=plan.schedule,
            final_fraction=plan.final_learning_rate_fraction,
        ),
    )
