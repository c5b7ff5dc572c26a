"""From sources to records: `read_prompts`, `read_demonstrations`, `read_rankings`, `read_texts`.

One loop for all: read the rows, let the format make records of each, hold the source's policy for bad rows,
keep the source's split and limit, and refuse an id that comes twice. A row gives all of its records or none.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from rlhf.errors import DataError
from rlhf.feedback import tables, transcripts, trees
from rlhf.feedback.adapters import Adapted
from rlhf.feedback.columns import group_of_messages, group_of_text, id_of, named_group
from rlhf.feedback.detection import Kind
from rlhf.feedback.looking import FirstRows
from rlhf.feedback.mapping import Source, build_sources
from rlhf.feedback.mixture import Weigher, weight_notes
from rlhf.feedback.notes import BadRow, Note, NothingRead, TakeNote
from rlhf.feedback.paths import text_at
from rlhf.feedback.records import Demonstration, Prompt, Ranking, Reading, Text
from rlhf.feedback.rows import Row
from rlhf.feedback.shelf import Ledger, Shelf, pick, shelve
from rlhf.feedback.splits import group_of, split_of

__all__ = ["read_demonstrations", "read_prompts", "read_rankings", "read_texts"]

T = TypeVar("T", Prompt, Demonstration, Ranking, Text)
Sources = Sequence[Source | Mapping[str, Any]]
Parse = Callable[[Row, Source, TakeNote], Iterable[T]]

_TABLES = ("canonical", "pair", "pairwise", "scored")
_PROMPTS: dict[str, Parse[Prompt]] = {
    **dict.fromkeys(_TABLES, tables.table_prompts),
    "transcript": transcripts.transcript_prompts,
    "tree": trees.tree_prompts,
}
_DEMONSTRATIONS: dict[str, Parse[Demonstration]] = {
    **dict.fromkeys(_TABLES, tables.table_demonstrations),
    "transcript": transcripts.transcript_demonstrations,
    "tree": trees.tree_demonstrations,
}
_RANKINGS: dict[str, Parse[Ranking]] = {
    **dict.fromkeys(_TABLES, tables.table_rankings),
    "transcript": transcripts.transcript_rankings,
    "tree": trees.tree_rankings,
}


def read_prompts(sources: Sources) -> Reading[Prompt]:
    """Read the prompts of some sources; of equal ones the first is kept, the others are counted in a note.

    Args:
        sources: of format canonical, pair, pairwise, scored, transcript or tree; or mappings.

    Raises:
        DataError: with file:line; a bad file, a bad row (unless `on_bad_row: skip`), nothing left.
    """
    reading = _read(sources, _PROMPTS, "prompts")
    seen = Ledger()
    found = array("Q")  # places of the first ones
    for place, prompt in enumerate(reading.records):
        if seen.number(repr(prompt.messages)) == len(found):
            found.append(place)
    repeats = len(reading.records) - len(found)
    if repeats:
        first = build_sources(sources)[0].path
        reading.notes.append(Note("repeated_prompt", first, f"{repeats:,} repeats of a prompt are left out"))
        return Reading(pick(reading.records, found), reading.notes, reading.num_rows, reading.detections)
    return reading


def read_demonstrations(sources: Sources) -> Reading[Demonstration]:
    """Read prompts with a response to imitate.

    From tables `response` is taken, from trees the best reply or all (`replies`), from transcripts the last
    turn of `chosen`. Arguments and errors as in `read_prompts`.
    """
    return _read(sources, _DEMONSTRATIONS, "demonstrations")


def read_rankings(sources: Sources) -> Reading[Ranking]:
    """Read ranked responses (`count_rankings` says what is in them).

    Arguments and errors as in `read_prompts`.
    """
    return _read(sources, _RANKINGS, "rankings")


def read_texts(sources: Sources) -> Reading[Text]:
    """Read documents to pre-train on.

    Format text gives .txt files or the column (or template) `text`; tree gives its threads as transcripts
    (`replies`: along the best replies, or all); the other formats give each row's column (or template)
    `text`, which for transcripts is `chosen` unless it is set. Arguments and errors as in `read_prompts`.
    """
    kinds = dict.fromkeys(("text", *_TABLES, "transcript"), _column_text)
    return _read(sources, {**kinds, "tree": _thread_texts}, "texts")


def _column_text(row: Row, source: Source, take_note: TakeNote) -> Iterator[Text]:
    default = source.format == "transcript" and source.text == "text"
    text = text_at(row, source.chosen if default else source.text)
    if not text.strip():
        raise BadRow("the text is empty", row.where, "empty_text")
    yield Text(id_of(row, source), text, named_group(row, source) or group_of_text(text), row.where)


def _thread_texts(row: Row, source: Source, take_note: TakeNote) -> Iterator[Text]:
    for name, messages in trees.tree_threads(row, source, take_note):
        # The group that the tree's prompts have, so that one division holds for texts and for records.
        group = named_group(row, source) or group_of_messages(messages[:1])
        yield Text(name, transcripts.write_transcript(messages), group, row.where)


def _read(sources: Sources, parsers: Mapping[str, Parse[T]], kind: Kind) -> Reading[T]:
    readers: list[_SourceReader[T]] = []

    def records() -> Iterator[T]:
        seen = _Seen()
        for number, source in enumerate(build_sources(sources)):
            first = FirstRows(source, kind)
            if first.source.format not in parsers:
                raise DataError(
                    f"format {first.source.format} holds no {kind}; it can be {', '.join(parsers)}",
                    source.path,
                    "wrong_format",
                )
            readers.append(_SourceReader(number, first, parsers[first.source.format]))
            yield from readers[-1].read(seen)

    found = shelve(records())
    notes = [note for one in readers for note in one.notes] + weight_notes(one.weigh for one in readers)
    detections = [one.first.detection for one in readers if one.first.detection is not None]
    return Reading(found, notes, sum(one.num_rows for one in readers), detections)


class _SourceReader(Generic[T]):
    """The reading of one source, with what it has counted so far."""

    def __init__(self, number: int, first: FirstRows, parse: Parse[T]) -> None:
        self.first = first
        self.number = number
        self.source = source = first.source
        self.parse: Parse[T] = parse
        self.notes: list[Note] = []
        self.num_rows = 0
        self.bad_notes: list[Note] = []
        self.weigh = Weigher(source)

    def read(self, seen: _Seen) -> Iterator[T]:
        """Yield the records; `seen` knows the ids met so far."""
        source = self.source
        num_made = num_kept = 0
        adapter = self.first.adapter
        for row in self.first.rows(on_bad=self._unreadable):
            self.num_rows += 1
            made = self._records_of(row, adapter, seen)
            num_made += len(made)
            kept = made if source.split is None else list(filter(self._in_split, made))
            kept = kept if source.limit is None else kept[: source.limit - num_kept]
            num_kept += len(kept)
            yield from self.weigh(kept)
            if num_kept == source.limit:
                break
        self._check_share()
        if not num_kept:
            raise NothingRead(self._why_nothing(num_made), source.path, self.notes, self.num_rows)
        if source.weight < 1 and not self.weigh.num_kept:
            raise DataError(
                f"weight {source.weight:g} keeps none of {num_kept:,} records", source.path, "nothing_left"
            )

    def _unreadable(self, error: BadRow) -> None:
        self.num_rows += 1
        self.bad(error)

    def bad(self, error: BadRow) -> None:
        """Raise the error or count it, as the source says."""
        if self.source.on_bad_row == "stop":
            raise BadRow(
                f"{error.message} (on_bad_row: skip leaves such rows out)", error.where, error.code
            ) from error
        where = error.where or self.source.path
        self.notes.append(Note(error.code, where, error.message, skipped=True, bad=True))
        self.bad_notes.append(self.notes[-1])

    def take_note(self, code: str, where: str, message: str, *, skipped: bool = False) -> None:
        self.notes.append(Note(code, where, message, skipped))

    def _records_of(self, row: Row, adapter: Adapted, seen: _Seen) -> list[T]:
        kept = len(self.notes)
        try:
            adapted = adapter(row)
            if not adapted:
                self.take_note(
                    "left_out", row.where, f"{self.source.adapter} leaves the row out", skipped=True
                )
            made = [record for part in adapted for record in self.parse(part, self.source, self.take_note)]
            if adapted and not made and not any(note.skipped for note in self.notes[kept:]):
                self.take_note("no_record", row.where, "gives no record of this kind", skipped=True)
            for record in made:
                if not isinstance(record, Text):  # nothing looks a text up by its id
                    _check_new(record, seen, (self.number, _place_of(record, row)))
        except BadRow as error:
            del self.notes[kept:]  # notes about a row that is left out would count it twice
            self.bad(error)
            return []
        return made

    def _in_split(self, record: T) -> bool:
        return (
            split_of(group_of(record), self.source.fractions(), self.source.split_seed) == self.source.split
        )

    def _check_share(self) -> None:
        total = self.num_rows
        num_bad = len(self.bad_notes)
        if num_bad and num_bad > self.source.max_bad * total:
            codes = Counter(note.code for note in self.bad_notes)
            shown = ", ".join(f"{code} {number}" for code, number in codes.most_common())
            first = self.bad_notes[0]
            raise DataError(
                f"{num_bad} of {total} rows are bad ({shown}), more than max_bad: "
                f"{self.source.max_bad:g} allows; the first, {first.where}: {first.message}",
                self.source.path,
                "too_many_bad_rows",
            )

    def _why_nothing(self, num_made: int) -> str:
        if num_made:
            return f"none of {num_made} records falls into split: {self.source.split}; raise its fraction"
        if not self.num_rows:
            return "holds no rows, only blank lines or a header"
        return f"none of {self.num_rows} rows gives a record of this kind (format: {self.source.format})"


def _place_of(record: Prompt | Demonstration | Ranking, row: Row) -> str:
    """Return where a record is from: of an adapter's rows the very one, but they may repeat a prompt."""
    return row.where if isinstance(record, Prompt) else record.prompt.where


class _Seen:
    """The ids met so far, with where: 36 bytes a record in memory, 64 where it is no ranking."""

    def __init__(self) -> None:
        self._ids = Ledger()
        self._places: Shelf[tuple[int, str]] = Shelf()
        self._prompts = Ledger()

    def has(self, prompt: Prompt) -> bool:
        """Return whether a prompt of this id and these messages was met before."""
        number = len(self._prompts)
        return self._prompts.number(repr((prompt.id, prompt.messages))) < number

    def first(self, name: str, annotator: str | None, place: tuple[int, str]) -> tuple[int, str]:
        """Return where the id (of this annotator's ranking) was met first: at `place`, if never before."""
        number = self._ids.number(repr((name, annotator)))
        if number < len(self._places):
            return self._places[number]
        self._places.append(place)
        return place


def _check_new(record: Prompt | Demonstration | Ranking, seen: _Seen, row: tuple[int, str]) -> None:
    """Refuse an id that another row has; but several annotators may rank one, and a row may give several.

    The rows that a source has for several annotators of one id are one prompt.
    """
    prompt = record if isinstance(record, Prompt) else record.prompt
    name = prompt.id
    is_met = not isinstance(record, Ranking) and seen.has(prompt)
    before = seen.first(name, record.annotator if isinstance(record, Ranking) else None, row)
    if before != row and not (is_met and before[0] == row[0]):
        raise BadRow(f"id {name!r} stands at {before[1]} already; ids must differ", row[1], "equal_id")
