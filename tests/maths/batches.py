"""Random batches for the properties: the same seed makes the same batch, and padding can be poisoned."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**31 - 1)


@dataclass(frozen=True)
class Batch:
    """What one PPO update sees, all (B, R) but the scores (B,); float64 so that comparisons can be strict."""

    mask: torch.Tensor
    scores: torch.Tensor
    kl: torch.Tensor
    rewards: torch.Tensor
    logprobs: torch.Tensor
    old_logprobs: torch.Tensor
    advantages: torch.Tensor
    values: torch.Tensor
    old_values: torch.Tensor
    returns: torch.Tensor


def random_batch(seed: int, rows: int = 4, length: int = 6, *, gaps: bool = False) -> Batch:
    """Draw responses of 1 to `length` tokens, padded on the right; `gaps` are holes in the mask."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, length + 1, (rows, 1), generator=random)
    mask = torch.arange(length) < lengths
    if gaps:
        mask = mask & (torch.rand(rows, length, generator=random) < 0.7)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    logprobs = normal(rows, length) - 2
    values = normal(rows, length)
    return Batch(
        mask=mask,
        scores=normal(rows),
        kl=normal(rows, length) / 4,
        rewards=normal(rows, length),
        logprobs=logprobs,
        old_logprobs=logprobs + normal(rows, length) / 3,
        advantages=normal(rows, length),
        values=values,
        old_values=values + normal(rows, length) / 3,
        returns=normal(rows, length),
    )


def poisoned(x: torch.Tensor, mask: torch.Tensor, poison: float = float("nan")) -> torch.Tensor:
    """Return a copy of `x` with `poison` wherever the mask says that nothing counts."""
    return x.clone().masked_fill_(~mask, poison)
