"""How often one model's responses beat another's."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from rlhf.evaluation.intervals import bootstrap_interval

_SAME = 1e-9  # scores are sums of a few fractions: 0.1 + 0.2 ties with 0.3


class WinRate(NamedTuple):
    """The share of comparisons won, ties counting one half, with its 95 % interval over prompts."""

    value: float
    low: float
    high: float
    num_wins: int
    num_ties: int
    num_losses: int


def win_rate(
    scores: Sequence[float],
    other_scores: Sequence[float],
    groups: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
) -> WinRate:
    """Measure how often the first model's response to a prompt scores higher than the second's.

    Args:
        scores: One score a response of the first model.
        other_scores: One score a response of the second, to the same prompts in the same order.
        groups: The prompt of each pair where prompts have several; ``None`` takes each as its own prompt.
        seed: Of the interval.

    Returns:
        The win rate of the first model; that of the second is 1 minus it.

    Raises:
        ValueError: The lengths differ, there are none, or a score is not finite.

    >>> win_rate([1.0, 0.3, 0.0], [0.0, 0.1 + 0.2, 1.0])[:1]
    (0.5,)
    """
    if len(scores) != len(other_scores):
        raise ValueError(f"{len(scores)} scores against {len(other_scores)}")
    leads = [score - other for score, other in zip(scores, other_scores, strict=True)]
    if not all(math.isfinite(lead) for lead in leads):
        raise ValueError("a score is not a finite number")
    wins = [0.5 if abs(lead) <= _SAME else float(lead > 0) for lead in leads]
    interval = bootstrap_interval(wins, groups, seed=seed)
    return WinRate(*interval, wins.count(1.0), wins.count(0.5), wins.count(0.0))
