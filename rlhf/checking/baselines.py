"""What anybody would get without a reward model: by length, by position; and what two annotators agree on."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import islice

from rlhf.checking.results import Baseline, Baselines
from rlhf.evaluation.pairs import Accuracy, Comparison, first_wins, longer_wins
from rlhf.feedback.records import Ranking

__all__ = ["measure_baselines"]

_MEASURED = 50_000


def measure_baselines(rankings: Sequence[Ranking], *, placed: bool = True) -> Baselines | None:
    """Measure what rules without any understanding get on rankings; None where no pair has an order.

    Lengths are characters here, equal ones count one half. Of more than 50,000 rankings as many evenly spread
    ones are measured; rankings of one prompt are kept together in the intervals. Where responses are not
    `placed`, as in columns named chosen and rejected, their order is the label, and position says nothing.
    """
    from rlhf.ranking.assessment import labeler_agreement

    step = math.ceil(len(rankings) / _MEASURED) or 1
    lengths: dict[int, list[int]] = defaultdict(list)
    labels: dict[int, list[Comparison]] = defaultdict(list)
    num_measured = 0
    for ranking in islice(rankings, 0, None, step):
        num_measured += 1
        key = hash(ranking.prompt.messages)
        offset = len(lengths[key])
        lengths[key].extend(map(len, ranking.responses))
        pairs = [
            (i, j, p) for i, j, p in ranking.comparisons() if ranking.responses[i] != ranking.responses[j]
        ]
        labels[key].extend((i + offset, j + offset, p) for i, j, p in pairs)
    try:
        longer = longer_wins(list(lengths.values()), list(labels.values()))
    except ValueError:  # no pair has an order
        return None
    shares = {"longer_wins": _baseline(longer), "shorter_wins": _other_way(longer)}
    if placed:
        first = first_wins(list(labels.values()))
        shares |= {"first_wins": _baseline(first), "last_wins": _other_way(first)}
    agreed = labeler_agreement(list(islice(rankings, 0, _MEASURED)))
    agreement = None
    if agreed:
        agreement = Baseline(*(agreed[f"labeler_agreement{end}"] for end in ("", "_low", "_high")))
    return Baselines(shares, agreement, longer.num_pairs, num_measured)


def _baseline(found: Accuracy) -> Baseline:
    return Baseline(found.value, found.low, found.high)


def _other_way(found: Accuracy) -> Baseline:
    """Return what the opposite rule gets; what counts one half here does so there."""
    return Baseline(1.0 - found.value, 1.0 - found.high, 1.0 - found.low)
