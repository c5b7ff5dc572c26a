"""Rows of two shapes in one source are refused, with the places of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rlhf.feedback.detection.found import ShapeError
from rlhf.feedback.detection.looks import Look, what_is
from rlhf.feedback.detection.trying import reads
from rlhf.feedback.detection.used import columns_read
from rlhf.feedback.mapping import Source
from rlhf.feedback.rows import Row

__all__ = ["check_not_mixed"]

Find = Callable[[Look], "tuple[str, Source] | None"]


def check_not_mixed(look: Look, source: Source, shape: str, find: Find) -> None:
    """Refuse rows of another shape between those of this one; single bad rows are left to the reading.

    Args:
        look: at all of the first rows.
        source: what was found for them, of this shape.
        shape: its name.
        find: returns the shape and the source of other rows, or None.

    Raises:
        ShapeError: several_shapes, with the places of both.
    """
    read = columns_read(source, look.kind, look.names)
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in look.rows:
        kinds = tuple(what_is(row.values[name]) if name in row.values else "" for name in read)
        groups.setdefault(kinds, []).append(row)
    for rows in groups.values() if len(groups) > 1 else ():
        if any(reads(row, source, look.kind) for row in rows):
            continue
        if source.on_bad_row == "skip" and len(rows) <= source.max_bad * len(look.rows):
            continue  # asked for: they are counted and shown
        other = _other_shape(rows, look, source, find)
        if other is None:
            continue
        ours = [row for row in look.rows if row not in rows]
        raise ShapeError(
            f"holds rows of two shapes: {_places(ours)} {shape} (columns {', '.join(ours[0].values)}), "
            f"{_places(rows)} {other} (columns {', '.join(rows[0].values)}); keep one shape a file, or read "
            "them by an adapter",
            source.path,
            "several_shapes",
        )


def _other_shape(rows: Sequence[Row], look: Look, source: Source, find: Find) -> str | None:
    """Return the shape that some rows have by themselves, where it is another one that reads them."""
    try:
        found = find(Look(rows, look.source, look.kind))
    except ShapeError as error:
        lacking = [name for name in columns_read(source, look.kind, look.names) if name in look.names]
        other_columns = any(name not in rows[0].values for name in lacking)
        return "responses with a label or scores" if other_columns and "direction" in error.code else None
    if found is None:
        return None
    shape, other = found
    return shape if other != source and all(reads(row, other, look.kind) for row in rows) else None


def _places(rows: Sequence[Row]) -> str:
    """Return "lines 3, 7, 12 ... are" for the first rows of one file, or file:line of each."""
    places = [row.where.rpartition(":") for row in rows[:3]]
    verb = " ... are" if len(rows) > 3 else " are" if len(rows) > 1 else " is"
    if len({file for file, _, _ in places}) == 1 and all(file for file, _, _ in places):
        return f"line{'s' if len(places) > 1 else ''} {', '.join(line for _, _, line in places)}{verb}"
    return f"{', '.join(row.where for row in rows[:3])}{verb}"
