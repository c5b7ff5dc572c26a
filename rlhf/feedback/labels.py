"""Labels of pairs: what each of them says, never guessed, and whose they are."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

from rlhf.errors import DataError
from rlhf.feedback.notes import BadRow, TakeNote
from rlhf.feedback.numbers import number_in, spelled
from rlhf.feedback.paths import kind_of, short_name, value_at
from rlhf.feedback.rows import Row
from rlhf.feedback.strengths import Strengths, stated_strengths

if TYPE_CHECKING:
    from rlhf.feedback.choices import Outcome
    from rlhf.feedback.mapping import Source

__all__ = [
    "Opinion",
    "Pairs",
    "are_signed",
    "check_label_values",
    "fit_no_order",
    "labels_read",
    "opinions_of",
    "weak_order",
]

Pairs = tuple[tuple[int, int, float], ...]
Opinion = tuple[str | None, Pairs, Strengths | None]
"""Who judged (None: the row does not say), the pairs that they labelled, and how strong all pairs are."""

_CHANCES = {"first": 1.0, "second": 0.0, "tie": 0.5}
_OUTCOMES: dict[float, str] = {chance: outcome for outcome, chance in _CHANCES.items()}
_RANGE = re.compile(r"([<>])\s*(.+)")


def _range_in(key: str | int | float) -> tuple[str, float] | None:
    """Return the side and the bound of a key such as "<0"; None for any other key."""
    match = _RANGE.fullmatch(key) if isinstance(key, str) else None
    bound = number_in(match.group(2)) if match else None
    return None if match is None or bound is None else (match.group(1), bound)


def check_label_values(values: Mapping[str | int | float, Outcome]) -> None:
    """Check that no label is named twice and no number lies in two ranges.

    Raises:
        DataError: with the keys.
    """
    seen: dict[str, Any] = {}
    bounds: dict[str, float] = {}
    for key in values:
        if seen.setdefault(spelled(key), key) != key:
            raise DataError(
                f"label_values has {seen[spelled(key)]!r} and {key!r}, which are one label; keep one"
            )
        found = _range_in(key)
        if found is not None and found[0] in bounds:
            raise DataError(
                f"label_values has two ranges with '{found[0]}'; one side of a number is one range"
            )
        if found is not None:
            bounds[found[0]] = found[1]
    if bounds.get("<", -math.inf) > bounds.get(">", math.inf):
        raise DataError(
            f"label_values: numbers between {bounds['>']:g} and {bounds['<']:g} are in both ranges; "
            "move a bound"
        )


def are_signed(values: Mapping[str | int | float, Outcome]) -> bool:
    """Say whether labels are numbers of which those below 0 say one side, those above the other, and 0 tie.

    >>> are_signed({-1: "first", 0: "tie", 1: "second"}), are_signed({0: "first", 1: "second"})
    (True, False)
    """
    sides: dict[str, set[Outcome]] = {"<": set(), "=": set(), ">": set()}
    for key, outcome in values.items():
        side, bound = _range_in(key) or ("", number_in(key))
        reaches_over = bound is not None and ((side == "<" and bound > 0) or (side == ">" and bound < 0))
        if bound is None or reaches_over:
            return False
        sides[side or ("<" if bound < 0 else ">" if bound > 0 else "=")].add(outcome)
    return (
        sides["="] <= {"tie"}
        and (len(sides["<"]), len(sides[">"])) == (1, 1)
        and sides["<"] | sides[">"] == {"first", "second"}
    )


def _chance(label: Any, path: str, source: Source, where: str) -> float:
    """Return the chance that the first response is the better one: 1, 0, or 0.5 for a tie."""
    values = {spelled(key): outcome for key, outcome in source.label_values.items()}
    outcome = values.get(spelled(label))
    number = number_in(label)
    if outcome is None and number is not None:
        for key, meaning in source.label_values.items():
            side, bound = _range_in(key) or ("", 0.0)
            if (side == "<" and number < bound) or (side == ">" and number > bound):
                outcome = meaning
    if outcome is None:
        known = ", ".join(f"{key}: {value}" for key, value in source.label_values.items())
        raise BadRow(
            f"unknown label {label!r} in {path!r}; label_values has {{{known}}}", where, "unknown_label"
        )
    return _CHANCES[outcome]


def _labels(row: Row, source: Source) -> tuple[list[str], list[Any]]:
    """Return the labels of a row, each with the path that messages call it by."""
    if not isinstance(source.labels, str):
        return list(source.labels), [value_at(row, path) for path in source.labels]
    labels = value_at(row, source.labels)
    labels = labels if isinstance(labels, list) else [labels]
    return [source.labels] * len(labels), labels


def labels_read(row: Row, source: Source) -> list[tuple[str, str | None]]:
    """Return each label of a row as it is spelled, with what it is read as: first, second, tie or None.

    A label that is null compares nothing, one that `label_values` does not name means nothing: None too. Of
    columns of `label_layout: one_hot` the one that is set is the label.

    Raises:
        BadRow: there is no such column; bad_labels, where not exactly one column is set.
    """
    paths, labels = _labels(row, source)
    if source.label_layout == "one_hot":
        paths, labels = [", ".join(paths)], [_column_set(paths, labels, row.where)]
    found: list[tuple[str, str | None]] = []
    for path, label in zip(paths, labels, strict=True):
        try:
            meaning = None if label is None else _OUTCOMES[_chance(label, path, source, row.where)]
        except BadRow:
            meaning = None
        found.append(("null" if label is None else spelled(label), meaning))
    return found


def opinions_of(
    row: Row, source: Source, size: int, annotator: str | None, take_note: TakeNote
) -> list[Opinion]:
    """Return what the labels of a row say about its `size` responses, one opinion an annotator.

    Raises:
        BadRow: unknown_label; bad_labels, where their number does not fit or not exactly one is set.
    """
    paths, labels = _labels(row, source)
    if source.label_layout == "annotators":
        return _by_annotators(row, source, size, paths, labels, take_note)
    if source.label_layout == "one_hot":
        paths, labels = [", ".join(paths)], [_column_set(paths, labels, row.where)]
    places = list(combinations(range(size), 2))
    if len(labels) != len(places):
        shown = source.labels if isinstance(source.labels, str) else ", ".join(source.labels)
        message = f"{len(labels)} labels in {shown!r} for {len(places)} pairs of {size} responses"
        raise BadRow(message, row.where, "bad_labels")
    pairs = [
        (i, j, _chance(label, path, source, row.where))
        for (i, j), path, label in zip(places, paths, labels, strict=True)
        if label is not None  # not compared
    ]
    if not pairs:
        message = f"nothing is compared: {', '.join(dict.fromkeys(paths))} is null"
        raise BadRow(message, row.where, "bad_labels")
    return [(annotator, tuple(pairs), stated_strengths(row, source, len(places), labels))]


def _by_annotators(
    row: Row, source: Source, size: int, paths: list[str], labels: list[Any], take_note: TakeNote
) -> list[Opinion]:
    if size != 2:
        message = f"label_layout: annotators compares 2 responses, and here are {size}"
        raise BadRow(message, row.where, "bad_labels")
    names = _names(row, source, paths)
    opinions: list[Opinion] = []
    stated = stated_strengths(row, source, len(labels), labels)
    strengths = [None] * len(labels) if stated is None else [[strength] for strength in stated]
    for name, path, label, strength in zip(names, paths, labels, strengths, strict=True):
        if label is None:
            take_note("missing_label", row.where, f"a label in {path!r} is null: no opinion", skipped=True)
        else:
            opinions.append((name, ((0, 1, _chance(label, path, source, row.where)),), strength))
    if not opinions:
        raise BadRow(
            f"no annotator has a label in {paths[0] if paths else source.labels!r}", row.where, "bad_labels"
        )
    return opinions


def _names(row: Row, source: Source, paths: list[str]) -> list[str | None]:
    if not isinstance(source.labels, str):
        return list(paths)
    if source.annotator is None:
        return [None] * len(paths)
    names = value_at(row, source.annotator)
    if not isinstance(names, list) or len(names) != len(paths):
        found = f"{len(names)}" if isinstance(names, list) else kind_of(names)
        message = (
            f"{source.annotator!r} must list the {len(paths)} annotators of {source.labels!r}, but is {found}"
        )
        raise BadRow(message, row.where, "bad_labels")
    return [short_name(name, source.annotator, row.where) for name in names]


def _column_set(paths: list[str], values: list[Any], where: str) -> str:
    """Return the one column that is set."""
    wrong = [
        f"{path} is {value!r}" for path, value in zip(paths, values, strict=True) if _flag(value) is None
    ]
    if wrong:
        raise BadRow(f"{wrong[0]}; a column of label_layout: one_hot is 0 or 1", where, "unknown_label")
    found = [path for path, value in zip(paths, values, strict=True) if _flag(value)]
    if len(found) != 1:
        message = f"{len(found)} of the columns {', '.join(paths)} are set; exactly one must be"
        raise BadRow(message, where, "bad_labels")
    return found[0]


def _flag(value: Any) -> bool | None:
    return {"1": True, "true": True, "0": False, "false": False}.get(spelled(value))


def fit_no_order(pairs: Pairs) -> bool:
    """Say whether all pairs of some responses are labelled, and no order agrees with them."""
    places = sorted({place for i, j, _ in pairs for place in (i, j)})
    number = {place: index for index, place in enumerate(places)}
    if len(pairs) != len(places) * (len(places) - 1) // 2:
        return False  # of pairs that are not labelled nothing is said
    return weak_order(tuple((number[i], number[j], p) for i, j, p in pairs), len(places)) is None


def weak_order(pairs: Pairs, size: int) -> tuple[int, ...] | None:
    """Return the ranks (1 is best, equal is a tie) that agree with all pairs, or None if none do.

    Where a response is in no order with another since not all pairs are labelled, there is None either.

    >>> weak_order(((0, 1, 1.0), (0, 2, 1.0), (1, 2, 0.5)), 3)
    (1, 2, 2)
    >>> weak_order(((0, 1, 0.5), (1, 2, 0.5), (0, 2, 1.0)), 3) is None
    True
    """
    if len(pairs) != size * (size - 1) // 2:
        return None
    # In a weak order a response's rank is one more than the number of responses better than it.
    ranks = [1] * size
    for i, j, p in pairs:
        if p != 0.5:
            ranks[j if p == 1.0 else i] += 1
    agree = all(p == (0.5 if ranks[i] == ranks[j] else float(ranks[i] < ranks[j])) for i, j, p in pairs)
    return tuple(ranks) if agree else None
