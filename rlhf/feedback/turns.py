r"""Turns of a transcript: text with markers ("\n\nHuman:", "\n\nAssistant:") before each turn.

Turns are split only at markers as they are given, or at the text's start, where the blank before the marker
may be missing: "Human:" inside a turn is text. Of a turn's text only the one space after a marker that ends
with a colon is taken off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from rlhf.errors import DataError
from rlhf.feedback.notes import BadRow
from rlhf.feedback.records import Message

__all__ = [
    "HH_MARKERS",
    "Turns",
    "check_markers",
    "ends_open",
    "join_turns",
    "split_prompt",
    "split_turns",
    "turn_messages",
]

HH_MARKERS: Mapping[str, str] = {"user": "\n\nHuman:", "assistant": "\n\nAssistant:"}
_SPEAKERS = ("user", "assistant")

Turns = list[tuple[str, str]]  # (role, text up to the next marker, as written)


def check_markers(markers: Mapping[str, str]) -> None:
    """Check the setting `markers`.

    Raises:
        DataError: a key that is missing or unknown, a blank marker, equal ones, a `start` that is no speaker.
    """
    if not set(_SPEAKERS) <= set(markers) <= {*_SPEAKERS, "start"}:
        raise DataError(
            f"markers has {', '.join(markers) or 'nothing'}; it needs user and assistant, and can have start"
        )
    texts = [markers[role].strip() for role in _SPEAKERS]
    if not all(texts) or texts[0] == texts[1]:
        raise DataError(
            f"markers of user and assistant must be two different texts, not {texts[0]!r} and {texts[1]!r}"
        )
    if markers.get("start", "user") not in _SPEAKERS:
        raise DataError(
            f"markers.start is {markers['start']!r}; who speaks first can be {', '.join(_SPEAKERS)}"
        )


@lru_cache(maxsize=64)
def _pattern(user: str, assistant: str) -> re.Pattern[str]:
    # The longer one first, should one marker begin with the other.
    full = sorted((user, assistant), key=len, reverse=True)
    begin, inner = (
        "|".join(re.escape(text) for text in texts) for texts in ([m.lstrip() for m in full], full)
    )
    return re.compile(rf"\A\s*({begin})|({inner})")


def split_turns(text: str, markers: Mapping[str, str], where: str, name: str = "") -> Turns:
    """Return the turns of a transcript; `name` is what messages call it.

    Raises:
        BadRow: bad_transcript, where it does not begin with a marker and `start` does not say whose it is.
    """
    roles = {markers[role].lstrip(): role for role in _SPEAKERS}
    pieces = _pattern(markers["user"], markers["assistant"]).split(text)
    # Three pieces a marker: itself at the beginning, or inside (the other is None), and the text after it.
    found = [begin or inner for begin, inner in zip(pieces[1::3], pieces[2::3], strict=True)]
    turns = [(roles[marker.lstrip()], text) for marker, text in zip(found, pieces[3::3], strict=True)]
    if pieces[0].strip() and "start" in markers:
        return [(markers["start"], pieces[0]), *turns]
    if pieces[0].strip() or not turns:
        first, second = (markers[role].strip() for role in _SPEAKERS)
        called = f"transcript {name!r}" if name else "a transcript"
        message = f"{called} begins with {first!r} or {second!r}, not {text[:40]!r}; markers: names others"
        raise BadRow(message, where, "bad_transcript")
    return turns


def _own_text(role: str, text: str, markers: Mapping[str, str]) -> str:
    return text.removeprefix(" ") if markers[role].endswith(":") else text


def turn_messages(turns: Turns, markers: Mapping[str, str]) -> list[Message]:
    """Return turns as messages."""
    return [Message(role, _own_text(role, text, markers)) for role, text in turns]


def join_turns(turns: Turns, markers: Mapping[str, str]) -> str:
    """Return turns as the text they were, without the first marker and the space after it."""
    (role, first), rest = turns[0], turns[1:]
    return _own_text(role, first + "".join(markers[role] + text for role, text in rest), markers)


def ends_open(text: str, markers: Mapping[str, str]) -> bool:
    """Return whether a prompt ends with the assistant's marker and its colon, without the space after it."""
    marker = markers["assistant"].rstrip()
    return marker.endswith(":") and text.endswith(marker)


def split_prompt(text: str, markers: Mapping[str, str], where: str) -> list[Message]:
    """Return the messages of a prompt that is one text; the empty turn of who is to answer is left out.

    Raises:
        BadRow: bad_transcript.
    """
    turns = split_turns(text, markers, where)
    if len(turns) > 1 and turns[-1][0] == "assistant" and not turns[-1][1].strip():
        turns = turns[:-1]
    return turn_messages(turns, markers)
