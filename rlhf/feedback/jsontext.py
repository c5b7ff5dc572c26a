"""Decode JSON strictly, and say line, column and the text around what is wrong.

Stricter than `json.loads`: NaN and Infinity, a key twice in one object and half a surrogate pair are errors,
since each would otherwise pass and hurt far from the file.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from rlhf.errors import DataError
from rlhf.feedback.jsonplaces import find_refused

__all__ = ["JSONText", "decode_line", "decode_values"]

_EXCERPT = 60
_SPACE = re.compile(r"[ \t\r\n]*")
_DIGITS = re.compile(r"-?[0-9]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class JSONText(DataError):
    """Text that is not JSON; `where` is ``file:line:column``."""


class _Refused(ValueError):
    """A value that `json` takes and we do not."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _Refused(f"key {twice!r} stands twice in one object")
    return values


def _constant(name: str) -> Any:
    raise _Refused(f"{name} is not JSON; write null or a number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def decode_line(text: str, where: str) -> Any:
    """Return the one JSON value that a line holds.

    Raises:
        JSONText: with `where` (``file:line``) and the column.
    """
    value, end = _decode(text, _space(text, 0), where, first_line=None)
    rest = _space(text, end)
    if rest < len(text):
        raise JSONText(
            f"more text after the row's end: {_excerpt(text, rest)}; one row a line",
            f"{where}:{rest + 1}",
            "bad_json",
        )
    return value


def decode_values(text: str, file: str) -> list[tuple[int, Any]]:
    """Return (line, value) for each item of a JSON list, or for each of several values one after the other.

    Raises:
        JSONText: with ``file:line:column``; also when there is no value at all.
    """
    position = _space(text, 0)
    in_list = text.startswith("[", position)
    items: list[tuple[int, Any]] = []
    line, counted = 1, 0
    position = _space(text, position + 1) if in_list else position
    while position < len(text) and not (in_list and text[position] == "]"):
        line, counted = line + text.count("\n", counted, position), position
        value, end = _decode(text, position, file, first_line=1)
        items.append((line, value))
        position = _space(text, end)
        if in_list:
            position = _after_item(text, position, file)
    if in_list and _space(text, position + 1) < len(text):
        _fail(text, _space(text, position + 1), file, "more text after the list's end")
    if not items:
        raise JSONText("holds no row", file, "empty_file")
    return items


def _after_item(text: str, position: int, file: str) -> int:
    if position >= len(text):
        _fail(text, position, file, "the list is not closed; is the file cut off?")
    if text[position] == "]":
        return position
    if text[position] != ",":
        _fail(text, position, file, "a comma is missing between two rows")
    following = _space(text, position + 1)
    if following >= len(text) or text[following] == "]":
        _fail(text, position, file, "a comma before the list's end")
    return following


def _space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()


def _decode(text: str, position: int, where: str, first_line: int | None) -> tuple[Any, int]:
    """Decode the value at `position`; `where` is a file, or ``file:line`` if `first_line` is None."""
    try:
        value, end = _DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        _fail(text, error.pos, where, _message(error), whole_file=first_line is not None)
    except _Refused as error:
        place = find_refused(text, position)
        _fail(text, place, where, str(error), whole_file=first_line is not None)
    except RecursionError:
        _fail(text, position, where, "nested too deep", whole_file=first_line is not None)
    except ValueError:
        place = find_refused(text, position)
        digits = len(_DIGITS.match(text, place).group())  # type: ignore[union-attr]
        what = f"a number of {digits} digits, which Python does not read"
        _fail(text, place, where, what, whole_file=first_line is not None)
    if _SURROGATE.search(text, position, end):
        _check_surrogates(value, text, position, where, first_line is not None)
    return value, end


def _message(error: json.JSONDecodeError) -> str:
    """What `json` says, as the middle of a sentence: "invalid control character", "expecting value"."""
    return error.msg[0].lower() + error.msg[1:].removesuffix(" at")


def _check_surrogates(value: Any, text: str, position: int, where: str, whole_file: bool) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        _fail(
            text,
            find_refused(text, position),
            where,
            "half a surrogate pair (\\ud83d without its other half)",
            whole_file=whole_file,
        )


def _fail(text: str, position: int, where: str, what: str, whole_file: bool = True) -> NoReturn:
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    place = f"{where}:{text.count(chr(10), 0, position) + 1}:{column}" if whole_file else f"{where}:{column}"
    raise JSONText(f"{what}: {_excerpt(text, position)}", place, "bad_json") from None


def _excerpt(text: str, position: int) -> str:
    if not text[position:].strip():
        return (
            "the text ends here"
            if not text.strip()
            else f"after {text[max(0, position - _EXCERPT) : position]!r}"
        )
    start = max(0, position - _EXCERPT // 3)
    return f"near {text[start : start + _EXCERPT]!r}"
