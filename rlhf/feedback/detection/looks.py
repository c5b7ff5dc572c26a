"""The first rows of a source, and what stands in their columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rlhf.errors import DataError
from rlhf.feedback.choices import TIES
from rlhf.feedback.detection.found import Kind
from rlhf.feedback.detection.yaml_text import defaults
from rlhf.feedback.mapping import Source
from rlhf.feedback.numbers import number_in, number_of
from rlhf.feedback.paths import anything_at
from rlhf.feedback.rows import Row

__all__ = ["READABLE", "TIES", "Column", "Look", "what_is"]

READABLE = ("text", "messages", "message")
"""What can be a response, or a prompt."""
_MESSAGE_KEYS = ({"role", "content"}, {"from", "value"})
_DEFAULTS = defaults()


def what_is(value: Any) -> str:
    """Return what a value is, more closely than its type."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return {type(None): "null", bool: "boolean", str: "text"}.get(type(value), "number")
    if isinstance(value, dict):
        return "message" if _is_message(value) else "object"
    if not isinstance(value, list):
        return type(value).__name__
    if not value:
        return "empty list"
    for kind, fits in _LISTS:
        if all(map(fits, value)):
            return kind
    return "list"


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and any(keys <= value.keys() for keys in _MESSAGE_KEYS)


_LISTS = (
    ("messages", _is_message),
    ("texts", lambda item: isinstance(item, str)),
    ("numbers", lambda item: item is None or (isinstance(item, (int, float)) and not isinstance(item, bool))),
    ("objects", lambda item: isinstance(item, dict)),
)


@dataclass(frozen=True)
class Column:
    """What stands at a path, in the rows that have it.

    Args:
        path: where.
        found: (row, value) of each row that has it.
    """

    path: str
    found: tuple[tuple[Row, Any], ...]

    @cached_property
    def values(self) -> list[Any]:
        """Return the values that are not null."""
        return [value for _, value in self.found if value is not None]

    @cached_property
    def kinds(self) -> Counter[str]:
        """Return how many of these are of each kind."""
        return Counter(map(what_is, self.values))

    def mostly(self, *kinds: str) -> bool:
        """Return whether more than half of the values are of these kinds; the rest are bad rows."""
        return 2 * sum(self.kinds[kind] for kind in kinds) > len(self.values)

    def numeric(self) -> bool:
        """Return whether all values are numbers, or text that spells one."""
        return bool(self.values) and all(number_in(value) is not None for value in self.values)

    def mostly_numeric(self, missing: Sequence[Any] = ()) -> bool:
        """Return whether more than half of the values are such; others may stand for missing ones.

        Those of `missing`, and a CSV's blanks, are known to, and are no values.
        """
        values = [value for value in self.values if value != "" and value not in missing]
        return 2 * sum(number_in(value) is not None for value in values) > len(values)

    def kind(self) -> str:
        """Return the commonest kind, for people."""
        return self.kinds.most_common(1)[0][0] if self.kinds else "null"


@dataclass(frozen=True)
class Look:
    """What a detection looks at.

    Args:
        rows: the first ones, as the adapter leaves them.
        source: what is given about them.
        kind: of the records that are wanted.
        more: the rows after these, for counts where it stops.
        json_columns: the columns of these rows that were JSON as text and are decoded here.
    """

    rows: Sequence[Row]
    source: Source
    kind: Kind
    more: Iterator[Row] = field(default_factory=lambda: iter(()))
    json_columns: tuple[str, ...] = ()

    @cached_property
    def names(self) -> list[str]:
        """Return the columns' names, in order of appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row.values))

    @cached_property
    def _columns(self) -> dict[str, Column]:
        return {}

    def column(self, path: str) -> Column:
        """Return what stands at a path (or template) in the rows where something does."""
        if path not in self._columns:
            self._columns[path] = Column(path, tuple(self._at(path)))
        return self._columns[path]

    def _at(self, path: str) -> Iterator[tuple[Row, Any]]:
        for row in self.rows:
            try:
                yield row, anything_at(row, path)
            except DataError:  # the reader says of this row what is missing
                continue

    def has(self, *paths: str) -> bool:
        """Return whether at least half of the rows have something at each of these paths."""
        rows = [{id(row) for row, _ in self.column(path).found} for path in paths]
        return 2 * len(set.intersection(*rows)) >= len(self.rows)

    def given(self, *names: str) -> bool:
        """Return whether one of these settings is another than the default."""
        return any(getattr(self.source, name) != _DEFAULTS[name] for name in names)

    def count(self, number: int) -> str:
        """Return "in 3 of 200 rows"."""
        return f"in {number:,} of {number_of(len(self.rows), 'rows')}"

    @property
    def where(self) -> str:
        """Return the place of the first row."""
        return self.rows[0].where
