"""Rows and prompts that come twice, and prompts and groups in two splits."""

from __future__ import annotations

from rlhf.feedback import Text
from rlhf.feedback.columns import group_of_text
from tests.feedback.findings.make import ask, counts, demonstrate, found, rank


def test_row_again_is_no_prompt_again() -> None:
    rows = [demonstrate("Why?", "So.", 1), demonstrate("why? ", "So. ", 2), demonstrate("Why?", "No.", 3)]
    (again,) = found("duplicate_row", rows)
    assert (again.where, again.count, again.message) == ("a.jsonl:2", 1, "is the row a.jsonl:1 again")
    (prompt,) = found("duplicate_prompt", rows)
    assert (prompt.where, prompt.message) == ("a.jsonl:3", "asks what a.jsonl:1 asks")
    assert counts({"train": rows}) == {"duplicate_row": 1, "duplicate_prompt": 1}


def test_row_is_the_same_whatever_the_order_of_its_responses() -> None:
    assert counts({"train": [rank("q", "x > y", 1), rank("q", "x > y", 2, responses="y x")]}) == {
        "duplicate_row": 1
    }
    assert counts({"train": [rank("q", "x = y", 1), rank("q", "x = y", 2, responses="y x")]}) == {
        "duplicate_row": 1
    }
    for label in ("x = y", "y > x"):
        other = counts({"train": [rank("q", "x > y", 1), rank("q", label, 2)]})
        assert other == {"duplicate_prompt": 1, "contradiction": 1}
    assert counts({"train": [rank("q", "x > y", 1), rank("q", "x > z", 2)]}) == {"duplicate_prompt": 1}


def test_annotators_may_share_a_prompt() -> None:
    rows = [rank("q", "x > y", 1, "ann"), rank("q", "x > y", 2, "bob")]
    assert counts({"train": rows}) == {}
    assert counts({"train": [*rows, rank("q", "x > y", 3, "bob")]}) == {"duplicate_row": 1}


def test_opinions_of_one_row_are_one_row() -> None:
    row = [rank("q", "x > y", 1), rank("q", "y > x", 1), rank("q", "x > y", 1)]
    assert counts({"train": row}) == {}, "three people without names may differ"


def test_prompt_in_two_splits() -> None:
    readings = {
        "train": [
            demonstrate("Why  is it SO?", "a", 1),
            demonstrate("new", "a", 2),
            demonstrate("caf\u00e9", "a", 3),
        ],
        "test": [
            demonstrate("why is it so?", "b", 8),
            demonstrate("other", "b", 9),
            demonstrate("cafe\u0301", "a", 7),
        ],
    }
    notes = found("leak", readings)
    assert [(note.where, note.count) for note in notes] == [("a.jsonl:8", 1), ("a.jsonl:7", 1)]
    expected = "this test prompt is train's a.jsonl:1; evaluation leaves the held-out ones out"
    assert notes[0].message == expected
    assert counts(readings) == {"leak": 2}


def test_prompt_in_all_three_splits() -> None:
    """One leak, though the two held-out parts share it as well."""
    readings = {
        "train": [ask("q", 1), ask("Q", 2)],
        "validation": [ask("q ", 3)],
        "test": [ask("Q", 4), ask("q", 5)],
    }
    assert counts(readings) == {"leak": 1, "held_out_overlap": 1, "duplicate_row": 2}
    (note,) = found("held_out_overlap", readings)
    assert (note.where, note.message) == ("a.jsonl:3", "this validation prompt is test's a.jsonl:4")
    (note,) = found("leak", readings)
    assert (note.where, note.count) == ("a.jsonl:3", 1)
    assert counts({"validation": [ask("q", 1, group="g")], "test": [ask("p", 2, group="g")]}) == {}


def test_leak_with_other_groups_stays_in_evaluation() -> None:
    readings = {"train": [ask("q", 1, group="one")], "test": [ask("q", 2, group="two")]}
    (note,) = found("leak", readings)
    assert "their groups differ, so it is not left out of evaluation" in note.message
    assert counts(readings) == {"leak": 1}


def test_group_in_two_splits() -> None:
    readings = {
        "validation": [ask("p", 1, group="post"), ask("r", 2, group="post")],
        "train": [ask("q", 3, group="post"), ask("s", 4, group="else"), ask("t", 5, group="post")],
    }
    (note,) = found("group_leak", readings)
    assert (note.where, note.count) == ("a.jsonl:1", 1)
    assert note.message.startswith("group 'post' of validation has train's a.jsonl:3 too")
    assert counts(readings) == {"group_leak": 1}
    assert counts({"train": readings["train"]}) == {}


def test_group_that_looks_like_a_hash_is_a_group() -> None:
    name = group_of_text("something else")
    assert counts({"test": [ask("p", 1, group=name)], "train": [ask("q", 2, group=name)]}) == {
        "group_leak": 1
    }


def test_texts() -> None:
    texts = [
        Text(str(line), text, group_of_text(text), f"t.txt:{line}")
        for line, text in enumerate(("A b", "a  B"))
    ]
    assert counts({"train": texts}) == {"duplicate_row": 1}
    assert counts({"train": texts[:1], "test": texts[1:]}) == {"leak": 1}
