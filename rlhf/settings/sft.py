"""Settings of the SFT stage: a base model imitates demonstrations."""

from __future__ import annotations

from pydantic import Field, model_validator

from rlhf.settings.layers import Items, Settings
from rlhf.settings.shared import (
    CheckpointSettings,
    LoraSettings,
    ModelSettings,
    RunSettings,
    SourceSettings,
    check_own_held_out,
)
from rlhf.settings.training import TrainerSettings

__all__ = ["SftSettings"]

WORLD = "data/pocket_world"


class DemonstrationSettings(Settings):
    """Where the demonstrations come from."""

    train: Items[SourceSettings] = (SourceSettings(path=f"{WORLD}/demonstrations.train.jsonl"),)
    """Sources that are imitated."""
    validation: Items[SourceSettings] = (SourceSettings(path=f"{WORLD}/demonstrations.validation.jsonl"),)
    """Sources that the loss is measured on; never trained on."""

    @model_validator(mode="after")
    def _held_out_is_own(self) -> DemonstrationSettings:
        check_own_held_out(self, "validation")
        return self


class SftTrainingSettings(TrainerSettings):
    """How the model is trained; sizes count demonstrations."""

    epochs: float = Field(2.0, gt=0)
    """Passes over the training data."""
    learning_rate: float = Field(5e-4, gt=0)
    """Highest step size of AdamW, reached after the warm-up."""
    max_prompt_tokens: int = Field(160, ge=1)
    """Longer prompts lose their oldest part, which is counted."""
    max_response_tokens: int = Field(96, ge=1)
    """Demonstrations with a longer response (end token included) are left out, which is counted."""


class SftEvaluationSettings(Settings):
    """What is looked at on held-out prompts before, while and after training."""

    every_updates: int | None = Field(50, ge=1)
    """Optimizer steps between evaluations; null: only before and after."""
    num_demonstrations: int | None = Field(512, ge=1)
    """Held-out demonstrations that the loss is measured on; null: all."""
    num_samples: int = Field(16, ge=1)
    """Held-out prompts that are answered before and after training, for samples.jsonl."""
    temperature: float = Field(1.0, ge=0)
    """Sampling temperature of these answers; 0 takes the likeliest token."""


class SftSettings(Settings):
    """Everything that `make sft` can be told."""

    run: RunSettings = RunSettings(output="{run.root}/sft")
    model: ModelSettings = ModelSettings(path=f"{WORLD}/base")
    lora: LoraSettings | None = None
    data: DemonstrationSettings = DemonstrationSettings()
    sft: SftTrainingSettings = SftTrainingSettings()
    evaluation: SftEvaluationSettings = SftEvaluationSettings()
    checkpoint: CheckpointSettings = CheckpointSettings(every_updates=200)
