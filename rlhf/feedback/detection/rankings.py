"""The shapes of rankings, each a function from the first rows to what reads them, or None.

The order in which they are tried is that of `SHAPES`: what names its direction itself comes before what
needs a label.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rlhf.feedback.detection.found import Found
from rlhf.feedback.detection.labelled import labelled
from rlhf.feedback.detection.looks import READABLE, TIES, Column, Look
from rlhf.feedback.detection.names import better_and_worse
from rlhf.feedback.detection.prompts import Part, prompt_beside, prompt_in
from rlhf.feedback.detection.refusals import listed, score_direction_missing, several_shapes
from rlhf.feedback.detection.scored import scored
from rlhf.feedback.detection.used import columns_read
from rlhf.feedback.detection.yaml_text import FILL_IN
from rlhf.feedback.turns import HH_MARKERS

__all__ = ["SHAPES", "canonical", "pair", "pair_of_talks", "pair_of_transcripts", "tree"]

Shape = Callable[[Look], Found | None]

_LABELS = ("labels", "label_values", "label_layout")
_SCORES = ("scores", "best", "tie_within", "missing")
_MIXED = 0.1


def tree(look: Look) -> Found | None:
    """Open Assistant's messages with replies in them."""
    roots = [row.values.get("prompt", row.values) for row in look.rows]
    fit = sum(isinstance(root, dict) and {"text", "role", "replies"} <= root.keys() for root in roots)
    if not fit or look.given("prompt", "response", "responses", "chosen", "rejected", *_LABELS, *_SCORES):
        return None
    return Found(
        "message trees (rank 0 is best among siblings)",
        (f"messages with text, role and replies {look.count(fit)}",),
        {"format": "tree"},
        "oasst",
    )


def canonical(look: Look) -> Found | None:
    """Our own form: prompt, responses, ranks."""
    if look.given("chosen", "rejected", *_LABELS, *_SCORES) or isinstance(look.source.responses, tuple):
        return None
    prompt = look.source.prompt
    prompts = (prompt,) if isinstance(prompt, str) else prompt or ()
    paths = (*prompts, look.source.responses, look.source.ranks)
    if not look.has(*paths):
        return None
    settings = {"format": "canonical"}
    _check_are_ranks(look)
    part = prompt_in(look, settings) or Part()
    because = f"columns {', '.join(paths)} {_count_of(look, *paths)}"
    return Found(
        "our own form of rankings (rank 1 is best)",
        (because, *part.because[1:]),
        {**settings, **part.settings},
    )


def _check_are_ranks(look: Look) -> None:
    """Refuse a column `ranks` of numbers that do not count from 1: ratings may be called ranks, too.

    A few rows may: those that have lost their best response.

    Raises:
        ShapeError: score_direction_missing.
    """
    path = look.source.ranks
    found = [value for _, value in look.column(path).found if isinstance(value, list)]
    odd = sum(not _are_ranks(value) for value in found)
    if odd > _MIXED * len(found):
        settings = {"format": "scored", "scores": path}
        hint = (
            f"  {odd:,} of {len(found):,} lists do not rank their responses from 1; "
            "where 1 is best all the same: format: canonical\n"
        )
        raise score_direction_missing(look, settings, [str(look.source.responses)], [path], hint=hint)


def _are_ranks(values: list[Any]) -> bool:
    """Say whether numbers may be ranks; what is none is for the reader to refuse."""
    numbers = [value for value in values if value is not None]
    if not numbers or not all(type(number) is int and number > 0 for number in numbers):
        return True
    return min(numbers) == 1 and max(numbers) <= len(values)


def _count_of(look: Look, *paths: str) -> str:
    return look.count(min(len(look.column(path).found) for path in paths))


def pair_of_transcripts(look: Look) -> Found | None:
    """Two texts, each a whole conversation with markers before its turns."""
    sides = (look.source.chosen, look.source.rejected)
    if look.given("prompt", "responses", "ranks", *_LABELS, *_SCORES) or not look.has(*sides):
        return None
    markers = {role: text.strip() for role, text in _markers_of(look).items()}
    fits = [_is_transcript(look.column(side), markers) for side in sides]
    both = len(set.intersection(*fits))
    if both <= _MIXED * len(look.rows):
        return None
    if both < (1 - _MIXED) * len(look.rows):
        raise several_shapes(
            look, _two_minds(look, sides, fits), {"format": FILL_IN}, format="transcript or pair"
        )
    because = (
        f"columns {listed(sides)} are text with {json.dumps(_markers_of(look)['user'])} {look.count(both)}"
    )
    return Found("a pair of transcripts", (because,), {"format": "transcript"}, "hh-rlhf")


def _markers_of(look: Look) -> Mapping[str, str]:
    return look.source.markers or HH_MARKERS


def _is_transcript(column: Column, markers: Mapping[str, str]) -> set[str]:
    first, second = markers["user"], markers["assistant"]
    return {
        row.where
        for row, value in column.found
        if isinstance(value, str) and value.lstrip().startswith((first, second)) and second in value
    }


def _two_minds(look: Look, sides: tuple[str, str], fits: list[set[str]]) -> str:
    both = set.intersection(*fits)
    others = [row.where for row in look.rows if row.where not in both]
    return (
        f"{listed(sides)} are transcripts {look.count(len(both))}, and in the others they are not "
        f"(the first: {', '.join(others[:3])}); keep one shape a file"
    )


def pair_of_talks(look: Look) -> Found | None:
    """Two lists of messages that begin with the prompt."""
    if look.given("responses", "ranks", "markers", *_LABELS, *_SCORES):
        return None
    if look.given("prompt") and look.source.prompt is not None:
        return None
    for chosen, rejected in _sides(look):
        if not all(_begins_with_prompt(look.column(side)) for side in (chosen, rejected)):
            continue
        part = prompt_beside(look)
        settings = {"format": "pair", **part.settings, **_named_sides(look, chosen, rejected)}
        _check_no_ties(look, settings)
        because = f"columns {chosen} and {rejected} are messages that begin with the prompt"
        because = f"{because} {_count_of(look, chosen, rejected)}"
        return Found("a better and a worse conversation", (because, *part.because), settings)
    return None


def _sides(look: Look) -> list[tuple[str, str]]:
    if look.given("chosen", "rejected"):
        return [(look.source.chosen, look.source.rejected)]
    return better_and_worse(look)


def _named_sides(look: Look, chosen: str, rejected: str) -> dict[str, Any]:
    return {
        **({} if chosen == "chosen" else {"chosen": chosen}),
        **({} if rejected == "rejected" else {"rejected": rejected}),
        **({} if "response" in look.names else {"response": chosen}),
    }


def _begins_with_prompt(column: Column) -> bool:
    """Return whether messages mostly have more than the answer."""
    return column.mostly("messages") and 2 * sum(len(value) > 1 for value in column.values) > len(
        column.values
    )


def pair(look: Look) -> Found | None:
    """A prompt, a better and a worse response."""
    if look.given("responses", "ranks", *_LABELS, *_SCORES):
        return None
    for chosen, rejected in _sides(look):
        columns = [look.column(side) for side in (chosen, rejected)]
        if not all(column.values and column.mostly(*READABLE) for column in columns):
            continue
        if all(value in look.names for column in columns for value in column.values):
            continue  # they name the better and the worse column
        settings = {"format": "pair", **_named_sides(look, chosen, rejected)}
        part = prompt_in(look, settings)
        if part is None:
            continue
        _check_no_repeat(look, part, settings, columns[0])
        _check_no_ties(look, {**settings, **part.settings})
        because = (
            f"columns {chosen} and {rejected} are {columns[0].kind()} {_count_of(look, chosen, rejected)}"
        )
        return Found(
            "a prompt, a better and a worse response", (because, *part.because), {**settings, **part.settings}
        )
    return None


def _check_no_ties(look: Look, settings: Mapping[str, Any]) -> None:
    """Refuse pairs of which another column says that they are ties (distilabel's `status`)."""
    given = {name: value for name, value in settings.items() if not look.given(name)}
    read = columns_read(replace(look.source, **given), "rankings", look.names)
    for name in look.names:
        column = look.column(name)
        ties = [row.where for row, value in column.found if isinstance(value, str) and value.lower() in TIES]
        if ties and name not in read:
            message = (
                f"{name} says tie {look.count(len(ties))} (the first: {ties[0]}), and the columns call one "
                "response better all the same: leave such rows out by an adapter, or read them so"
            )
            raise several_shapes(look, message, settings)


def _check_no_repeat(look: Look, part: Part, settings: Mapping[str, Any], column: Column) -> None:
    """Refuse responses that begin with the prompt's text: it would be learnt twice."""
    name = part.settings.get("prompt", look.source.prompt)
    if not isinstance(name, str) or not column.mostly("text"):
        return
    prompts = {
        row.where: value for row, value in look.column(name).found if isinstance(value, str) and value.strip()
    }
    repeats = [
        row.where
        for row, value in column.found
        if isinstance(value, str) and row.where in prompts and value.startswith(prompts[row.where])
    ]
    if 2 * len(repeats) > len(column.found):
        message = (
            f"{column.path} begins with the text of {name} {look.count(len(repeats))} "
            f"(the first: {repeats[0]}), so the prompt would stand in the responses once more: take it off "
            "by an adapter, or read it so"
        )
        raise several_shapes(look, message, {**settings, **part.settings})


SHAPES: tuple[Shape, ...] = (tree, canonical, pair_of_transcripts, pair_of_talks, pair, labelled, scored)
