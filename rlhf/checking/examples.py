"""Which record to show: one that a person can judge at a glance, chosen without looking at who won."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from rlhf.checking.results import Example
from rlhf.feedback.records import Demonstration, Message, Prompt, Ranking, Text

__all__ = ["choose_examples"]

_LOOKED_AT = 2_000
# What is easy to read and says enough: characters of a response, of a prompt; the price of a further turn.
_SHORT, _LONG, _LONG_PROMPT, _TURN = 60, 300, 100, 0.2


def choose_examples(records: Sequence[Any], number: int = 1) -> tuple[Example, ...]:
    """Return the clearest records, clearest first; fewer where there are not so many.

    Clear is what is short and, of rankings, what differs: ranks far apart, a strong preference, few words in
    common. The measure is the same for both responses, so that settings with a wrong direction show the same
    pair with BEST and WORST changed over. Up to 2,000 to 4,000 records are looked at, evenly spread; equally
    clear ones come in their order.

    Args:
        records: of any one kind; rankings without an order (nothing but ties) are passed over.
        number: how many.
    """
    step = max(1, len(records) // _LOOKED_AT)
    seen = (_example(record) for record in islice(records, 0, None, step))
    found = [example for example in seen if example is not None]
    return tuple(sorted(found, key=_effort)[:number])


def _example(record: Any) -> Example | None:
    if isinstance(record, Text):
        return Example(record.where, (), record.text)
    if isinstance(record, Prompt):
        return Example(record.where, _turns(record.messages))
    if isinstance(record, Demonstration):
        return Example(record.prompt.where, _turns(record.prompt.messages), record.response)
    return _pair(record)


def _turns(messages: Sequence[Message]) -> tuple[tuple[str, str], ...]:
    return tuple((message.role, message.content) for message in messages)


def _pair(ranking: Ranking) -> Example | None:
    """Return the pair of a ranking whose ranks lie farthest apart."""
    compared = ranking.comparisons()
    strengths = ranking.strengths or (None,) * len(compared)
    ordered = [(i, j, strength) for (i, j, p), strength in zip(compared, strengths, strict=True) if p != 0.5]
    if not ordered:
        return None
    ranks = ranking.ranks
    best, worst, strength = max(ordered, key=lambda pair: (ranks[pair[1]] or 0) - (ranks[pair[0]] or 0))
    return Example(
        ranking.prompt.where,
        _turns(ranking.prompt.messages),
        ranking.responses[best],
        ranking.responses[worst],
        ranks[best],
        ranks[worst],
        len(ranking.responses),
        ranking.annotator,
        strength,
    )


def _effort(example: Example) -> float:
    """Return how hard an example is to judge at a glance; it does not change when best and worst do."""
    prompt = sum(len(content) for _, content in example.prompt)
    effort = max(0, prompt - _LONG_PROMPT) / _LONG + _TURN * len(example.prompt)
    responses = [text for text in (example.best, example.worst) if text is not None]
    effort += sum(_off(len(text)) for text in responses)
    if example.worst is not None:
        first, second = (set(text.casefold().split()) for text in responses)
        effort += len(first & second) / max(1, len(first | second))
        effort += 1.0 - _gap(example)
        effort += 0.0 if example.strength is None else 1.0 / (1.0 + example.strength)
    return effort


def _gap(example: Example) -> float:
    """Return how far apart the two ranks lie, as a share of what K responses allow."""
    if example.best_rank is None or example.worst_rank is None:
        return 0.0
    return (example.worst_rank - example.best_rank) / (example.num_responses - 1)


def _off(length: int) -> float:
    return max(0, _SHORT - length) / _SHORT + max(0, length - _LONG) / _LONG
