"""Responses and a label: read only where it is certain what the label says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlhf.feedback.detection.found import Found, ShapeError
from rlhf.feedback.detection.hints import unsaid
from rlhf.feedback.detection.looks import TIES, Look
from rlhf.feedback.detection.named_winner import check_names_no_one
from rlhf.feedback.detection.names import (
    is_count_name,
    is_label_name,
    names_the_better,
    rows_of_columns,
    share_a_label_word,
)
from rlhf.feedback.detection.prompts import prompt_in
from rlhf.feedback.detection.refusals import label_direction_missing, listed, several_shapes
from rlhf.feedback.detection.responses import Responses, implicit_prompt, number_lists, responses_in
from rlhf.feedback.detection.yaml_text import FILL_IN
from rlhf.feedback.numbers import number_in, spelled

__all__ = ["labelled"]

_LONGEST_LABEL = 40
_MOST_LABELS = 20


def labelled(look: Look) -> Found | None:
    """Responses and a label: found out where the label names a column, or label_values are given."""
    if look.given("ranks", "scores", "best", "tie_within", "missing", "chosen", "rejected"):
        return None
    responses = responses_in(look)
    if responses is None:
        return None
    labels = _labels_in(look, responses)
    if not labels and not look.given("labels", "label_values", "label_layout"):
        return None
    settings: dict[str, Any] = {"format": "pairwise"}
    if responses.paths != "responses":
        settings["responses"] = responses.paths
    part = prompt_in(look, settings) or implicit_prompt(look, responses)
    settings |= part.settings
    layout = _layout(look, labels)
    if len(labels) > 1 and layout is None:
        hint = unsaid(look, settings)[1].get("hint", "")
        raise several_shapes(
            look,
            f"{listed(labels)} could each be the label, and each may mean something else"
            f"{hint and f' ({hint.strip()})'}",
            {**settings, "labels": FILL_IN, "label_values": FILL_IN},
            labels=f"{listed(labels, 'or')}",
            label_values="what each label says: first, second or tie",
        )
    settings |= _label_settings(look, labels, layout)
    check_names_no_one(look, labels, responses)
    if not look.given("label_values"):
        _check_compares_pairs(look, labels, responses)
        settings["label_values"] = _certain(look, labels, layout, responses)
        if settings["label_values"] is None:
            del settings["label_values"]
            lacking, told = unsaid(look, settings)
            raise label_direction_missing(look, settings | lacking, labels, responses.shown, **told)
    values = look.source.label_values or settings["label_values"]
    said = _meaning(labels, values, responses)
    what = "two responses" if len(responses.shown) == 2 else "responses"
    return Found(f"{what} and a label", (responses.because, said, *part.because), settings)


def _meaning(labels: Sequence[str], values: Mapping[Any, str], responses: Responses) -> str:
    """Return "label 0: a is better, 1: b is better, 2: tie"."""
    names = responses.shown if len(responses.shown) == 2 else ("the first", "the second")
    better = {"first": f"{names[0]} is better", "second": f"{names[1]} is better", "tie": "tie"}
    told = ", ".join(f"{value}: {better[outcome]}" for value, outcome in values.items())
    return f"{listed(labels) if labels else 'label'} {told}"


def _check_compares_pairs(look: Look, labels: Sequence[str], responses: Responses) -> None:
    """Refuse one label of three or more responses: the number of the best one is read by no format."""
    size = _size(look, responses)
    if size > 2 and not any(look.column(label).mostly("numbers", "texts", "list") for label in labels):
        message = (
            f"{size} responses ({', '.join(responses.shown)}) and one label a row ({listed(labels)}): the "
            "number of the best one? Labels of pairs are read (1v2, 1v3, ..., 2v3, ...), ranks and scores; "
            "an adapter can make ranks of this, e.g. [2, 1, 2] where the second of three is best"
        )
        raise ShapeError(message, look.where, "shape_unknown")


def _label_settings(look: Look, labels: Sequence[str], layout: str | None) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if labels and not look.given("labels") and list(labels) != ["label"]:
        settings["labels"] = labels[0] if layout is None else tuple(labels)
    if layout is not None and not look.given("label_layout"):
        settings["label_layout"] = layout
    return settings


def _labels_in(look: Look, responses: Responses) -> list[str]:
    if look.given("labels"):
        labels = look.source.labels
        return [labels] if isinstance(labels, str) else list(labels)
    taken = set(responses.shown)
    found = [
        name for name in look.names if name not in taken and is_label_name(name) and _is_label(look, name)
    ]
    if look.given("label_values", "label_layout"):
        return ["label"] if "label" in found and look.given("label_values") else found
    return _without_counts(look, found, responses)


def _without_counts(look: Look, names: list[str], responses: Responses) -> list[str]:
    """Take out what counts the votes for each response: these are scores, and no labels."""
    size, lists = _size(look, responses), []
    if isinstance(responses.paths, str):
        lists = number_lists(look, responses.paths)
    counted = [name for name in names if name in lists or look.column(name).mostly_numeric()]
    numbers = {name: _numbers(look, name) for name in counted}
    numbers = {name: found for name, found in numbers.items() if is_count_name(name, large=True)}
    large = any(number > size for found in numbers.values() for number in found)
    counts = [name for name in numbers if is_count_name(name, large=large)]
    sides = [group for group in rows_of_columns(counts).values() if len(group) == size]
    if not sides and not set(counts) & set(lists):
        return names
    return [name for name in names if name not in counts]


def _size(look: Look, responses: Responses) -> int:
    """Return how many responses rows have, at most."""
    if not isinstance(responses.paths, str):
        return len(responses.paths)
    lists = [value for value in look.column(responses.paths).values if isinstance(value, list)]
    return max(map(len, lists), default=2)


def _numbers(look: Look, name: str) -> list[float]:
    values = look.column(name).values
    flat = [entry for value in values for entry in (value if isinstance(value, list) else [value])]
    return [number for number in map(number_in, flat) if number is not None]


def _is_label(look: Look, name: str) -> bool:
    """Return whether a column holds few short texts, numbers, or a list of numbers a row."""
    column = look.column(name)
    if not column.values or column.mostly("numbers"):
        return bool(column.values)
    short = [v for v in column.values if not isinstance(v, str) or len(v) <= _LONGEST_LABEL]
    if not column.mostly("number", "boolean", "text") or 2 * len(short) <= len(column.values):
        return False
    return column.numeric() or len({str(value) for value in short}) <= _MOST_LABELS


def _layout(look: Look, labels: Sequence[str]) -> str | None:
    """Return one_hot or annotators where several columns are one judgement, or one of each annotator."""
    if look.given("label_layout"):
        return look.source.label_layout
    if len(labels) < 2:
        return None
    columns = [look.column(name) for name in labels]
    rows = list(zip(*(column.values for column in columns), strict=False))
    flags = [[spelled(value) for value in row] for row in rows]
    if rows and all(set(row) <= {"0", "1", "true", "false"} for row in flags):
        once = sum(sum(flag in ("1", "true") for flag in row) == 1 for row in flags)
        if once == len(rows) == len(look.rows) and share_a_label_word(labels):
            return "one_hot"
    return "annotators" if tuple(labels) in rows_of_columns(labels).values() else None


def _certain(
    look: Look, labels: Sequence[str], layout: str | None, responses: Responses
) -> dict[str, str] | None:
    """Return what labels say that name one of the two columns, in a column whose own name says "better"."""
    if layout is not None or len(labels) != 1 or len(responses.shown) != 2 or not names_the_better(labels[0]):
        return None
    first, second = responses.shown
    found = {
        spelled(value) if not isinstance(value, list) else None for value in look.column(labels[0]).values
    }
    ties = {value for value in found if value in TIES}
    if not found or not found <= {first, second, *ties} or {first, second} & TIES:
        return None
    return {first: "first", second: "second", **dict.fromkeys(sorted(ties - {None}), "tie")}
