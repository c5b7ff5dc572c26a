"""How much better a response is than another: as a margin that its score must lead by, or as a weight.

Strengths come in the units of their source (HelpSteer2: 1 to 3; ratings: any). `measured` turns those of some
rankings into the numbers that the loss takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Literal

from rlhf.errors import SettingsError
from rlhf.rendering import RenderedRanking

__all__ = ["NEUTRAL", "Strength", "check_known", "default_scale", "known_strengths", "measured"]

Comparison = tuple[int, int, float]
Strength = Literal["margin", "weight"]

NEUTRAL = {"margin": 0.0, "weight": 1.0}
"""What a tie, and a pair of which no strength is known, gets: plain Bradley-Terry."""


def known_strengths(
    rankings: Iterable[tuple[Sequence[Comparison], Sequence[float | None] | None]],
) -> list[float]:
    """Return the strengths that are known, of pairs that do not tie.

    Args:
        rankings: (comparisons, strengths) of each, as `Ranking` and `RenderedRanking` have them.
    """
    return [
        strength
        for comparisons, strengths in rankings
        for (_, _, p), strength in zip(comparisons, strengths or (), strict=False)
        if strength is not None and p != 0.5
    ]


def check_known(known: Sequence[float]) -> None:
    """Refuse to go by strengths where there are none, or none but 0.

    Raises:
        SettingsError: says where they could come from.
    """
    if any(known):
        return
    found = f"all {len(known):,} that data.train states are 0" if known else "data.train states none"
    raise SettingsError(
        f"needs strengths of preferences, and {found}; say where they stand (strength_from of a source), "
        "or set it to null",
        where="reward.strength",
    )


def default_scale(known: Sequence[float], strength: Strength) -> float:
    """Return the scale that is taken where none is given.

    A margin is taken as it is. Weights are 1 on average, so that the step size keeps its meaning, and so that
    pairs of which no strength is known count as much as the others do on average.
    """
    return 1.0 if strength == "margin" else 1.0 / fmean(known)


def measured(
    rankings: Sequence[RenderedRanking], strength: Strength | None, scale: float = 1.0
) -> list[RenderedRanking]:
    """Return rankings whose strengths are margins, or weights, none of them unknown.

    A margin or weight is `scale` times the strength, and `NEUTRAL` where there is none. With `strength` None
    the rankings have no strengths.

    Source:
        Margins: Touvron et al. 2023 (arXiv:2307.09288), section 3.2.2; theirs are 3, 2, 1, 0 or 1, 2/3, 1/3,
        0 for significantly, just, slightly and negligibly better. Weights: Wang et al. 2024
        (arXiv:2410.01257), strengths 1 to 3 at scale 1, who find them better than margins.
    """
    if strength is None:
        return [replace(ranking, strengths=None) for ranking in rankings]
    return [replace(ranking, strengths=_numbers(ranking, strength, scale)) for ranking in rankings]


def _numbers(ranking: RenderedRanking, strength: Strength, scale: float) -> list[float | None]:
    known = ranking.strengths or [None] * len(ranking.comparisons)
    return [
        NEUTRAL[strength] if stated is None or p == 0.5 else scale * stated
        for (_, _, p), stated in zip(ranking.comparisons, known, strict=True)
    ]
