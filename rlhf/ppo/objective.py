"""What an optimizer step minimises: the terms of one microbatch, added up into one gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from rlhf.maths.logprobs import entropy, token_logprobs
from rlhf.maths.losses import (
    PolicyStats,
    ValueStats,
    entropy_loss,
    kl_loss,
    policy_loss,
    response_weights,
    value_loss,
)
from rlhf.ppo.types import Experience
from rlhf.rollout import Generation, align_left, rows_of

TERMS = ("policy_loss", "value_loss", "entropy_loss", "kl_loss")
STEP_STATS = (*TERMS, *PolicyStats._fields, *(f"value_{name}" for name in ValueStats._fields))
"""What a microbatch contributes to; each adds up over the microbatches and processes of an optimizer step."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Which terms there are and how much each weighs; every number is explained in `configs/ppo.yaml`."""

    clip_range: float = 0.2
    clip_range_high: float | None = None  # None: clip_range on both sides
    dual_clip: float | None = None
    value_clip_range: float | None = None
    value_coef: float = 1.0
    entropy_coef: float = 0.0
    kl_loss: Literal["k2", "k3"] | None = None  # None: KL is in the reward
    loss_average: Literal["tokens", "responses"] = "tokens"


class Terms(NamedTuple):
    """One microbatch: the loss with gradient, its statistics in the order of STEP_STATS, and |ratio - 1|."""

    loss: Tensor
    stats: Tensor
    ratio_error: float


class Targets(NamedTuple):
    """What a microbatch of experience is measured against, each (b, r), and how its tokens are averaged."""

    mask: Tensor
    old_logprobs: Tensor
    ref_logprobs: Tensor
    advantages: Tensor
    old_values: Tensor
    returns: Tensor
    averaging: dict[str, Any]  # num_tokens and weights, as every loss takes them


def microbatch_terms(
    learner: nn.Module,
    experience: Experience,
    rows: Tensor,
    divisor: int,
    objective: Objective,
    *,
    policy_counts: bool = True,
) -> Terms:
    """Run one microbatch forward.

    Args:
        learner: a `Learner`, as accelerate wrapped it.
        experience: of this process.
        rows: (b,) the microbatch's row numbers.
        divisor: tokens (or responses, see `Objective.loss_average`) of the whole optimizer step.
        objective: the terms and their weights.
        policy_counts: False teaches the critic alone: the policy's terms weigh nothing (they are computed
            all the same, since data-parallel wrappers wait for the gradient of every parameter).

    """
    part = experience.generation.rows(rows)
    targets = _targets(experience, part, rows, divisor, objective)
    logits, ids, values = _forward(learner, part)
    logprobs = align_left(token_logprobs(logits, ids, experience.temperature), part)
    policy_term, policy_stats = policy_loss(
        logprobs,
        targets.old_logprobs,
        targets.advantages,
        targets.mask,
        objective.clip_range,
        clip_range_high=objective.clip_range_high,
        dual_clip=objective.dual_clip,
        **targets.averaging,
    )
    zero = torch.zeros((), device=targets.mask.device)
    loss, entropy_term, kl_term = policy_term, zero, zero
    if objective.entropy_coef:
        spread = align_left(entropy(logits, experience.temperature), part)
        entropy_term = entropy_loss(spread, targets.mask, **targets.averaging)
        loss = loss + objective.entropy_coef * entropy_term
    if objective.kl_loss is not None:
        kl_term = _kl_term(logprobs, targets, objective.kl_loss)
        loss = loss + experience.kl_coef * kl_term
    if not policy_counts:
        loss = 0.0 * loss
    value_term, value_stats = zero, ValueStats(zero, zero, zero)
    if values is not None:
        value_term, value_stats = _value_term(align_left(values, part), targets, objective)
        loss = loss + objective.value_coef * value_term
    terms = [term.detach() for term in (policy_term, value_term, entropy_term, kl_term)]
    stats = torch.stack([*terms, *policy_stats, *value_stats])
    return Terms(loss, stats, _ratio_error(logprobs.detach(), targets))


def _targets(
    experience: Experience, part: Generation, rows: Tensor, divisor: int, objective: Objective
) -> Targets:
    mask = part.response_mask

    def chosen(values: Tensor) -> Tensor:
        return values[rows, : mask.shape[1]]

    weights = response_weights(mask) if objective.loss_average == "responses" else None
    return Targets(
        mask=mask,
        old_logprobs=chosen(experience.old_logprobs),
        ref_logprobs=chosen(experience.ref_logprobs),
        advantages=chosen(experience.advantages),
        old_values=chosen(experience.old_values),
        returns=chosen(experience.returns),
        averaging={"num_tokens": divisor, "weights": weights},
    )


def _forward(learner: nn.Module, part: Generation) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return logits (b, r, V), the ids (b, r) that they predict, and values (b, r); see `align_left`."""
    num_response_tokens = part.response_ids.shape[1]
    ids, mask, aside = rows_of(part)
    logits, values = learner(ids, mask, num_response_tokens, aside=aside)
    return logits, ids[:, -num_response_tokens:], values


def _kl_term(logprobs: Tensor, targets: Targets, estimator: Literal["k2", "k3"]) -> Tensor:
    return kl_loss(
        logprobs,
        targets.ref_logprobs,
        targets.old_logprobs,
        targets.mask,
        estimator=estimator,
        **targets.averaging,
    )


def _value_term(values: Tensor, targets: Targets, objective: Objective) -> tuple[Tensor, ValueStats]:
    return value_loss(
        values,
        targets.old_values,
        targets.returns,
        targets.mask,
        objective.value_clip_range,
        **targets.averaging,
    )


def _ratio_error(logprobs: Tensor, targets: Targets) -> float:
    if not bool(targets.mask.any()):
        return 0.0
    return float((logprobs - targets.old_logprobs)[targets.mask].expm1().abs().max())
