"""What is written in canonical form is read back as it was; the other forms lose nothing in silence."""

from __future__ import annotations

import json
import string
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlhf.errors import DataError
from rlhf.feedback import (
    Demonstration,
    Message,
    Prompt,
    Ranking,
    Reading,
    Text,
    read_demonstrations,
    read_prompts,
    read_rankings,
    read_texts,
)
from rlhf.feedback.written import canonical_rows, chosen_rejected_rows, trl_rows
from tests.feedback.real_shapes import DEMONSTRATIONS, RANKINGS, Shape
from tests.feedback.shapes import FINEGRAINED_ROWS, FINEGRAINED_SETTINGS, HH_ROWS, TREE_ROWS, write_rows

READERS = {
    Ranking: read_rankings,
    Demonstration: read_demonstrations,
    Prompt: read_prompts,
    Text: read_texts,
}


def facts(record: Any) -> dict[str, Any]:
    """Everything of a record but its place; of its columns those that no format takes for its own."""
    if isinstance(record, Text):
        return {"id": record.id, "group": record.group, "text": record.text}
    prompt = record if isinstance(record, Prompt) else record.prompt
    ours = {"id", "group", "annotator", "pairs", "label", "chosen", "rejected"}
    ours |= {"strengths", "strengths_", "prompt", "prompt_", "response", "responses", "ranks"}
    found = {
        "id": prompt.id,
        "group": prompt.group,
        "messages": prompt.messages,
        "columns": {name: value for name, value in prompt.columns.items() if name not in ours},
    }
    if isinstance(record, Demonstration):
        found["response"] = record.response
    if isinstance(record, Ranking):
        found |= {
            "responses": record.responses,
            "ranks": record.ranks,
            "comparisons": sorted(record.comparisons()),
            "annotator": record.annotator,
            "strengths": dict(zip(record.comparisons(), record.strengths or (), strict=False)),
        }
    return found


def written_and_read(tmp_path: Path, records: list[Any]) -> tuple[Reading[Any], Counter[str]]:
    counts: Counter[str] = Counter()
    rows = list(canonical_rows(records, counts))
    path = write_rows(tmp_path / "canonical.jsonl", rows)
    return READERS[type(records[0])]([{"path": path, "format": "canonical"}]), counts


def check_same(tmp_path: Path, reading: Reading[Any]) -> None:
    again, counts = written_and_read(tmp_path, list(reading.records))
    assert again.num_rows == len(again) == len(reading)
    expected, found = (list(map(facts, one.records)) for one in (reading, again))
    if counts["renumbered"]:
        ids = [one.pop("id") for one in (*expected, *found)]
        assert len(set(ids[len(expected) :])) > len(set(ids[: len(expected)]))
    assert found == expected
    assert not any(note.bad for note in again.notes)


def read(tmp_path: Path, shape: Shape, reader: Any) -> Reading[Any]:
    return reader([{"path": write_rows(tmp_path / "x.jsonl", shape.rows), **shape.settings}])


@pytest.mark.parametrize("name", RANKINGS)
def test_rankings_of_every_shape(tmp_path: Path, name: str) -> None:
    check_same(tmp_path, read(tmp_path, RANKINGS[name], read_rankings))


@pytest.mark.parametrize("name", RANKINGS)
def test_prompts_of_every_shape(tmp_path: Path, name: str) -> None:
    check_same(tmp_path, read(tmp_path, RANKINGS[name], read_prompts))


@pytest.mark.parametrize("name", DEMONSTRATIONS)
def test_demonstrations_of_every_shape(tmp_path: Path, name: str) -> None:
    check_same(tmp_path, read(tmp_path, DEMONSTRATIONS[name], read_demonstrations))


@pytest.mark.parametrize(
    ("rows", "settings_"),
    [
        (HH_ROWS, {"format": "transcript", "on_bad_row": "skip", "max_bad": 0.5}),
        (FINEGRAINED_ROWS, FINEGRAINED_SETTINGS),
        (TREE_ROWS, {"format": "tree"}),
    ],
    ids=["transcripts", "labels in no order", "trees"],
)
def test_rankings_of_the_real_sets(tmp_path: Path, rows: list[Any], settings_: dict[str, Any]) -> None:
    check_same(tmp_path, read_rankings([{"path": write_rows(tmp_path / "x.jsonl", rows), **settings_}]))


def test_labels_in_no_order_survive_as_pairs(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", FINEGRAINED_ROWS)
    records = read_rankings([{"path": path, **FINEGRAINED_SETTINGS}]).records
    first, second = canonical_rows(records, Counter())
    assert "pairs" not in first
    assert (first["ranks"], second["ranks"]) == ([2, 1, 4, 2], [None] * 4)
    # preference [0, 1, 1, 0, 1, 1]: 1 = 2, 1 > 3, 1 > 4, 2 = 3, 2 > 4, 3 > 4
    assert second["pairs"] == [[0, 1, 0.5], [0, 2, 1.0], [0, 3, 1.0], [1, 2, 0.5], [1, 3, 1.0], [2, 3, 1.0]]
    again, _ = written_and_read(tmp_path, records)
    assert again.records[1].pairs == records[1].pairs


@pytest.mark.parametrize(
    "pairs", [[[0, 1]], [["a", 1, 1.0]], "x", [[0, 1, True]], [[0, 5, 1.0]], [[0, 1, 0.7]]]
)
def test_pairs_that_are_none_are_refused(tmp_path: Path, pairs: Any) -> None:
    row = {"prompt": "Q", "responses": ["a", "b"], "ranks": [None, None], "pairs": pairs}
    with pytest.raises(DataError) as error:
        read_rankings([{"path": write_rows(tmp_path / "x.jsonl", [row]), "format": "canonical"}])
    assert error.value.code == "bad_rank"
    assert "x.jsonl:1" in str(error.value)


def test_a_column_named_pairs_beside_ranks_is_only_a_column(tmp_path: Path) -> None:
    row = {"prompt": "Q", "responses": ["a", "b"], "ranks": [1, 2], "pairs": "of shoes"}
    path = write_rows(tmp_path / "x.jsonl", [row])
    (ranking,) = read_rankings([{"path": path, "format": "canonical"}])
    assert ranking.pairs is None
    assert ranking.prompt.columns["pairs"] == "of shoes"


def test_columns_of_the_row_stay_and_one_with_our_name_is_renamed() -> None:
    prompt = Prompt("7", (Message("user", "Q"),), "g", "x:1", {"task": "fact", "id": 7, "prompt": "other"})
    counts: Counter[str] = Counter()
    (row,) = canonical_rows([prompt], counts)
    assert row == {"id": "7", "group": "g", "prompt": "Q", "task": "fact", "prompt_": "other"}
    assert counts == {"renamed": 1}


def test_opinions_without_names_get_ids_of_their_own() -> None:
    prompt = Prompt("7", (Message("user", "Q"),), "g", "x:1")
    rankings = [Ranking(prompt, ("a", "b"), ranks) for ranks in ((1, 2), (2, 1), (1, 1))]
    counts: Counter[str] = Counter()
    assert [row["id"] for row in canonical_rows(rankings, counts)] == ["7", "7#2", "7#3"]
    assert counts["renumbered"] == 2
    named = [Ranking(prompt, ("a", "b"), (1, 2), annotator=name) for name in "xy"]
    assert [row["id"] for row in canonical_rows(named, Counter())] == ["7", "7"]


def test_strengths_are_read_back(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Q", "responses": ["a", "b", "c"], "ranks": [2, 1, None], "strengths": [0.5, None, None]},
        {"prompt": "R", "responses": ["a", "b", "c"], "ranks": [2, 1, 2], "strengths": [3, 0, None]},
    ]
    path = write_rows(tmp_path / "x.jsonl", rows)
    records = list(read_rankings([{"path": path, "format": "canonical"}]))
    assert [row["strengths"] for row in canonical_rows(records, Counter())] == [
        [0.5, None, None],
        [3.0, 0.0, None],
    ]
    again, _ = written_and_read(tmp_path, records)
    assert list(map(facts, again)) == list(map(facts, records))
    counts: Counter[str] = Counter()
    list(trl_rows(records, counts))
    assert counts["strengths"] == 2


def test_a_column_named_strengths_that_was_not_read_is_not_read_later(tmp_path: Path) -> None:
    prompt = Prompt("7", (Message("user", "Q"),), "g", "x:1", {"strengths": ["brave"]})
    counts: Counter[str] = Counter()
    (row,) = canonical_rows([Ranking(prompt, ("a", "b"), (1, 2))], counts)
    assert row["strengths_"] == ["brave"]
    assert "strengths" not in row


def ranking(ranks: tuple[int | None, ...], *turns: str) -> Ranking:
    roles = ("user", "assistant") * 3
    messages = tuple(Message(role, text) for role, text in zip(roles, turns, strict=False))
    return Ranking(Prompt("1", messages, "g", "x:1"), tuple("abcd"[: len(ranks)]), ranks)


def test_trl_has_a_row_for_each_pair_with_an_order() -> None:
    counts: Counter[str] = Counter()
    rows = list(trl_rows([ranking((2, 1, 2, None), "Q")], counts))
    assert [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows] == [
        ("b", "a"),
        ("b", "c"),
    ]
    assert rows[0]["prompt"] == [{"role": "user", "content": "Q"}]
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "b"}]
    assert (counts["ties"], counts["unranked"]) == (1, 1)


def test_texts_of_a_longer_prompt_are_a_transcript() -> None:
    counts: Counter[str] = Counter()
    rows = list(chosen_rejected_rows([ranking((2, 1), "Hi", "Yes?", "Why"), ranking((1, 2), "Q")], counts))
    assert rows == [
        {"prompt": "Human: Hi\n\nAssistant: Yes?\n\nHuman: Why", "chosen": "b", "rejected": "a"},
        {"prompt": "Q", "chosen": "a", "rejected": "b"},
    ]
    assert counts["transcripts"] == 1


def test_trl_of_the_other_kinds() -> None:
    prompt = Prompt("1", (Message("user", "Q"),), "g", "x:1")
    asked = {"prompt": [{"role": "user", "content": "Q"}]}
    assert list(trl_rows([prompt], Counter())) == [asked]
    said = [{"role": "assistant", "content": "A"}]
    assert list(trl_rows([Demonstration(prompt, "A")], Counter())) == [{**asked, "completion": said}]
    assert list(trl_rows([Text("1", "T", "g", "x:1")], Counter())) == [{"text": "T"}]


TEXTS = st.text(alphabet=string.printable + "äé你\u2028\x85\x00", min_size=1).filter(str.strip)
NAMES = st.text(alphabet=string.ascii_lowercase, min_size=1, max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def rankings(draw: st.DrawFn) -> Ranking:
    turns = draw(st.lists(TEXTS, min_size=1, max_size=5).filter(lambda turns: len(turns) % 2))
    system = [Message("system", draw(TEXTS))] if draw(st.booleans()) else []
    messages = [Message(role, text) for role, text in zip(("user", "assistant") * 3, turns, strict=False)]
    size = draw(st.integers(2, 5))
    responses = draw(st.lists(TEXTS, min_size=size, max_size=size, unique_by=str.strip))
    ranks = draw(st.lists(st.none() | st.integers(1, 4), min_size=size, max_size=size))
    columns = draw(st.dictionaries(NAMES.map(lambda name: f"x{name}"), VALUES, max_size=3))
    if sum(rank is not None for rank in ranks) < 2:
        ranks = [1, 2, *[None] * (size - 2)]
    prompt = Prompt(draw(st.uuids()).hex, (*system, *messages), draw(NAMES), "x:1", columns)
    return Ranking(prompt, tuple(responses), tuple(ranks), annotator=draw(st.none() | NAMES))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rankings(), min_size=1, max_size=3))
def test_any_ranking_is_read_back_as_it_was(tmp_path: Path, records: list[Ranking]) -> None:
    again, counts = written_and_read(tmp_path, records)
    expected = list(map(facts, records))
    assert counts["renumbered"] == 0
    assert [json.dumps(facts(one)["columns"]) for one in again] == [
        json.dumps(one["columns"]) for one in expected
    ]
    assert list(map(facts, again)) == expected
