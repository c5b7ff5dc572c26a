"""Turns of transcripts: split at their markers, and put together as they were."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.errors import DataError
from rlhf.feedback import read_demonstrations
from rlhf.feedback.turns import HH_MARKERS, join_turns, split_turns
from tests.feedback.shapes import write_rows


def test_marker_that_begins_with_the_other_one() -> None:
    markers = {"user": "\nQ", "assistant": "\nQA"}
    assert split_turns("\nQ x\nQA y\nQ z", markers, "x:1") == [
        ("user", " x"),
        ("assistant", " y"),
        ("user", " z"),
    ]
    other = {"user": "\nQA", "assistant": "\nQ"}
    assert split_turns("\nQA x\nQ y", other, "x:1") == [("user", " x"), ("assistant", " y")]


PIECES = st.lists(
    st.sampled_from(["\n\nHuman:", "\n\nAssistant:", " a", "b\n\n", "Human:", " Assistant:", "\n"]),
    max_size=12,
)


@given(PIECES.map("".join))
def test_turns_together_are_the_text_without_its_first_marker(text: str) -> None:
    text = "\n\nHuman:" + text
    turns = split_turns(text, HH_MARKERS, "x:1")
    joined = join_turns(turns, HH_MARKERS)
    assert text.removeprefix("\n\nHuman:").removeprefix(" ") == joined
    assert all(marker not in content for _, content in turns for marker in HH_MARKERS.values())


def test_text_without_a_marker_is_named() -> None:
    with pytest.raises(
        DataError, match=r"x:1: transcript 'chosen' begins with 'Human:' or .*not 'so'; markers: names others"
    ):
        split_turns("so", HH_MARKERS, "x:1", "chosen")


def test_blanks_of_a_response_are_its_own(tmp_path: Path) -> None:
    row = {"chosen": "\n\nHuman: a\n\nAssistant:  b \n", "rejected": "x"}
    (one,) = read_demonstrations([{"path": write_rows(tmp_path / "x.jsonl", [row]), "format": "transcript"}])
    assert one.response == " b \n"
