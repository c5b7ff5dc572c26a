"""Rows of a shape that is known and that no format reads: what they are, and what can be done with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from rlhf.feedback.detection.looks import READABLE, Look
from rlhf.feedback.detection.names import says_yes, yes_or_no
from rlhf.feedback.detection.prompts import PROMPTS, named, talk_in, talk_prompt
from rlhf.feedback.detection.responses import responses_in
from rlhf.feedback.files import extension_of

__all__ = ["RESPONSES", "nearly_read"]

RESPONSES = ("response", "completion", "output", "answer", "solution", "reply", "responses", "answers")
"""What one response a row is called."""
_MESSAGE = {"message_id", "parent_id", "text", "role"}


def nearly_read(look: Look) -> str | None:
    """Return what is said of rows whose shape is known, but read by no format; None where it is not known."""
    for shape in _SHAPES:
        message = shape(look)
        if message is not None:
            return message
    return None


def _messages_of_trees(look: Look) -> str | None:
    """Open Assistant's table of messages: the trees, taken apart."""
    if not set(look.names) >= _MESSAGE:
        return None
    return (
        "each row is one message of a tree (message_id, parent_id, text, role), and format: tree reads a "
        "whole tree a row, replies within messages: take the set's file of trees (*.trees.jsonl.gz), or let "
        "a loader (loader: mine.py:load) put each message into the list 'replies' of the one that parent_id "
        "names, and yield those without a parent"
    )


def _one_response(look: Look) -> str | None:
    """One response a row, alone (KTO's unpaired feedback) or with ratings: to rank it, others are needed."""
    if look.kind != "rankings" or responses_in(look) is not None:
        return None
    prompts = named(look, *PROMPTS, kinds=READABLE)
    alone = named(look, *RESPONSES, kinds=READABLE)
    talk = talk_in(look)
    if talk is None and not (prompts and alone):
        return None
    name = talk if talk is not None else alone[0]
    join = "a loader (loader: mine.py:load) can read the file and yield"
    judged = yes_or_no(look)
    if judged is None:
        return (
            f"each row holds one response ({name}), and a ranking compares several responses to one prompt: "
            f"where prompts come again, {join} a row for each, with its responses and their ranks or scores"
        )
    label, num_good = judged
    both = f" ({_with_both(look, prompts[0], label)} in the first rows)" if prompts else ""
    return (
        f"each row holds one response ({name}) and a yes or no ({label}: yes {look.count(num_good)}): "
        "unpaired feedback, as KTO learns from, and a ranking compares several responses to one prompt. "
        f"Where a prompt has a yes and a no{both}, {join} rows of prompt, chosen and rejected. "
        "The good ones can be demonstrations (make sft), if an adapter gives None for the others"
    )


def _with_both(look: Look, prompt: str, label: str) -> str:
    """Return of how many prompts some responses have a yes and some a no."""
    verdicts: dict[str, set[bool | None]] = defaultdict(set)
    for row, value in look.column(label).found:
        verdicts[str(row.values.get(prompt))].add(says_yes(value))
    return f"{sum({True, False} <= found for found in verdicts.values()):,} of {len(verdicts):,}"


def _no_response(look: Look) -> str | None:
    """Conversations of which the user has the last word: prompts, that nobody has answered."""
    if look.kind != "demonstrations" or look.given("response", "chosen", "prompt"):
        return None
    talk = talk_prompt(look)
    if talk is None or named(look, *RESPONSES, kinds=READABLE):
        return None
    return (
        f"the conversations in {talk} end with the user's turn, so there is no response to learn: they are "
        "prompts (make ppo); for demonstrations, give messages that end with the assistant's turn, or name "
        f"the response's column (prompt: {talk} and response: its name)"
    )


def _text_files(look: Look) -> str | None:
    """A .txt file, which has no columns."""
    if any(extension_of(Path(row.file)) != ".txt" for row in look.rows):
        return None
    if look.kind == "prompts":
        return (
            "a .txt file is one text, and where its prompts end is not guessed: prompt: text and "
            'separator: "\\n" read one prompt a line (separator: "\\n\\n": with blank lines between them)'
        )
    return (
        f"a .txt file is one text, to pre-train on, and has no columns for {look.kind}: write them as .jsonl "
        "or .csv, or read the file by a loader (loader: mine.py:load)"
    )


_SHAPES: tuple[Callable[[Look], str | None], ...] = (
    _messages_of_trees, _one_response, _no_response, _text_files,
)  # fmt: skip
