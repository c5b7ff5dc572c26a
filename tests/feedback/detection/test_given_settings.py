"""What is given beside format auto holds, tells the format where it can, and is found fault with where it contradicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlhf.errors import DataError
from rlhf.feedback import Source, read_demonstrations, read_prompts, read_rankings, read_texts
from rlhf.feedback.detection import detect_source
from tests.feedback.real_shapes import RANKINGS, assistant, user
from tests.feedback.shapes import write_rows
from tests.feedback.test_shapes import dialogue, said

VALUES = {0: "first", 1: "second"}
ROW: dict[str, Any] = {
    "q": "Q",
    "a": "x",
    "b": "y",
    "c": "z",
    "label": 0,
    "other": 1,
    "stars_a": 1,
    "stars_b": 2,
    "likes": [5, 4],
}
GIVEN: dict[str, tuple[dict[str, Any], str, str]] = {
    # settings beside the prompt: the format found, what is said
    "the meaning of labels": ({"responses": ["a", "b"], "label_values": VALUES}, "pairwise", "x > y"),
    "another label": ({"responses": ["a", "b"], "labels": "other", "label_values": VALUES}, "pairwise", "y > x"),
    "other responses": ({"responses": ["b", "c"], "label_values": VALUES}, "pairwise", "y > z"),
    "scores": ({"responses": ["a", "b"], "scores": ["stars_a", "stars_b"], "best": "lowest"}, "scored", "x > y"),
    "an end of the scores": ({"responses": ["a", "b"], "best": "highest"}, "scored", "y > x"),
    "a list of scores": ({"responses": ["a", "b"], "scores": "likes", "best": "highest"}, "scored", "x > y"),
    "a better and a worse column": ({"chosen": "c", "rejected": "a"}, "pair", "z > x"),
}  # fmt: skip


@pytest.mark.parametrize("name", GIVEN)
def test_settings_tell_the_format(tmp_path: Path, name: str) -> None:
    settings, form, expected = GIVEN[name]
    path = write_rows(tmp_path / "x.jsonl", [ROW])
    reading = read_rankings([{"path": path, "prompt": "q", **settings}])
    (detection,) = reading.detections
    assert detection.source.format == form
    assert [said(ranking) for ranking in reading] == [[expected]]
    for key, value in settings.items():
        found = getattr(detection.source, key)
        assert (list(found) if isinstance(found, tuple) else found) == value
        assert key not in detection.settings, "what is given was not found out"


def test_the_preset_of_two_is_told_by_the_label(tmp_path: Path) -> None:
    shape = RANKINGS["pku-saferlhf-safe"]
    path = write_rows(tmp_path / "x.jsonl", shape.rows)
    reading = read_rankings([{"path": path, "labels": "safer_response_id"}])
    assert reading.detections[0].preset == "pku-saferlhf-safe"
    assert [said(ranking) for ranking in reading] == shape.says


def test_settings_that_no_layout_depends_on_are_kept(tmp_path: Path) -> None:
    rows = [{"prompt": f"Q{number}", "response": "a"} for number in range(20)]
    source = Source(
        path=write_rows(tmp_path / "x.jsonl", rows),
        split="train",
        test_fraction=0.5,
        limit=3,
        system="about",
    )
    found = detect_source(source, "demonstrations").source
    assert (found.split, found.test_fraction, found.limit, found.system) == ("train", 0.5, 3, "about")


def test_one_description_of_a_file_serves_all_kinds(tmp_path: Path) -> None:
    row = {"question": "Q", "answer_a": "x", "answer_b": "y", "winner": 0, "text": "t", "response": "z"}
    source = {"path": write_rows(tmp_path / "x.jsonl", [row]), "label_values": VALUES}
    assert [said(one) for one in read_rankings([source])] == [["x > y"]]
    assert [dialogue(one) for one in read_prompts([source])] == ["user: Q"]
    assert [one.response for one in read_demonstrations([source])] == ["z"]
    assert [one.text for one in read_texts([source])] == ["t"]
    scored = {"path": source["path"], "best": "highest", "scores": "likes"}
    assert [dialogue(one) for one in read_prompts([scored])] == ["user: Q"]
    marked = {"path": source["path"], "markers": {"user": "U:", "assistant": "A:"}}
    assert [one.text for one in read_texts([marked])] == ["t"]


def test_prompt_null_is_what_messages_begin_with(tmp_path: Path) -> None:
    row = {"chosen": [user("Q"), assistant("x")], "rejected": [user("Q"), assistant("y")]}
    path = write_rows(tmp_path / "x.jsonl", [row])
    assert [said(one) for one in read_rankings([{"path": path, "prompt": None}])] == [["x > y"]]
    path = write_rows(tmp_path / "y.jsonl", [{"talk": [user("Q"), assistant("x")]}])
    (one,) = read_demonstrations([{"path": path, "prompt": None, "response": "talk"}])
    assert (dialogue(one.prompt), one.response) == ("user: Q", "x")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"best": "highest", "label_values": VALUES},
            "best is read only where format is scored, and label_values only where format is pairwise; drop one",
        ),
        (
            {"scores": "s", "labels": "l"},
            "scores is read only where format is scored, and labels only where format is pairwise",
        ),
    ],
)
def test_settings_of_two_formats_are_refused(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        Source(path="x.jsonl", **settings)


def test_given_column_that_is_not_there_has_the_message_of_a_given_format(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", [ROW])
    with pytest.raises(DataError, match=r"x\.jsonl:1: no column 'lable'; did you mean 'label'"):
        read_rankings(
            [
                {
                    "path": path,
                    "prompt": "q",
                    "responses": ["a", "b"],
                    "labels": "lable",
                    "label_values": VALUES,
                }
            ]
        )
    with pytest.raises(DataError, match=r"x\.jsonl:1: no column 'qq'; did you mean 'q'"):
        read_rankings([{"path": path, "prompt": "qq", "responses": ["a", "b"], "label_values": VALUES}])
