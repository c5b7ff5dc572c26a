"""A loss of some rows of a batch with its statistics and its gradient."""

from __future__ import annotations

import torch

from rlhf.maths.losses import policy_loss, value_loss
from tests.maths.batches import Batch

ONE = torch.ones(1, 1, dtype=torch.bool)


def of_policy(
    batch: Batch, clip_range: float = 0.2, rows: slice = slice(None), num_tokens: int | None = None
):
    """Loss, statistics and the gradient of the log-probabilities of some rows of a batch."""
    logprobs = batch.logprobs[rows].clone().requires_grad_()
    loss, stats = policy_loss(
        logprobs,
        batch.old_logprobs[rows],
        batch.advantages[rows],
        batch.mask[rows],
        clip_range,
        num_tokens=int(batch.mask.sum()) if num_tokens is None else num_tokens,
    )
    loss.backward()
    return loss.detach(), stats, logprobs.grad


def of_value(
    batch: Batch, clip: float | None = 0.2, rows: slice = slice(None), num_tokens: int | None = None
):
    """Loss, statistics and the gradient of the values of some rows of a batch."""
    values = batch.values[rows].clone().requires_grad_()
    loss, stats = value_loss(
        values,
        batch.old_values[rows],
        batch.returns[rows],
        batch.mask[rows],
        clip,
        num_tokens=int(batch.mask.sum()) if num_tokens is None else num_tokens,
    )
    loss.backward()
    return loss.detach(), stats, values.grad
