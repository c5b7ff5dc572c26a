"""What a batch of prompts is at each station of its journey (design, section 3).

A later station is a new type that holds everything of the earlier ones. Axes: B sequences of this process,
R response tokens (right-padded). Log-probabilities are nats, float32; everything here is without gradient and
0 where `generation.response_mask` is False.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

    from rlhf.feedback.records import Prompt
    from rlhf.rollout import Generation

Minibatches = tuple[tuple["Tensor", ...], ...]
"""For each minibatch of this process its microbatches; each a tensor of row numbers."""


@dataclass(frozen=True)
class Rollout:
    """Station 5: responses sampled by the policy.

    Microbatches are fixed here for the rollout's whole life: old and new log-probabilities come from forward
    passes of the same shapes, so that their ratio is exactly 1 before the first step.
    """

    prompts: tuple[Prompt, ...]
    generation: Generation
    texts: tuple[str, ...]  # decoded up to the stop token
    minibatches: Minibatches
    old_logprobs: Tensor  # (B, R) of the sampled tokens under the sampling policy, by the training forward
    entropy: Tensor  # (B, R) nats, of the next-token distributions that were sampled from
    temperature: float
    rows: tuple[int, ...]  # the numbers of these rows in the batch of all processes
    num_rows: int  # rows of all processes


@dataclass(frozen=True)
class ScoredRollout(Rollout):
    """Station 6: one number a response, and where asked for some on its tokens."""

    raw_scores: Tensor  # (B,) as the scorer gave them, without what it gave to tokens
    scores: Tensor  # (B,) after normalising and `ScoreRules`
    token_scores: Tensor  # (B, R) for single tokens; 0 where nothing scores tokens
    score_parts: Mapping[str, Tensor]  # (B,) by source, to look at

    @property
    def total_scores(self) -> Tensor:
        """Return (B,): each response's score with what its tokens got; what the policy is trained on."""
        return self.scores + self.token_scores.sum(1)


@dataclass(frozen=True)
class ComparedRollout(ScoredRollout):
    """Station 7: how likely the reference finds the same tokens."""

    ref_logprobs: Tensor  # (B, R)


@dataclass(frozen=True)
class RewardedRollout(ComparedRollout):
    """Station 8: one reward a token."""

    kl: Tensor  # (B, R) k1: old_logprobs - ref_logprobs
    rewards: Tensor  # (B, R) -kl_coef * kl where KL is in the reward, plus scores; whitened where asked for
    kl_coef: float  # price of KL, in the reward or in the loss


@dataclass(frozen=True)
class Experience(RewardedRollout):
    """Station 9: credit for each token; what `update` learns from."""

    old_values: Tensor  # (B, R) the critic's value before each token; 0 without a critic
    advantages: Tensor  # (B, R) whitened where asked for
    returns: Tensor  # (B, R) raw advantages + old_values


@dataclass(frozen=True)
class UpdateStats:
    """Station 10: means over all optimizer steps of one update, over all processes."""

    policy_loss: float
    value_loss: float  # 0 without a critic
    entropy_loss: float  # minus the mean entropy, nats; 0 where there is no entropy bonus
    kl_loss: float  # nats, not multiplied by kl_coef; 0 where KL is in the reward
    ptx_loss: float  # nats a token, not multiplied by its coefficient; 0 without such text
    clip_fraction: float
    approx_kl: float  # nats a token, old policy against the policy in training
    ratio_mean: float
    value_clip_fraction: float
    policy_grad_norm: float  # before clipping
    critic_grad_norm: float
    first_ratio_error: float  # max |ratio - 1| of all processes in the first minibatch, before any step: 0
    num_optimizer_steps: int
    stopped_early: float  # 1 where the KL to the old policy ended the epochs
    policy_learning_rate: float  # at the last step
    critic_learning_rate: float  # 0 without a critic


T = TypeVar("T", bound=Rollout)


def advance(station: Rollout, later: type[T], **added: Any) -> T:
    """Return the later station: everything of `station` and what was added."""
    return later(**{field.name: getattr(station, field.name) for field in fields(station)}, **added)
