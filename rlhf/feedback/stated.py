"""A prompt that a row states beside conversations has to be that of the conversations."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rlhf.feedback.columns import normal_text
from rlhf.feedback.mapping import Source
from rlhf.feedback.numbers import number_of
from rlhf.feedback.records import Message

__all__ = ["says_otherwise", "says_the_same", "short"]

# Special tokens of templates, and the words of their markers, as normal text has them.
_SPECIAL = re.compile(r"<[^<>]*>|\[/?\w+\]")
_MARKERS = {
    "human", "user", "prompter", "assistant", "system", "ai", "bot", "gpt", "model", "question", "answer",
    "prompt", "instruction", "input", "response", "begin_of_text", "q", "a",
}  # fmt: skip

_MOST_TURNS = 3  # that a message shows


def says_the_same(stated: tuple[Message, ...], before: tuple[Message, ...]) -> bool:
    """Say whether a prompt says nothing else than the messages before a response.

    Sets state all of these; some that follow each other, of the same roles; or one text: a turn of the user,
    the system's text, or all turns of the user in order, each standing by itself between words and nothing
    beside them but the other turns and markers (the whole rendered): what more it says would be lost. What
    the assistant said is no prompt. Case and spacing do not count, as in groups.
    """
    said, there = ([(one.role, normal_text(one.content)) for one in side] for side in (stated, before))
    if len(said) != 1:  # an empty list states nothing
        return any(there[start : start + len(said)] == said for start in range(len(there)))
    whole = said[0][1]
    users = [text for role, text in there if role == "user"]
    if any(role != "assistant" and text == whole for role, text in there):
        return True
    rest = _rest_of(whole, users) if users else None
    return rest is not None and _says_nothing(rest, [text for role, text in there if role != "user"])


def _rest_of(whole: str, texts: Sequence[str]) -> str | None:
    """Return what stands beside texts that follow each other in a whole; None: they do not.

    None of them may be a part of a longer word.
    """
    end, rest = 0, []
    for text in texts:
        found = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)").search(whole, end)
        if found is None:
            return None
        rest.append(whole[end : found.start()])
        end = found.end()
    return " ".join([*rest, whole[end:]])


def _says_nothing(rest: str, others: Sequence[str]) -> bool:
    """Say whether there is nothing but other turns, and what templates put around turns."""
    for text in sorted(others, key=len, reverse=True):
        rest = rest.replace(text, " ")
    return {*re.findall(r"\w+", _SPECIAL.sub(" ", rest))} <= _MARKERS


def says_otherwise(
    name: str, before: tuple[Message, ...], stated: tuple[Message, ...], source: Source
) -> str:
    """Return what is said of a prompt (`stated`) that is not that of the conversation `name`."""
    turns = [message for message in before if message.role == "user"] or list(before)
    shown = ", ".join(short(message) for message in turns[:_MOST_TURNS])
    more = f" and {len(turns) - _MOST_TURNS} more" if len(turns) > _MOST_TURNS else ""
    own = short(stated[0]) + (
        f" and {number_of(len(stated) - 1, 'further messages')}" if len(stated) > 1 else ""
    )
    return (
        f"the row's prompt ({source.prompt!r}) is no turn of the conversation in {name!r}, nor the whole "
        f"of it: the prompt is {own}; the turns are {shown}{more}; prompt: null reads the conversation "
        "alone, or name the right column (prompt: its name)"
    )


def short(message: Message) -> str:
    """Return a message in a few words."""
    text = message.content
    return f"{message.role}: {text if len(text) <= 40 else text[:40] + '...'!r}"
