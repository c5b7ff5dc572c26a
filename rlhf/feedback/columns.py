"""Take values out of a row: by column, by path, by template; and make prompts of them.

A path is a column's exact name, or steps: ``question.full_text``, ``answers[0]``, ``answers[].text`` (each),
``passages[][1:]`` (each, without its first). A template is text with paths in braces: ``"{title}: {body}"``
(doubled braces stand for themselves).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from rlhf.errors import DataError
from rlhf.feedback.mapping import Source
from rlhf.feedback.records import BadRow, Message, Prompt
from rlhf.feedback.rows import Row

__all__ = [
    "annotator_of",
    "build_prompt",
    "check_text",
    "group_of_messages",
    "group_of_text",
    "id_of",
    "named_group",
    "prompt_of",
    "text_at",
    "texts_at",
    "value_at",
]

_STEP = re.compile(r"(?:^|\.)([^.\[\]]+)|\[(-?\d*)(:?)(-?\d*)\]")
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "player"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "chatgpt", "model", "ai"), "assistant"),
    "system": "system",
}

Step = str | int | slice


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise DataError(f"{path!r} is not a path; write column, column.key, list[], list[0] or list[1:]")
        name, start, colon, stop = match.groups()
        if name is not None:
            steps.append(name)
        elif start and not colon:
            steps.append(int(start))
        else:  # [] and [:] take every item
            steps.append(slice(int(start) if start else None, int(stop) if stop else None))
        position = match.end()
    return tuple(steps)


def value_at(row: Row, path: str) -> Any:
    """Return what stands at a path of a row.

    Raises:
        BadRow: missing_column, with the columns there are and the nearest; a step into something without it.
    """
    if path in row.values:  # names with dots, brackets or spaces first
        return row.values[path]
    return _follow(row.values, _steps(path), path, row.where)


def _follow(value: Any, steps: Sequence[Step], path: str, where: str) -> Any:
    for done, step in enumerate(steps):
        if isinstance(step, str):
            value = _take_key(value, step, path, where)
        elif not isinstance(value, list):
            raise BadRow(f"{path!r} steps into a list, but there is {_kind(value)}", where, "missing_column")
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
        raise BadRow(f"{path!r} steps into {key!r}, but there is {_kind(value)}", where, "missing_column")
    if key not in value:
        near = get_close_matches(key, list(value), n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        shown = f"{key!r} of {path!r}" if key != path else repr(key)
        raise BadRow(
            f"no column {shown}{hint} (there are: {', '.join(value) or 'none'})", where, "missing_column"
        )
    return value[key]


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {
        str: "text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)


def check_text(value: Any, name: str, where: str) -> str:
    """Return the value if it is text; numbers, dates and lists are not turned into it.

    Raises:
        BadRow: not_text.
    """
    if not isinstance(value, str):
        shown = "" if value is None else f" ({str(value)[:40]!r})"
        raise BadRow(f"{name!r} must be text, but is {_kind(value)}{shown}", where, "not_text")
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


def texts_at(row: Row, spec: str | Sequence[str]) -> list[str]:
    """Return the list of texts at a path, or the text at each of several paths.

    Raises:
        BadRow: missing_column, not_text, or not_a_list.
    """
    if not isinstance(spec, str):
        return [text_at(row, path) for path in spec]
    value = value_at(row, spec)
    if not isinstance(value, list):
        raise BadRow(f"{spec!r} must be a list of texts, but is {_kind(value)}", row.where, "not_a_list")
    return [check_text(item, f"{spec}[{number}]", row.where) for number, item in enumerate(value)]


def id_of(row: Row, source: Source) -> str:
    """Return the row's id as text: from its column, else ``file:line``."""
    return _label(row, source.id, "id") or row.where


def annotator_of(row: Row, source: Source) -> str | None:
    """Return who judged the row, or None where it does not say."""
    return _label(row, source.annotator, "annotator")


def named_group(row: Row, source: Source) -> str | None:
    """Return the group that the row itself names, or None."""
    return _label(row, source.group, "group")


def _label(row: Row, path: str | None, default: str) -> str | None:
    """Return a short name, which may be written as text or as a whole number."""
    value = value_at(row, path) if path is not None else row.values.get(default)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return None if value is None else str(value)
    return check_text(value, path or default, row.where)


def prompt_of(row: Row, source: Source) -> Prompt:
    """Return the prompt of a row with a prompt column.

    Raises:
        BadRow: missing_column, not_text, bad_roles or empty_prompt.
    """
    found: Any = (
        None if "{" in source.prompt and source.prompt not in row.values else value_at(row, source.prompt)
    )
    if isinstance(found, list):
        messages = [_message(item, source.roles, row.where) for item in found]
    else:
        messages = [Message("user", text_at(row, source.prompt))]
    spent = (source.prompt, source.response, source.ranks, source.chosen, source.rejected, source.labels)
    lists = (source.responses,) if isinstance(source.responses, str) else source.responses
    columns = {key: value for key, value in row.values.items() if key not in spent and key not in lists}
    return build_prompt(messages, row, source, columns=columns)


def _message(item: Any, roles: Mapping[str, str], where: str) -> Message:
    if not isinstance(item, dict) or not {"role", "content"} <= item.keys():
        raise BadRow(
            f"a message is an object with role and content, not {str(item)[:60]!r}", where, "bad_roles"
        )
    role = check_text(item["role"], "role", where)
    known = {**_ROLES, **roles}
    if role not in known and role.lower() not in known:
        hint = f"unknown role {role!r}; known: {', '.join(known)}; name it under roles:"
        raise BadRow(hint, where, "bad_roles")
    return Message(known.get(role) or known[role.lower()], check_text(item["content"], "content", where))


def build_prompt(
    messages: Sequence[Message],
    row: Row,
    source: Source,
    *,
    columns: Mapping[str, Any],
    id: str | None = None,
    group: str | None = None,
) -> Prompt:
    """Make a prompt of messages: with the source's system text, id, group and the columns for judges.

    The id and the group are the row's where they are not given.

    Raises:
        BadRow: empty_prompt or bad_roles.
    """
    messages = list(messages)
    if source.system is not None:
        if messages and messages[0].role == "system":
            raise BadRow("the prompt has a system message already; drop system:", row.where, "bad_roles")
        messages.insert(0, Message("system", text_at(row, source.system)))
    if not any(message.content.strip() for message in messages if message.role == "user"):
        raise BadRow("the prompt is empty", row.where, "empty_prompt")
    group = group or named_group(row, source) or group_of_messages(messages)
    try:
        return Prompt(id or id_of(row, source), tuple(messages), group, row.where, columns)
    except DataError as error:
        raise BadRow(error.message, row.where, "bad_roles") from error


def group_of_messages(messages: Sequence[Message]) -> str:
    """Return a hash of a conversation that case, spacing and the way letters are composed do not change."""
    return group_of_text("\n".join(f"{message.role}: {message.content}" for message in messages))


def group_of_text(text: str) -> str:
    """Return 16 hex digits of a hash of the normalised text."""
    normal = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    return hashlib.sha256(normal.encode("utf-8")).hexdigest()[:16]
