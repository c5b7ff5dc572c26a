"""Rows whose columns are prompts, responses and judgements: formats canonical, pair and pairwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from rlhf.errors import DataError
from rlhf.feedback.columns import annotator_of, prompt_of, text_at, texts_at, value_at
from rlhf.feedback.mapping import Source
from rlhf.feedback.records import BadRow, Demonstration, Prompt, Ranking, TakeNote
from rlhf.feedback.rows import Row

__all__ = ["checked_ranking", "table_demonstrations", "table_prompts", "table_rankings", "weak_order"]

Pairs = tuple[tuple[int, int, float], ...]


def table_prompts(row: Row, source: Source, take_note: TakeNote) -> Iterator[Prompt]:
    """Yield the prompt of a row."""
    yield prompt_of(row, source)


def table_demonstrations(row: Row, source: Source, take_note: TakeNote) -> Iterator[Demonstration]:
    """Yield the prompt and `response` of a row; an empty response is a bad row."""
    response = text_at(row, source.response)
    if not response.strip():
        raise BadRow(f"{source.response!r} is empty", row.where, "empty_response")
    yield Demonstration(prompt_of(row, source), response)


def table_rankings(row: Row, source: Source, take_note: TakeNote) -> Iterator[Ranking]:
    """Yield the ranking of a row: canonical (ranks), pair (chosen, rejected) or pairwise (labels)."""
    pairs: Pairs | None = None
    names: Sequence[str] | None = None
    ranks: tuple[int | None, ...]
    if source.format == "pair":
        responses = [text_at(row, source.chosen), text_at(row, source.rejected)]
        ranks, names = (1, 2), (source.chosen, source.rejected)
    elif source.format == "pairwise":
        responses = texts_at(row, source.responses)
        pairs = _labelled_pairs(row, source, len(responses))
        order = weak_order(pairs, len(responses))
        if order is None:
            take_note("intransitive", row.where, "the labels fit no order (a=b, b=c, a>c); kept as pairs")
        ranks = order or (None,) * len(responses)
    else:
        responses = texts_at(row, source.responses)
        ranks = _ranks(row, source)
    annotator = annotator_of(row, source)
    yield checked_ranking(prompt_of(row, source), responses, ranks, pairs, annotator, take_note, names)


def _ranks(row: Row, source: Source) -> tuple[int | None, ...]:
    ranks = value_at(row, source.ranks)
    if not isinstance(ranks, list):
        raise BadRow(f"{source.ranks!r} must be a list of whole numbers, 1 is best", row.where, "bad_rank")
    return tuple(ranks)


def _labelled_pairs(row: Row, source: Source, size: int) -> Pairs:
    labels = value_at(row, source.labels)
    labels = labels if isinstance(labels, list) else [labels]
    places = list(combinations(range(size), 2))
    if len(labels) != len(places):
        message = f"{len(labels)} labels in {source.labels!r} for {len(places)} pairs of {size} responses"
        raise BadRow(message, row.where, "bad_labels")
    outcomes = {_spelled(label): outcome for label, outcome in source.label_values.items()}
    chances = {"first": 1.0, "second": 0.0, "tie": 0.5}
    pairs = []
    for (i, j), label in zip(places, labels, strict=True):
        if label is None:  # not compared
            continue
        if _spelled(label) not in outcomes:
            known = ", ".join(f"{key}: {value}" for key, value in source.label_values.items())
            message = f"unknown label {label!r} in {source.labels!r}; label_values has {{{known}}}"
            raise BadRow(message, row.where, "unknown_label")
        pairs.append((i, j, chances[outcomes[_spelled(label)]]))
    return tuple(pairs)


def _spelled(label: Any) -> str:
    """Return a label as a key: the YAML's 1, the JSON's 1 and a CSV's "1" are one label; true is not 1."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def weak_order(pairs: Pairs, size: int) -> tuple[int, ...] | None:
    """Return the ranks (1 is best, equal is a tie) that agree with all pairs, or None if none do.

    Where a response is in no order with another since not all pairs are labelled, there is None either.

    >>> weak_order(((0, 1, 1.0), (0, 2, 1.0), (1, 2, 0.5)), 3)
    (1, 2, 2)
    >>> weak_order(((0, 1, 0.5), (1, 2, 0.5), (0, 2, 1.0)), 3) is None
    True
    """
    if len(pairs) != size * (size - 1) // 2:
        return None
    # In a weak order a response's rank is one more than the number of responses better than it.
    ranks = [1] * size
    for i, j, p in pairs:
        if p != 0.5:
            ranks[j if p == 1.0 else i] += 1
    agree = all(p == (0.5 if ranks[i] == ranks[j] else float(ranks[i] < ranks[j])) for i, j, p in pairs)
    return tuple(ranks) if agree else None


def checked_ranking(
    prompt: Prompt,
    responses: list[str],
    ranks: tuple[int | None, ...],
    pairs: Pairs | None,
    annotator: str | None,
    take_note: TakeNote,
    names: Sequence[str] | None = None,
) -> Ranking:
    """Make a ranking after the checks that hold for every source; `names` are the responses' in messages.

    Raises:
        BadRow: empty_response, same_responses (equal texts of which one is called better), bad_rank.
    """
    names = names or [f"response {number} of {len(responses)}" for number in range(1, len(responses) + 1)]
    for name, response in zip(names, responses, strict=True):
        if not response.strip():
            raise BadRow(f"{name} is empty", prompt.where, "empty_response")
    try:
        ranking = Ranking(prompt, tuple(responses), ranks, pairs, annotator)
    except DataError as error:
        raise BadRow(error.message, prompt.where, "bad_rank") from error
    if pairs is None and any(rank is None for rank in ranks):
        take_note(
            "missing_rank", prompt.where, f"{ranks.count(None)} of {len(ranks)} responses are not ranked"
        )
    same = [
        (i, j)
        for i, j, p in ranking.comparisons()
        if p != 0.5 and responses[i].strip() == responses[j].strip()
    ]
    if same:
        i, j = same[0]
        message = f"{names[i]} and {names[j]} are the same text, yet one is called better"
        if len(responses) == 2:
            raise BadRow(message, prompt.where, "same_responses")
        take_note("same_responses", prompt.where, message)
    return ranking
