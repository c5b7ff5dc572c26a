"""Three estimators of KL(policy || reference) from the log-probabilities of sampled tokens.

Each takes one token sampled from the policy; its mean over such tokens estimates the divergence. k1 and k3
are unbiased, k1 is noisy and may be negative, k3 is never negative; k2 is biased but its gradient is right.
So: **k1 in the reward** (its expectation is the penalty that the objective names), k3 to watch, k2 where KL
is a loss.

Source:
    Schulman 2020, "Approximating KL divergence" (joschu.net/blog/kl-approx.html);
    gradients: Tang and Munos 2025 (arXiv:2506.09477).
"""

from __future__ import annotations

import torch


def kl_k1(logprobs: torch.Tensor, ref_logprobs: torch.Tensor) -> torch.Tensor:
    """Estimate the divergence by the log-ratio: unbiased, of either sign.

    As a loss over samples of the policy its expected gradient is 0: it teaches nothing.

    Args:
        logprobs: (B, R) nats, of the sampled tokens under the policy that sampled them.
        ref_logprobs: (B, R) nats, of the same tokens under the reference.

    Returns:
        (B, R) nats. Nothing is masked here: mask where it is summed.

    >>> kl_k1(torch.tensor([-1.0]), torch.tensor([-1.5]))
    tensor([0.5000])
    """
    return logprobs - ref_logprobs


def kl_k2(logprobs: torch.Tensor, ref_logprobs: torch.Tensor) -> torch.Tensor:
    """Estimate the divergence by half the squared log-ratio: biased, of low variance.

    As a loss over samples of the policy its expected gradient is that of KL(policy || reference).

    Args:
        logprobs: (B, R) nats, of the sampled tokens under the policy that sampled them.
        ref_logprobs: (B, R) nats, of the same tokens under the reference.

    Returns:
        (B, R) nats, not negative.

    >>> kl_k2(torch.tensor([-1.0]), torch.tensor([-1.5]))
    tensor([0.1250])
    """
    return 0.5 * (logprobs - ref_logprobs).square()


def kl_k3(logprobs: torch.Tensor, ref_logprobs: torch.Tensor) -> torch.Tensor:
    """Estimate the divergence by ``ratio - 1 - log(ratio)``: unbiased, never negative.

    The ratio is reference / policy. As a loss over samples of the policy its expected gradient is that of
    KL(reference || policy), the other direction.

    Args:
        logprobs: (B, R) nats, of the sampled tokens under the policy that sampled them.
        ref_logprobs: (B, R) nats, of the same tokens under the reference.

    Returns:
        (B, R) nats, not negative.

    >>> kl_k3(torch.tensor([-1.0]), torch.tensor([-1.5]))  # exp(-0.5) - 1 + 0.5
    tensor([0.1065])
    """
    log_ratio = ref_logprobs - logprobs
    # expm1 keeps the digits that exp(x) - 1 loses where policy and reference are close
    return torch.expm1(log_ratio) - log_ratio
