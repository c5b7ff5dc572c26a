"""Scores and ranks of other people's making: numbers whose direction the source has to say."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

from rlhf.feedback.labels import Pairs, weak_order
from rlhf.feedback.notes import BadRow
from rlhf.feedback.numbers import number_in, spelled
from rlhf.feedback.paths import kind_of, value_at
from rlhf.feedback.rows import Row

if TYPE_CHECKING:
    from rlhf.feedback.mapping import Source

__all__ = ["ranks_of_scores", "scores_of", "strengths_of_scores"]

Ranks = tuple[int | None, ...]


def scores_of(row: Row, source: Source, size: int) -> list[float | None]:
    """Return the scores of a row's `size` responses, None where there is none.

    Raises:
        BadRow: missing_column; bad_score, for what is no number, or another number of scores than responses.
    """
    if isinstance(source.scores, str):
        values = value_at(row, source.scores)
        if not isinstance(values, list):
            message = f"{source.scores!r} must be a list of scores, but is {kind_of(values)}"
            raise BadRow(message, row.where, "not_a_list")
        names = [f"{source.scores}[{number}]" for number in range(len(values))]
    else:
        names, values = list(source.scores), [value_at(row, path) for path in source.scores]
    if len(values) != size:
        message = f"{len(values)} scores in {source.scores!r} for {size} responses; each needs one (or null)"
        raise BadRow(message, row.where, "bad_score")
    missing = {spelled(value) for value in source.missing}
    return [
        None if value is None or spelled(value) in missing else _score(value, name, row.where)
        for name, value in zip(names, values, strict=True)
    ]


def _score(value: Any, name: str, where: str) -> float:
    number = number_in(value)
    if number is None:
        shown = f"{value!r}" if isinstance(value, (str, int, float)) else kind_of(value)
        remedy = (
            f"; if it stands for no score, list it: missing: [{value!r}]" if isinstance(value, str) else ""
        )
        raise BadRow(f"score {shown} in {name!r} is no number{remedy}", where, "bad_score")
    return number


def ranks_of_scores(scores: list[float | None], source: Source) -> tuple[Ranks, Pairs | None]:
    """Return the ranks that scores give, or the pairs where ties by `tie_within` fit no order.

    With `tie_within` 1, the scores 1, 2, 3 tie the first with the second and that with the third, but not
    the first with the third: then the pairs are all there is.
    """
    sign = 1.0 if source.best == "highest" else -1.0
    places = [place for place, score in enumerate(scores) if score is not None]
    known = [sign * score for score in scores if score is not None]
    pairs = tuple(
        (i, j, 0.5 if _tied(known[i], known[j], source.tie_within) else float(known[i] > known[j]))
        for i, j in combinations(range(len(known)), 2)
    )
    order = weak_order(pairs, len(known))
    ranks: list[int | None] = [None] * len(scores)
    for place, rank in zip(places, order or (), strict=False):
        ranks[place] = rank
    return tuple(ranks), None if order is not None else tuple((places[i], places[j], p) for i, j, p in pairs)


def strengths_of_scores(scores: list[float | None], source: Source) -> list[float | None]:
    """Return how far the scores of each pair lie apart, 1v2, 1v3, ..., 2v3, ...; 0 for a tie."""
    return [
        None if a is None or b is None else 0.0 if _tied(a, b, source.tie_within) else abs(a - b)
        for a, b in combinations(scores, 2)
    ]


def _tied(first: float, second: float, tie_within: float) -> bool:
    gap = abs(first - second)
    # 1.1 - 1.0 is a hair more than 0.1.
    return gap <= tie_within or (tie_within > 0.0 and math.isclose(gap, tie_within, rel_tol=1e-9))
