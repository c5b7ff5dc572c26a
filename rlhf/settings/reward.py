"""Settings of the reward stage: a score is fitted to ranked responses."""

from __future__ import annotations

from typing import Literal

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

__all__ = ["RewardSettings"]

WORLD = "data/pocket_world"


class RankingDataSettings(Settings):
    """Where the rankings come from."""

    train: Items[SourceSettings] = (SourceSettings(path=f"{WORLD}/rankings.train.jsonl.gz"),)
    """Sources that are trained on."""
    validation: Items[SourceSettings] = (SourceSettings(path=f"{WORLD}/rankings.validation.jsonl"),)
    """Sources that accuracy is measured on while training goes on."""
    test: Items[SourceSettings] = (SourceSettings(path=f"{WORLD}/rankings.test.jsonl"),)
    """Sources of the final numbers; an empty list uses the validation sources."""

    @model_validator(mode="after")
    def _held_out_is_own(self) -> RankingDataSettings:
        check_own_held_out(self, "validation", "test")
        return self


class RewardTrainingSettings(TrainerSettings):
    """How the model is trained; sizes count prompts, each with all its ranked responses."""

    learning_rate: float = Field(3e-4, gt=0)
    """Highest step size of AdamW, reached after the warm-up."""
    final_learning_rate_fraction: float = Field(0.1, ge=0, le=1)
    """What is left of the learning rate at the end, as a share of its highest value."""
    epochs: float = Field(2.0, gt=0)
    """Passes over the rankings; fractions are allowed."""
    batch_size: int = Field(16, ge=1)
    """Prompts of one optimizer step, over all processes."""
    microbatch_size: int = Field(16, ge=1)
    """Prompts that one process puts through the model at once, or its part of a batch; divides batch_size."""
    loss: Literal["pairwise", "plackett_luce"] = "pairwise"
    """All pairs of a prompt (InstructGPT), or the likelihood of the whole order."""
    ties: Literal["soft", "drop"] = "soft"
    """Equal ranks pull scores together (probability one half), or are left out."""
    strength: Literal["margin", "weight"] | None = None
    """What is made of how much better a response is, where the data say it; null: nothing."""
    strength_scale: float | None = Field(None, gt=0)
    """What a strength of 1 is as a margin or weight; null: 1 as a margin, and weights are 1 on average."""
    centring_coef: float = Field(0.01, ge=0)
    """Weight of the penalty that keeps a prompt's mean score near zero."""
    share_prompts: bool = True
    """Put a prompt through the model once for all its responses, where possible and less work."""
    max_prompt_tokens: int = Field(160, ge=1)
    """Longer prompts lose their oldest part, which is counted."""
    max_response_tokens: int = Field(96, ge=1)
    """Longer responses (end token included) are left out, which is counted."""

    @model_validator(mode="after")
    def _strength_is_read(self) -> RewardTrainingSettings:
        if self.strength is not None and self.loss != "pairwise":
            raise ValueError(
                f"strength is of a pair of responses, and loss {self.loss} has no pairs: "
                "set reward.loss=pairwise or reward.strength=null"
            )
        if self.strength is None and self.strength_scale is not None:
            raise ValueError("strength_scale is only read where strength is margin or weight")
        return self


class CentringSettings(Settings):
    """After training, what the SFT model says is given the score 0 on average."""

    num_prompts: int = Field(512, ge=1)
    """Training prompts that it answers."""
    temperature: float = Field(1.0, ge=0)
    """Sampling temperature; as in PPO."""
    max_response_tokens: int = Field(96, ge=1)
    """Longest answer; as in PPO or more, since answers that are cut do not count."""
    policy: ModelSettings | None = None
    """The model that answers; null: the one in model.path. An encoder, which does not write, needs one."""


class RewardEvaluationSettings(Settings):
    """How the reward model is measured."""

    every_updates: int | None = Field(100, ge=1)
    """Optimizer steps between evaluations; null: only before and after."""
    num_rankings: int = Field(128, ge=1)
    """Validation rankings of these evaluations; the final numbers use all test rankings."""
    judge: str | None = f"{WORLD}/judge.py:judge"
    """A Python function `file.py:name` that knows the truth, for measuring only; null: none."""


class RewardSettings(Settings):
    """Everything that `make reward` can be told."""

    run: RunSettings = RunSettings(output="{run.root}/reward")
    model: ModelSettings = ModelSettings(path="{run.root}/sft")
    lora: LoraSettings | None = None
    data: RankingDataSettings = RankingDataSettings()
    reward: RewardTrainingSettings = RewardTrainingSettings()
    centring: CentringSettings | None = CentringSettings()
    evaluation: RewardEvaluationSettings = RewardEvaluationSettings()
    checkpoint: CheckpointSettings = CheckpointSettings(every_updates=100)
