"""How much better the better one of two responses is: numbers from 0 up, where a source says them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

from rlhf.errors import DataError
from rlhf.feedback.notes import BadRow, TakeNote
from rlhf.feedback.numbers import number_in, spelled
from rlhf.feedback.paths import kind_of, value_at
from rlhf.feedback.records import Ranking
from rlhf.feedback.rows import Row

if TYPE_CHECKING:
    from rlhf.feedback.mapping import Source

__all__ = ["Strengths", "check_strength_values", "stated_strengths", "strength_columns", "with_strengths"]

Strengths = Sequence[float | None]
"""One for each pair of responses, 1v2, 1v3, ..., 2v3, ...; None: not known."""

CANONICAL = "strengths"


def check_strength_values(values: Mapping[str | int | float, float]) -> None:
    """Check that what stands for a strength is a finite number from 0 up.

    Raises:
        DataError: with the key.
    """
    for key, value in values.items():
        number = None if isinstance(value, str) else number_in(value)
        if number is None or number < 0.0:
            raise DataError(f"strength_values[{key!r}] is {value!r}; a strength is a number from 0 up")


def strength_columns(source: Source) -> tuple[str, ...]:
    """Return the columns that are read for their strengths alone."""
    if source.strength_from == "scores":
        return (source.scores,) if isinstance(source.scores, str) else source.scores
    if source.strength_from == "column" or source.format == "canonical":
        return (source.strengths,) if isinstance(source.strengths, str) else source.strengths
    return ()


def stated_strengths(
    row: Row, source: Source, number: int, labels: Sequence[Any] = ()
) -> list[float | None] | None:
    """Return the strengths that a row states, or None where the source names none.

    Args:
        row: the row.
        source: where they stand.
        number: how many there must be.
        labels: those of the row, for `strength_from: labels`; checked already.

    Raises:
        BadRow: missing_column; bad_strength, for what is no number, below 0, or another number of them.
    """
    if source.strength_from == "labels":
        signed = [None if label is None else number_in(label) for label in labels]
        return [None if label is None else abs(label) for label in signed]
    in_canonical = source.strength_from is None and source.format == "canonical" and CANONICAL in row.values
    if source.strength_from != "column" and not in_canonical:
        return None
    if isinstance(source.strengths, str):
        stated = value_at(row, source.strengths)
        values = stated if isinstance(stated, list) else [stated] * (number if stated is None else 1)
        names = [source.strengths] * len(values)
    else:
        names, values = list(source.strengths), [value_at(row, path) for path in source.strengths]
    if len(values) != number:
        what = "label" if source.label_layout == "annotators" else "pair of responses"
        message = f"{len(values)} strengths in {source.strengths!r}; {number} are needed, one for each {what}"
        raise BadRow(message, row.where, "bad_strength")
    known = {spelled(key): float(value) for key, value in source.strength_values.items()}
    return [_strength(value, known, name, row.where) for name, value in zip(names, values, strict=True)]


def _strength(value: Any, known: Mapping[str, float], name: str, where: str) -> float | None:
    if value is None:
        return None
    shown = f"{value!r}" if isinstance(value, (str, int, float)) else kind_of(value)
    if known:
        if spelled(value) not in known:
            message = f"strength {shown} in {name!r} is none of strength_values ({', '.join(known)})"
            raise BadRow(message, where, "bad_strength")
        return known[spelled(value)]
    number = number_in(value)
    if number is None:
        remedy = (
            f"; say which number it stands for: strength_values: {{{value!r}: 1}}"
            if isinstance(value, str)
            else ""
        )
        raise BadRow(f"strength {shown} in {name!r} is no number{remedy}", where, "bad_strength")
    if number < 0.0:
        message = (
            f"strength {shown} in {name!r} is below 0; it says how much better the better response is, not "
            "which that is (for signed labels set strength_from: labels)"
        )
        raise BadRow(message, where, "bad_strength")
    return number


def with_strengths(ranking: Ranking, strengths: Strengths, take_note: TakeNote) -> Ranking:
    """Return the ranking with the strengths of what it compares.

    What is not known is counted (missing_strength); a tie has no strength, and one that is stated is counted
    (strength_of_tie) and taken for 0.
    """
    where = ranking.prompt.where
    of_pair = dict(zip(combinations(range(len(ranking.responses)), 2), strengths, strict=True))
    found: list[float | None] = []
    for i, j, p in ranking.comparisons():
        strength = of_pair[min(i, j), max(i, j)]
        if p == 0.5 and strength:
            message = f"strength {strength:g} of a tie (responses {i + 1} and {j + 1}); taken for 0"
            take_note("strength_of_tie", where, message)
        found.append(0.0 if p == 0.5 else strength)
    if None in found:
        message = f"{found.count(None)} of {len(found)} compared pairs have no strength"
        take_note("missing_strength", where, message)
    return replace(ranking, strengths=tuple(found))
