"""What is said where a shape or a direction is not certain, with the mapping to paste and fill in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from textwrap import indent
from typing import Any

from rlhf.errors import DataError
from rlhf.feedback.detection.found import ShapeError
from rlhf.feedback.detection.looks import Look, what_is
from rlhf.feedback.detection.yaml_text import FILL_IN, defaults, settings_of, settings_yaml
from rlhf.feedback.numbers import number_in, number_of, spelled
from rlhf.feedback.paths import anything_at
from rlhf.feedback.rows import Row

__all__ = ["label_direction_missing", "listed", "score_direction_missing", "several_shapes", "to_fill_in"]

_MOST_COUNTED = 100_000
_MOST_VALUES = 12
_LONGEST = 60


def listed(names: Iterable[str], last: str = "and") -> str:
    """Return "a, b and c"."""
    *first, end = list(names)
    return f"{', '.join(first)} {last} {end}" if first else end


def to_fill_in(look: Look, settings: Mapping[str, Any], comments: Mapping[str, str] | None = None) -> str:
    """Return the mapping to paste: what is given and found, with question marks where only people know."""
    texts = {"json_columns": look.json_columns} if look.json_columns else {}
    known = {**settings, **texts, **settings_of(look.source)}
    ordered = {name: known[name] for name in ("path", *defaults()) if name in known}
    return indent(settings_yaml(ordered, comments), "  ").rstrip("\n")


def label_direction_missing(
    look: Look,
    settings: Mapping[str, Any],
    labels: Sequence[str],
    shown: Sequence[str],
    *,
    hint: str = "",
    **comments: str,
) -> ShapeError:
    """Return the error for labels of which it is not certain what they say.

    Args:
        look: with the rows after the first ones, which are counted too.
        settings: what was found, without `label_values`.
        labels: paths of the labels.
        shown: paths of the responses, in the order that first and second mean.
        hint: a line of its own.
        comments: to stand behind settings.
    """
    counts = {path: _counts(look, path) for path in labels}
    one_hot = settings.get("label_layout") == "one_hot"
    keys = list(labels) if one_hot else _keys(sum(counts.values(), Counter()))
    comments["label_values"] = "each one: first, second or tie"
    if len(shown) == 2:
        comments["responses"] = f"first is {shown[0]}, second is {shown[1]}"
    message = (
        f"looks like {_things(shown)} and a label, but which response a label calls better is not guessed\n"
        + "".join(f"  {path}: {_shown_counts(look, path, counts[path])}\n" for path in labels)
        + f"{_example(look, [*shown, *labels])}"
        f"{hint}  say it with label_values (the set's card tells; or read a few rows and judge):\n"
        f"{to_fill_in(look, {**settings, 'label_values': dict.fromkeys(keys, FILL_IN)}, comments)}"
    )
    return ShapeError(message, look.where, "label_direction_missing")


def score_direction_missing(
    look: Look,
    settings: Mapping[str, Any],
    shown: Sequence[str],
    scores: Sequence[str],
    *,
    hint: str = "",
    **comments: str,
) -> ShapeError:
    """Return the error for scores or ranks of which the better end is not certain.

    `scores` are the paths that may be them: several alternatives where `settings` has no scores.
    """
    found: dict[str, Any] = dict(settings)
    comments["best"] = "highest (a rating, votes) or lowest (a rank with 1 or 0 for the best)"
    if look.given("best"):
        del comments["best"]
    if len(scores) > 1 and "scores" not in found and not look.given("scores"):
        found["scores"] = FILL_IN
        comments["scores"] = f"{listed(scores, 'or')}"
    message = (
        f"looks like {_things(shown)} with scores or ranks, but which end is better is not guessed\n"
        + "".join(f"  {path}: {_range(look, path)}\n" for path in scores)
        + f"{_example(look, [*shown, *scores])}"
        f"{hint}{_order_of_places(look, scores)}"
        "  say it with best (the set's card tells; or read a few rows and judge):\n"
        f"{to_fill_in(look, {**found, 'best': FILL_IN}, comments)}"
    )
    return ShapeError(message, look.where, "score_direction_missing")


def _order_of_places(look: Look, scores: Sequence[str]) -> str:
    """Say that lists which hold each of 0 to K - 1 (or 1 to K) once may be something else than ranks."""
    for path in scores:
        values = look.column(path).values
        if values and all(_is_order(value) for value in values):
            return (
                f"  each {path} holds every place once: if it lists the responses' places from best to worst "
                "(not the rank of each), an adapter has to turn it into ranks\n"
            )
    return ""


def _is_order(value: Any) -> bool:
    numbers = {number_in(one) for one in value} if isinstance(value, list) else set()
    places = [set(range(first, first + len(value))) for first in (0, 1)] if numbers else []
    return len(numbers) > 1 and numbers in places


def several_shapes(look: Look, message: str, settings: Mapping[str, Any], **comments: str) -> ShapeError:
    """Return the error for a source that can be read in more than one way."""
    paste = to_fill_in(look, settings, comments)
    return ShapeError(f"{message}; say which:\n{paste}", look.where, "several_shapes")


def _things(shown: Sequence[str]) -> str:
    many = (
        "two responses" if len(shown) == 2 else "responses" if len(shown) == 1 else f"{len(shown)} responses"
    )
    return f"{many} ({', '.join(shown)})"


def _labels_in(row: Row, path: str) -> list[Any]:
    try:
        value = anything_at(row, path)
    except DataError:
        return []
    return value if isinstance(value, list) else [value]


def _counts(look: Look, path: str) -> Counter[str]:
    """Count the labels of all rows (of the first hundred thousand at most)."""
    rows = list(look.rows)
    found: Counter[str] = Counter()
    for row in (*rows, *islice(look.more, _MOST_COUNTED)):
        found.update(
            "null" if label is None else spelled(label) if _is_short(label) else f"({what_is(label)})"
            for label in _labels_in(row, path)
        )
    return found


def _is_short(label: Any) -> bool:
    return isinstance(label, (bool, int, float)) or (isinstance(label, str) and len(label) <= _LONGEST)


def _shown_counts(look: Look, path: str, counts: Counter[str]) -> str:
    """Return "0 in 1,203 rows, 1 in 1,100, 2 in 373", the labels in their order."""
    ordered = sorted(counts.items(), key=lambda item: (number_in(item[0]) is None, number_in(item[0]) or 0.0))
    if len(counts) > _MOST_VALUES:
        ordered = counts.most_common(_MOST_VALUES)
    in_lists = look.column(path).mostly("numbers", "texts", "list")
    shown = [
        f"{label} {number:,} times" if in_lists else f"{label} in {number:,}" for label, number in ordered
    ]
    if not in_lists:
        shown[:1] = [f"{entry} {'row' if entry.endswith(' 1') else 'rows'}" for entry in shown[:1]]
    more = f" and {len(counts) - _MOST_VALUES:,} other values" if len(counts) > _MOST_VALUES else ""
    return ", ".join(shown) + more


def _keys(counts: Counter[str]) -> list[str | int | float]:
    """Return the labels as keys of label_values: each one, or two sides where there are many, or signs."""
    numbers = {label: number_in(label) for label in counts if label != "null"}
    if numbers and None not in numbers.values():
        found = sorted(number for number in numbers.values() if number is not None)
        if found[0] < 0 or len(found) > _MOST_VALUES:
            middle = "0" if found[0] < 0 else "?"
            return [f"<{middle}", 0 if middle == "0" else middle, f">{middle}"]
        return [int(number) if number.is_integer() else number for number in found]
    return [label for label, _ in counts.most_common(_MOST_VALUES) if label != "null"]


def _range(look: Look, path: str) -> str:
    values = [number_in(label) for row in look.rows for label in _labels_in(row, path)]
    numbers = [value for value in values if value is not None]
    if not numbers:
        return "no number in the first rows"
    return f"{min(numbers):g} to {max(numbers):g} in {number_of(len(look.rows), 'rows')}"


def _example(look: Look, paths: Sequence[str]) -> str:
    """Return a few lines that show one row: the responses and what is said of them."""
    for row in look.rows:
        values = []
        for path in paths:
            try:
                values.append((path, anything_at(row, path)))
            except DataError:
                break
        else:
            told = ", ".join(f"{path} {_short(value)}" for path, value in values)
            return f"  e.g. {row.where}: {told}\n"
    return ""


def _short(value: Any) -> str:
    if isinstance(value, list):
        if value and isinstance(value[-1], dict) and what_is(value) == "messages":
            return _short(value[-1])
        return "[" + ", ".join(map(_short, value[:9])) + (", ...]" if len(value) > 9 else "]")
    if isinstance(value, dict):
        return _short(value.get("content", value.get("value", str(value))))
    text = value.strip() if isinstance(value, str) else value
    return repr(text) if not isinstance(text, str) or len(text) <= _LONGEST else repr(text[:_LONGEST]) + "..."
