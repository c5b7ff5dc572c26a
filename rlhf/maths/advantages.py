"""Credit: how much better than expected each token turned out."""

from __future__ import annotations

import torch

from rlhf.maths.masked import check_mask, masked_moments, zero_masked

_GROUP_EPSILON = 1e-6
# how many steps of the last digit two totals may be apart and still count as equal
_ROUNDING_STEPS = 16


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
def leave_one_out(totals: torch.Tensor, samples_per_prompt: int) -> torch.Tensor:
    """Compare each response with the mean of the *other* samples of its prompt; needs no critic.

    The others know nothing of this response, so the baseline does not bias the gradient. (The mean of the
    whole group does: it holds the response itself and shrinks the gradient by (n - 1) / n.)

    Args:
        totals: (N,) the whole reward of each response. Rows i * samples_per_prompt + j are the samples of
            prompt i; the rows of all processes where a prompt's are spread over them.
        samples_per_prompt: At least 2; divides N.

    Returns:
        (N,) advantages, one a response (see :func:`spread`), without gradient. Equal totals give 0 exactly.

    Raises:
        ValueError: ``samples_per_prompt`` is below 2 or does not divide N.

    Source:
        Kool et al. 2019 ("Buy 4 REINFORCE samples, get a baseline for free!"); Ahmadian et al. 2024 (RLOO,
        arXiv:2402.14740).

    >>> leave_one_out(torch.tensor([1.0, 2.0, 6.0]), 3)  # 1 - 4, 2 - 3.5, 6 - 1.5
    tensor([-3.0000, -1.5000,  4.5000])
    """
    _, differences = _compared_within_prompts(totals, samples_per_prompt)
    return (differences.sum(dim=2) / (samples_per_prompt - 1)).flatten()


@torch.no_grad()
def group_normalised(totals: torch.Tensor, samples_per_prompt: int) -> torch.Tensor:
    """Measure each response in standard deviations from the mean of its prompt's samples; needs no critic.

    The paper says "standard deviation" and no more. Ours is that of the population (divided by n), as in
    :func:`rlhf.maths.masked.whiten`: the advantages of a prompt then have variance 1 for every n, also for 2.
    Implementations that divide by n - 1 (torch's default) have advantages smaller by sqrt((n - 1) / n). As
    everywhere, 1e-6 is added to the deviation: differences of less than a millionth of a score unit count
    for little.

    Args:
        totals: (N,) the whole reward of each response. Rows i * samples_per_prompt + j are the samples of
            prompt i; the rows of all processes where a prompt's are spread over them.
        samples_per_prompt: At least 2; divides N.

    Returns:
        (N,) advantages, one a response (see :func:`spread`), without gradient. Totals of a prompt that are
        equal, or differ by rounding alone, give 0: the division would blow the rounding up to size 1.

    Raises:
        ValueError: ``samples_per_prompt`` is below 2 or does not divide N.

    Source:
        Shao et al. 2024 (DeepSeekMath, arXiv:2402.03300), section 4.1.2.

    >>> group_normalised(torch.tensor([1.0, 3.0, 0.1, 0.1]), 2)  # mean 2, deviation 1; nothing to compare
    tensor([-1.0000,  1.0000,  0.0000,  0.0000])
    """
    groups, differences = _compared_within_prompts(totals, samples_per_prompt)
    from_mean = differences.mean(dim=2)
    deviation = from_mean.square().mean(dim=1, keepdim=True).sqrt()
    rounding = _ROUNDING_STEPS * torch.finfo(groups.dtype).eps * groups.abs().amax(dim=1, keepdim=True)
    width = groups.amax(dim=1, keepdim=True) - groups.amin(dim=1, keepdim=True)
    # in this order a nan stays one: it is not <= anything
    return torch.where(width <= rounding, 0.0, from_mean / (deviation + _GROUP_EPSILON)).flatten()


def _compared_within_prompts(
    totals: torch.Tensor, samples_per_prompt: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return totals (prompts, n) and their differences (prompts, n, n), sample j minus sample k.

    Means of differences instead of differences of means: between equal totals they are 0, not rounding.
    """
    if samples_per_prompt < 2:
        raise ValueError(
            "a response is compared with the other samples of its prompt, but samples_per_prompt is "
            f"{samples_per_prompt}: set it to 2 or more, or estimate advantages by gae"
        )
    if totals.ndim != 1 or totals.shape[0] % samples_per_prompt:
        raise ValueError(
            f"totals must be (N,) with N divisible by samples_per_prompt {samples_per_prompt}, "
            f"not {tuple(totals.shape)}"
        )
    totals = totals.to(torch.promote_types(totals.dtype, torch.float32))
    groups = totals.reshape(-1, samples_per_prompt)
    return groups, groups[:, :, None] - groups[:, None, :]


@torch.no_grad()
def spread(advantages: torch.Tensor, response_mask: torch.Tensor) -> torch.Tensor:
    """Give every token of a response the response's advantage.

    Args:
        advantages: (B,) one a response.
        response_mask: (B, R) boolean, True counts.

    Returns:
        (B, R) without gradient, 0 where masked.

    Raises:
        ValueError: The shapes do not fit.

    Source:
        Shao et al. 2024 (DeepSeekMath, arXiv:2402.03300), section 4.1.2, outcome supervision. It is the
        gradient of the whole response as one action, Ahmadian et al. 2024 (arXiv:2402.14740).

    >>> spread(torch.tensor([2.0, -1.0]), torch.tensor([[True, True, False], [True, False, False]]))
    tensor([[ 2.,  2.,  0.],
            [-1.,  0.,  0.]])
    """
    if advantages.shape != response_mask.shape[:1]:
        raise ValueError(
            f"advantages are one a response, {tuple(response_mask.shape[:1])}, not {tuple(advantages.shape)}"
        )
    return zero_masked(advantages[:, None].expand(response_mask.shape), response_mask)


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
