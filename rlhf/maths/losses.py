"""The losses of PPO.

Every loss is a *sum* over the tokens of this micro-batch divided by ``num_tokens``, the number of tokens
that count in the whole optimizer step, over all its micro-batches and processes. So micro-batches simply
add up, and the gradient does not depend on how a batch was cut. The statistics are normalised the same way:
add them up over micro-batches and processes to get the mean over the optimizer step.

Every token weighs the same then, so that a long response weighs more than a short one. With ``weights`` from
:func:`response_weights` and the number of *responses* of the optimizer step as ``num_tokens``, every response
weighs the same: losses and statistics are means over responses of the means over their tokens.

(Where a wrapper *averages* gradients over processes, as DistributedDataParallel does, multiply the loss by
their number.)
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch

from rlhf.maths.kl import kl_k2, kl_k3
from rlhf.maths.masked import masked_sum, zero_masked


class PolicyStats(NamedTuple):
    """What to watch of a policy update; scalars without gradient, to be added up over micro-batches."""

    clip_fraction: torch.Tensor  # share of tokens whose loss is a clipped one: no gradient there
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
    clip_range_high: float | None = None,
    dual_clip: float | None = None,
    weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, PolicyStats]:
    """Compute PPO's clipped surrogate loss.

    Per token max(-A * ratio, -A * clip(ratio, 1 - clip_range, 1 + clip_range_high)) with ratio =
    exp(logprobs - old_logprobs): once a good token has become likelier, or a bad one less likely, by the clip
    range, it pulls no further. What that leaves without bound is a bad token that became much likelier;
    ``dual_clip`` ends its loss at dual_clip * |A|.

    Args:
        logprobs: (B, R) nats, under the policy in training; carries the gradient.
        old_logprobs: (B, R) nats, under the policy that sampled, from the same forward code.
        advantages: (B, R), whitened or not.
        response_mask: (B, R) boolean, True counts.
        clip_range: Positive, usually 0.2.
        num_tokens: Tokens that count in the whole optimizer step, see the module's docstring.
        clip_range_high: The range above 1, positive; ``None`` is ``clip_range``. Yu et al. raise it to 0.28,
            so that unlikely good tokens can grow.
        dual_clip: Above 1; Ye et al. use 3. ``None`` does not limit the loss of a bad token.
        weights: (B,) of the responses, see the module's docstring; ``None`` weighs every token the same.

    Returns:
        The loss, a scalar, and :class:`PolicyStats`. A micro-batch without a counted token has loss 0 and
        gradient 0.

    Raises:
        ValueError: A clip range is not positive, ``dual_clip`` not above 1, or the shapes differ.

    Source:
        Schulman et al. 2017 (arXiv:1707.06347), equation 7, with the sign of a loss; asymmetric range ("clip
        higher"): Yu et al. 2025 (DAPO, arXiv:2503.14476), section 3.1; dual clip: Ye et al. 2020
        (arXiv:1912.09729), "Dual-clip PPO".

    >>> old, mask = torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool)
    >>> new, advantages = torch.tensor([[1.5, 0.5]]).log(), torch.tensor([[1.0, 1.0]])
    >>> loss, stats = policy_loss(new, old, advantages, mask, 0.2, num_tokens=2)
    >>> loss, stats.clip_fraction  # (-1.2 - 0.5) / 2: the first is clipped at 1.2
    (tensor(-0.8500), tensor(0.5000))
    """
    if not clip_range > 0:
        raise ValueError(f"clip_range must be positive, not {clip_range}")
    if clip_range_high is not None and not clip_range_high > 0:
        raise ValueError(f"clip_range_high must be positive or None (as clip_range), not {clip_range_high}")
    if dual_clip is not None and not dual_clip > 1:
        raise ValueError(f"dual_clip must be above 1 or None (no limit), not {dual_clip}")
    # masked before exp: where() after it would still let the gradient 0 * inf or 0 * nan through
    log_ratio = zero_masked(logprobs - old_logprobs.detach(), response_mask)
    advantages = zero_masked(advantages.detach(), response_mask)
    ratio = log_ratio.exp()
    plain = -advantages * ratio
    above = clip_range if clip_range_high is None else clip_range_high
    clipped = -advantages * ratio.clamp(1.0 - clip_range, 1.0 + above)
    losses, stopped = torch.maximum(plain, clipped), clipped > plain
    if dual_clip is not None:
        limit = torch.where(advantages < 0, -dual_clip * advantages, torch.inf)
        stopped = stopped | (losses > limit)
        losses = torch.where(losses > limit, limit, losses)
    mean = _Mean(response_mask, num_tokens, weights)
    with torch.no_grad():
        stats = PolicyStats(
            clip_fraction=mean(stopped),
            approx_kl=mean(kl_k3(torch.zeros_like(log_ratio), log_ratio)),
            ratio_mean=mean(ratio),
        )
    return mean(losses), stats


def value_loss(
    values: torch.Tensor,
    old_values: torch.Tensor,
    returns: torch.Tensor,
    response_mask: torch.Tensor,
    value_clip_range: float | None,
    *,
    num_tokens: int | torch.Tensor,
    weights: torch.Tensor | None = None,
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
        weights: (B,) of the responses, see the module's docstring; ``None`` weighs every token the same.

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
    mean = _Mean(response_mask, num_tokens, weights)
    with torch.no_grad():
        stats = ValueStats(
            clip_fraction=mean(clipped > plain), squared_error=mean(plain), value_mean=mean(values)
        )
    return 0.5 * mean(torch.maximum(plain, clipped)), stats


def entropy_loss(
    entropy: torch.Tensor,
    response_mask: torch.Tensor,
    *,
    num_tokens: int | torch.Tensor,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Turn the entropy bonus into a loss: minus the mean entropy.

    Args:
        entropy: (B, R) nats, of the policy in training; carries the gradient.
        response_mask: (B, R) boolean, True counts.
        num_tokens: Tokens that count in the whole optimizer step, see the module's docstring.
        weights: (B,) of the responses, see the module's docstring; ``None`` weighs every token the same.

    Returns:
        The loss, a scalar, not yet multiplied by the coefficient of the bonus.

    Source:
        Schulman et al. 2017 (arXiv:1707.06347), equation 9.

    >>> entropy_loss(torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([[True, True, False]]), num_tokens=2)
    tensor(-2.)
    """
    return -_Mean(response_mask, num_tokens, weights)(entropy)


def kl_loss(
    logprobs: torch.Tensor,
    ref_logprobs: torch.Tensor,
    old_logprobs: torch.Tensor,
    response_mask: torch.Tensor,
    *,
    num_tokens: int | torch.Tensor,
    estimator: Literal["k2", "k3"] = "k2",
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Hold the policy to the reference by a loss, where the penalty is not in the reward.

    ``k2`` is per token ratio * (logprobs - ref_logprobs)^2 / 2, with ratio = exp(logprobs - old_logprobs)
    without gradient: over samples of the *old* policy its expected gradient is that of KL(policy ||
    reference) of the next token, also once the policy has moved away. Its value is not that KL (k2 is
    biased). ``k3`` is GRPO's, unweighted: on the policy its value estimates the KL, but its gradient is that
    of the other direction, KL(reference || policy).

    Args:
        logprobs: (B, R) nats, under the policy in training; carries the gradient.
        ref_logprobs: (B, R) nats, under the reference.
        old_logprobs: (B, R) nats, under the policy that sampled.
        response_mask: (B, R) boolean, True counts.
        num_tokens: Tokens that count in the whole optimizer step, see the module's docstring.
        estimator: ``"k2"`` or ``"k3"``.
        weights: (B,) of the responses, see the module's docstring; ``None`` weighs every token the same.

    Returns:
        The loss in nats, a scalar, not yet multiplied by the KL coefficient; 0 with gradient 0 where nothing
        counts.

    Raises:
        ValueError: ``estimator`` is neither, or the shapes differ.

    Source:
        k3: Shao et al. 2024 (DeepSeekMath, arXiv:2402.03300), equation 4. k2 and the gradients of both: Tang
        and Munos 2025 (arXiv:2506.09477).

    >>> new, ref = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.5, 9.0]])
    >>> kl_loss(new, ref, new, torch.tensor([[True, False]]), num_tokens=1)  # ratio 1: 0.5^2 / 2
    tensor(0.1250)
    """
    # masked before exp, see policy_loss
    logprobs, ref_logprobs, old_logprobs = (
        zero_masked(x, response_mask) for x in (logprobs, ref_logprobs.detach(), old_logprobs.detach())
    )
    mean = _Mean(response_mask, num_tokens, weights)
    if estimator == "k2":
        ratio = (logprobs.detach() - old_logprobs).exp()
        return mean(ratio * kl_k2(logprobs, ref_logprobs))
    if estimator == "k3":
        return mean(kl_k3(logprobs, ref_logprobs))
    raise ValueError(f"the estimator of a KL loss must be k2 or k3, not {estimator!r} (k1 has gradient 0)")


def response_weights(response_mask: torch.Tensor) -> torch.Tensor:
    """Weigh each token by one over the length of its response, so that every response weighs the same.

    Args:
        response_mask: (B, R) boolean, True counts.

    Returns:
        (B,) for ``weights`` of the losses; 0 for a response without a counted token. Their ``num_tokens`` is
        then the number of responses with a counted token in the whole optimizer step.

    Source:
        Shao et al. 2024 (DeepSeekMath, arXiv:2402.03300), equation 3: 1/G sum over responses of 1/|o_i| sum
        over tokens.

    >>> response_weights(torch.tensor([[True, True], [True, False], [False, False]]))
    tensor([0.5000, 1.0000, 0.0000])
    """
    lengths = response_mask.sum(dim=1)
    return torch.where(lengths > 0, 1.0 / lengths.clamp(min=1), 0.0)


class _Mean:
    """The share of this micro-batch in a mean over the tokens (or responses) of the whole optimizer step."""

    def __init__(
        self, mask: torch.Tensor, num_tokens: int | torch.Tensor, weights: torch.Tensor | None
    ) -> None:
        self.mask = mask
        # max: an optimizer step in which nothing counts has loss 0, not 0 / 0
        self.num_tokens = torch.as_tensor(num_tokens, device=mask.device).clamp(min=1)
        if weights is not None and weights.shape != mask.shape[:1]:
            raise ValueError(
                f"weights are one a response, {tuple(mask.shape[:1])}, not {tuple(weights.shape)}: "
                "give response_weights(response_mask)"
            )
        self.weights = None if weights is None else weights.detach()[:, None]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.weights is not None:
            x = zero_masked(x, self.mask) * self.weights
        return masked_sum(x, self.mask) / self.num_tokens
