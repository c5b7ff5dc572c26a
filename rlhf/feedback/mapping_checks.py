"""Refuse settings of a source that are wrong, contradict each other, or would have no effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING, fields
from difflib import get_close_matches
from itertools import combinations
from typing import TYPE_CHECKING, get_args

from rlhf.errors import DataError
from rlhf.feedback.choices import Best, Format, LabelLayout, OnBadRow, Outcome, Replies, Split, StrengthFrom
from rlhf.feedback.labels import are_signed, check_label_values
from rlhf.feedback.paths import check_path, check_template
from rlhf.feedback.presets import check_preset
from rlhf.feedback.strengths import check_strength_values
from rlhf.feedback.turns import check_markers

if TYPE_CHECKING:
    from rlhf.feedback.mapping import Source

__all__ = ["check_source", "formats_that_read", "given_settings"]

_CHOICES = {
    "format": get_args(Format),
    "replies": get_args(Replies),
    "on_bad_row": get_args(OnBadRow),
    "label_layout": get_args(LabelLayout),
    "split": (None, *get_args(Split)),
    "best": (None, *get_args(Best)),
    "strength_from": (None, *get_args(StrengthFrom)),
}
HUB_KEYS = ("config", "split", "revision", "data_dir")
_TEMPLATES = ("prompt", "system", "response", "chosen", "rejected", "text")
_PATHS = ("ranks", "scores", "labels", "strengths", "annotator", "id", "group", "json_columns")
_COLUMNS = ("canonical", "pair", "pairwise", "scored")
# Settings that not every format reads.
_READ_IN: dict[str, tuple[str, ...]] = {
    "prompt": _COLUMNS,
    "markers": (*_COLUMNS, "transcript"),
    "system": (*_COLUMNS, "transcript", "tree"),
    "roles": _COLUMNS,
    "response": _COLUMNS,
    "responses": ("canonical", "pairwise", "scored"),
    "ranks": ("canonical",),
    **dict.fromkeys(("chosen", "rejected"), ("pair", "transcript")),
    **dict.fromkeys(("labels", "label_values", "label_layout"), ("pairwise",)),
    **dict.fromkeys(("scores", "best", "tie_within", "missing"), ("scored",)),
    "annotator": (*_COLUMNS, "transcript"),
    "id": (*_COLUMNS, "transcript", "text"),
    "text": (*_COLUMNS, "transcript", "text"),
    "replies": ("tree",),
}
_CHOSEN = ("pair", "transcript")
_STRENGTH_IN = {
    "column": ("canonical", "pairwise", "scored", *_CHOSEN),
    "labels": ("pairwise",),
    "scores": ("scored", *_CHOSEN),
}


def check_source(source: Source) -> None:
    """Check the settings of a source, by themselves and together.

    Raises:
        DataError: with the path, what was found, what is allowed and what to do.
    """
    try:
        _check_choices(source)
        _check_paths(source)
        _check_hub(source)
        _check_functions(source)
        _check_prompt(source)
        _check_all_are_read(source)
        _check_labels(source)
        _check_scores(source)
        _check_strength(source)
        _check_counts(source)
        if source.preset is not None:
            check_preset(source.preset, vars(source))
    except DataError as error:
        code = "bad_source" if error.code == "bad_data" else error.code
        raise DataError(f"{source.path}: {error.message}", code=code) from None


def _check_choices(source: Source) -> None:
    for name, allowed in _CHOICES.items():
        _check_choice(name, getattr(source, name), allowed)
    for label, outcome in source.label_values.items():
        _check_choice(f"label_values[{label!r}]", outcome, get_args(Outcome))
    for name in ("prompt", "responses", "scores", "labels", "strengths"):
        if getattr(source, name) == ():
            raise DataError(f"{name} is an empty list; name at least one column")


def _check_paths(source: Source) -> None:
    for check, names in ((check_template, _TEMPLATES), (check_path, _PATHS)):
        for name in names:
            value = getattr(source, name)
            if isinstance(value, str):
                check(name, value)
            for number, part in enumerate(value if isinstance(value, tuple) else ()):
                check(f"{name}[{number}]", part)
    if isinstance(source.responses, str):
        check_path("responses", source.responses)
    else:
        for number, part in enumerate(source.responses):
            check_template(f"responses[{number}]", part)


def _check_choice(name: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        shown = ", ".join("null" if choice is None else str(choice) for choice in allowed)
        raise DataError(f"{name} is {value!r}; it can be {shown}")


def _check_hub(source: Source) -> None:
    if source.hub is None:
        return
    for key in source.hub:
        if key not in HUB_KEYS:
            near = get_close_matches(str(key), HUB_KEYS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise DataError(f"hub.{key} is not a setting{hint} (hub has: {', '.join(HUB_KEYS)})")
    for name in ("loader", "separator"):
        if getattr(source, name) is not None:
            raise DataError(f"{name} reads local files, and with hub the path is a hub id; drop one of them")


def _check_functions(source: Source) -> None:
    if source.loader is None:
        return
    if source.adapter is not None:
        raise DataError(
            "adapter and loader are both set; a loader gives finished rows: call the one in the other"
        )
    if source.separator is not None:
        raise DataError("separator has no effect beside loader, which reads the file itself")


def _check_prompt(source: Source) -> None:
    has_columns = source.format not in ("transcript", "tree", "text")
    if source.prompt is None and not has_columns:
        raise DataError(f"prompt: null takes the prompt from messages, and format {source.format} has none")
    if source.markers is None:
        return
    check_markers(source.markers)
    if source.format in ("tree", "text"):
        raise DataError(f"markers split a transcript, and format {source.format} has none")
    if source.prompt is None:
        raise DataError(
            "markers split the prompt's text, and with prompt: null there is none; drop one of them"
        )


def formats_that_read(source: Source, name: str) -> tuple[str, ...] | None:
    """Return the formats that read a setting; None: all do."""
    if source.strength_from == "scores" and name in ("scores", "best", "missing"):
        return (*_READ_IN[name], *_CHOSEN)
    return _READ_IN.get(name)


def given_settings(source: Source) -> list[str]:
    """Return the settings that are not their defaults, but for the path."""
    return [
        entry.name
        for entry in fields(source)
        if entry.name != "path"
        and getattr(source, entry.name)
        != (entry.default if entry.default_factory is MISSING else entry.default_factory())
    ]


def _check_all_are_read(source: Source) -> None:
    told: dict[str, tuple[str, ...]] = {}
    for name in given_settings(source):
        formats = formats_that_read(source, name)
        if formats is not None:
            told[name] = formats
    if source.format != "auto":
        for name, formats in told.items():
            if source.format not in formats:
                raise DataError(
                    f"{name} is only read where format is {', '.join(formats)}, not {source.format}"
                )
        return
    for (name, formats), (other, others) in combinations(told.items(), 2):
        if not set(formats) & set(others):
            raise DataError(
                f"{name} is read only where format is {', '.join(formats)}, and {other} only where format is "
                f"{', '.join(others)}; drop one of them"
            )


def _check_labels(source: Source) -> None:
    check_label_values(source.label_values)
    if source.format != "pairwise":
        return
    if not source.label_values:
        raise DataError("pairwise labels need label_values, e.g. {1: first, 2: second, 0: tie}")
    if source.label_layout == "one_hot":
        columns = set() if isinstance(source.labels, str) else set(source.labels)
        if columns != set(source.label_values):
            raise DataError(
                "label_layout: one_hot needs labels as a list of columns and label_values for exactly these, "
                "e.g. labels: [a_wins, b_wins], label_values: {a_wins: first, b_wins: second}; found "
                f"labels: {source.labels!r} and label_values of {', '.join(map(str, source.label_values))}"
            )
    named = not isinstance(source.labels, str)
    if source.label_layout == "annotators" and named and source.annotator is not None:
        raise DataError(
            "annotator has no effect where labels lists a path for each annotator; drop annotator"
        )


def _check_scores(source: Source) -> None:
    by_strength = source.format in _CHOSEN and source.strength_from == "scores"
    if source.format != "scored" and not by_strength:
        return
    if source.best is None:
        told = "strength_from: scores" if by_strength else "format: scored"
        raise DataError(
            f"{told} needs best: highest or lowest; which end of {source.scores!r} marks the better "
            "response is not guessed (a rating or votes: highest; a rank with 1 or 0 for the best: lowest)"
        )
    if not (math.isfinite(source.tie_within) and source.tie_within >= 0.0):
        raise DataError(f"tie_within is {source.tie_within!r}; it is a distance of scores, 0 or more")


def _check_strength(source: Source) -> None:
    where = source.strength_from
    if where != "column" and (source.strengths != "strengths" or source.strength_values):
        name = "strength_values" if source.strengths == "strengths" else "strengths"
        raise DataError(f"{name} is only read where strength_from is column, not {where or 'null'}")
    check_strength_values(source.strength_values)
    if where is None:
        return
    if source.format not in ("auto", *_STRENGTH_IN[where]):
        raise DataError(
            f"strength_from: {where} is only read where format is {', '.join(_STRENGTH_IN[where])}, "
            f"not {source.format}"
        )
    is_told = source.format != "auto" or bool(source.label_values)
    if (
        where == "labels"
        and is_told
        and (source.label_layout == "one_hot" or not are_signed(source.label_values))
    ):
        raise DataError(
            "strength_from: labels takes a label's distance from 0, so labels below 0 must all say one side, "
            'those above 0 the other, and 0 tie, e.g. {"<0": first, 0: tie, ">0": second}; name a column by '
            "strength_from: column and strengths"
        )


def _check_counts(source: Source) -> None:
    if source.limit is not None and source.limit < 1:
        raise DataError(f"limit {source.limit} keeps nothing; use null for all records")
    if not (math.isfinite(source.weight) and source.weight > 0):
        raise DataError(
            f"weight is {source.weight!r}; it is how many times an epoch reads the source, above 0; take a "
            "source that is not to be read off the list"
        )
    for name in ("validation_fraction", "test_fraction", "max_bad"):
        if not 0.0 <= getattr(source, name) <= 1.0:
            raise DataError(f"{name} is {getattr(source, name)!r}; a share lies between 0 and 1")
    if source.validation_fraction + source.test_fraction > 1.0:
        raise DataError("validation_fraction and test_fraction are more than 1 together")
    if source.split is not None and source.fractions()[source.split] <= 0.0:
        remedy = "lower the other fractions" if source.split == "train" else f"set {source.split}_fraction"
        raise DataError(f"split: {source.split} holds none of the groups; {remedy}")
    if source.split is None and (source.validation_fraction or source.test_fraction):
        raise DataError("fractions have no effect without split: train, validation or test")
