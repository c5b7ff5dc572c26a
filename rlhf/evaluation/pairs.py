"""How often scores put two responses of a prompt in the order that people did.

A comparison is ``(i, j, p)``: p = 1 says that response i is better than response j, p = 0 the reverse, p =
0.5 a tie, and anything between is a share of votes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from rlhf.evaluation.intervals import bootstrap_interval

Comparison = tuple[int, int, float]


class Accuracy(NamedTuple):
    """A share of pairs with its 95 % interval over prompts."""

    value: float
    low: float
    high: float
    num_pairs: int
    num_prompts: int


def pair_accuracy(
    scores: Sequence[Sequence[float]], comparisons: Sequence[Sequence[Comparison]], *, seed: int = 0
) -> Accuracy:
    """Measure the share of compared pairs that the scores put in the labelled order.

    Equal scores count one half, which is what tossing a coin would get: counted as right or wrong, a
    constant (or bfloat16) reward model would look perfect or useless depending on how ``>`` was written.
    Labelled ties have no right order and are left out.

    Args:
        scores: For each prompt one score a response.
        comparisons: For each prompt its comparisons, indices into its scores.
        seed: Of the interval.

    Returns:
        The share over all pairs, with an interval over prompts (pairs of a prompt are not independent).

    Raises:
        ValueError: The lengths differ, a score is not finite, or no pair has an order.

    >>> pair_accuracy([[2.0, 1.0, 1.0]], [[(0, 1, 1.0), (2, 0, 1.0), (1, 2, 1.0), (0, 2, 0.5)]])
    Accuracy(value=0.5, low=0.5, high=0.5, num_pairs=3, num_prompts=1)
    """
    if len(scores) != len(comparisons):
        raise ValueError(f"scores of {len(scores)} prompts but comparisons of {len(comparisons)}")
    hits: list[float] = []
    prompts: list[int] = []
    for prompt, (of_responses, pairs) in enumerate(zip(scores, comparisons, strict=True)):
        for i, j, p in pairs:
            if p != 0.5:
                hits.append(_agreement(of_responses[i] - of_responses[j], p - 0.5))
                prompts.append(prompt)
    return _accuracy(hits, prompts, seed)


def longer_wins(
    lengths: Sequence[Sequence[int]], comparisons: Sequence[Sequence[Comparison]], *, seed: int = 0
) -> Accuracy:
    """Measure what "the longer response is better" would get; a reward model must beat it.

    Args:
        lengths: For each prompt the length of each response, in any unit.
        comparisons: For each prompt its comparisons.
        seed: Of the interval.

    Returns:
        As :func:`pair_accuracy`; equal lengths count one half.

    >>> longer_wins([[3, 8]], [[(1, 0, 1.0)]]).value
    1.0
    """
    return pair_accuracy(lengths, comparisons, seed=seed)


def first_wins(comparisons: Sequence[Sequence[Comparison]], *, seed: int = 0) -> Accuracy:
    """Measure what "the first response is better" would get: 1/2, unless positions leak labels.

    Args:
        comparisons: For each prompt its comparisons, indices as listed in the data.
        seed: Of the interval.

    Returns:
        As :func:`pair_accuracy`.

    >>> first_wins([[(0, 1, 1.0), (2, 1, 1.0)]]).value
    0.5
    """
    positions = [range(0, -max((max(i, j) for i, j, _ in pairs), default=0) - 1, -1) for pairs in comparisons]
    return pair_accuracy(positions, comparisons, seed=seed)


def annotator_agreement(labels: Sequence[Sequence[Sequence[Comparison]]], *, seed: int = 0) -> Accuracy:
    """Measure how often two annotators who compared the same pair put it in the same order.

    No reward model can be expected to agree with one annotator much more than another annotator does. Pairs
    that either of the two tied are left out, as in :func:`pair_accuracy`.

    Args:
        labels: For each prompt, for each of its annotators, the comparisons; indices mean the same responses.
        seed: Of the interval.

    Returns:
        The share over all pairs of responses and of annotators, with an interval over prompts;
        ``num_pairs`` counts these and ``num_prompts`` the prompts that have any.

    Raises:
        ValueError: No pair was ordered by two annotators.

    Source:
        Ouyang et al. 2022 (arXiv:2203.02155), section 3.4: 72.6 and 77.3 % between their labelers.

    >>> annotator_agreement([[[(0, 1, 1.0), (0, 2, 1.0)], [(1, 0, 0.0), (0, 2, 0.0)]]]).value
    0.5
    """
    hits: list[float] = []
    prompts: list[int] = []
    for prompt, of_annotators in enumerate(labels):
        for mine, theirs in combinations([_leanings(pairs) for pairs in of_annotators], 2):
            for pair, leaning in mine.items():
                other = theirs.get(pair, 0.0)
                if leaning and other:
                    hits.append(_agreement(leaning, other))
                    prompts.append(prompt)
    return _accuracy(hits, prompts, seed)


def _leanings(pairs: Sequence[Comparison]) -> dict[tuple[int, int], float]:
    """Read comparisons as (lower index, higher index) -> how much the lower one is preferred, ties as 0."""
    return {(i, j) if i < j else (j, i): p - 0.5 if i < j else 0.5 - p for i, j, p in pairs}


def _agreement(lead: float, leaning: float) -> float:
    """Return 1 where two non-ties have the same sign, 0 where not, and one half where ``lead`` is a tie."""
    if not math.isfinite(lead):
        raise ValueError("a score is not a finite number")
    return 0.5 if lead == 0 else float((lead > 0) == (leaning > 0))


def _accuracy(hits: list[float], prompts: list[int], seed: int) -> Accuracy:
    if not hits:
        raise ValueError("there is no pair with an order to compare with")
    return Accuracy(*bootstrap_interval(hits, prompts, seed=seed), len(hits), len(set(prompts)))
