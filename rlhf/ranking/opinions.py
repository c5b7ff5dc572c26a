"""Several labelers, one batch element: what they say of the same responses becomes shares of votes."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

from rlhf.feedback.shelf import Ledger, shelve
from rlhf.ranking.batch import Ties, usable_comparisons, usable_strengths
from rlhf.ranking.strengths import Strength
from rlhf.rendering import RenderedRanking

__all__ = ["merge_opinions"]

Vote = tuple[float, float]  # the chance that the first of a pair is better; margin or weight


def merge_opinions(
    rankings: Sequence[RenderedRanking], ties: Ties = "soft", strength: Strength | None = None
) -> Sequence[RenderedRanking]:
    """Put rankings of the same responses to the same prompt into one, each pair with its share of votes.

    The target of a pair is the mean of what its labelers say: 1 or 0, and one half for a tie, which with
    `ties` "drop" is no vote. The pairwise loss is linear in its target, so where all labelers compare all
    pairs the gradient is the mean of their gradients, at the cost of one of them. A vote that splits evenly
    is a tie. Shares of votes are better targets than single labels where there are any (Liu et al. 2024,
    arXiv:2411.12843).

    With `strength` the rankings are those of `rlhf.ranking.strengths.measured`. Weights weigh the votes, and
    a pair has their mean: again the gradient is the mean of the labelers'. Margins are averaged with the sign
    of whom they are for, so that opposite ones cancel; where the average is for the minority it is 0.

    Returns:
        One ranking for each prompt and set of responses, in order of their first one; those of one labeler
        as they are. A merged one has comparisons only: its `ranks` are None, as votes need not fit an order.

    """
    groups = Ledger()
    # Of each group its first and last place, and of each place the next one of its group (its own: none).
    first, last, following = array("Q"), array("Q"), array("Q")
    for place, ranking in enumerate(rankings):
        number = groups.number(_key(ranking) or str(place))
        following.append(place)
        if number == len(first):
            first.append(place)
            last.append(place)
        else:
            following[last[number]] = last[number] = place
    if len(first) == len(rankings):
        return rankings

    def places(place: int) -> Iterator[int]:
        yield place
        while following[place] != place:
            place = following[place]
            yield place

    together = ([rankings[place] for place in places(start)] for start in first)
    return shelve(group[0] if len(group) == 1 else _merged(group, ties, strength) for group in together)


def _key(ranking: RenderedRanking) -> bytes | None:
    """Return what rankings of the same responses share; None where two are equal (which was meant?)."""
    responses = sorted(ranking.response_ids)
    if any(one == other for one, other in pairwise(responses)):
        return None
    return b"".join(array("q", [len(ids), *ids]).tobytes() for ids in (ranking.prompt_ids, *responses))


def _merged(group: Sequence[RenderedRanking], ties: Ties, strength: Strength | None) -> RenderedRanking:
    first = group[0]
    place = {tuple(ids): k for k, ids in enumerate(first.response_ids)}
    votes: dict[tuple[int, int], list[Vote]] = defaultdict(list)
    for ranking in group:
        places = [place[tuple(ids)] for ids in ranking.response_ids]
        strengths = usable_strengths(ranking, ties)
        for (i, j, p), number in zip(usable_comparisons(ranking, ties), strengths, strict=True):
            a, b = places[i], places[j]
            votes[min(a, b), max(a, b)].append((p if a < b else 1.0 - p, number or 0.0))
    merged = {pair: _share(of_pair, strength) for pair, of_pair in votes.items()}
    shares = [(i, j, share) for (i, j), (share, _) in merged.items()]
    comparisons = [(i, j, p) if p >= 0.5 else (j, i, 1.0 - p) for i, j, p in shares]
    return replace(
        first,
        comparisons=comparisons,
        ranks=[None] * len(first.ranks),
        annotator=None,
        strengths=None if strength is None else [number for _, number in merged.values()],
    )


def _share(votes: Sequence[Vote], strength: Strength | None) -> Vote:
    """Return the share of votes for the first of a pair, and the margin or weight that they come to."""
    share = fmean(p for p, _ in votes)
    total = sum(number for _, number in votes)
    if strength == "weight" and total > 0.0:
        share = sum(p * weight for p, weight in votes) / total
    if strength != "margin":
        return share, total / len(votes)
    lead = fmean((2.0 * p - 1.0) * margin for p, margin in votes)  # of the first
    return share, 0.0 if share == 0.5 else max(lead if share > 0.5 else -lead, 0.0)
