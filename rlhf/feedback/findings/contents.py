"""What stands in texts that does not belong there: markers of templates, broken characters, HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from rlhf.feedback.findings.entries import Entry
from rlhf.feedback.findings.tally import Tally

__all__ = ["Contents"]

_EXCERPT = 30


class _Sign(NamedTuple):
    """What is looked for, and the characters without which it cannot be there (any will do)."""

    code: str
    first: str
    pattern: re.Pattern[str]


_SIGNS = (
    # ChatML, Llama 2 and 3, Gemma, Mistral, Zephyr, Vicuna, DeepSeek, Command R; Alpaca's headings.
    _Sign(
        "template_text",
        "<[#",
        re.compile(
            r"<\|[A-Za-z_/][A-Za-z0-9_]{1,40}\|>|<[|\uff5c][A-Za-z\u2581]{1,40}[|\uff5c]>|\[/?INST\]|<</?SYS>>"
            r"|<(?:start|end)_of_turn>|</?s>|<(?:bos|eos|pad|unk)>|\[(?:CLS|SEP|PAD|MASK)\]"
            r"|^\#\#\#\ ?(?:Instruction|Response|Input|Human|Assistant|User|System):",
            re.MULTILINE | re.VERBOSE,
        ),
    ),
    _Sign(
        "html",
        "<&",
        re.compile(
            r"</?(?:p|br|div|span|a|b|i|u|em|strong|ul|ol|li|h[1-6]|table|tr|td|th|pre|code|img|blockquote|hr)"
            r"(?:\s[^<>]{0,200})?/?>|&(?:amp|lt|gt|quot|nbsp|apos|\#[0-9]{2,5}|\#x[0-9a-fA-F]{2,4});",
            re.VERBOSE,
        ),
    ),
)
# Only beyond ASCII: what UTF-8 looks like where it was read as Windows-1252 or Latin-1, and U+FFFD, which
# stands for lost bytes; half a surrogate pair; marks that turn the direction of writing, or show nothing.
_FOREIGN = (
    _Sign(
        "mojibake",
        "",
        re.compile(
            "\u00e2(?:\u20ac[\u2122\u0153\u009d\u201c\u201d\u02dc\u00a6\u00a2\u2018\u2019\u0094\u0093]|[\u0080-\u0083])"
            "|\u00c3[\u0080-\u00bf\u0192\u201a\u2039\u0152\u2030\u00a9]|\u00c2[\u0080-\u00bf]|\u00ef\u00bf\u00bd|\ufffd"
        ),
    ),
    _Sign("lone_surrogate", "", re.compile("[\ud800-\udfff]")),
    _Sign("control_characters", "", re.compile("[\x80-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]")),
)
_CONTROL = _Sign("control_characters", "", re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"))
# A line that starts so may be a person's words in a response; the other side's turn on it is not likely one.
_MARKER = re.compile(r"\n\n(?:Human|Assistant|User):|\n(?:Human|User):")


class Contents:
    """Finds broken or foreign text (see `_SIGNS`), marker_in_response and repeated_speaker.

    Each is counted once a record. `noted` are the (code, place) that the reading has a note of already.
    """

    def __init__(self, noted: set[tuple[str, str]], tally: Tally) -> None:
        self._noted = noted
        self._tally = tally

    def add(self, entry: Entry) -> None:
        """Take one record."""
        if entry.opinion:
            return
        found: dict[str, str] = {}  # code to what was found
        for name, text in entry.texts():
            for code, match in _matches(text):
                found.setdefault(code, f"{name} has {_shown(match)}")
        for number, response in enumerate(entry.responses, 1):
            marker = _MARKER.search(response) if "\n" in response else None
            if marker:
                found.setdefault(
                    "marker_in_response", f"response {number} has {_shown(marker)}; kept as text"
                )
        speakers = [message.role for message in entry.messages]
        if any(before == after for before, after in pairwise(speakers)):
            found["repeated_speaker"] = f"two turns of one speaker in a row ({', '.join(speakers[:12])})"
        for code, message in found.items():
            if (code, entry.where) not in self._noted:
                self._tally.add(code, entry.where, message)


def _matches(text: str) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield the first of each sign; bytes decoded wrongly often look like control characters, and are not."""
    signs = [sign for sign in _SIGNS if any(character in text for character in sign.first)]
    broken = False
    for sign in (*signs, _CONTROL, *(() if text.isascii() else _FOREIGN)):
        match = None if broken and sign.code == "control_characters" else sign.pattern.search(text)
        if match is not None:
            broken |= sign.code == "mojibake"
            yield sign.code, match


def _shown(match: re.Match[str]) -> str:
    """Return what was found with a little around it, in signs that any terminal shows."""
    start = max(0, match.start() - _EXCERPT)
    return ascii(match.string[start : match.end() + _EXCERPT])
