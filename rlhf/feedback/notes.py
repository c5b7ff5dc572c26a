"""What readers say of rows: a `BadRow` that cannot be used, and a `Note` for everything odd that they met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rlhf.errors import DataError

__all__ = ["BadRow", "Note", "NothingRead", "TakeNote", "shown_places"]


class BadRow(DataError):
    """A row that cannot be used; `code` is the short word it is counted under."""

    def __init__(self, message: str, where: str | None = None, code: str = "bad_row") -> None:
        super().__init__(message, where, code)


@dataclass(frozen=True, slots=True)
class Note:
    """Something odd that a reader met.

    Args:
        code: a short fixed word to count by (empty_response, marker_in_response, missing_rank ...).
        where: ``file:line``, or the file where it is about the whole of it.
        message: what was found and what was done with it.
        skipped: whether the row was left out.
        count: how many such things it stands for: what is met very often has a note of the first ones only.
        bad: whether the row cannot be used, so that reading stops there unless `on_bad_row: skip`.
    """

    code: str
    where: str
    message: str
    skipped: bool = False
    count: int = 1
    bad: bool = False


class NothingRead(DataError):
    """Sources that give no record at all; `notes` say what became of their `num_rows` rows."""

    def __init__(
        self, message: str, where: str | None = None, notes: Sequence[Note] = (), num_rows: int = 0
    ) -> None:
        super().__init__(message, where, "nothing_read" if num_rows else "empty_file")
        self.notes = tuple(notes)
        self.num_rows = num_rows

    def __reduce__(self) -> tuple[type[NothingRead], tuple[Any, ...]]:
        return type(self), (self.message, self.where, self.notes, self.num_rows)


class TakeNote(Protocol):
    """What a reader calls when it meets something odd."""

    def __call__(self, code: str, where: str, message: str, *, skipped: bool = False) -> None:
        """Take a `Note` with these fields."""


def shown_places(wheres: Sequence[str]) -> str:
    """Return places as one text; a file that comes again is not named again."""
    shown, before = [], None
    for where in wheres:
        file, _, line = where.rpartition(":")
        shown.append(f":{line}" if file and file == before else where)
        before = file
    return ", ".join(shown)
