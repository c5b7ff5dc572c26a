"""Counts over records: turns, system prompts, scripts of letters, annotators."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from rlhf.checking.results import Overview
from rlhf.feedback.records import Demonstration, Prompt, Ranking, Text
from rlhf.feedback.splits import group_of

__all__ = ["look_over", "script_of"]

_LOOKED_AT = 400  # characters of a text; its script does not change behind them
_NAMES = {"CJK": "Han", "HANGUL": "Hangul", "GREEK": "Greek"}


def look_over(records: Iterable[Any]) -> Overview:
    """Count what is in some records of any one kind, in one pass."""
    groups: set[int] = set()  # hashes: the names themselves may not fit into memory
    systems: set[int] = set()
    turns: Counter[int] = Counter()
    scripts: Counter[str] = Counter()
    annotators: Counter[str] = Counter()
    num_with_system = num_records = 0
    for record in records:
        num_records += 1
        groups.add(hash(group_of(record)))
        scripts[script_of(" ".join(text[:_LOOKED_AT] for text in _texts(record)))] += 1
        if isinstance(record, Text):
            continue
        messages = (record if isinstance(record, Prompt) else record.prompt).messages
        turns[sum(message.role == "user" for message in messages)] += 1
        if messages[0].role == "system":
            num_with_system += 1
            systems.add(hash(messages[0].content))
        if isinstance(record, Ranking) and record.annotator is not None:
            annotators[record.annotator] += 1
    return Overview(
        num_groups=len(groups),
        turns=dict(sorted(turns.items())),
        num_with_system=num_with_system,
        num_system_messages=len(systems),
        scripts={name: number / num_records for name, number in scripts.most_common()},
        annotators=dict(annotators.most_common()),
    )


def _texts(record: Any) -> list[str]:
    """Return what tells a record's language: its last turn and its first response."""
    if isinstance(record, Text):
        return [record.text]
    if isinstance(record, Prompt):
        return [record.messages[-1].content]
    response = record.response if isinstance(record, Demonstration) else record.responses[0]
    return [record.prompt.messages[-1].content, response]


def script_of(text: str) -> str:
    """Return the script that most letters of a text are of.

    >>> script_of("hello"), script_of("Привет, Bob!"), script_of("你好"), script_of("42")
    ('Latin', 'Cyrillic', 'Han', 'no letters')
    """
    if text.isascii():
        return "Latin" if any(map(str.isalpha, text)) else "no letters"
    counts = Counter(map(_script, filter(str.isalpha, text)))
    return counts.most_common(1)[0][0] if counts else "no letters"


@lru_cache(maxsize=20_000)
def _script(letter: str) -> str:
    # The database names a letter by its script first: "CYRILLIC SMALL LETTER A".
    first = unicodedata.name(letter, "UNNAMED").split()[0]
    return _NAMES.get(first, first.split("-")[0].capitalize() if first.isascii() else first)
