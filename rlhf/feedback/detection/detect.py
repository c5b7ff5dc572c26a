"""Find out the shape of a source from its first rows.

The order: a known set, our own form, then what names its direction itself (transcripts, conversations, a
better and a worse response), then responses with a label or scores, which are read only where it is certain
what these say. The same order finds demonstrations, prompts and texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from rlhf.errors import DataError
from rlhf.feedback.adapters import decoded, load_adapter, rows_of
from rlhf.feedback.detection import rankings, singles
from rlhf.feedback.detection.contradictions import check_agrees
from rlhf.feedback.detection.found import Detection, Found, Kind
from rlhf.feedback.detection.known import known_set
from rlhf.feedback.detection.looks import Look, what_is
from rlhf.feedback.detection.mixed import check_not_mixed
from rlhf.feedback.detection.prompts import check_context
from rlhf.feedback.detection.unknown import shape_unknown
from rlhf.feedback.detection.used import columns_read
from rlhf.feedback.mapping import Source
from rlhf.feedback.mapping_checks import formats_that_read, given_settings
from rlhf.feedback.notes import BadRow
from rlhf.feedback.preset_table import PRESETS
from rlhf.feedback.rows import Row

__all__ = ["NUM_ROWS", "detect_rows", "detect_source"]

NUM_ROWS = 200
_MOST_SHOWN = 8

Shape = Callable[[Look], Found | None]
_SHAPES: Mapping[Kind, Sequence[Shape]] = {
    "rankings": rankings.SHAPES,
    "demonstrations": singles.DEMONSTRATIONS,
    "prompts": singles.PROMPTS,
    "texts": singles.TEXTS,
}


def detect_source(source: Source, kind: Kind) -> Detection:
    """Find out how a source is laid out, from its first 200 rows.

    Args:
        source: what is given about it; what differs from the defaults holds. Where its format is not auto,
            nothing is looked at.
        kind: of the records that are wanted.

    Raises:
        ShapeError: the shape or a direction is not certain; says what to write.
        DataError: the source cannot be read, or holds no rows.
    """
    if source.format != "auto":
        return _as_given(source)
    errors: list[BadRow] = []
    adapter = load_adapter(source)
    rows = _adapted(rows_of(source, on_bad=errors.append), adapter, errors)
    first = list(islice(rows, NUM_ROWS))
    if not first:
        raise errors[0] if errors else DataError("holds no rows", source.path)
    return detect_rows(first, source, kind, rows)


def _adapted(rows: Iterable[Row], adapter: Callable[[Row], list[Row]], errors: list[BadRow]) -> Iterator[Row]:
    for row in rows:
        try:
            yield from adapter(row)
        except BadRow as error:  # the reading says so, with its place
            errors.append(error)


def _as_given(source: Source) -> Detection:
    return Detection(source, f"format {source.format}", ("its format is given",), {}, source.preset)


def detect_rows(
    rows: Sequence[Row], source: Source, kind: Kind, more: Iterator[Row] | None = None
) -> Detection:
    """Find out how rows are laid out; they are those that the source's adapter gives.

    Args:
        rows: the first ones, at least one.
        source: as in `detect_source`; its format is auto.
        kind: of the records that are wanted.
        more: the rows after these, which are only read to count labels where the detection stops.

    Raises:
        ShapeError: as in `detect_source`.
    """
    look = Look(rows, source, kind, more or iter(()))
    found = _find(look)
    if found is None:
        raise shape_unknown(look)
    detected = _with(look, found)
    check_not_mixed(look, detected, found.shape, _find_source)
    check_agrees(look, detected)
    because = (*found.because, *_not_read(_plain(look, found.settings.get("json_columns", ())), detected))
    return Detection(
        detected, found.shape, because, _settings(look, found), found.preset or _preset_like(found)
    )


def _with(look: Look, found: Found) -> Source:
    """Return the source with what was found."""
    return replace(look.source, **_settings(look, found))


def _settings(look: Look, found: Found) -> dict[str, Any]:
    """Return the settings that were found; what is given holds.

    One description of a file serves all stages: labels or scores that are given tell its format also where
    only prompts, demonstrations or texts are read.
    """
    settings = {name: value for name, value in found.settings.items() if not look.given(name)}
    if look.kind != "rankings" and settings["format"] in ("canonical", "text"):
        settings["format"] = _format_that_reads(look, settings)
    return settings


def _format_that_reads(look: Look, settings: Mapping[str, Any]) -> str:
    """Return the format that was found, or another one of tables that reads all settings that are given."""
    told = {*given_settings(look.source), *settings} - {"format"}
    needs = {"pairwise": look.given("label_values"), "scored": look.given("best")}
    for form in (settings["format"], "canonical", "pairwise", "scored", "pair", "transcript"):
        formats = [formats_that_read(look.source, name) for name in told]
        if needs.get(form, True) and all(one is None or form in one for one in formats):
            return str(form)
    return str(settings["format"])


def _preset_like(found: Found) -> str | None:
    """Return the one preset of just these settings, if there is one."""
    same = [name for name, preset in PRESETS.items() if dict(preset.settings) == dict(found.settings)]
    return same[0] if len(same) == 1 else None


def _find(look: Look) -> Found | None:
    found = known_set(look)
    if found is not None:
        return found
    texts = _json_columns(look)
    if texts:
        plain = _plain(look, texts)
        found = known_set(plain) or _by_shape(plain)
        if found is not None:
            return _with_json(look, found, texts)
    return _by_shape(look)


def _plain(look: Look, texts: tuple[str, ...]) -> Look:
    """Return the rows with the JSON in these columns read."""
    source = replace(look.source, json_columns=texts)
    return Look([decoded(row, source) for row in look.rows], look.source, look.kind, look.more, texts)


def _find_source(look: Look) -> tuple[str, Source] | None:
    found = _find(look)
    return None if found is None else (found.shape, _with(look, found))


def _by_shape(look: Look) -> Found | None:
    for shape in _SHAPES[look.kind]:
        found = shape(look)
        if found is not None:
            check_context(look, found.settings)
            return found
    return None


def _json_columns(look: Look) -> tuple[str, ...]:
    """Return the columns of which every text is JSON of messages, of texts or of numbers."""
    if look.given("json_columns", "adapter"):
        return ()
    found = []
    for name in look.names:
        column = look.column(name)
        if len(column.found) == len(look.rows) and all(
            isinstance(value, str) and value.lstrip()[:1] in ("[", "{") for _, value in column.found
        ):
            source = replace(look.source, json_columns=(name,))
            try:
                kinds = {what_is(decoded(row, source).values[name]) for row in look.rows}
            except BadRow:
                continue
            if kinds <= {"messages", "message", "texts", "numbers", "objects"}:
                found.append(name)
    return tuple(found)


def _with_json(look: Look, found: Found, texts: tuple[str, ...]) -> Found:
    """Add the JSON columns that the mapping reads."""
    read = columns_read(_with(look, found), look.kind, look.names, _talks(_plain(look, texts)))
    used = tuple(name for name in texts if name in read)
    if not used:
        return found
    because = (*found.because, f"{', '.join(used)} hold JSON as text")
    return replace(found, because=because, settings={**found.settings, "json_columns": used})


def _talks(look: Look) -> list[str]:
    return [name for name in look.names if look.column(name).mostly("messages")]


def _not_read(look: Look, source: Source) -> list[str]:
    read = columns_read(source, look.kind, look.names, _talks(look))
    rest = [] if source.format == "tree" else [name for name in look.names if name not in read]
    more = f" and {len(rest) - _MOST_SHOWN} more" if len(rest) > _MOST_SHOWN else ""
    return [f"not read: {', '.join(rest[:_MOST_SHOWN])}{more}"] if rest else []
