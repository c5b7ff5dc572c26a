"""What the reward stage makes of how much better a response is than another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlhf.runs import console
from rlhf.settings.reward import RewardSettings

if TYPE_CHECKING:
    from rlhf.feedback.records import Ranking
    from rlhf.ranking.strengths import Strength
    from rlhf.rendering import RenderedRanking

__all__ = ["check_strength", "measure"]


def check_strength(settings: RewardSettings, records: Sequence[Ranking]) -> None:
    """Refuse `reward.strength` where none of the training data says how strong its preferences are."""
    from rlhf.ranking.strengths import check_known, known_strengths

    if settings.reward.strength is not None:
        check_known(known_strengths((one.comparisons(), one.strengths) for one in records))


def measure(
    settings: RewardSettings, rankings: Sequence[RenderedRanking], strength: Strength
) -> list[RenderedRanking]:
    """Make margins or weights of what the data say of how much better a response is; say how many do."""
    from rlhf.ranking.strengths import check_known, default_scale, known_strengths, measured

    known = known_strengths((one.comparisons, one.strengths) for one in rankings)
    check_known(known)
    scale = settings.reward.strength_scale or default_scale(known, strength)
    num_pairs = sum(p != 0.5 for ranking in rankings for _, _, p in ranking.comparisons)
    console.say(
        f"  {len(known):,} of {num_pairs:,} untied pairs say how strong they are, {min(known):g} to "
        f"{max(known):g}; {strength} {scale:.4g} for each unit"
    )
    return measured(rankings, strength, scale)
