"""Write the rows that passed in canonical form, and beside them those that did not, with the reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from rlhf.checking.check import read_all
from rlhf.checking.files import write_rows
from rlhf.checking.results import Subject
from rlhf.checking.shapes import shape_of
from rlhf.feedback.adapters import rows_of
from rlhf.feedback.files import TEXT_EXTENSIONS, extension_of, read_lines
from rlhf.feedback.mapping import Source
from rlhf.feedback.notes import BadRow, Note
from rlhf.feedback.numbers import number_of
from rlhf.feedback.written import canonical_rows

__all__ = ["fix_sources", "rejected_path", "told_of"]

_TOLD = {
    "renumbered": "rows whose id came twice got a number behind it",
    "renamed": "columns with a name of ours got an underscore behind it",
    "ties": "tied pairs have no better one and are left out",
    "unranked": "responses that nothing compares are left out",
    "strengths": "rankings whose strengths this form has no place for",
    "transcripts": "prompts of several turns are written as one text, Human: ... Assistant: ...",
}


def rejected_path(out: str) -> str:
    """Return where the rows that did not pass are written.

    >>> rejected_path("a/b.jsonl"), rejected_path("b.jsonl.gz")
    ('a/b.rejected.jsonl', 'b.rejected.jsonl')
    """
    name = Path(out).name.removesuffix(".gz")
    return str(Path(out).with_name(f"{name.rpartition('.')[0]}.rejected.jsonl"))


def fix_sources(subjects: Sequence[Subject], out: str, *, force: bool = False) -> list[str]:
    """Write the records of some sources of one list and their rejected rows; returns what was done.

    A rejected row is ``{"where", "code", "message", "row"}``, its row as the file holds it (a line that is no
    JSON, or has too few cells, as text). Both files appear whole or not at all.

    Raises:
        DataError: a source cannot be read, a file is there already, nothing passed.
    """
    sources = [shape_of(subject.source, subject.kind).source for subject in subjects]
    readings = [read_all(source, subject.kind) for source, subject in zip(sources, subjects, strict=True)]
    counts: Counter[str] = Counter()
    records = chain.from_iterable(reading.records for reading in readings)
    num_rows = write_rows(out, canonical_rows(records, counts), force=force)
    told = [f"{out}: {number_of(num_rows, 'rows')}", *told_of(counts)]
    rejected = [
        row
        for source, reading in zip(sources, readings, strict=True)
        for row in _rejected(source, reading.notes)
    ]
    num_rejected = write_rows(rejected_path(out), rejected, force=force)
    return [*told, f"{rejected_path(out)}: {number_of(num_rejected, 'rows')}"]


def told_of(counts: Counter[str]) -> list[str]:
    """Return a line for all that a form of writing could not keep as it was."""
    return [f"  {_TOLD[code]}: {number:,}" for code, number in counts.most_common() if number]


def _rejected(source: Source, notes: Sequence[Note]) -> Iterator[dict[str, Any]]:
    """Yield what was left out, in the order of the file."""
    reasons: dict[str, list[Note]] = defaultdict(list)
    for note in notes:
        if note.skipped:
            reasons[note.where.partition("#")[0] if source.loader is None else note.where].append(note)
    if not reasons:
        return
    unreadable: list[BadRow] = []
    lines = _RawLines()
    for row in rows_of(source, on_bad=unreadable.append):
        for error in unreadable:
            yield from _told(reasons.pop(error.where or "", []), lines.at(error.where or ""))
        unreadable.clear()
        yield from _told(reasons.pop(row.where, []), row.values)
        if not reasons:
            return
    for where, left in reasons.items():
        yield from _told(left, lines.at(where))


def _told(notes: Sequence[Note], row: Any) -> Iterator[dict[str, Any]]:
    for note in notes:
        yield {"where": note.where, "code": note.code, "message": note.message, "row": row}


class _RawLines:
    """Lines of files of text, asked for by their places; in the order of a file it is read once for all."""

    def __init__(self) -> None:
        self._file = ""
        self._number = 0
        self._lines: Iterator[tuple[int, bytes]] = iter(())

    def at(self, where: str) -> str | None:
        """Return a line as text; None where a place is no line of a file of text (a row of parquet, say)."""
        file, number = _line_of(where)
        if number is None or extension_of(Path(file)) not in TEXT_EXTENSIONS or not Path(file).is_file():
            return None
        if file != self._file or number <= self._number:
            self._file, self._number, self._lines = file, 0, read_lines(Path(file))
        for found, line in self._lines:
            self._number = found
            if found == number:
                return line.decode("utf-8", errors="replace").rstrip("\r\n")
        return None


def _line_of(where: str) -> tuple[str, int | None]:
    """Return the file and the line of ``file:line`` or ``file:line:column``; no number where it is neither.

    >>> _line_of("a/b.jsonl:7"), _line_of("a/b.jsonl:7:12"), _line_of("a/b.jsonl")
    (('a/b.jsonl', 7), ('a/b.jsonl', 7), ('a/b.jsonl', None))
    """
    file, _, last = where.rpartition(":")
    before, _, line = file.rpartition(":")
    if last.isdecimal() and line.isdecimal() and not Path(file).exists():
        return before, int(line)
    return (file, int(last)) if last.isdecimal() else (where, None)
