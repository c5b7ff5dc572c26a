"""The findings together: counts that no order changes, places that are kept, records that are met once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rlhf.feedback import Note, Reading, find_oddities
from rlhf.feedback.findings.entries import Places
from rlhf.feedback.findings.tally import PLACES_KEPT
from tests.feedback.findings.make import ask, counts, demonstrate, rank, say

TEXTS = ["q", "Q ", "what is it then that you all want from me today", "what is it then that you all want from me",
         "x<br>", "bell\x07", "some other text"]  # fmt: skip
RECORDS = st.one_of(
    st.builds(rank, st.sampled_from(TEXTS), st.sampled_from(["a > b", "b > a", "a = b", "a > b > c", "c > a", "b > c"]),
              annotator=st.sampled_from([None, "ann", "bob"]), group=st.sampled_from(["", "g", "h"])),
    st.builds(say, st.sampled_from(TEXTS), st.sampled_from(["a>b b>c c>a", "a=b b=c a>c", "a>b"]),
              annotator=st.sampled_from([None, "ann"])),
    st.builds(demonstrate, st.sampled_from(TEXTS), st.sampled_from(["a", "b</s>"])),
    st.builds(ask, st.sampled_from(TEXTS)),
)  # fmt: skip


def placed(records: list[Any], file: str) -> list[Any]:
    """The records, each at a line of its own."""
    for line, record in enumerate(records, 1):
        prompt = getattr(record, "prompt", record)
        object.__setattr__(prompt, "where", f"{file}:{line}")
        object.__setattr__(prompt, "id", f"{file}:{line}")
    return records


@given(st.lists(RECORDS, max_size=14), st.lists(RECORDS, max_size=6), st.randoms(use_true_random=False))
def test_order_of_the_rows_changes_no_count(train: list[Any], test: list[Any], chance: random.Random) -> None:
    before = counts({"train": placed(train, "t.jsonl"), "test": placed(test, "h.jsonl")})
    chance.shuffle(train)
    chance.shuffle(test)
    assert counts({"test": test, "train": train}) == before


def test_first_places_are_kept_and_everything_is_counted() -> None:
    number = 3 * PLACES_KEPT
    reading = Reading([demonstrate(f"q{line}", "x<br>", line) for line in range(1, number + 1)])
    notes = find_oddities({"train": reading})
    assert len(notes) == PLACES_KEPT
    assert [note.where for note in notes] == [f"a.jsonl:{line}" for line in range(1, PLACES_KEPT + 1)]
    assert [note.count for note in notes] == [1] * (PLACES_KEPT - 1) + [number - PLACES_KEPT + 1]
    shown = Reading([], notes)
    assert shown.counts() == {"html": number}
    assert shown.summary()[1] == f"html: {number}: a.jsonl:1, :2, :3 ..."


def test_errors_come_first() -> None:
    notes = find_oddities({"train": Reading([ask("q <br>")]), "test": Reading([ask("Q <br>", 2)])})
    assert [note.code for note in notes] == ["leak", "html", "html"]


def test_every_record_is_met_once_and_none_is_kept() -> None:
    met = []

    def stream(name: str) -> Iterator[Any]:
        for line in range(1, 4):
            met.append((name, line))
            yield ask(f"{name} {line}", line)

    class Once:
        def __init__(self, name: str) -> None:
            self.name = name

        def __iter__(self) -> Iterator[Any]:
            return stream(self.name)

    assert find_oddities({name: Reading(Once(name)) for name in ("train", "test")}) == []  # type: ignore[arg-type]
    assert met == [(name, line) for name in ("test", "train") for line in (1, 2, 3)]


def test_no_reading_and_no_record() -> None:
    assert find_oddities({}) == []
    assert find_oddities({"train": Reading([])}) == []


@given(st.lists(st.text(max_size=12) | st.from_regex(r"[a-z:/ ]{1,6}:[0-9]{1,13}(#[0-9])?", fullmatch=True)))
def test_places_come_back_as_they_were(wheres: list[str]) -> None:
    places = Places()
    assert [places[places.add(where)] for where in wheres] == wheres


def test_note_stands_for_one_thing_where_nothing_else_is_said() -> None:
    assert Note("html", "a:1", "x").count == 1
