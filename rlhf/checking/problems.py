"""Findings grouped by code: how often, where first, and whether training stops for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rlhf.checking.results import LEVELS, Level, Problem
from rlhf.feedback.mapping import Source
from rlhf.feedback.notes import Note

__all__ = ["group_findings", "group_notes", "what_training_does"]

_PLACES = 3


def what_training_does(source: Source, notes: Sequence[Note], num_rows: int) -> str:
    """Say what a training run would do about the bad rows of a source; empty where there are none."""
    num_bad = sum(note.count for note in notes if note.bad)
    if not num_bad:
        return ""
    found = f"{num_bad:,} of {num_rows:,} rows are bad"
    if source.on_bad_row == "stop":
        return f"{found}: training stops at the first (on_bad_row: stop; skip leaves such rows out)"
    if _too_many(source, num_bad, num_rows):
        allowed = f"max_bad: {source.max_bad:g} allows {math.floor(source.max_bad * num_rows):,}"
        return f"{found}: training stops, as {allowed}"
    return f"{found}: training leaves them out (on_bad_row: skip, max_bad: {source.max_bad:g})"


def _too_many(source: Source, num_bad: int, num_rows: int) -> bool:
    return num_bad > source.max_bad * num_rows


def group_notes(source: Source, notes: Sequence[Note], num_rows: int) -> tuple[Problem, ...]:
    """Group what a reader met; bad rows are errors unless the source's own policy leaves them out."""
    num_bad = sum(note.count for note in notes if note.bad)
    left_out = source.on_bad_row == "skip" and not _too_many(source, num_bad, num_rows)
    bad: Level = "skipped" if left_out else "error"
    return _grouped((bad if note.bad else "warning", note) for note in notes)


def group_findings(findings: Iterable[tuple[Level, Note]]) -> tuple[Problem, ...]:
    """Group findings whose level is known."""
    return _grouped(findings)


def _grouped(findings: Iterable[tuple[Level, Note]]) -> tuple[Problem, ...]:
    groups: dict[tuple[Level, str], list[Note]] = {}
    for level, note in findings:
        groups.setdefault((level, note.code), []).append(note)
    found = [
        Problem(
            code,
            level,
            sum(note.count for note in notes),
            sum(note.count for note in notes if note.skipped),
            tuple(note.where for note in notes[:_PLACES]),
            notes[0].message,
        )
        for (level, code), notes in groups.items()
    ]
    return tuple(sorted(found, key=lambda one: (LEVELS.index(one.level), -one.number, one.code)))
