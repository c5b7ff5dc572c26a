"""Records for the tests of findings, made by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rlhf.feedback import Demonstration, Message, Note, Prompt, Ranking, Reading, find_oddities
from rlhf.feedback.columns import group_of_messages

__all__ = ["ask", "counts", "demonstrate", "found", "rank", "say"]


def ask(
    text: str | list[tuple[str, str]], line: int = 1, *, group: str = "", file: str = "a.jsonl"
) -> Prompt:
    """A prompt of one text, or of turns."""
    turns = [("user", text)] if isinstance(text, str) else text
    messages = tuple(Message(role, content) for role, content in turns)
    where = f"{file}:{line}"
    return Prompt(where, messages, group or group_of_messages(messages), where)


def demonstrate(text: Any, response: str, line: int = 1, **more: Any) -> Demonstration:
    return Demonstration(ask(text, line, **more), response)


def rank(
    text: Any, says: str, line: int = 1, annotator: str | None = None, responses: str = "", **more: Any
) -> Ranking:
    """A ranking as "b > a = c"; the responses are its letters in the order of the alphabet, or as given."""
    groups = [part.replace("=", " ").split() for part in says.split(">")]
    ranks = {name: place for place, names in enumerate(groups, 1) for name in names}
    names = responses.split() or sorted(ranks)
    return Ranking(
        ask(text, line, **more), tuple(names), tuple(ranks.get(name) for name in names), None, annotator
    )


def say(
    text: Any, pairs: str, line: int = 1, annotator: str | None = None, responses: str = "a b c d"
) -> Ranking:
    """Labels of pairs as "a>b b=c c>a"."""
    names = responses.split()
    made = tuple(
        (names.index(pair[0]), names.index(pair[2]), 1.0 if pair[1] == ">" else 0.5) for pair in pairs.split()
    )
    return Ranking(ask(text, line), tuple(names), (None,) * len(names), made, annotator)


def found(code: str, readings: Mapping[str, Iterable[Any]] | Iterable[Any], **options: Any) -> list[Note]:
    """The notes of one code; records without a name are the training part."""
    parts = readings if isinstance(readings, Mapping) else {"train": readings}
    notes = find_oddities({name: Reading(list(records)) for name, records in parts.items()}, **options)
    return [note for note in notes if note.code == code]


def counts(readings: Mapping[str, Iterable[Any]]) -> dict[str, int]:
    """How often each code was found."""
    total: Counter[str] = Counter()
    for note in find_oddities({name: Reading(list(records)) for name, records in readings.items()}):
        total[note.code] += note.count
    return dict(total)
