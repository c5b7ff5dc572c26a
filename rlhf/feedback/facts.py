"""Count what is in some rankings: sizes, ties, annotators, and how often "longer wins" is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import nan
from statistics import fmean

from rlhf.feedback.labels import fit_no_order
from rlhf.feedback.records import Ranking
from rlhf.feedback.shelf import Ledger

__all__ = ["RankingFacts", "count_rankings"]


@dataclass(frozen=True)
class RankingFacts:
    """Counts over rankings; a comparison is one labelled pair of responses.

    Args:
        num_rankings: how many.
        num_prompts: distinct conversations that they are about.
        num_annotators: distinct named annotators.
        sizes: how many rankings have K responses, by K.
        num_comparisons: labelled pairs.
        num_first: pairs in which the response that stands first is better.
        num_second: pairs in which the one that stands second is better.
        num_ties: pairs without a better one.
        num_tied_rankings: rankings with at least one tie.
        num_all_ties: rankings with nothing but ties.
        num_intransitive: rankings whose labels fit no order.
        num_partial: other rankings of which not all pairs are compared.
        num_strengths: untied pairs of which it is known how much better the better one is.
        strength_range: the smallest, the mean and the largest of these strengths; nan where there is none.
        longer_wins: share of untied pairs of unequal length (in characters) whose longer response is better.
    """

    num_rankings: int
    num_prompts: int
    num_annotators: int
    sizes: dict[int, int]
    num_comparisons: int
    num_first: int
    num_second: int
    num_ties: int
    num_tied_rankings: int
    num_all_ties: int
    num_intransitive: int
    num_partial: int
    num_strengths: int
    strength_range: tuple[float, float, float]
    longer_wins: float

    def lines(self) -> list[str]:
        """Return a few lines for people."""
        low, mean, high = self.strength_range
        strengths = f"{low:g} to {high:g}, mean {mean:.3g}, of {self.num_strengths:,} untied comparisons"
        sizes = ", ".join(f"{size}: {number:,}" for size, number in self.sizes.items())
        return [
            f"{self.num_rankings:,} rankings of {self.num_prompts:,} prompts; responses a ranking: {sizes}",
            f"{self.num_comparisons:,} comparisons: first better {self.num_first:,}, second better "
            f"{self.num_second:,}, tie {self.num_ties:,}; longer wins {self.longer_wins:.1%}",
            f"annotators: {self.num_annotators or 'not recorded'}; rankings with a tie "
            f"{self.num_tied_rankings:,}, only ties {self.num_all_ties:,}, "
            f"in no order {self.num_intransitive:,}, partial {self.num_partial:,}",
            f"strengths: {strengths if self.num_strengths else 'not recorded'}",
        ]


def count_rankings(rankings: Iterable[Ranking]) -> RankingFacts:
    """Return the counts; `longer_wins` is nan where no pair is untied and of unequal length."""
    counts: Counter[str] = Counter()
    strengths: list[float] = []
    sizes: Counter[int] = Counter()
    annotators: set[str | None] = {None}
    prompts = Ledger()
    for ranking in rankings:
        prompts.number(repr(ranking.prompt.messages))
        annotators.add(ranking.annotator)
        sizes[len(ranking.responses)] += 1
        unranked = ranking.ranks.count(None)
        comparisons = ranking.comparisons()
        ties = sum(p == 0.5 for _, _, p in comparisons)
        counts["ties"] += ties
        counts["tied"] += ties > 0
        counts["all_ties"] += ties == len(comparisons)
        no_order = ranking.pairs is not None and fit_no_order(ranking.pairs)
        counts["intransitive"] += no_order
        counts["partial"] += unranked > 0 and not no_order
        strengths += [
            strength
            for (_, _, p), strength in zip(comparisons, ranking.strengths or (), strict=False)
            if strength is not None and p != 0.5
        ]
        for i, j, p in comparisons:
            if p == 1.0:
                counts["first" if i < j else "second"] += 1
                gap = len(ranking.responses[i]) - len(ranking.responses[j])
                counts["longer"] += gap > 0
                counts["uneven"] += gap != 0
    return RankingFacts(
        num_rankings=sizes.total(),
        num_prompts=len(prompts),
        num_annotators=len(annotators) - 1,
        sizes=dict(sorted(sizes.items())),
        num_comparisons=counts["first"] + counts["second"] + counts["ties"],
        num_first=counts["first"],
        num_second=counts["second"],
        num_ties=counts["ties"],
        num_tied_rankings=counts["tied"],
        num_all_ties=counts["all_ties"],
        num_intransitive=counts["intransitive"],
        num_partial=counts["partial"],
        num_strengths=len(strengths),
        strength_range=(min(strengths), fmean(strengths), max(strengths)) if strengths else (nan,) * 3,
        longer_wins=counts["longer"] / counts["uneven"] if counts["uneven"] else nan,
    )
