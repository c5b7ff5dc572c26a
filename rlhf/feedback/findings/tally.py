"""What the finders found: every occurrence is counted, the first few of each kind keep their place."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from rlhf.feedback.codes import level_of
from rlhf.feedback.notes import Note

__all__ = ["PLACES_KEPT", "Tally"]

PLACES_KEPT = 20


class Tally:
    """Counts by code, with notes of the first `PLACES_KEPT` occurrences."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._notes: dict[str, list[Note]] = {}

    def add(self, code: str, where: str, message: str) -> None:
        """Count one occurrence."""
        self._counts[code] += 1
        kept = self._notes.setdefault(code, [])
        if len(kept) < PLACES_KEPT:
            kept.append(Note(code, where, message))

    def notes(self) -> list[Note]:
        """Return the notes, errors first; the last of a code has the count of all that are not shown."""
        notes: list[Note] = []
        for code in sorted(self._counts, key=lambda code: (level_of(code) != "error", code)):
            *kept, last = self._notes[code]
            notes += [*kept, replace(last, count=self._counts[code] - len(kept))]
        return notes
