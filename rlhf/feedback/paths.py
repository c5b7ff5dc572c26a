"""Take values out of a row: by column, by path, by template.

A path is a column's exact name, or steps: ``question.full_text``, ``answers[0]``, ``answers[].text`` (each),
``passages[][1:]`` (each, without its first). A template is text with paths in braces: ``"{title}: {body}"``
(doubled braces stand for single ones).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from rlhf.errors import DataError
from rlhf.feedback.notes import BadRow
from rlhf.feedback.rows import Row

__all__ = [
    "anything_at",
    "check_path",
    "check_template",
    "check_text",
    "kind_of",
    "short_name",
    "text_at",
    "value_at",
    "values_at",
]

_STEP = re.compile(r"(?:^|\.)([^.\[\]]+)|\[(-?\d*)(:?)(-?\d*)\]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")

Step = str | int | slice

# What the typed columns of Parquet and Arrow hold, by the name of the Python type.
_ARROW_KINDS = {
    "datetime": "a timestamp",
    "Timestamp": "a timestamp",
    "date": "a date",
    "time": "a time of day",
    "timedelta": "a duration",
    "Timedelta": "a duration",
    "Decimal": "a decimal number",
}


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise DataError(
                f"{path!r} is not a path; write column, column.key, list[], list[0] or list[1:]",
                code="bad_source",
            )
        name, start, colon, stop = match.groups()
        if name is not None:
            steps.append(name)
        elif start and not colon:
            steps.append(int(start))
        else:  # [] and [:] take every item
            steps.append(slice(int(start) if start else None, int(stop) if stop else None))
        position = match.end()
    return tuple(steps)


def check_path(name: str, path: str) -> None:
    """Check that what a setting names is a path.

    Raises:
        DataError: with the setting.
    """
    if not path:
        raise DataError(f"{name} is empty; name a column")
    try:
        _steps(path)
    except DataError as error:
        raise DataError(f"{name}: {error.message}") from None


def check_template(name: str, spec: str) -> None:
    """Check that what a setting gives is a path, or a template with at least one path and no lone brace.

    Raises:
        DataError: with the setting.
    """
    if "{" not in spec and "}" not in spec:
        check_path(name, spec)
        return
    rest = _PIECE.sub("", spec)
    if "{" in rest or "}" in rest:
        brace, other = ("{", "}") if "{" in rest else ("}", "{")
        raise DataError(
            f"{name} is {spec!r}, which has a {brace} without its {other}; a column stands in braces, "
            "{question}, and a brace of the text is written twice: {{ and }}"
        )
    paths = [match.group(1) for match in _PIECE.finditer(spec) if match.group(1) is not None]
    if not paths:
        raise DataError(
            f"{name} is {spec!r}, which names no column, so every row would have the same text; put a column "
            "into single braces: {question}"
        )
    for path in paths:
        check_path(f"{name} {spec!r}", path)


def value_at(row: Row, path: str) -> Any:
    """Return what stands at a path of a row.

    Raises:
        BadRow: missing_column, with the columns there are and the nearest; a step into something without it.
        DataError: what is no path.
    """
    if path in row.values:  # names with dots, brackets or spaces first
        return row.values[path]
    try:
        steps = _steps(path)
    except DataError as error:
        raise DataError(error.message, row.where, error.code) from None
    return _follow(row.values, steps, path, row.where)


def _follow(value: Any, steps: Sequence[Step], path: str, where: str) -> Any:
    for done, step in enumerate(steps):
        if isinstance(step, str):
            value = _take_key(value, step, path, where)
        elif not isinstance(value, list):
            raise BadRow(
                f"{path!r} steps into a list, but there is {kind_of(value)}", where, "missing_column"
            )
        elif isinstance(step, slice):
            # Slices with further steps visit each item; a last one is the list itself.
            return [_follow(item, steps[done + 1 :], path, where) for item in value[step]]
        elif not -len(value) <= step < len(value):
            raise BadRow(f"{path!r} wants item {step} of a list of {len(value)}", where, "missing_column")
        else:
            value = value[step]
    return value


def _take_key(value: Any, key: str, path: str, where: str) -> Any:
    if not isinstance(value, dict):
        raise BadRow(f"{path!r} steps into {key!r}, but there is {kind_of(value)}", where, "missing_column")
    if key not in value:
        folded = {_folded(name): name for name in reversed(value)}
        near = get_close_matches(_folded(key), list(folded), n=1, cutoff=0.5)
        hint = f"; did you mean {folded[near[0]]!r}?" if near else ""
        shown = f"{key!r} of {path!r}" if key != path else repr(key)
        raise BadRow(
            f"no column {shown}{hint} (there are: {', '.join(value) or 'none'})", where, "missing_column"
        )
    return value[key]


def _folded(name: str) -> str:
    """Return a column's name without what people overlook: capitals, blanks, a byte order mark."""
    return name.casefold().strip(" \t\r\n\ufeff")


def kind_of(value: Any) -> str:
    """Return what a value is, in the words of messages."""
    if value is None:
        return "null"
    names = {
        str: "text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
        bytes: "bytes",
    }
    return names.get(type(value)) or _ARROW_KINDS.get(type(value).__name__, type(value).__name__)


def check_text(value: Any, name: str, where: str) -> str:
    """Return the value if it is text; numbers, dates and lists are not turned into it.

    Raises:
        BadRow: not_text; lone_surrogate, which only an adapter's or a loader's text can have.
    """
    if not isinstance(value, str):
        shown = "" if value is None else f" ({str(value)[:40]!r})"
        raise BadRow(f"{name!r} must be text, but is {kind_of(value)}{shown}", where, "not_text")
    if not value.isascii() and _SURROGATE.search(value) is not None:
        raise BadRow(f"{name!r} has half a surrogate pair ({value[:40]!a})", where, "lone_surrogate")
    return value


def text_at(row: Row, spec: str) -> str:
    """Return the text at a path, or a filled-in template.

    In a template a list of texts is joined by spaces, and a list of such lists has one line each; by a plain
    path only text is taken.

    Raises:
        BadRow: missing_column or not_text.
    """
    if "{" not in spec or spec in row.values:
        return check_text(value_at(row, spec), spec, row.where)

    def fill(match: re.Match[str]) -> str:
        path = match.group(1)
        return match.group(0)[0] if path is None else _joined(value_at(row, path), path, row.where)

    return _PIECE.sub(fill, spec)


def _joined(value: Any, path: str, where: str) -> str:
    if not isinstance(value, list):
        return check_text(value, path, where)
    separator = "\n" if any(isinstance(item, list) for item in value) else " "
    return separator.join(_joined(item, path, where) for item in value)


def anything_at(row: Row, spec: str) -> Any:
    """Return what stands at a path, or a filled-in template."""
    return text_at(row, spec) if "{" in spec and spec not in row.values else value_at(row, spec)


def values_at(row: Row, spec: str | Sequence[str]) -> list[tuple[str, Any]]:
    """Return what a list at a path holds, or what stands at each of several paths, each with its name.

    Raises:
        BadRow: missing_column, or not_a_list.
    """
    if not isinstance(spec, str):
        return [(path, anything_at(row, path)) for path in spec]
    value = value_at(row, spec)
    if not isinstance(value, list):
        raise BadRow(f"{spec!r} must be a list of texts, but is {kind_of(value)}", row.where, "not_a_list")
    return [(f"{spec}[{number}]", item) for number, item in enumerate(value)]


def short_name(value: Any, path: str, where: str) -> str | None:
    """Return a name (an id, an annotator), written as text or as a whole number; null is none."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return None if value is None else str(value)
    return check_text(value, path, where)
