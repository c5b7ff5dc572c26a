"""Settings of the PPO algorithm: its sizes, its schedule, what is subtracted, clipped and averaged."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rlhf.settings.layers import Settings
from rlhf.settings.shared import check_divides, check_final_fraction

__all__ = ["PpoTrainingSettings"]


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
    samples_per_prompt: int = Field(1, ge=1)
    """Responses sampled for each prompt; divides rollout_batch_size."""
    ppo_epochs: int = Field(1, ge=1)
    """Times that each response is learned from."""
    early_stop_kl: float | None = Field(None, gt=0)
    """An update takes no further step once its KL to the policy that sampled is above this, nats a token."""
    learning_rate: float = Field(3e-4, gt=0)
    """Highest step size of the policy's AdamW."""
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    """How both learning rates fall after the warm-up."""
    warmup_fraction: float = Field(0.05, ge=0, lt=1)
    """Share of all optimizer steps in which the learning rates rise."""
    final_learning_rate_fraction: float = Field(0.0, ge=0, le=1)
    """What is left of the learning rates at the end, as a share of their highest value."""
    critic_warmup_updates: int = Field(0, ge=0)
    """First updates that move the critic alone."""
    adam_beta2: float = Field(0.999, ge=0, lt=1)
    """AdamW's memory of squared gradients."""
    adam_epsilon: float = Field(1e-5, gt=0)
    """AdamW's epsilon."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's pull of the weights towards zero."""
    max_grad_norm: float | None = Field(1.0, gt=0)
    """The gradients of policy and critic are each scaled down to this norm; null only measures it."""
    ema_decay: float | None = Field(None, gt=0, lt=1)
    """Share of the averaged weights that an update leaves; null: no average is kept."""
    kl_controller: Literal["fixed", "adaptive"] = "fixed"
    """fixed keeps kl_coef; adaptive steers it towards kl_target."""
    kl_coef: float = Field(0.02, ge=0)
    """Price of a nat of divergence from the reference, in score units; where adaptive, at the start."""
    kl_target: float | None = Field(None, gt=0)
    """KL that the adaptive controller aims at, nats a response."""
    kl_horizon: int | None = Field(None, ge=1)
    """Responses over which the adaptive controller may change kl_coef by about a fifth."""
    kl_in: Literal["reward", "loss"] = "reward"
    """Where the KL penalty is: in each token's reward, or a term of the loss."""
    kl_loss: Literal["k2", "k3"] | None = None
    """Estimator of the KL in the loss; null where it is in the reward."""
    advantages: Literal["gae", "leave_one_out", "group_normalised"] = "gae"
    """gae: by the critic; the others compare the responses of a prompt and use no critic (RLOO, GRPO)."""
    gamma: float = Field(1.0, ge=0, le=1)
    """Discount a token."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """1 trusts the sampled rewards alone, 0 the critic alone."""
    whiten_rewards: bool = False
    """Scale the rewards of a rollout's tokens to variance 1; their mean stays."""
    whiten_advantages: bool = True
    """Shift and scale the advantages of a rollout to mean 0 and variance 1."""
    loss_average: Literal["tokens", "responses"] = "tokens"
    """What weighs the same in the loss: every token of a minibatch, or every response."""
    clip_range: float = Field(0.2, gt=0, lt=1)
    """The probability ratio pulls no further than 1 -/+ this."""
    clip_range_high: float | None = Field(None, gt=0)
    """Upper clip range where it is another than the lower one; null: clip_range."""
    dual_clip: float | None = Field(None, gt=1)
    """Bound of the loss of a bad token, as a multiple of its advantage; null: none."""
    value_clip_range: float | None = Field(None, gt=0)
    """The critic's value pulls no further than this from the rollout's, score units; null is no limit."""
    entropy_coef: float = Field(0.0, ge=0)
    """Weight of the entropy bonus."""
    score_normalisation: Literal["none", "initial", "running"] = "none"
    """initial: shift and scale scores by those of the policy at the start; running: of all so far."""
    score_clip: float | None = Field(None, gt=0)
    """Scores are limited to -/+ this, after normalising and before anything else; null leaves them."""
    missing_eos_score: float | None = -1.0
    """Replaces the score (and the tokens' scores) of a response that was cut before it ended; null: none."""
    missing_eos_penalty: float = Field(0.0, ge=0)
    """Subtracted from the score of a response that was cut before it ended, where nothing replaces it."""
    length_penalty: float = Field(0.0, ge=0)
    """Subtracted from a response's score for each of its tokens."""
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
        if self.critic_warmup_updates >= self.num_updates:
            raise ValueError(
                f"critic_warmup_updates {self.critic_warmup_updates} leaves none of num_updates "
                f"{self.num_updates} to the policy"
            )
        check_final_fraction(self)
        adaptive = (self.kl_target, self.kl_horizon)
        if self.kl_controller == "adaptive" and (None in adaptive or self.kl_coef == 0):
            raise ValueError("kl_controller adaptive needs kl_target, kl_horizon and a kl_coef above 0")
        if self.kl_horizon is not None and self.kl_horizon <= 0.2 * self.rollout_batch_size:
            raise ValueError(
                f"kl_horizon {self.kl_horizon} is too short for a rollout_batch_size of "
                f"{self.rollout_batch_size}: one update could take kl_coef below 0; it is at least "
                f"{self.rollout_batch_size // 5 + 1}"
            )
        if self.kl_controller == "fixed" and adaptive != (None, None):
            raise ValueError("kl_target and kl_horizon are only read where kl_controller is adaptive")
        if self.missing_eos_penalty > 0 and self.missing_eos_score is not None:
            raise ValueError(
                "missing_eos_penalty takes from a score that missing_eos_score replaces; set "
                "missing_eos_score to null, or leave missing_eos_penalty at 0"
            )
        if (self.kl_loss is not None) != (self.kl_in == "loss"):
            raise ValueError("kl_loss (k2 or k3) is set where kl_in is loss, and only there")
        return self

    @model_validator(mode="after")
    def _samples_fit(self) -> PpoTrainingSettings:
        check_divides(
            self.rollout_batch_size, "rollout_batch_size", self.samples_per_prompt, "samples_per_prompt"
        )
        if self.advantages == "gae":
            return self
        if self.samples_per_prompt < 2:
            raise ValueError(
                f"advantages {self.advantages} compares the responses of a prompt: "
                "set samples_per_prompt to 2 or more"
            )
        if self.value_clip_range is not None or self.critic_warmup_updates:
            raise ValueError(
                f"value_clip_range and critic_warmup_updates are for a critic; advantages {self.advantages} "
                "uses none"
            )
        if self.whiten_rewards:
            raise ValueError(
                f"whiten_rewards scales rewards token by token, which advantages {self.advantages} adds up "
                "over a response again, so that longer ones would count more: leave it false"
            )
        if (self.gamma, self.gae_lambda) != (1.0, 0.95):
            raise ValueError(
                f"gamma and gae_lambda are only read where advantages is gae, not {self.advantages}: "
                "leave them at 1.0 and 0.95"
            )
        return self
