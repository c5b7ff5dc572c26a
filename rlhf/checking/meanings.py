"""What the values in the rows of rankings are read as, and in how many rows they stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rlhf.checking.results import Meaning
from rlhf.feedback.adapters import load_adapter, rows_of
from rlhf.feedback.labels import labels_read
from rlhf.feedback.mapping import Source
from rlhf.feedback.notes import BadRow
from rlhf.feedback.numbers import number_in, spelled
from rlhf.feedback.paths import value_at
from rlhf.feedback.rows import Row

__all__ = ["count_meanings"]

_MOST = 12  # labels that are listed one by one


def count_meanings(source: Source) -> tuple[Meaning, ...]:
    """Return how a source of rankings says which response is better; its rows are read for that.

    Rows that cannot be read are passed over here: they are among the problems.
    """
    if source.format in ("pair", "transcript"):
        return (Meaning(f"column {source.chosen}", "best"), Meaning(f"column {source.rejected}", "worst"))
    if source.format == "tree":
        return (Meaning("the lowest rank among sibling replies", "best"),)
    if source.format == "pairwise":
        return _labels(source)
    if source.format == "scored":
        return _scores(source)
    return (Meaning(f"the lowest number in {source.ranks}, 1", "best"), Meaning("equal numbers", "tie"))


def _rows(source: Source) -> Iterator[Row]:
    adapter = load_adapter(source)
    for row in rows_of(source, on_bad=lambda error: None):
        try:
            yield from adapter(row)
        except BadRow:
            continue


def _labels(source: Source) -> tuple[Meaning, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    unit = "rows"
    for row in _rows(source):
        try:
            found = labels_read(row, source)
        except BadRow:
            continue
        counts.update((label, means or "nothing") for label, means in found)
        unit = "labels" if len(found) > 1 else unit
    if len(counts) > _MOST:
        return tuple(Meaning("labels", means, number, unit) for means, number in _by_meaning(counts))
    ordered = sorted(counts.items(), key=lambda entry: (number_in(entry[0][0]) or 0.0, entry[0][0]))
    return tuple(Meaning(f"label {label}", means, number, unit) for (label, means), number in ordered)


def _by_meaning(counts: Counter[tuple[str, str]]) -> list[tuple[str, int]]:
    totals: Counter[str] = Counter()
    for (_, means), number in counts.items():
        totals[means] += number
    return totals.most_common()


def _scores(source: Source) -> tuple[Meaning, ...]:
    assert source.best is not None
    other = "lowest" if source.best == "highest" else "highest"
    shown = source.scores if isinstance(source.scores, str) else ", ".join(source.scores)
    low, high = float("inf"), float("-inf")
    for row in _rows(source):
        for score in _numbers(row, source):
            low, high = min(low, score), max(high, score)
    if low > high:
        return (Meaning(f"the {source.best} of {shown}", "best"),)
    ends = {"lowest": f"down to {low:g}", "highest": f"up to {high:g}"}
    tie = f"scores no further apart than {source.tie_within:g}" if source.tie_within else "equal scores"
    return (
        Meaning(f"the {source.best} of {shown} ({ends[source.best]})", "best"),
        Meaning(f"the {other} ({ends[other]})", "worst"),
        Meaning(tie, "tie"),
    )


def _numbers(row: Row, source: Source) -> Iterator[float]:
    try:
        if isinstance(source.scores, str):
            values = value_at(row, source.scores)
        else:
            values = [value_at(row, path) for path in source.scores]
    except BadRow:
        return
    missing = {spelled(value) for value in source.missing}
    for value in values if isinstance(values, list) else []:
        number = number_in(value)
        if number is not None and spelled(value) not in missing:
            yield number
