"""Whether a reward model knows how sure it can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from rlhf.evaluation.pairs import Comparison


class Bin(NamedTuple):
    """The pairs whose predicted confidence lies in [low, high), the last bin including 1."""

    low: float
    high: float
    predicted: float  # mean confidence in the response with the higher score
    observed: float  # share of pairs in which people preferred that response too
    num_pairs: int


class Calibration(NamedTuple):
    """How predicted probabilities compare with what people said."""

    expected_error: float  # mean over pairs of |predicted - observed| of their bin, 0 is calibrated
    log_loss: float  # nats a pair; log(2) = 0.693 is a coin
    num_pairs: int
    bins: tuple[Bin, ...]  # those that hold a pair


def calibration(
    scores: Sequence[Sequence[float]], comparisons: Sequence[Sequence[Comparison]], *, num_bins: int = 10
) -> Calibration:
    """Compare the confidence sigma(score_i - score_j) with how often people agree.

    Each pair is turned so that its predicted winner comes first: comparisons are often written winner
    first, so that "i was preferred" would hold for all of them and every bin would look the same.
    Confidence then lies in [1/2, 1], and the bins divide that equally. Ties and votes count with their
    share.

    Args:
        scores: For each prompt one score a response.
        comparisons: For each prompt its comparisons ``(i, j, p)``.
        num_bins: At least 1.

    Returns:
        Expected calibration error, log loss and the bins.

    Raises:
        ValueError: The lengths differ, there is no pair, a score is not finite, or ``num_bins`` is below 1.

    Source:
        Guo et al. 2017 (arXiv:1706.04599), equation 3; for preference models Bai et al. 2022
        (arXiv:2204.05862), section 3.3.

    >>> calibration([[math.log(3), 0.0]], [[(1, 0, 0.0), (0, 1, 1.0)]]).bins  # sigma(log 3) = 3/4
    (Bin(low=0.75, high=0.8, predicted=0.75, observed=1.0, num_pairs=2),)
    """
    if len(scores) != len(comparisons):
        raise ValueError(f"scores of {len(scores)} prompts but comparisons of {len(comparisons)}")
    if num_bins < 1:
        raise ValueError(f"num_bins must be at least 1, not {num_bins}")
    leads = [
        (of_responses[i] - of_responses[j], p)
        for of_responses, pairs in zip(scores, comparisons, strict=True)
        for i, j, p in pairs
    ]
    if not leads or not all(math.isfinite(lead) for lead, _ in leads):
        raise ValueError("calibration needs at least one pair, and finite scores")
    binned: list[list[tuple[float, float]]] = [[] for _ in range(num_bins)]
    for lead, p in leads:
        confidence = 1.0 / (1.0 + math.exp(-abs(lead)))
        binned[min(int((confidence - 0.5) * 2 * num_bins), num_bins - 1)].append(
            (confidence, _observed(lead, p))
        )
    bins = tuple(_bin(number, pairs, num_bins) for number, pairs in enumerate(binned) if pairs)
    error = sum(each.num_pairs * abs(each.predicted - each.observed) for each in bins) / len(leads)
    loss = sum(p * _softplus(-lead) + (1 - p) * _softplus(lead) for lead, p in leads) / len(leads)
    return Calibration(error, loss, len(leads), bins)


def _observed(lead: float, p: float) -> float:
    """Return the share of people who agree with the predicted winner; without one, they are split evenly."""
    return 0.5 if lead == 0 else p if lead > 0 else 1 - p


def _bin(number: int, pairs: list[tuple[float, float]], num_bins: int) -> Bin:
    predicted, observed = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    width = 0.5 / num_bins
    return Bin(0.5 + number * width, 0.5 + (number + 1) * width, predicted, observed, len(pairs))


def _softplus(x: float) -> float:
    """Compute log(1 + exp(x)) without overflow: -log sigma(-x)."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
