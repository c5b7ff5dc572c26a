"""Log-probabilities of tokens and entropies of next-token distributions, from logits.

Both are computed in float32 (bfloat16 is off by more than 0.01 nats) and a few tokens at a time: the
float32 copy of all logits of a batch would often be the largest tensor of a training step. Autograd would
keep that copy alive until the backward pass, so the two gradients, which are short, are written out here
and take the softmax again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

# Elements computed at a time: 2 MiB of float32 stay in a CPU's cache; a GPU is kept busy by 64 MiB.
_CHUNK_ELEMENTS_CPU = 2**19
_CHUNK_ELEMENTS = 2**24


def token_logprobs(
    logits: torch.Tensor, ids: torch.Tensor, temperature: float = 1.0, *, chunk_tokens: int | None = None
) -> torch.Tensor:
    """Read the log-probability of each given token: ``log_softmax(logits / temperature)`` at ``ids``.

    The temperature belongs into every log-probability of a run, in the rollout, in training and of the
    reference: without it the policy that samples is not the policy that learns.

    Args:
        logits: (B, T, V), any floating dtype; ``logits[:, t]`` must predict ``ids[:, t]``, so shift before
            calling. Minus infinity bans a token: the rest is normalised without it.
        ids: (B, T) integers in [0, V), also at padding.
        temperature: Positive; the one that the rollout samples with.
        chunk_tokens: Tokens computed at a time; ``None`` chooses. It changes memory, not the result.

    Returns:
        (B, T) nats, float32 (float64 for float64 logits).

    Raises:
        ValueError: ``temperature`` is not positive or the shapes do not fit.

    >>> token_logprobs(torch.tensor([[[0.0, 0.0]]]), torch.tensor([[1]]))  # log(1/2)
    tensor([[-0.6931]])
    >>> odds = torch.tensor([[[0.0, 1.0986]]])  # 1 to 3, at temperature 1/2 it is 1 to 9: log(0.9)
    >>> token_logprobs(odds, torch.tensor([[1]]), temperature=0.5)
    tensor([[-0.1054]])
    """
    _check(logits, temperature)
    if ids.shape != logits.shape[:-1]:
        raise ValueError(f"ids have shape {tuple(ids.shape)}, logits {tuple(logits.shape)}: they do not fit")
    flat_logits = logits.reshape(-1, logits.shape[-1])
    chunk = _chunk(logits, chunk_tokens)
    flat: torch.Tensor = _TokenLogprobs.apply(flat_logits, ids.reshape(-1), temperature, chunk)
    return flat.reshape(ids.shape)


def entropy(
    logits: torch.Tensor, temperature: float = 1.0, *, chunk_tokens: int | None = None
) -> torch.Tensor:
    """Compute the entropy of each next-token distribution ``softmax(logits / temperature)``.

    Args:
        logits: (B, T, V), any floating dtype; minus infinity is a token of probability 0, which adds 0.
        temperature: Positive; the one that the rollout samples with.
        chunk_tokens: Tokens computed at a time; ``None`` chooses. It changes memory, not the result.

    Returns:
        (B, T) nats, between 0 and log V, float32 (float64 for float64 logits).

    Raises:
        ValueError: ``temperature`` is not positive.

    >>> entropy(torch.tensor([[[0.0, 0.0], [0.0, float("-inf")]]]))  # log(2), and no choice at all
    tensor([[0.6931, 0.0000]])
    """
    _check(logits, temperature)
    flat: torch.Tensor = _Entropy.apply(
        logits.reshape(-1, logits.shape[-1]), temperature, _chunk(logits, chunk_tokens)
    )
    return flat.reshape(logits.shape[:-1])


def _check(logits: torch.Tensor, temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    if not logits.is_floating_point():
        raise ValueError(f"logits must be floating point, not {logits.dtype}")


def _chunk(logits: torch.Tensor, chunk_tokens: int | None) -> int:
    if chunk_tokens is not None and chunk_tokens < 1:
        raise ValueError(f"chunk_tokens must be at least 1, not {chunk_tokens}")
    elements = _CHUNK_ELEMENTS_CPU if logits.device.type == "cpu" else _CHUNK_ELEMENTS
    return chunk_tokens or max(1, elements // logits.shape[-1])


def _log_softmax(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    scaled = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    return scaled.log_softmax(dim=-1)


def _slices(length: int, chunk: int) -> list[slice]:
    return [slice(start, start + chunk) for start in range(0, max(length, 1), chunk)]


class _TokenLogprobs(torch.autograd.Function):
    """log softmax(logits / temperature)[id]; its slope in logits_v is (1[v = id] - p_v) / temperature."""

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, ids: torch.Tensor, temperature: float, chunk: int
    ) -> torch.Tensor:
        ctx.save_for_backward(logits, ids)
        ctx.temperature, ctx.chunk = temperature, chunk
        # not logit - logsumexp: that loses digits where all logits are far from 0, as GPT-2's are
        return torch.cat(
            [
                _log_softmax(logits[part], temperature).gather(-1, ids[part, None]).squeeze(-1)
                for part in _slices(len(logits), chunk)
            ]
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        logits, ids = ctx.saved_tensors
        grad_logits = torch.empty_like(logits)
        for part in _slices(len(logits), ctx.chunk):
            slope = grad[part, None] / ctx.temperature
            probs = _log_softmax(logits[part], ctx.temperature).exp_()
            grad_logits[part] = probs.mul_(-slope).scatter_add_(-1, ids[part, None], slope)
        return grad_logits, None, None, None


class _Entropy(torch.autograd.Function):
    """H = -sum_v p_v log p_v; its slope in logits_v is -p_v (log p_v + H) / temperature."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, temperature: float, chunk: int) -> torch.Tensor:
        logs = (_finite(_log_softmax(logits[part], temperature)) for part in _slices(len(logits), chunk))
        result = torch.cat([(log.exp() * -log).sum(dim=-1) for log in logs])
        ctx.save_for_backward(logits, result)
        ctx.temperature, ctx.chunk = temperature, chunk
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        logits, result = ctx.saved_tensors
        grad_logits = torch.empty_like(logits)
        for part in _slices(len(logits), ctx.chunk):
            log = _finite(_log_softmax(logits[part], ctx.temperature))
            slope = log.exp() * (log + result[part, None])
            grad_logits[part] = slope * (-grad[part, None] / ctx.temperature)
        return grad_logits, None, None


def _finite(logs: torch.Tensor) -> torch.Tensor:
    """Make log 0 finite: p log p is 0 at p = 0, but 0 * -inf is nan."""
    return logs.clamp_(min=torch.finfo(logs.dtype).min)
