"""Rows whose columns are prompts, responses and judgements: formats canonical, pair, pairwise and scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rlhf.errors import DataError
from rlhf.feedback.columns import annotator_of
from rlhf.feedback.conversations import prompt_and_responses, prompt_of
from rlhf.feedback.labels import Pairs, opinions_of, weak_order
from rlhf.feedback.mapping import Source
from rlhf.feedback.notes import BadRow, TakeNote
from rlhf.feedback.paths import anything_at, value_at, values_at
from rlhf.feedback.records import Demonstration, Prompt, Ranking
from rlhf.feedback.rows import Row
from rlhf.feedback.scores import ranks_of_scores, scores_of, strengths_of_scores
from rlhf.feedback.strengths import Strengths, stated_strengths, with_strengths

__all__ = ["checked_ranking", "strengths_of_pair", "table_demonstrations", "table_prompts", "table_rankings"]

_NO_ORDER = "the labels fit no order (a=b, b=c, a>c); kept as pairs"


def table_prompts(row: Row, source: Source, take_note: TakeNote) -> Iterator[Prompt]:
    """Yield the prompt of a row."""
    _check_context(row, source, take_note)
    yield prompt_of(row, source)


def table_demonstrations(row: Row, source: Source, take_note: TakeNote) -> Iterator[Demonstration]:
    """Yield the prompt and `response` of a row; an empty response is a bad row."""
    _check_context(row, source, take_note)
    answer = (source.response, anything_at(row, source.response))
    prompt, (response,) = prompt_and_responses(row, source, [answer])
    if not response.strip():
        raise BadRow(f"{source.response!r} is empty", row.where, "empty_response")
    yield Demonstration(prompt, response)


def table_rankings(row: Row, source: Source, take_note: TakeNote) -> Iterator[Ranking]:
    """Yield the ranking of a row, or one for each annotator."""
    _check_context(row, source, take_note)
    names: Sequence[str] | None = None
    if source.format == "pair":
        names = (source.chosen, source.rejected)
        answers = [(name, anything_at(row, name)) for name in names]
    else:
        answers = values_at(row, source.responses)
    prompt, responses = prompt_and_responses(row, source, answers)
    for annotator, ranks, pairs, strengths in _judgements(row, source, len(responses), take_note):
        yield checked_ranking(prompt, responses, ranks, pairs, annotator, take_note, names, strengths)


def _check_context(row: Row, source: Source, take_note: TakeNote) -> None:
    """Refuse earlier turns that no setting reads (LLaMA-Factory's `history`), and note such a system text.

    Raises:
        BadRow: unread_history.
    """
    prompt = (source.prompt,) if isinstance(source.prompt, str) else source.prompt or ()
    history, system = row.values.get("history"), row.values.get("system")
    if isinstance(history, list) and history and not any("history" in path for path in prompt):
        message = (
            "'history' holds earlier turns, which no setting joins to the prompt; make messages by an adapter"
        )
        raise BadRow(message, row.where, "unread_history")
    is_read = source.system is not None or any("system" in path for path in prompt)
    if isinstance(system, str) and system.strip() and not is_read:
        take_note("unread_system", row.where, "'system' holds a text that is not read; set system: system")


def _check_columns_agree(row: Row, source: Source, ranks: Sequence[int | None]) -> None:
    """Refuse scores that call the response better which stands in the column rejected.

    Raises:
        BadRow: scores_contradict.
    """
    if source.responses != ("chosen", "rejected"):
        return
    first, second = ranks
    if first is not None and second is not None and first > second:
        shown = source.scores if isinstance(source.scores, str) else " and ".join(source.scores)
        message = f"{shown} call the response in 'rejected' better; which of the two is right is not guessed"
        raise BadRow(message, row.where, "scores_contradict")


Judgement = tuple[str | None, tuple[int | None, ...], Pairs | None, Strengths | None]
"""Annotator, ranks, pairs, strengths."""


def _judgements(row: Row, source: Source, size: int, take_note: TakeNote) -> Iterator[Judgement]:
    annotator = None if source.label_layout == "annotators" else annotator_of(row, source)
    if source.format == "pair":
        yield annotator, (1, 2), None, strengths_of_pair(row, source)
    elif source.format == "canonical":
        ranks, num_pairs = _ranks(row, source), size * (size - 1) // 2
        yield annotator, ranks, _pairs(row, ranks), stated_strengths(row, source, num_pairs)
    elif source.format == "scored":
        scores = scores_of(row, source, size)
        if size > 1 and size - scores.count(None) < 2:
            shown = source.scores if isinstance(source.scores, str) else ", ".join(source.scores)
            message = f"nothing is compared: fewer than 2 responses have a score in {shown!r}"
            raise BadRow(message, row.where, "bad_score")
        ranks, scored = ranks_of_scores(scores, source)
        _check_columns_agree(row, source, ranks)
        strengths: Strengths | None = stated_strengths(row, source, size * (size - 1) // 2)
        if source.strength_from == "scores":
            strengths = strengths_of_scores(scores, source)
        if scored:
            take_note("intransitive", row.where, _NO_ORDER)
        yield annotator, ranks, scored, strengths
    else:
        for name, pairs, strong in opinions_of(row, source, size, annotator, take_note):
            order = weak_order(pairs, size)
            num_pairs = size * (size - 1) // 2
            num_missing = num_pairs - len(pairs)
            if num_missing:
                message = f"{num_missing} of {num_pairs} labels are null: these pairs are not compared"
                take_note("missing_label", row.where, message)
            elif order is None:
                take_note("intransitive", row.where, _NO_ORDER)
            yield name, order or (None,) * size, pairs, strong


def strengths_of_pair(row: Row, source: Source) -> Strengths | None:
    """Return the one strength of `chosen` over `rejected`, or None where the source names none.

    Raises:
        BadRow: bad_strength; also where by the scores the rejected response is the better one.
    """
    if source.strength_from != "scores":
        return stated_strengths(row, source, 1)
    scores = scores_of(row, source, 2)
    chosen, rejected = scores if source.best == "highest" else scores[::-1]
    if chosen is not None and rejected is not None and chosen < rejected:
        message = (
            f"{source.chosen!r} has score {scores[0]:g} and {source.rejected!r} {scores[1]:g}, of which the "
            f"{source.best} is best: which of the two is better? (format: scored goes by the scores alone)"
        )
        raise BadRow(message, row.where, "bad_strength")
    return strengths_of_scores(scores, source)


def _ranks(row: Row, source: Source) -> tuple[int | None, ...]:
    ranks = value_at(row, source.ranks)
    if not isinstance(ranks, list):
        raise BadRow(f"{source.ranks!r} must be a list of whole numbers, 1 is best", row.where, "bad_rank")
    return tuple(ranks)


def _pairs(row: Row, ranks: tuple[int | None, ...]) -> Pairs | None:
    """Return the pairs that `rlhf.feedback.written` writes where labels fit no order."""
    if row.values.get("pairs") is None or any(rank is not None for rank in ranks):
        return None
    pairs = row.values["pairs"]
    if not isinstance(pairs, list) or not all(_is_pair(pair) for pair in pairs):
        raise BadRow(
            "'pairs' must list [i, j, p]: places of two responses, from 0, and 1 where the first of them is "
            "better, 0 where the second is, 0.5 for a tie",
            row.where,
            "bad_rank",
        )
    return tuple((i, j, float(p)) for i, j, p in pairs)


def _is_pair(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    places_are_whole = all(type(place) is int for place in value[:2])
    return places_are_whole and type(value[2]) in (int, float)


def checked_ranking(
    prompt: Prompt,
    responses: list[str],
    ranks: tuple[int | None, ...],
    pairs: Pairs | None,
    annotator: str | None,
    take_note: TakeNote,
    names: Sequence[str] | None = None,
    strengths: Strengths | None = None,
) -> Ranking:
    """Make a ranking after the checks that hold for every source; `names` are the responses' in messages.

    `strengths` are those of all pairs of responses.

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
    return ranking if strengths is None else with_strengths(ranking, strengths, take_note)
