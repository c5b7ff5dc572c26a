"""What a row says beside its texts: its id, its group, who judged; and prompts with these."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from rlhf.errors import DataError
from rlhf.feedback.mapping import Source
from rlhf.feedback.notes import BadRow
from rlhf.feedback.paths import anything_at, check_text, short_name, value_at
from rlhf.feedback.records import Message, Prompt
from rlhf.feedback.rows import Row

__all__ = [
    "annotator_of",
    "build_prompt",
    "group_of_messages",
    "group_of_text",
    "id_of",
    "named_group",
    "normal_text",
]


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
    value = value_at(row, path) if path is not None else row.values.get(default)
    name = short_name(value, path or default, row.where)
    return name if name is None or name.strip() else None  # an empty cell of a table


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
    system = "" if source.system is None else _system(row, source.system)
    if system.strip():
        if messages and messages[0].role == "system":
            raise BadRow("the prompt has a system message already; drop system:", row.where, "bad_roles")
        messages.insert(0, Message("system", system))
    if not messages or (messages[-1].role == "user" and not messages[-1].content.strip()):
        raise BadRow("the prompt is empty, or ends with an empty turn", row.where, "empty_prompt")
    if not any(message.content.strip() for message in messages if message.role == "user"):
        raise BadRow("the prompt is empty", row.where, "empty_prompt")
    group = group or named_group(row, source) or group_of_messages(messages)
    name = id or id_of(row, source)
    try:
        return Prompt(name, tuple(messages), group, row.where, columns)
    except DataError as error:
        raise BadRow(error.message, row.where, "bad_roles") from error


def _system(row: Row, spec: str) -> str:
    """Return the system text; null is none."""
    value = anything_at(row, spec)
    return "" if value is None else check_text(value, spec, row.where)


def group_of_messages(messages: Sequence[Message]) -> str:
    """Return a hash of a conversation that case, spacing and the way letters are composed do not change."""
    return group_of_text("\n".join(f"{message.role}: {message.content}" for message in messages))


def group_of_text(text: str) -> str:
    """Return 16 hex digits of a hash of the normalised text."""
    return hashlib.sha256(normal_text(text).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def normal_text(text: str) -> str:
    r"""Return a text without what people do not mean: case, spacing, the way letters are composed.

    >>> normal_text("  What\n IS it?")
    'what is it?'
    """
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
