"""Settings of the PPO stage: the policy learns what scores high, held to the reference by a KL penalty."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rlhf.settings.layers import Items, Settings
from rlhf.settings.ppo_models import CriticSettings, MemorySettings, ScoreSettings
from rlhf.settings.ppo_training import PpoTrainingSettings
from rlhf.settings.ptx import HeldOutTextSettings, PtxSettings, check_held_out
from rlhf.settings.shared import (
    AdapterSettings,
    CheckpointSettings,
    ModelSettings,
    RunSettings,
    SamplingSettings,
    SourceSettings,
    WeightsSettings,
    check_divides,
    check_own_held_out,
)

__all__ = ["PpoSettings"]

WORLD = "data/pocket_world"


class PromptDataSettings(Settings):
    """Where the prompts come from."""

    train: Items[SourceSettings] = (SourceSettings(path=f"{WORLD}/prompts.train.jsonl"),)
    """Sources of the prompts that responses are sampled for."""
    validation: Items[SourceSettings] = (SourceSettings(path=f"{WORLD}/prompts.validation.jsonl"),)
    """Sources of the held-out prompts; never trained on."""

    @model_validator(mode="after")
    def _held_out_is_own(self) -> PromptDataSettings:
        check_own_held_out(self, "validation")
        return self


class PpoSamplingSettings(SamplingSettings):
    """How responses are drawn while training."""

    max_prompt_tokens: int = Field(160, ge=1)
    """Longer prompts lose their oldest part, which is counted."""
    batch_size: int | None = Field(None, ge=1)
    """Responses that one process generates together; null is all of its rows."""


class PpoEvaluationSettings(Settings):
    """What is measured on held-out prompts, always the same ones with the same random draws."""

    every_updates: int | None = Field(10, ge=1)
    """Updates between evaluations; null: only before and after training."""
    num_prompts: int = Field(128, ge=1)
    """Held-out prompts, from the first on."""
    judge: str | None = None
    """Function ``file.py:name`` that judges the responses, reported beside the scores; null: none."""
    temperature: float | None = Field(None, ge=0)
    """Sampling temperature of evaluations; 0 takes the likeliest token, null is sampling.temperature."""
    num_samples: int = Field(16, ge=0)
    """Responses of each evaluation that go to samples.jsonl."""
    text: HeldOutTextSettings | None = None
    """Raw text that the policy's loss is measured on: what it unlearns of language; null: none."""
    held_out_scores: Items[ScoreSettings] = ()
    """Sources of scores that nothing is trained on: a fall while the score rises is over-optimisation."""


class PpoCheckpointSettings(CheckpointSettings):
    """How often a run can be taken up again, and what is saved at its end."""

    every_updates: int | None = Field(20, ge=1)
    """Updates between checkpoints; null writes none, and a killed run starts anew."""
    keep: int = Field(2, ge=1)
    """Newest checkpoints that are kept: should the newest be damaged, the one before is used."""
    export: Literal["best", "last"] = "best"
    """Which weights the stage leaves: of the evaluation with the best objective, or of the last update."""
    weights: Literal["trained", "average"] = "trained"
    """What is measured and left: the trained weights, or their running average (ppo.ema_decay)."""


class PpoSettings(Settings):
    """Everything that `make ppo` can be told."""

    run: RunSettings = RunSettings(output="{run.root}/ppo")
    policy: ModelSettings = ModelSettings(path="{run.root}/sft")
    reference: WeightsSettings | None = None
    lora: AdapterSettings | None = None
    data: PromptDataSettings = PromptDataSettings()
    scores: Items[ScoreSettings] = Field((ScoreSettings(model="{run.root}/reward"),), min_length=1)
    critic: CriticSettings | None = CriticSettings()
    memory: MemorySettings = MemorySettings()
    sampling: PpoSamplingSettings = PpoSamplingSettings()
    ppo: PpoTrainingSettings = PpoTrainingSettings()
    ptx: PtxSettings | None = None
    evaluation: PpoEvaluationSettings = PpoEvaluationSettings(judge=f"{WORLD}/judge.py:judge")
    checkpoint: PpoCheckpointSettings = PpoCheckpointSettings()
    callbacks: Items[str] = ()
    """Classes ``file.py:name`` that the run calls after updates, evaluations and checkpoints."""

    @model_validator(mode="after")
    def _critic_has_a_start(self) -> PpoSettings:
        if (self.critic is None) != (self.ppo.advantages != "gae"):
            raise ValueError(
                f"ppo.advantages {self.ppo.advantages} "
                + ("needs a critic" if self.critic is None else "uses no critic: set critic=null")
            )
        if self.critic is None or self.critic.init_from != "reward" or self.critic.path is not None:
            return self
        if not any(source.paths for source in self.scores):
            raise ValueError(
                "critic.init_from is reward, but scores hold no model: set critic.path or init_from=policy"
            )
        return self

    @model_validator(mode="after")
    def _rules_have_scores(self) -> PpoSettings:
        ruled = self.ppo.score_normalisation != "none" or self.ppo.score_clip is not None
        if ruled and all(source.per_token for source in self.scores):
            raise ValueError(
                "ppo.score_normalisation and ppo.score_clip are for scores of responses, but scores is all "
                "per_token: set none and null"
            )
        return self

    @model_validator(mode="after")
    def _text_is_held_out(self) -> PpoSettings:
        check_held_out(self.ptx, self.evaluation.text)
        if self.ptx is not None:
            part = min(self.ppo.microbatch_size, self.ptx.batch_size)
            check_divides(self.ptx.batch_size, "ptx.batch_size", part, "ppo.microbatch_size")
        return self

    @model_validator(mode="after")
    def _average_is_kept_and_read(self) -> PpoSettings:
        if (self.ppo.ema_decay is None) != (self.checkpoint.weights == "trained"):
            raise ValueError(
                "checkpoint.weights=average reads the average that ppo.ema_decay keeps: set both or none"
            )
        return self

    @model_validator(mode="after")
    def _one_base_is_possible(self) -> PpoSettings:
        obstacles = (
            (self.lora is None, "trains adapters: set lora={rank: 16, alpha: 32}"),
            (self.reference is not None, "has the policy as it starts for its reference: set reference=null"),
            (
                self.memory.offload,
                "leaves nothing to move but what the policy needs: set memory.offload=false",
            ),
        )
        found = [reason for applies, reason in obstacles if applies]
        if self.memory.one_base and found:
            raise ValueError("memory.one_base " + "; it ".join(found))
        return self
