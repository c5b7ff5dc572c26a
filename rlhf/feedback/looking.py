"""Look at the first rows of a source before all of them are read, without reading one twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rlhf.errors import DataError
from rlhf.feedback.adapters import Adapted, load_adapter, rows_of
from rlhf.feedback.detection import Detection, Kind, detect_rows
from rlhf.feedback.detection.detect import NUM_ROWS
from rlhf.feedback.detection.yaml_text import defaults
from rlhf.feedback.mapping import Source
from rlhf.feedback.mapping_checks import formats_that_read, given_settings
from rlhf.feedback.notes import BadRow
from rlhf.feedback.rows import OnBad, Row

__all__ = ["FirstRows"]


class FirstRows:
    """The rows of a source, the first of which tell its shape where its format is auto.

    Args:
        source: as given; afterwards `source` is complete, and `detection` says why (None: a given format).
        kind: of the records that are wanted.

    Raises:
        ShapeError: the shape or a direction is not certain.
        DataError: the adapter cannot be loaded.
    """

    def __init__(self, source: Source, kind: Kind) -> None:
        self.source = source
        self.detection: Detection | None = None
        self.adapter = load_adapter(source)
        self._first: list[Row | BadRow] = []
        self._ended: DataError | None = None  # what ended the reading while the first rows were looked at
        self._on_bad: OnBad = self._first.append
        self._rest = iter(rows_of(source, on_bad=self._take_bad))
        if source.format == "auto":
            self._detect(kind)

    def rows(self, on_bad: OnBad) -> Iterator[Row]:
        """Yield all rows, once; a bad row is handed to `on_bad` in its place."""
        for row in self._first:
            if isinstance(row, Row):
                yield row
            else:
                on_bad(row)
        if self._ended is not None:  # by whatever it is told, also a BadRow: nothing can be read behind it
            raise self._ended
        self._on_bad = on_bad
        yield from self._rest

    def _take_bad(self, error: BadRow) -> None:
        self._on_bad(error)

    def _look(self) -> dict[int, list[Row] | BadRow]:
        """Read rows until there are enough, and return what the adapter makes of each, by the row's `id`.

        What goes wrong is kept to be raised when its turn has come.
        """
        made: dict[int, list[Row] | BadRow] = {}
        num_rows = 0
        try:
            while num_rows < NUM_ROWS and (row := next(self._rest, None)) is not None:
                self._first.append(row)
                made[id(row)] = self._adapted(row)
                num_rows += len(_listed(made[id(row)]))
        except DataError as error:
            self._ended = error
        return made

    def _detect(self, kind: Kind) -> None:
        made = self._look()
        rows = [part for parts in made.values() for part in _listed(parts)]
        if not rows:  # the reading says what is wrong, or that there are none
            self.source = _of_some_format(self.source)
            return
        more = (part for row in self._rest for part in _listed(self._adapted(row)))
        self.detection = detect_rows(rows[:NUM_ROWS], self.source, kind, more)
        self.source = self.detection.source
        if self.source.adapter is None:
            self.adapter = load_adapter(self.source)  # JSON columns may have been found
        else:
            self.adapter = _remembering(made, self.adapter)

    def _adapted(self, row: Row) -> list[Row] | BadRow:
        try:
            return self.adapter(row)
        except BadRow as error:
            return error


def _of_some_format(source: Source) -> Source:
    """Return a source of which no row will be read, without settings that only some formats have."""
    dropped = [name for name in given_settings(source) if formats_that_read(source, name) is not None]
    dropped += ["strength_from", "strengths", "strength_values"]
    return replace(source, format="canonical", **{name: defaults()[name] for name in dropped})


def _listed(parts: list[Row] | BadRow) -> list[Row]:
    return [] if isinstance(parts, BadRow) else parts


def _remembering(made: dict[int, list[Row] | BadRow], adapter: Adapted) -> Adapted:
    """Return an adapter that hands out what it made of the first rows: it may remember what it has seen."""

    def adapted(row: Row) -> list[Row]:
        parts = made.pop(id(row), None)
        if isinstance(parts, BadRow):
            raise parts
        return adapter(row) if parts is None else parts

    return adapted
