"""Settings of the PPO stage: the policy learns what scores high, held to the reference by a KL penalty."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rlhf.settings.layers import Items, Settings
from rlhf.settings.shared import (
    CheckpointSettings,
    Dtype,
    LoraSettings,
    ModelSettings,
    PathText,
    RunSettings,
    SamplingSettings,
    SourceSettings,
    check_divides,
)

__all__ = ["PpoSettings"]

WORLD = "data/pocket_world"


class PromptDataSettings(Settings):
    """Where the prompts come from."""

    train: Items[SourceSettings] = (SourceSettings(path=f"{WORLD}/prompts.train.jsonl"),)
    """Sources of the prompts that responses are sampled for."""
    validation: Items[SourceSettings] = (SourceSettings(path=f"{WORLD}/prompts.validation.jsonl"),)
    """Sources of the held-out prompts; never trained on."""


class ScoreSettings(Settings):
    """One source of scores: a reward model or a Python function."""

    model: PathText | None = None
    """Folder or hub id of a reward model with one output; with another tokenizer it is given text."""
    function: str | None = None
    """Function ``file.py:name`` as f(prompts, responses, **columns) -> one number a response."""
    weight: float = 1.0
    """What the score is multiplied by before all sources are added."""
    revision: str | None = None
    """Branch, tag or commit of the model on the hub; null is the newest."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model."""
    dtype: Dtype = "float32"
    """Precision of the model's weights in memory."""

    @model_validator(mode="after")
    def _one_of_both(self) -> ScoreSettings:
        if (self.model is None) == (self.function is None):
            raise ValueError("a source of scores is either a model or a function: set one of the two")
        return self


class CriticSettings(Settings):
    """Where the value function starts."""

    init_from: Literal["reward", "policy"] = "reward"
    """reward: the reward model, head included; policy: the policy's transformer with a new head."""
    path: PathText | None = None
    """Reward model that the critic starts from; null: the first model of `scores`."""

    @model_validator(mode="after")
    def _path_is_used(self) -> CriticSettings:
        if self.init_from == "policy" and self.path is not None:
            raise ValueError("critic.path is only read where critic.init_from is reward")
        return self


class PpoSamplingSettings(SamplingSettings):
    """How responses are drawn while training."""

    max_prompt_tokens: int = Field(160, ge=1)
    """Longer prompts lose their oldest part, which is counted."""
    batch_size: int | None = Field(None, ge=1)
    """Responses that one process generates together; null is all of its rows."""


class PpoTrainingSettings(Settings):
    """The algorithm. Sizes count responses over all processes, but microbatch_size those of one process."""

    num_updates: int = Field(60, ge=1)
    """Rounds of rollout and learning."""
    rollout_batch_size: int = Field(128, ge=1)
    """Responses sampled in one update."""
    minibatch_size: int = Field(32, ge=1)
    """Responses of one optimizer step."""
    microbatch_size: int = Field(16, ge=1)
    """Responses in one forward pass of one process."""
    ppo_epochs: int = Field(1, ge=1)
    """Times that each response is learned from."""
    learning_rate: float = Field(3e-4, gt=0)
    """Highest step size of the policy's AdamW."""
    critic_learning_rate: float = Field(5e-4, gt=0)
    """Highest step size of the critic's AdamW."""
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    """How both learning rates fall after the warm-up."""
    warmup_fraction: float = Field(0.05, ge=0, lt=1)
    """Share of all optimizer steps in which the learning rates rise."""
    final_learning_rate_fraction: float = Field(0.0, ge=0, le=1)
    """What is left of the learning rates at the end, as a share of their highest value."""
    adam_epsilon: float = Field(1e-5, gt=0)
    """AdamW's epsilon."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's pull of the weights towards zero."""
    max_grad_norm: float | None = Field(1.0, gt=0)
    """The gradients of policy and critic are each scaled down to this norm; null only measures it."""
    kl_controller: Literal["fixed", "adaptive"] = "fixed"
    """fixed keeps kl_coef; adaptive steers it towards kl_target."""
    kl_coef: float = Field(0.02, ge=0)
    """Price of a nat of divergence from the reference, in score units; where adaptive, at the start."""
    kl_target: float | None = Field(None, gt=0)
    """KL that the adaptive controller aims at, nats a response."""
    kl_horizon: int | None = Field(None, ge=1)
    """Responses over which the adaptive controller may change kl_coef by about a fifth."""
    gamma: float = Field(1.0, ge=0, le=1)
    """Discount a token."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """1 trusts the sampled rewards alone, 0 the critic alone."""
    whiten_advantages: bool = True
    """Shift and scale the advantages of a rollout to mean 0 and variance 1."""
    clip_range: float = Field(0.2, gt=0, lt=1)
    """The probability ratio pulls no further than 1 -/+ this."""
    value_clip_range: float | None = Field(None, gt=0)
    """The critic's value pulls no further than this from the rollout's, score units; null is no limit."""
    score_clip: float | None = Field(None, gt=0)
    """Scores are limited to -/+ this before anything else; null leaves them."""
    missing_eos_penalty: float = Field(0.0, ge=0)
    """Subtracted from the score of a response that was cut before it ended."""
    missing_eos_score: float | None = None
    """Replaces the score of a response that was cut before it ended; null leaves it."""
    num_samples: int = Field(2, ge=0)
    """Responses of each rollout that go to samples.jsonl."""
    mixed_precision: Literal["no", "bf16", "fp16"] | None = "bf16"
    """Precision of the matrix products; null is what `accelerate launch` says."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them."""

    @model_validator(mode="after")
    def _fits_together(self) -> PpoTrainingSettings:
        check_divides(self.rollout_batch_size, "rollout_batch_size", self.minibatch_size, "minibatch_size")
        check_divides(self.minibatch_size, "minibatch_size", self.microbatch_size, "microbatch_size")
        adaptive = (self.kl_target, self.kl_horizon)
        if self.kl_controller == "adaptive" and (None in adaptive or self.kl_coef == 0):
            raise ValueError("kl_controller adaptive needs kl_target, kl_horizon and a kl_coef above 0")
        if self.kl_controller == "fixed" and adaptive != (None, None):
            raise ValueError("kl_target and kl_horizon are only read where kl_controller is adaptive")
        if self.missing_eos_penalty > 0 and self.missing_eos_score is not None:
            raise ValueError("set at most one of missing_eos_penalty and missing_eos_score")
        return self


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


class PpoCheckpointSettings(CheckpointSettings):
    """How often a run can be taken up again, and what is saved at its end."""

    every_updates: int | None = Field(20, ge=1)
    """Updates between checkpoints; null writes none, and a killed run starts anew."""
    keep: int = Field(2, ge=1)
    """Newest checkpoints that are kept: should the newest be damaged, the one before is used."""
    export: Literal["best", "last"] = "best"
    """Which weights the stage leaves: of the evaluation with the best objective, or of the last update."""


class PpoSettings(Settings):
    """Everything that `make ppo` can be told."""

    run: RunSettings = RunSettings(output="{run.root}/ppo")
    policy: ModelSettings = ModelSettings(path="{run.root}/sft")
    reference: ModelSettings | None = None
    lora: LoraSettings | None = None
    data: PromptDataSettings = PromptDataSettings()
    scores: Items[ScoreSettings] = Field((ScoreSettings(model="{run.root}/reward"),), min_length=1)
    critic: CriticSettings = CriticSettings()
    sampling: PpoSamplingSettings = PpoSamplingSettings()
    ppo: PpoTrainingSettings = PpoTrainingSettings()
    evaluation: PpoEvaluationSettings = PpoEvaluationSettings(judge=f"{WORLD}/judge.py:judge")
    checkpoint: PpoCheckpointSettings = PpoCheckpointSettings()

    @model_validator(mode="after")
    def _critic_has_a_start(self) -> PpoSettings:
        has_model = any(source.model is not None for source in self.scores)
        if self.critic.init_from == "reward" and self.critic.path is None and not has_model:
            raise ValueError(
                "critic.init_from is reward, but scores hold no model: set critic.path or init_from=policy"
            )
        return self
