"""How many tokens prompts and responses have, by the tokenizer and template that training will use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from rlhf.checking.results import Lengths, Spread
from rlhf.errors import DataError
from rlhf.feedback.records import Demonstration, Prompt, Ranking, Text

if TYPE_CHECKING:
    from rlhf.rendering import Renderer

__all__ = ["Ruler", "measure_lengths", "spread_of"]

_MEASURED = 20_000
_PERCENTS = (5, 25, 50, 75, 95, 99, 100)
_LONGEST = 3


@dataclass(frozen=True)
class Ruler:
    """What lengths are measured with.

    Args:
        model: its path, for people.
        whole: a renderer without limits.
        limited: the stage's, with its limits; None where there are none, or they do not fit the model.
        why_no_limits: which the latter is.
        by_context: no setting limits prompts, but what the model's context leaves beside a response.
    """

    model: str
    whole: Renderer
    limited: Renderer | None = None
    why_no_limits: str = ""
    by_context: bool = False


def measure_lengths(records: Sequence[Any], ruler: Ruler) -> Lengths:
    """Measure records of any one kind; of more than 20,000 as many evenly spread ones.

    A prompt's tokens are counted with the template around it, a response's with its end token. What the
    template refuses is counted by the limited renderer only.
    """
    step = math.ceil(len(records) / _MEASURED) or 1
    measured = list(islice(records, 0, None, step))
    if measured and isinstance(measured[0], Text):
        return _measure_texts(measured, ruler)
    prompts = [record if isinstance(record, Prompt) else record.prompt for record in measured]
    asked = [(prompt.messages, prompt.where) for prompt in prompts]
    told = [
        (text, prompt.where)
        for record, prompt in zip(measured, prompts, strict=True)
        for text in _said(record)
    ]
    limited = ruler.limited
    prompt_limit = None if limited is None else limited.max_prompt_tokens
    response_limit = None if limited is None else limited.max_response_tokens
    ids = ruler.whole.render_prompt_batch([messages for messages, _ in asked])
    spread = _spread(ids, [where for _, where in asked], prompt_limit, by_context=ruler.by_context)
    responses = None
    if told:
        ids = ruler.whole.render_response_batch([text for text, _ in told])
        responses = _spread(ids, [where for _, where in told], response_limit)
    said = _consequences(measured, ruler)
    return Lengths(ruler.model, len(measured), spread, responses, said, stops=bool(ruler.why_no_limits))


def _said(record: Prompt | Demonstration | Ranking) -> Sequence[str]:
    if isinstance(record, Demonstration):
        return (record.response,)
    return record.responses if isinstance(record, Ranking) else ()


def _measure_texts(texts: list[Text], ruler: Ruler) -> Lengths:
    ids = ruler.whole.tokenizer([text.text for text in texts], add_special_tokens=False, verbose=False)[
        "input_ids"
    ]
    return Lengths(ruler.model, len(texts), _spread(ids, [text.where for text in texts], None), None, ())


def _spread(
    ids: Sequence[Any], wheres: Sequence[str], limit: int | None, *, by_context: bool = False
) -> Spread:
    found = [
        (len(of_one), where)
        for of_one, where in zip(ids, wheres, strict=True)
        if not isinstance(of_one, DataError)
    ]
    return spread_of(found, limit, by_context=by_context)


def spread_of(lengths: Sequence[tuple[int, str]], limit: int | None, *, by_context: bool = False) -> Spread:
    """Return percentiles (the smallest length that so many percent do not exceed), and what is too long.

    >>> spread_of([(3, "a:1"), (1, "a:2"), (2, "a:3"), (4, "a:4")], 2).percentiles[50]
    2
    """
    ordered = sorted(length for length, _ in lengths)
    at = {percent: ordered[math.ceil(percent / 100 * len(ordered)) - 1] for percent in _PERCENTS if ordered}
    longest = sorted(lengths, key=lambda entry: -entry[0])[:_LONGEST]
    return Spread(
        percentiles=at,
        mean=sum(ordered) / len(ordered) if ordered else 0.0,
        longest=tuple(longest),
        limit=limit,
        by_context=by_context,
        num_over=sum(limit is not None and length > limit for length in ordered),
        num_texts=len(ordered),
    )


def _consequences(records: list[Any], ruler: Ruler) -> tuple[str, ...]:
    """Let the stage's renderer do what it will do in training, and return what it says of it."""
    from rlhf.rendering import render_demonstrations, render_prompts, render_rankings

    if ruler.limited is None:
        return (ruler.why_no_limits,) if ruler.why_no_limits else ()
    render: Any = render_prompts
    if isinstance(records[0], Ranking):
        render = render_rankings
    elif isinstance(records[0], Demonstration):
        render = render_demonstrations
    ruler.limited.counts.clear()
    try:
        render(records, ruler.limited)
    except DataError as error:
        return (error.message,)
    return tuple(ruler.limited.report())
