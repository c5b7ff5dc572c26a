"""Contradictions, cycles, ties that fit no order, and equal responses."""

from __future__ import annotations

from pathlib import Path

from rlhf.feedback import find_oddities, read_rankings
from tests.feedback.findings.make import counts, found, rank, say
from tests.feedback.shapes import write_rows


def test_cycle_inside_a_row_is_printed_by_the_numbers_of_its_responses() -> None:
    # b > a, a > d, d > b
    (note,) = found("cycle", [say("q", "b>a a>d d>b a>c", 3)])
    assert (note.where, note.message) == ("a.jsonl:3", "responses 1>4>2>1; the annotator is not recorded")


def test_cycle_across_rows_of_one_annotator() -> None:
    rows = [rank("q", "x > y", 1, "ann"), rank("Q", "y > z", 2, "ann"), rank("q ", "z > x", 3, "ann")]
    (note,) = found("cycle", rows)
    assert note.message == (
        "responses 1>2>3>1, numbered as they come in a.jsonl:1, a.jsonl:2, a.jsonl:3; annotator ann"
    )
    rows[2] = rank("q", "z > x", 3, "bob")
    assert found("cycle", rows) == [], "two annotators may differ"
    rows[2] = rank("other", "z > x", 3, "ann")
    assert found("cycle", rows) == [], "another prompt"
    rows[2] = rank("q", "x > z", 3, "ann")
    assert found("cycle", rows) == []


def test_cycle_of_one_split_only() -> None:
    rows = [rank("q", "x > y", 1, "ann"), rank("q", "y > z", 2, "ann"), rank("q", "z > x", 3, "ann")]
    assert counts({"train": rows[:2], "test": rows[2:]}) == {
        "leak": 1, "duplicate_prompt": 1, "one_annotator": 2,
    }  # fmt: skip


def test_ties_that_fit_no_order() -> None:
    (note,) = found("intransitive_tie", [say("q", "a=b b=c a>c", 3)])
    assert note.message == "responses 1>3=2=1; the annotator is not recorded"
    assert counts({"train": [say("q", "a=b b=c a>c a>d d>c")]}) == {"intransitive_tie": 1}
    assert counts({"train": [say("q", "a=b b=c a=c")]}) == {}


def test_contradiction_counts_pairs_by_annotator() -> None:
    rows = [
        rank("q", "x > y", 1, "ann"),
        rank("q", "y > x", 2, "ann"),
        rank("q", "y > x", 3, "ann"),  # the same again
        rank("q", "y > x", 4, "bob"),  # who may differ
        rank("p", "x > y > z", 5, "bob"),
        rank("p", "y = x > z", 6, "bob"),
    ]
    notes = found("contradiction", rows)
    assert [note.where for note in notes] == ["a.jsonl:1", "a.jsonl:5"]
    assert notes[0].message == (
        "of the same two responses to the same prompt the better is the one (a.jsonl:1) and "
        "the other (a.jsonl:2) (contradictions by annotator: ann 1, bob 1)"
    )
    assert "the one (a.jsonl:5) and a tie (a.jsonl:6)" in notes[1].message


def test_a_column_that_says_tie_beside_a_better_response(tmp_path: Path) -> None:
    """distilabel's `status`: detection sees the first rows only, and a given format none."""
    rows = [
        {"prompt": f"q{n}", "chosen": "a", "rejected": "b", "status": "tie" if n == 7 else "ok"}
        for n in range(9)
    ]
    path = write_rows(tmp_path / "x.jsonl", rows)
    reading = read_rankings([{"path": path, "format": "pair"}])
    (note,) = [one for one in find_oddities({"train": reading}) if one.code == "tie_in_column"]
    assert (note.where, note.message) == (f"{path}:8", "status is 'tie', and it is not read")


def test_rows_without_a_name_are_taken_together_but_not_the_opinions_of_a_row() -> None:
    assert counts({"train": [rank("q", "x > y", 1), rank("q", "y > x", 2)]}) == {
        "duplicate_prompt": 1, "contradiction": 1,
    }  # fmt: skip
    several = [rank("q", "x > y", 1), rank("q", "y > x", 1), rank("q", "y > x", 2), rank("q", "x > y", 2)]
    assert counts({"train": several})["contradiction"] == 1, "the first opinions of both rows"


def test_equal_responses_that_tie() -> None:
    rows = [rank("q", "x = y > z", 1), rank("p", "x > y", 2)]
    assert found("equal_responses", rows) == []
    copy = rank("r", "x > y", 3)
    object.__setattr__(copy, "responses", ("x", "y", "x "))
    object.__setattr__(copy, "ranks", (1, 2, 1))
    (note,) = found("equal_responses", [*rows, copy])
    assert (note.where, note.message) == ("a.jsonl:3", "response 1 stands 2 times")
    object.__setattr__(copy, "ranks", (1, 2, 3))
    assert found("equal_responses", [copy]) == [], "one is better than itself: same_responses, by the reader"
