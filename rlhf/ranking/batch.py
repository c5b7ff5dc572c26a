"""A prompt with its K responses is one batch element: every response goes through the model once."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from rlhf.feedback.shelf import pick
from rlhf.ranking.sharing import shared_rows
from rlhf.ranking.strengths import Strength
from rlhf.rendering import RenderedRanking, pad_right

__all__ = ["RankingCollator", "drop_unusable", "usable_comparisons", "usable_strengths"]

Ties = Literal["soft", "drop"]
Loss = Literal["pairwise", "plackett_luce"]


def usable_comparisons(ranking: RenderedRanking, ties: Ties) -> list[tuple[int, int, float]]:
    """Return the pairs (i, j, p) that are trained on; with "drop" without those that tie (as InstructGPT)."""
    return [pair for pair in ranking.comparisons if ties == "soft" or pair[2] != 0.5]


def usable_strengths(ranking: RenderedRanking, ties: Ties) -> list[float | None]:
    """Return the strengths of `usable_comparisons`, None where the ranking has none."""
    strengths = ranking.strengths or [None] * len(ranking.comparisons)
    pairs = zip(ranking.comparisons, strengths, strict=True)
    return [strength for pair, strength in pairs if ties == "soft" or pair[2] != 0.5]


def drop_unusable(
    rankings: Sequence[RenderedRanking], loss: Loss, ties: Ties
) -> tuple[Sequence[RenderedRanking], int]:
    """Leave out rankings from which the loss can learn nothing.

    For pairs: those with no pair (all ties, dropped). For Plackett-Luce: those with fewer than two ranks,
    which includes pairwise labels that fit no order, and with dropped ties those of one rank only.

    Returns:
        What is left, and how many were left out.

    """
    kept = array("Q", (i for i, ranking in enumerate(rankings) if _has_something(ranking, loss, ties)))
    num_left_out = len(rankings) - len(kept)
    return (pick(rankings, kept) if num_left_out else rankings), num_left_out


def _has_something(ranking: RenderedRanking, loss: Loss, ties: Ties) -> bool:
    if loss == "pairwise":
        return bool(usable_comparisons(ranking, ties))
    ranks = [rank for rank in ranking.ranks if rank is not None]
    return len(ranks) >= 2 and (ties == "soft" or len(set(ranks)) >= 2)


@dataclass(frozen=True)
class RankingCollator:
    """Put B rankings of different K into tensors.

    The sequences of all rankings stand one after the other (N = sum of K, no places for missing responses),
    so the model never sees padding rows. Returned:

    - input_ids (N, T) right-padded, attention_mask (N, T) bool; with `share_prompts` instead what
      `rlhf.ranking.sharing.shared_rows` returns, a row a prompt
    - places (N, 2): ranking and response number of each sequence
    - pairs (M, 3): ranking, better, worse (or two that tie); targets (M,): probability that the first is
      better
    - with `strength` margins (M,) or weights (M,): those of `rlhf.ranking.strengths.measured`
    - ranks (B, K): 1 is best, 0 where there is none; num_prompts (): B
    """

    pad_token_id: int
    ties: Ties = "soft"
    share_prompts: bool = False
    strength: Strength | None = None

    def __call__(self, rankings: Sequence[RenderedRanking]) -> dict[str, torch.Tensor]:
        """Collate; see the class."""
        places = [(b, k) for b, ranking in enumerate(rankings) for k in range(len(ranking.response_ids))]
        labelled = [
            (b, i, j, p)
            for b, ranking in enumerate(rankings)
            for i, j, p in usable_comparisons(ranking, self.ties)
        ]
        ranks = torch.zeros(len(rankings), max(len(ranking.ranks) for ranking in rankings), dtype=torch.long)
        for b, ranking in enumerate(rankings):
            ranks[b, : len(ranking.ranks)] = torch.tensor([rank or 0 for rank in ranking.ranks])
        return {
            **self._inputs(rankings),
            **self._strengths(rankings),
            "places": torch.tensor(places, dtype=torch.long),
            "pairs": torch.tensor([pair[:3] for pair in labelled], dtype=torch.long).reshape(-1, 3),
            "targets": torch.tensor([pair[3] for pair in labelled], dtype=torch.float32),
            "ranks": ranks,
            "num_prompts": torch.tensor(len(rankings)),
        }

    def _strengths(self, rankings: Sequence[RenderedRanking]) -> dict[str, torch.Tensor]:
        if self.strength is None:
            return {}
        numbers = [number for ranking in rankings for number in usable_strengths(ranking, self.ties)]
        return {f"{self.strength}s": torch.tensor(numbers, dtype=torch.float32)}

    def _inputs(self, rankings: Sequence[RenderedRanking]) -> dict[str, torch.Tensor]:
        if self.share_prompts:
            return shared_rows(rankings, self.pad_token_id)
        sequences = [ids for ranking in rankings for ids in ranking.ids]
        input_ids, attention_mask = pad_right(sequences, self.pad_token_id)
        return {"input_ids": input_ids, "attention_mask": attention_mask}


def table_of(
    values: torch.Tensor, places: torch.Tensor, shape: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Spread (N,) values over a (B, K) table.

    Returns:
        (B, K) the values, 0 where there is no response, and (B, K) bool, True where there is one.

    """
    table = values.new_zeros(shape)
    mask = torch.zeros(shape, dtype=torch.bool, device=values.device)
    rows, columns = places.unbind(dim=1)
    mask[rows, columns] = True
    return table.index_put((rows, columns), values), mask
