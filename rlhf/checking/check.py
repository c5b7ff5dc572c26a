"""Read some sources and say everything about them; nothing stops at the first bad row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlhf.checking.across import find_across
from rlhf.checking.baselines import measure_baselines
from rlhf.checking.examples import choose_examples
from rlhf.checking.lengths import Ruler, measure_lengths
from rlhf.checking.meanings import count_meanings
from rlhf.checking.overview import look_over
from rlhf.checking.problems import group_notes, what_training_does
from rlhf.checking.results import CheckReport, Kind, SourceReport, Subject
from rlhf.checking.shapes import Shape, shape_of
from rlhf.errors import DataError
from rlhf.feedback.adapters import files_of
from rlhf.feedback.facts import count_rankings
from rlhf.feedback.mapping import Source
from rlhf.feedback.notes import NothingRead
from rlhf.feedback.reading import read_demonstrations, read_prompts, read_rankings, read_texts
from rlhf.feedback.records import Reading

__all__ = ["READERS", "RulerOf", "check_sources", "read_all"]

READERS: Mapping[Kind, Callable[[Sequence[Source]], Reading[Any]]] = {
    "rankings": read_rankings,
    "demonstrations": read_demonstrations,
    "prompts": read_prompts,
    "texts": read_texts,
}
RulerOf = Callable[[Subject], Ruler | str]
"""What the lengths of a source are measured with, or why they are not."""


@dataclass(frozen=True)
class _Read:
    """A source as read, or why it was not."""

    subject: Subject
    shape: Shape | None = None
    reading: Reading[Any] | None = None
    failure: str | None = None


def read_all(source: Source, kind: Kind) -> Reading[Any]:
    """Read a source without stopping at bad rows, whatever its settings say; they are in the notes.

    Raises:
        DataError: a file is missing or cannot be read on.
    """
    try:
        return READERS[kind]([replace(source, on_bad_row="skip", max_bad=1.0)])
    except NothingRead as error:
        if not any(note.bad for note in error.notes):
            raise
        return Reading([], list(error.notes), error.num_rows)


def check_sources(subjects: Sequence[Subject], ruler_of: RulerOf, *, num_examples: int = 1) -> CheckReport:
    """Check sources one by one and against each other.

    Args:
        subjects: what to check.
        ruler_of: gives what a subject's token lengths are measured with, or says why nothing does.
        num_examples: how many BEST and WORST to show of each.

    Returns:
        The report. A source that cannot be read has a `failure` there; the others are checked all the same.
    """
    read = [_read(subject) for subject in subjects]
    reports = tuple(_report(one, ruler_of, num_examples) for one in read)
    parts: dict[str, list[Reading[Any]]] = {}
    for one in read:
        if one.reading is not None:
            parts.setdefault(one.subject.part, []).append(one.reading)
    return CheckReport(reports, find_across(parts))


def _read(subject: Subject) -> _Read:
    try:
        shape = shape_of(subject.source, subject.kind)
        return _Read(subject, shape, read_all(shape.source, subject.kind))
    except DataError as error:
        return _Read(subject, failure=str(error))


def _report(read: _Read, ruler_of: RulerOf, num_examples: int) -> SourceReport:
    reading, shape = read.reading, read.shape
    if reading is None or shape is None:
        return SourceReport(read.subject, failure=read.failure)
    source, kind = shape.source, read.subject.kind
    report = SourceReport(
        read.subject,
        files=tuple(files_of(source)),
        num_rows=reading.num_rows,
        num_records=len(reading.records),
        shape=shape.shape,
        because=shape.because,
        mapping=shape.mapping,
        policy=what_training_does(source, reading.notes, reading.num_rows),
        problems=group_notes(source, reading.notes, reading.num_rows),
    )
    if not len(reading.records):
        return report
    ruler = ruler_of(read.subject)
    report = replace(
        report,
        examples=choose_examples(reading.records, num_examples),
        overview=look_over(reading.records),
        lengths=None if isinstance(ruler, str) else measure_lengths(reading.records, ruler),
        why_no_lengths=ruler if isinstance(ruler, str) else "",
    )
    if kind != "rankings":
        return report
    return replace(
        report,
        meanings=count_meanings(source),
        rankings=count_rankings(reading.records),
        baselines=measure_baselines(reading.records, placed=source.format not in ("pair", "transcript")),
    )
