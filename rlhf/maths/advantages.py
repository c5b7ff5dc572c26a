"""Credit: how much better than expected each token turned out."""

from __future__ import annotations

import torch

from rlhf.maths.masked import check_mask, masked_moments, zero_masked


@torch.no_grad()
def gae(
    rewards: torch.Tensor,
    values: torch.Tensor,
    response_mask: torch.Tensor,
    gamma: float,
    gae_lambda: float,
    *,
    final_values: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Estimate advantages and returns (generalised advantage estimation).

    delta_t = r_t + gamma * V_next - V_t and A_t = delta_t + gamma * lambda * A_next, where "next" is the
    next token *that counts*: padding and masked tokens inside a response (a tool's output) are stepped over
    as if they were not there. Beyond the last token the value is 0, also where the response was cut, unless
    ``final_values`` says otherwise.

    Args:
        rewards: (B, R) one reward a token.
        values: (B, R) the critic's value before each token, from the time of the rollout.
        response_mask: (B, R) boolean, True counts; gaps are allowed.
        gamma: Discount a token, in [0, 1]. RLHF uses 1: a response is an episode of known, short length.
        gae_lambda: In [0, 1]; 1 trusts the rewards alone (no bias), 0 the critic alone (no variance).
        final_values: (B,) value after the last token, for responses that would have gone on; ``None`` is 0.

    Returns:
        Advantages (B, R), not whitened, and returns (B, R) = advantages + values; both without gradient and
        0 where masked.

    Raises:
        ValueError: A coefficient is outside [0, 1] or the shapes differ.

    Source:
        Schulman et al. 2016 (arXiv:1506.02438), equation 16; returns as the target of the critic as in
        Schulman et al. 2017 (arXiv:1707.06347).

    >>> mask = torch.tensor([[True, True, False]])
    >>> rewards, values = torch.tensor([[0.0, 1.0, 9.0]]), torch.tensor([[0.5, 0.25, 9.0]])
    >>> gae(rewards, values, mask, gamma=1.0, gae_lambda=0.5)  # delta = -0.25, 0.75; A_0 = -0.25 + 0.5 * 0.75
    (tensor([[0.1250, 0.7500, 0.0000]]), tensor([[0.6250, 1.0000, 0.0000]]))
    """
    for name, value in (("gamma", gamma), ("gae_lambda", gae_lambda)):
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} must be in [0, 1], not {value}")
    rewards, values = zero_masked(rewards, response_mask), zero_masked(values, response_mask)
    next_advantage = torch.zeros_like(rewards[:, 0])
    next_value = next_advantage if final_values is None else final_values.to(values.dtype)
    advantages = torch.zeros_like(rewards)
    for t in reversed(range(rewards.shape[1])):
        counts = response_mask[:, t]
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        advantage = delta + gamma * gae_lambda * next_advantage
        advantages[:, t] = torch.where(counts, advantage, 0.0)
        next_advantage = torch.where(counts, advantage, next_advantage)
        next_value = torch.where(counts, values[:, t], next_value)
    return advantages, advantages + values


@torch.no_grad()
def explained_variance(
    values: torch.Tensor, returns: torch.Tensor, response_mask: torch.Tensor
) -> torch.Tensor:
    """Measure what share of the variance of the returns the critic foresaw.

    It is 1 - var(returns - values) / var(returns).

    Args:
        values: (B, R) the critic's values.
        returns: (B, R) what they should have been.
        response_mask: (B, R) boolean, True counts.

    Returns:
        A scalar: 1 is perfect, 0 is as good as a constant, below 0 is worse than none. 0 where the returns
        do not vary, since then there is nothing to explain.

    >>> returns, mask = torch.tensor([[1.0, 3.0]]), torch.tensor([[True, True]])
    >>> explained_variance(torch.tensor([[1.0, 2.0]]), returns, mask)  # 1 - 0.25 / 1
    tensor(0.7500)
    """
    check_mask(values, response_mask)
    _, unexplained, _ = masked_moments(returns - values, response_mask)
    _, variance, _ = masked_moments(returns, response_mask)
    return torch.where(variance > 0, 1.0 - unexplained / variance, 0.0)
