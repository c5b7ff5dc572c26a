"""How far a measured number can be trusted."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

_RESAMPLES_AT_ONCE = 2**22  # elements of one block of resampled groups, 32 MiB


class Interval(NamedTuple):
    """A number and the bounds of its confidence interval."""

    value: float
    low: float
    high: float


def wilson(num_successes: float, num_trials: int, *, confidence: float = 0.95) -> Interval:
    """Compute the score interval of a proportion of *independent* trials.

    It stays inside [0, 1] and keeps its width at 0 and 1, where the usual plus-or-minus collapses. Pairs of
    the same prompt are not independent: use :func:`bootstrap_interval` for those.

    Args:
        num_successes: Between 0 and ``num_trials``; a tie may count one half.
        num_trials: At least 1.
        confidence: In (0, 1).

    Returns:
        The proportion with its bounds.

    Raises:
        ValueError: An argument is out of range.

    Source:
        Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22.

    >>> [round(bound, 4) for bound in wilson(0, 10)]  # the upper bound is z^2 / (10 + z^2) with z = 1.96
    [0.0, 0.0, 0.2775]
    """
    if num_trials < 1 or not 0 <= num_successes <= num_trials:
        raise ValueError(f"{num_successes} successes in {num_trials} trials are not a proportion")
    z = NormalDist().inv_cdf(0.5 + _checked(confidence) / 2)
    share = num_successes / num_trials
    shrink = 1 + z**2 / num_trials
    centre = (share + z**2 / (2 * num_trials)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / num_trials + z**2 / (4 * num_trials**2))
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def bootstrap_interval(
    values: Sequence[float],
    groups: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    confidence: float = 0.95,
    num_resamples: int = 2000,
) -> Interval:
    """Compute the interval of a mean by drawing whole groups with replacement (percentile cluster bootstrap).

    What is drawn is the group, usually the prompt: ten pairs of one prompt are not ten independent
    observations, and an interval over pairs would be too narrow. The same arguments give the same interval;
    the order of values and the names of groups do not matter beyond the order in which groups first appear.

    Args:
        values: One number an observation, at least one.
        groups: The group of each value; ``None`` makes each its own.
        seed: Of the draws.
        confidence: In (0, 1).
        num_resamples: Draws, at least 1.

    Returns:
        The mean of all values with its bounds. Values that are all equal have an interval of width 0.

    Raises:
        ValueError: There are no values, one is not finite, or the lengths differ.

    Source:
        Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13; clusters: Davison and
        Hinkley 1997, section 3.8 (strategy 1).

    >>> interval = bootstrap_interval([1.0, 1.0, 0.0, 0.0], groups=["a", "a", "b", "b"])
    >>> interval.value, interval.low, interval.high  # one draw in four is all "a", one in four all "b"
    (0.5, 0.0, 1.0)
    """
    if groups is not None and len(groups) != len(values):
        raise ValueError(f"{len(values)} values but {len(groups)} groups")
    observed = np.asarray(values, dtype=np.float64)
    if observed.size == 0 or not np.isfinite(observed).all():
        raise ValueError("an interval needs at least one value, and all of them finite")
    if num_resamples < 1:
        raise ValueError(f"num_resamples must be at least 1, not {num_resamples}")
    sums, sizes = _group_totals(observed, groups)
    means = _resampled_means(sums, sizes, np.random.default_rng(seed), num_resamples)
    tail = (1 - _checked(confidence)) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(sums.sum() / sizes.sum()), float(low), float(high))


def _group_totals(values: np.ndarray, groups: Sequence[Hashable] | None) -> tuple[np.ndarray, np.ndarray]:
    """Sum and count the values of each group, groups in order of first appearance."""
    if groups is None:
        return values, np.ones_like(values)
    numbers: dict[Hashable, int] = {}
    index = np.array([numbers.setdefault(group, len(numbers)) for group in groups])
    return np.bincount(index, weights=values), np.bincount(index).astype(np.float64)


def _resampled_means(
    sums: np.ndarray, sizes: np.ndarray, rng: np.random.Generator, num_resamples: int
) -> np.ndarray:
    num_groups = len(sums)
    block = max(1, _RESAMPLES_AT_ONCE // num_groups)
    means = []
    for start in range(0, num_resamples, block):
        drawn = rng.integers(num_groups, size=(min(block, num_resamples - start), num_groups))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(means)


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    return confidence
