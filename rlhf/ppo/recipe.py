"""The numbers that a PPO run is run with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rlhf.ppo.credit import Method
from rlhf.ppo.objective import Objective
from rlhf.ppo.steps import ScoreRules


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The numbers of the algorithm, explained in `configs/ppo.yaml`; sizes as in `check_sizes`."""

    seed: int
    temperature: float
    max_response_tokens: int
    num_updates: int
    rollout_batch_size: int
    minibatch_size: int
    microbatch_size: int
    samples_per_prompt: int = 1
    generation_batch_size: int | None = None
    ppo_epochs: int = 1
    early_stop_kl: float | None = None
    learning_rate: float
    critic_learning_rate: float  # not read without a critic
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    warmup_fraction: float = 0.0
    final_learning_rate_fraction: float = 0.0
    critic_warmup_updates: int = 0
    adam_epsilon: float = 1e-5
    adam_beta2: float = 0.999
    weight_decay: float = 0.0
    max_grad_norm: float | None = 1.0
    ema_decay: float | None = None
    kl_controller: Literal["fixed", "adaptive"] = "fixed"
    kl_coef: float = 0.05
    kl_target: float | None = None
    kl_horizon: int | None = None
    kl_in: Literal["reward", "loss"] = "reward"
    kl_loss: Literal["k2", "k3"] = "k2"
    advantages: Method = "gae"
    gamma: float = 1.0
    gae_lambda: float = 0.95
    whiten_rewards: bool = False
    whiten_advantages: bool = True
    loss_average: Literal["tokens", "responses"] = "tokens"
    clip_range: float = 0.2
    clip_range_high: float | None = None
    dual_clip: float | None = None
    value_clip_range: float | None = None
    value_coef: float = 1.0
    entropy_coef: float = 0.0
    score_normalisation: Literal["none", "initial", "running"] = "none"
    score_clip: float | None = None
    missing_eos_score: float | None = -1.0
    missing_eos_penalty: float = 0.0
    length_penalty: float = 0.0
    num_samples: int = 2

    @property
    def steps_per_update(self) -> int:
        """Return how many optimizer steps an update takes where nothing stops it early."""
        return self.ppo_epochs * (self.rollout_batch_size // self.minibatch_size)

    @property
    def num_optimizer_steps(self) -> int:
        """Return how many optimizer steps the whole run takes where nothing stops an update early."""
        return self.num_updates * self.steps_per_update

    @property
    def num_prompts(self) -> int:
        """Return how many prompts one rollout takes."""
        return self.rollout_batch_size // self.samples_per_prompt

    @property
    def objective(self) -> Objective:
        """Return the terms of the loss."""
        return Objective(
            clip_range=self.clip_range,
            clip_range_high=self.clip_range_high,
            dual_clip=self.dual_clip,
            value_clip_range=self.value_clip_range,
            value_coef=self.value_coef,
            entropy_coef=self.entropy_coef,
            kl_loss=self.kl_loss if self.kl_in == "loss" else None,
            loss_average=self.loss_average,
        )

    @property
    def score_rules(self) -> ScoreRules:
        """Return what happens to scores."""
        return ScoreRules(
            score_clip=self.score_clip,
            missing_eos_score=self.missing_eos_score,
            missing_eos_penalty=self.missing_eos_penalty,
            length_penalty=self.length_penalty,
        )
