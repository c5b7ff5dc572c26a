"""What labels, scores and columns are read as, and how often each stands in the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlhf.checking.meanings import count_meanings
from rlhf.checking.results import Meaning
from rlhf.feedback.mapping import build_sources
from tests.feedback.shapes import FINEGRAINED_ROWS, FINEGRAINED_SETTINGS, HH_ROWS, TREE_ROWS, write_rows


def meanings(path: Path, rows: list[Any], **told: Any) -> list[tuple[str, str, int | None]]:
    (source,) = build_sources([{"path": write_rows(path / "x.jsonl", rows), **told}])
    return [(found.value, found.means, found.number) for found in count_meanings(source)]


AB = {"format": "pairwise", "responses": ["a", "b"]}


def labelled(*labels: Any) -> list[dict[str, Any]]:
    return [{"prompt": "Q", "a": "x", "b": "y", "label": label} for label in labels]


def test_a_line_for_each_label(tmp_path: Path) -> None:
    values = {1: "first", 2: "second", 0: "tie"}
    found = meanings(tmp_path, labelled(2, 1, "1", 0, 2, 2, None, 9), **AB, label_values=values)
    assert found == [
        ("label 0", "tie", 1),
        ("label null", "nothing", 1),
        ("label 1", "first", 2),
        ("label 2", "second", 3),
        ("label 9", "nothing", 1),
    ]


def test_many_labels_are_counted_by_what_they_mean(tmp_path: Path) -> None:
    values = {"<0": "first", 0: "tie", ">0": "second"}
    rows = labelled(*(number / 10 for number in range(-20, 11)))
    assert meanings(tmp_path, rows, **AB, label_values=values) == [
        ("labels", "first", 20),
        ("labels", "second", 10),
        ("labels", "tie", 1),
    ]


def test_rows_with_several_labels_count_labels(tmp_path: Path) -> None:
    # preference: [2, 1, 0, 1, 1, 2] and [0, 1, 1, 0, 1, 1]
    (source,) = build_sources(
        [{"path": write_rows(tmp_path / "x.jsonl", FINEGRAINED_ROWS), **FINEGRAINED_SETTINGS}]
    )
    assert count_meanings(source) == (
        Meaning("label 0", "tie", 3, "labels"),
        Meaning("label 1", "first", 7, "labels"),
        Meaning("label 2", "second", 2, "labels"),
    )


def test_columns_of_which_one_is_set(tmp_path: Path) -> None:
    rows = [{"prompt": "Q", "a": "x", "b": "y", "left": n % 2, "right": 1 - n % 2} for n in range(3)]
    rows.append({**rows[0], "left": 0, "right": 0})
    told = {
        "labels": ["left", "right"],
        "label_layout": "one_hot",
        "label_values": {"left": "first", "right": "second"},
    }
    assert meanings(tmp_path, rows, **AB, **told) == [
        ("label left", "first", 1),
        ("label right", "second", 2),
    ]


@pytest.mark.parametrize(
    ("best", "first", "second"),
    [
        ("highest", "the highest of s (up to 9)", "the lowest (down to 1.5)"),
        ("lowest", "the lowest of s (down to 1.5)", "the highest (up to 9)"),
    ],
)
def test_scores_say_their_range(tmp_path: Path, best: str, first: str, second: str) -> None:
    rows = [
        {"prompt": "Q", "responses": ["x", "y"], "s": [1.5, "9"]},
        {"prompt": "Q", "responses": ["x", "y"], "s": [-1, 3]},
        {"prompt": "Q", "responses": ["x", "y"], "s": None},
    ]
    found = meanings(tmp_path, rows, format="scored", scores="s", best=best, missing=[-1])
    assert [entry[:2] for entry in found] == [(first, "best"), (second, "worst"), ("equal scores", "tie")]


def test_the_other_formats(tmp_path: Path) -> None:
    assert meanings(tmp_path, HH_ROWS, format="transcript", chosen="rejected", rejected="chosen") == [
        ("column rejected", "best", None),
        ("column chosen", "worst", None),
    ]
    assert meanings(tmp_path, TREE_ROWS, format="tree")[0][:2] == (
        "the lowest rank among sibling replies",
        "best",
    )
    rows = [{"prompt": "Q", "responses": ["x", "y"], "ranks": [1, 2]}]
    assert meanings(tmp_path, rows, format="canonical")[0][1] == "best"
