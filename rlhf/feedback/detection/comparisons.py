"""Responses side by side or in a list, with labels or scores: read only where the direction is certain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlhf.feedback.detection.found import Found, ShapeError
from rlhf.feedback.detection.known import presets_that_read
from rlhf.feedback.detection.looks import Look
from rlhf.feedback.detection.names import (
    is_label_name,
    names_the_better,
    responses_side_by_side,
    rows_of_columns,
)
from rlhf.feedback.detection.prompts import Part, context_beside, prompt_in
from rlhf.feedback.detection.refusals import (
    label_direction_missing,
    listed,
    score_direction_missing,
    several_shapes,
)
from rlhf.feedback.detection.yaml_text import FILL_IN
from rlhf.feedback.numbers import spelled
from rlhf.feedback.preset_table import PRESETS

__all__ = ["labelled", "responses_in", "scored"]

_LONGEST_LABEL = 40
_MOST_LABELS = 20
_TIES = {"tie", "tied", "equal", "draw"}
_TEXT_KEYS = ("answer", "response", "text", "content", "completion", "output", "summary", "generation")
_SCORES = {
    "score", "scores", "rating", "ratings", "rank", "ranks", "ranking", "stars", "votes", "upvotes", "likes",
    "reward", "rewards", "quality", "grade", "grades", "points", "preference", "preferences",
}  # fmt: skip


@dataclass(frozen=True)
class _Responses:
    """Where the responses of a row stand: K paths, or the one path of a list."""

    paths: tuple[str, ...] | str
    because: str

    @property
    def shown(self) -> tuple[str, ...]:
        return (self.paths,) if isinstance(self.paths, str) else self.paths


def responses_in(look: Look) -> _Responses | None:
    """Return where the responses stand.

    Raises:
        ShapeError: several_shapes, where two sets of columns can be them.
    """
    if look.given("responses"):
        return _Responses(look.source.responses, "the responses are given")
    if "responses" in look.names and look.column("responses").mostly("texts"):
        return _Responses(
            "responses", f"responses is a list of texts {look.count(len(look.column('responses').found))}"
        )
    found = responses_side_by_side(look)
    if len(found) > 1:
        each = " or ".join(f"[{', '.join(names)}]" for names in found)
        raise several_shapes(
            look, f"{each} could be the responses", {"responses": FILL_IN}, responses=f"one of {each}"
        )
    if found:
        kind = look.column(found[0][0]).kind()
        return _Responses(
            found[0],
            f"columns {listed(found[0])} are {kind} {look.count(len(look.column(found[0][0]).found))}",
        )
    return _list_of_responses(look)


def _list_of_responses(look: Look) -> _Responses | None:
    """Return a list of texts, or of objects with a text in each, that is no conversation."""
    for name in look.names:
        column = look.column(name)
        if column.values and column.mostly("objects"):
            for key in _TEXT_KEYS:
                inner = look.column(f"{name}[].{key}")
                if inner.values and inner.mostly("texts"):
                    return _Responses(inner.path, f"{inner.path} are texts {look.count(len(inner.found))}")
    for name in look.names:
        column = look.column(name)
        if (
            column.values
            and column.mostly("texts")
            and name.lower() != "prompt"
            and _number_lists(look, name)
        ):
            return _Responses(name, f"{name} is a list of texts {look.count(len(column.found))}")
    return None


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
    part = prompt_in(look, settings) or _implicit(look, responses)
    settings |= part.settings
    layout = _layout(look, labels)
    if len(labels) > 1 and layout is None:
        hint = _unsaid(look, settings)[1].get("hint", "")
        raise several_shapes(
            look,
            f"{listed(labels)} could each be the label, and each may mean something else"
            f"{hint and f' ({hint.strip()})'}",
            {**settings, "labels": FILL_IN, "label_values": FILL_IN},
            labels=f"{listed(labels, 'or')}",
            label_values="what each label says: first, second or tie",
        )
    settings |= _label_settings(look, labels, layout)
    if not look.given("label_values"):
        _check_compares_pairs(look, labels, responses)
        settings["label_values"] = _certain(look, labels, layout, responses)
        if settings["label_values"] is None:
            del settings["label_values"]
            lacking, told = _unsaid(look, settings)
            raise label_direction_missing(look, settings | lacking, labels, responses.shown, **told)
    said = f"{listed(labels) if labels else 'the label'} says which is better"
    what = "two responses" if len(responses.shown) == 2 else "responses"
    return Found(f"{what} and a label", (responses.because, said, *part.because), settings)


def _check_compares_pairs(look: Look, labels: Sequence[str], responses: _Responses) -> None:
    """Refuse one label of three or more responses: the number of the best one is read by no format."""
    size = len(responses.shown)
    if isinstance(responses.paths, str):
        size = max(
            (len(value) for value in look.column(responses.paths).values if isinstance(value, list)),
            default=2,
        )
    if size > 2 and not any(look.column(label).mostly("numbers", "texts", "list") for label in labels):
        message = (
            f"{size} responses ({', '.join(responses.shown)}) and one label a row ({listed(labels)}): the "
            "number of the best one? Labels of pairs are read (1v2, 1v3, ..., 2v3, ...), ranks and scores; "
            "an adapter can make ranks of this, e.g. [2, 1, 2] where the second of three is best"
        )
        raise ShapeError(message, look.where, "shape_unknown")


def _implicit(look: Look, responses: _Responses) -> Part:
    """Return the prompt of responses that are conversations: their beginning; else leave it to the reader."""
    if all(look.column(path).mostly("messages") for path in responses.shown):
        return Part({"prompt": None}, ("they begin with the prompt",))
    return Part()


def _label_settings(look: Look, labels: Sequence[str], layout: str | None) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if labels and not look.given("labels") and list(labels) != ["label"]:
        settings["labels"] = labels[0] if layout is None else tuple(labels)
    if layout is not None and not look.given("label_layout"):
        settings["label_layout"] = layout
    return settings


def _labels_in(look: Look, responses: _Responses) -> list[str]:
    if look.given("labels"):
        labels = look.source.labels
        return [labels] if isinstance(labels, str) else list(labels)
    taken = set(responses.shown)
    found = [
        name for name in look.names if name not in taken and is_label_name(name) and _is_label(look, name)
    ]
    return ["label"] if found and look.given("label_values") and "label" in found else found


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
        if once == len(rows) and len(rows) == len(look.rows):
            return "one_hot"
    return "annotators" if tuple(labels) in rows_of_columns(labels).values() else None


def _certain(
    look: Look, labels: Sequence[str], layout: str | None, responses: _Responses
) -> dict[str, str] | None:
    """Return what labels say that name one of the two columns, in a column whose own name says "better"."""
    if layout is not None or len(labels) != 1 or len(responses.shown) != 2 or not names_the_better(labels[0]):
        return None
    first, second = responses.shown
    found = {
        spelled(value) if not isinstance(value, list) else None for value in look.column(labels[0]).values
    }
    ties = {value for value in found if value in _TIES}
    if not found or not found <= {first, second, *ties} or {first, second} & _TIES:
        return None
    return {first: "first", second: "second", **dict.fromkeys(sorted(ties - {None}), "tie")}


def scored(look: Look) -> Found | None:
    """Responses with scores or ranks: read where `best` is given."""
    if look.given("ranks", "labels", "label_values", "label_layout", "chosen", "rejected"):
        return None
    responses = responses_in(look)
    if responses is None:
        return None
    scores = _scores_in(look, responses)
    if not scores and not look.given("scores", "best", "tie_within", "missing"):
        return None
    settings: dict[str, Any] = {"format": "scored"}
    if responses.paths != "responses":
        settings["responses"] = responses.paths
    part = prompt_in(look, settings) or _implicit(look, responses)
    settings |= part.settings
    if len(scores) == 1 and scores[0] != "scores" and not look.given("scores"):
        settings["scores"] = scores[0]
    if look.source.best is None:
        flat = [path for one in scores for path in ((one,) if isinstance(one, str) else one)]
        lacking, told = _unsaid(look, settings)
        raise score_direction_missing(look, settings | lacking, responses.shown, flat, **told)
    if len(scores) > 1 and not look.given("scores"):
        names = [one if isinstance(one, str) else f"[{', '.join(one)}]" for one in scores]
        message = f"{listed(names)} could each be the scores"
        raise several_shapes(look, message, {**settings, "scores": FILL_IN}, scores=listed(names, "or"))
    said = f"best: {look.source.best} is given"
    return Found("responses with scores or ranks", (responses.because, said, *part.because), settings)


def _unsaid(look: Look, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return settings to fill in that were not found, and what to say beside the mapping to paste."""
    told: dict[str, str] = {}
    lacking: dict[str, Any] = {}
    presets = presets_that_read(look)
    if presets:
        sets = listed(dict.fromkeys(PRESETS[name].about.partition(",")[0] for name in presets), "or")
        told["hint"] = f"  if this is {sets}: preset: {listed(presets, 'or')}\n"
    context = context_beside(look, settings.get("prompt"))
    if context is not None:
        told["prompt"] = f"{context} stands beside it and is not read: join them if it belongs to the prompt"
    if "prompt" not in settings and not look.given("prompt") and "prompt" not in look.names:
        lacking["prompt"] = FILL_IN
        told["prompt"] = "its column, or a template such as '{title} {body}'"
    return lacking, told


def _scores_in(look: Look, responses: _Responses) -> list[str | tuple[str, ...]]:
    if look.given("scores"):
        return [look.source.scores]
    if not isinstance(responses.paths, str):
        groups = rows_of_columns([name for name in look.names if name not in responses.paths]).items()
        return [
            names
            for stem, names in groups
            if len(names) == len(responses.paths)
            and set(stem.split("_")) & _SCORES
            and all(look.column(name).numeric() for name in names)
        ]
    if "[]." in responses.paths:
        return list(_number_keys(look, responses.paths.partition("[].")[0]))
    return list(_number_lists(look, responses.paths))


def _number_keys(look: Look, name: str) -> list[str]:
    """Return the paths of the numbers in a list of objects."""
    keys = dict.fromkeys(
        key for value in look.column(name).values for item in value if isinstance(item, dict) for key in item
    )
    paths = [f"{name}[].{key}" for key in keys]
    return [path for path in paths if look.column(path).values and look.column(path).mostly("numbers")]


def _number_lists(look: Look, responses: str) -> list[str]:
    """Return the columns that hold as many numbers as there are responses."""
    sizes = {row.where: len(value) for row, value in look.column(responses).found if isinstance(value, list)}
    found = []
    for name in look.names:
        column = look.column(name)
        if not column.values or not column.mostly("numbers"):
            continue
        if all(len(value) == sizes.get(row.where) for row, value in column.found if isinstance(value, list)):
            found.append(name)
    return found
