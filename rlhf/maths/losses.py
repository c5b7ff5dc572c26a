"""The losses of PPO.

Every loss is a *sum* over the tokens of this micro-batch divided by ``num_tokens``, the number of tokens
that count in the whole optimizer step, over all its micro-batches and processes. So micro-batches simply
add up, and the gradient does not depend on how a batch was cut. The statistics are normalised the same way:
add them up over micro-batches and processes to get the mean over the optimizer step.

(Where a wrapper *averages* gradients over processes, as DistributedDataParallel does, multiply the loss by
their number.)
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from rlhf.maths.kl import kl_k3
from rlhf.maths.masked import masked_sum, zero_masked


class PolicyStats(NamedTuple):
    """What to watch of a policy update; scalars without gradient, to be added up over micro-batches."""

    clip_fraction: (
        torch.Tensor
    )  # share of tokens where the clipped term is the larger loss: no gradient there
    approx_kl: torch.Tensor  # KL(old policy || new policy), k3, nats a token
    ratio_mean: torch.Tensor  # mean of new / old probability, 1 at the first optimizer step of a rollout


class ValueStats(NamedTuple):
    """What to watch of a critic update; scalars without gradient, to be added up over micro-batches."""

    clip_fraction: torch.Tensor  # share of tokens where the clipped term is the larger loss
    squared_error: torch.Tensor  # mean of (value - return) squared, unclipped
    value_mean: torch.Tensor  # mean value


def policy_loss(
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    clip_range: float,
    *,
    num_tokens: int | torch.Tensor,
) -> tuple[torch.Tensor, PolicyStats]:
    """Compute PPO's clipped surrogate loss.

    Per token max(-A * ratio, -A * clip(ratio, 1 - clip_range, 1 + clip_range)) with ratio =
    exp(logprobs - old_logprobs): once a good token has become likelier, or a bad one less likely, by the clip
    range, it pulls no further.

    Args:
        logprobs: (B, R) nats, under the policy in training; carries the gradient.
        old_logprobs: (B, R) nats, under the policy that sampled, from the same forward code.
        advantages: (B, R), whitened or not.
        response_mask: (B, R) boolean, True counts.
        clip_range: Positive, usually 0.2.
        num_tokens: Tokens that count in the whole optimizer step, see the module's docstring.

    Returns:
        The loss, a scalar, and :class:`PolicyStats`. A micro-batch without a counted token has loss 0 and
        gradient 0.

    Raises:
        ValueError: ``clip_range`` is not positive or the shapes differ.

    Source:
        Schulman et al. 2017 (arXiv:1707.06347), equation 7, with the sign of a loss.

    >>> old, mask = torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool)
    >>> new, advantages = torch.tensor([[1.5, 0.5]]).log(), torch.tensor([[1.0, 1.0]])
    >>> loss, stats = policy_loss(new, old, advantages, mask, 0.2, num_tokens=2)
    >>> loss, stats.clip_fraction  # (-1.2 - 0.5) / 2: the first is clipped at 1.2
    (tensor(-0.8500), tensor(0.5000))
    """
    if not clip_range > 0:
        raise ValueError(f"clip_range must be positive, not {clip_range}")
    # masked before exp: where() after it would still let the gradient 0 * inf or 0 * nan through
    log_ratio = zero_masked(logprobs - old_logprobs.detach(), response_mask)
    advantages = zero_masked(advantages.detach(), response_mask)
    ratio = log_ratio.exp()
    plain = -advantages * ratio
    clipped = -advantages * ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    mean = _Mean(response_mask, num_tokens)
    with torch.no_grad():
        stats = PolicyStats(
            clip_fraction=mean(clipped > plain),
            approx_kl=mean(kl_k3(torch.zeros_like(log_ratio), log_ratio)),
            ratio_mean=mean(ratio),
        )
    return mean(torch.maximum(plain, clipped)), stats


def value_loss(
    values: torch.Tensor,
    old_values: torch.Tensor,
    returns: torch.Tensor,
    response_mask: torch.Tensor,
    value_clip_range: float | None,
    *,
    num_tokens: int | torch.Tensor,
) -> tuple[torch.Tensor, ValueStats]:
    """Compute half the squared error of the critic, clipped around its values at the rollout.

    Per token 1/2 max((v - R)^2, (clip(v, v_old - range, v_old + range) - R)^2).

    Args:
        values: (B, R) under the critic in training; carries the gradient.
        old_values: (B, R) from the time of the rollout.
        returns: (B, R) the targets.
        response_mask: (B, R) boolean, True counts.
        value_clip_range: Positive, in score units: 0.2 is tiny where scores spread over several units.
            ``None`` does not clip.
        num_tokens: Tokens that count in the whole optimizer step, see the module's docstring.

    Returns:
        The loss, a scalar, and :class:`ValueStats`. A micro-batch without a counted token has loss 0 and
        gradient 0.

    Raises:
        ValueError: ``value_clip_range`` is not positive or the shapes differ.

    Source:
        Schulman et al. 2017 (arXiv:1707.06347), equation 9 for the plain term; the clip from OpenAI
        baselines ppo2, Huang et al. 2022 ("The 37 implementation details of PPO"), detail 9.

    >>> mask = torch.tensor([[True]])
    >>> value, old, target = torch.tensor([[1.0]]), torch.tensor([[0.0]]), torch.tensor([[2.0]])
    >>> value_loss(value, old, target, mask, 0.5, num_tokens=1)[0]  # clipped to 0.5: 1.5^2 / 2, not 1 / 2
    tensor(1.1250)
    """
    if value_clip_range is not None and not value_clip_range > 0:
        raise ValueError(f"value_clip_range must be positive or None, not {value_clip_range}")
    values = zero_masked(values, response_mask)
    old_values = zero_masked(old_values.detach(), response_mask)
    returns = zero_masked(returns.detach(), response_mask)
    plain = clipped = (values - returns).square()
    if value_clip_range is not None:
        near = torch.clamp(values, old_values - value_clip_range, old_values + value_clip_range)
        clipped = (near - returns).square()
    mean = _Mean(response_mask, num_tokens)
    with torch.no_grad():
        stats = ValueStats(
            clip_fraction=mean(clipped > plain), squared_error=mean(plain), value_mean=mean(values)
        )
    return 0.5 * mean(torch.maximum(plain, clipped)), stats


def entropy_loss(
    entropy: torch.Tensor, response_mask: torch.Tensor, *, num_tokens: int | torch.Tensor
) -> torch.Tensor:
    """Turn the entropy bonus into a loss: minus the mean entropy.

    Args:
        entropy: (B, R) nats, of the policy in training; carries the gradient.
        response_mask: (B, R) boolean, True counts.
        num_tokens: Tokens that count in the whole optimizer step, see the module's docstring.

    Returns:
        The loss, a scalar, not yet multiplied by the coefficient of the bonus.

    Source:
        Schulman et al. 2017 (arXiv:1707.06347), equation 9.

    >>> entropy_loss(torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([[True, True, False]]), num_tokens=2)
    tensor(-2.)
    """
    return -_Mean(response_mask, num_tokens)(entropy)


class _Mean:
    """The share of this micro-batch in a mean over the tokens of the whole optimizer step."""

    def __init__(self, mask: torch.Tensor, num_tokens: int | torch.Tensor) -> None:
        self.mask = mask
        # max: an optimizer step in which nothing counts has loss 0, not 0 / 0
        self.num_tokens = torch.as_tensor(num_tokens, device=mask.device).clamp(min=1)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return masked_sum(x, self.mask) / self.num_tokens
