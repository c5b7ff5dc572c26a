"""A label that names the winner by what stands beside it, which is another response from row to row."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from rlhf.feedback.detection.found import ShapeError
from rlhf.feedback.detection.looks import Look
from rlhf.feedback.detection.names import rows_of_columns, says_yes
from rlhf.feedback.detection.responses import Responses
from rlhf.feedback.numbers import number_in

__all__ = ["check_names_no_one"]


def check_names_no_one(look: Look, labels: Sequence[str], responses: Responses) -> None:
    """Refuse a label whose values are those of two other columns, now of the first and now of the second.

    ``winner: gpt`` beside ``model_1`` and ``model_2``, or the better response's own text: `label_values` says
    the same of a value in all rows, and would turn some around.

    Raises:
        ShapeError: label_direction_missing.
    """
    if len(labels) != 1 or len(responses.shown) != 2:
        return
    for pair in _pairs(look, labels[0], responses):
        places = list(_places(look, labels[0], pair))
        of_value: dict[str, Counter[int]] = defaultdict(Counter)
        for value, place in places:
            of_value[value][place] += 1
        moves = any(len(found) == 2 for found in of_value.values())
        texts = pair == tuple(responses.shown)
        if 2 * len(places) <= len(look.column(labels[0]).values) or not (moves or texts):
            continue
        label, (first, second) = labels[0], pair
        adapted = f"{{**row, {label!r}: 'first' if row[{label!r}] == row[{first!r}] else 'second'}}"
        raise ShapeError(
            f"{label} names {first} or {second} of its row {look.count(len(places))}, so a value of it is "
            "now of the first response and now of the second, and label_values cannot say which: let an "
            f"adapter return {adapted}, with a value of its own for a tie, and give "
            "label_values: {first: first, second: second}",
            look.where,
            "label_direction_missing",
        )


def _pairs(look: Look, label: str, responses: Responses) -> Iterator[tuple[str, ...]]:
    yield tuple(responses.shown)
    for pair in rows_of_columns([name for name in look.names if name != label]).values():
        if len(pair) == 2 and pair != tuple(responses.shown):
            yield pair


def _places(look: Look, label: str, pair: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield each label that is the value of just one of the pair in its row, and of which."""
    for row, value in look.column(label).found:
        sides = [row.values.get(name) for name in pair]
        if isinstance(value, str) and _is_name(value) and sides.count(value) == 1:
            yield value, sides.index(value)


def _is_name(value: str) -> bool:
    """Say whether a text can be a name: numbers, letters, a yes are alike by chance (label and is_safe_1)."""
    return len(value) > 1 and number_in(value) is None and says_yes(value) is None
