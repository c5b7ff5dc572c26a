"""What the stages that train on `transformers.Trainer` have in common: sizes, rates and lengths."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from rlhf.settings.layers import Settings
from rlhf.settings.shared import CheckpointSettings, RunSettings, check_divides, check_final_fraction

__all__ = ["TrainerSettings"]


class TrainerSettings(Settings):
    """How long, how fast and in what portions a stage trains. Sizes are global: over all processes."""

    epochs: float = Field(1.0, gt=0)
    """Passes over the training data."""
    learning_rate: float = Field(1e-4, gt=0)
    """Highest step size of AdamW, reached after the warm-up."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after the warm-up."""
    final_learning_rate_fraction: float = Field(0.0, ge=0, le=1)
    """What is left of the learning rate at the end, as a share of its highest value."""
    warmup_fraction: float = Field(0.03, ge=0, lt=1)
    """Share of the optimizer steps in which the learning rate rises."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's pull of the weights towards zero."""
    max_grad_norm: float = Field(1.0, gt=0)
    """The gradient is scaled down to this norm where it is longer."""
    batch_size: int = Field(32, ge=1)
    """Elements of one optimizer step, over all processes."""
    microbatch_size: int = Field(32, ge=1)
    """Elements that a process puts through the model at once, or its part of a batch; divides batch_size."""
    mixed_precision: Literal["no", "bf16", "fp16"] | None = "bf16"
    """Precision of the matrix products; null is what `accelerate launch` says."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them."""
    log_every_updates: int = Field(10, ge=1)
    """Optimizer steps between two lines of metrics.jsonl."""

    @model_validator(mode="after")
    def _sizes_divide(self) -> TrainerSettings:
        check_divides(self.batch_size, "batch_size", self.microbatch_size, "microbatch_size")
        check_final_fraction(self)
        return self

    def plan(
        self, run: RunSettings, checkpoint: CheckpointSettings, evaluate_every: int | None
    ) -> dict[str, Any]:
        """Return the keyword arguments of `rlhf.training.TrainingPlan`."""
        return {
            "epochs": self.epochs,
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size,
            "microbatch_size": self.microbatch_size,
            "seed": run.seed,
            "schedule": self.schedule,
            "final_learning_rate_fraction": self.final_learning_rate_fraction,
            "warmup_fraction": self.warmup_fraction,
            "weight_decay": self.weight_decay,
            "max_grad_norm": self.max_grad_norm,
            "log_every": self.log_every_updates,
            "evaluate_every": evaluate_every,
            "checkpoint_every": checkpoint.every_updates,
            "keep_checkpoints": checkpoint.keep,
            "gradient_checkpointing": self.gradient_checkpointing,
            "mixed_precision": self.mixed_precision,
            "trackers": run.trackers,
            "name": run.name,
        }
