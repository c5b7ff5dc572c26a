"""Columns to records: paths, templates, prompts, and the formats canonical, pair and pairwise."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest

from rlhf.errors import DataError
from rlhf.feedback import Message, read_demonstrations, read_prompts, read_rankings
from rlhf.feedback.labels import weak_order
from rlhf.feedback.paths import text_at, value_at
from rlhf.feedback.rows import Row
from tests.feedback.shapes import FINEGRAINED_ROWS, FINEGRAINED_SETTINGS, write_rows

ROW = Row(
    {
        "a": {"b": ["x", "y"]},
        "list": [{"t": "1"}, {"t": "2"}],
        "a.b": "exact",
        "deep": [["T", "s1", "s2"], ["U", "s3"]],
    },
    "f.jsonl",
    3,
)
USER = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b", "exact"),  # a column's exact name comes first
        ("a", {"b": ["x", "y"]}),
        ("list[].t", ["1", "2"]),
        ("list[-1].t", "2"),
        ("list[1:].t", ["2"]),
        ("deep[][1:]", [["s1", "s2"], ["s3"]]),
        ("deep[0][0]", "T"),
    ],
)
def test_paths(path: str, value: Any) -> None:
    assert value_at(ROW, path) == value


def test_templates_join_lists_and_keep_doubled_braces() -> None:
    assert text_at(ROW, "{{{a.b}}}: {deep[][1:]}") == "{exact}: s1 s2\ns3"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("lst", r"f.jsonl:3: no column 'lst'; did you mean 'list'\? \(there are: a, list, a.b, deep\)"),
        ("a.c", "no column 'c' of 'a.c'.*there are: b"),
        ("a.b.c", "steps into 'c', but there is a list"),
        ("a[0]", "steps into a list, but there is an object"),
        ("deep[7]", "wants item 7 of a list of 2"),
        ("deep[x]", "is not a path"),
    ],
)
def test_wrong_paths(path: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        value_at(ROW, path)


def read_one(tmp_path: Path, row: dict[str, Any], kind: Any = read_rankings, **settings: Any) -> Any:
    reading = kind([{"path": write_rows(tmp_path / "x.jsonl", [row]), **settings}])
    assert len(reading) == 1
    return reading.records[0]


def test_canonical_ranking_with_all_its_columns(tmp_path: Path) -> None:
    row = {
        "id": 7,
        "prompt": [{"role": "system", "content": "Be kind."}, {"role": "Human", "content": "Hi"}],
        "responses": ["a", "b", "c", "d"],
        "ranks": [2, 1, None, 2],
        "annotator": "ann",
        "group": "g1",
        "family": "greet",
        "task": {"want": ["a"]},
    }
    ranking = read_one(tmp_path, row)
    assert ranking.prompt.messages == (Message("system", "Be kind."), Message("user", "Hi"))
    assert (ranking.prompt.id, ranking.prompt.group, ranking.annotator) == ("7", "g1", "ann")
    assert ranking.prompt.columns["task"] == {"want": ["a"]}
    assert ranking.prompt.columns["family"] == "greet"
    assert "responses" not in ranking.prompt.columns
    assert ranking.prompt.where.endswith("x.jsonl:1")
    # b > a, b > d, a = d; c is in none
    assert ranking.comparisons() == [(1, 0, 1.0), (0, 3, 0.5), (1, 3, 1.0)]


def test_mapping_by_paths_template_and_system(tmp_path: Path) -> None:
    row = {
        "q": {"text": "Why?"},
        "hint": "sky",
        "answers": [{"t": "x"}, {"t": "y"}],
        "order": [2, 1],
        "who": 3,
    }
    settings = {"prompt": "{q.text} ({hint})", "system": "About {hint}.", "responses": "answers[].t"}
    ranking = read_one(tmp_path, row, ranks="order", annotator="who", **settings)
    assert ranking.prompt.messages == (Message("system", "About sky."), Message("user", "Why? (sky)"))
    assert (ranking.responses, ranking.ranks, ranking.annotator) == (("x", "y"), (2, 1), "3")


def test_pair(tmp_path: Path) -> None:
    ranking = read_one(tmp_path, {"prompt": "Hi", "chosen": "good", "rejected": "bad"}, format="pair")
    assert (ranking.responses, ranking.ranks, ranking.comparisons()) == (
        ("good", "bad"),
        (1, 2),
        [(0, 1, 1.0)],
    )


@pytest.mark.parametrize(
    ("label", "values", "expected"),
    [
        (0, {0: "first", 1: "second", 2: "tie"}, [(0, 1, 1.0)]),  # Auto-J
        (0, {0: "second", 1: "first"}, [(1, 0, 1.0)]),  # SHP: the same number, the other response
        (2, {1: "first", 2: "second", 0: "tie"}, [(1, 0, 1.0)]),
        ("tie (bothbad)", {"model_a": "first", "model_b": "second", "tie (bothbad)": "tie"}, [(0, 1, 0.5)]),
        (1.5, {"1.0": "first", "2.0": "second", "1.5": "tie"}, [(0, 1, 0.5)]),  # AlpacaEval
        (True, {"true": "first", "false": "second"}, [(0, 1, 1.0)]),
    ],
)
def test_one_label_of_two_responses(
    tmp_path: Path, label: Any, values: dict[Any, Any], expected: list[tuple[int, int, float]]
) -> None:
    row = {"prompt": "Hi", "a": "x", "b": "y", "label": label}
    ranking = read_one(tmp_path, row, format="pairwise", responses=["a", "b"], label_values=values)
    assert ranking.comparisons() == expected


def test_pairwise_labels_with_and_without_an_order(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "dev.json", FINEGRAINED_ROWS)
    reading = read_rankings([{"path": path, **FINEGRAINED_SETTINGS}])
    ordered, unordered = reading.records
    assert ordered.ranks == (2, 1, 4, 2)
    assert ordered.comparisons() == [
        (1, 0, 1.0),
        (0, 2, 1.0),
        (0, 3, 0.5),
        (1, 2, 1.0),
        (1, 3, 1.0),
        (3, 2, 1.0),
    ]
    assert unordered.ranks == (None, None, None, None)
    assert unordered.comparisons()[:4] == [(0, 1, 0.5), (0, 2, 1.0), (0, 3, 1.0), (1, 2, 0.5)]
    assert reading.counts() == {"intransitive": 1}
    assert ordered.prompt.messages[0].content == (
        "Shop Shop opens at nine. It is closed on Sunday.\nShop It sells bread.\n\nWhen does it open?"
    )


@pytest.mark.parametrize("size", [2, 3, 4])
def test_weak_order_agrees_with_every_order(size: int) -> None:
    """Against the definition: the pairs of any ranks give these ranks back, in standard competition form."""
    places = [(i, j) for i in range(size) for j in range(i + 1, size)]
    orders = set()
    for ranks in product(range(size), repeat=size):
        pairs = tuple((i, j, 0.5 if ranks[i] == ranks[j] else float(ranks[i] < ranks[j])) for i, j in places)
        assert weak_order(pairs, size) == tuple(1 + sum(other < rank for other in ranks) for rank in ranks)
        orders.add(pairs)
    # Every other labelling of the pairs fits no order.
    labellings = list(product((0.0, 0.5, 1.0), repeat=len(places)))
    fitting = [
        labels
        for labels in labellings
        if weak_order(tuple((i, j, p) for (i, j), p in zip(places, labels, strict=True)), size) is not None
    ]
    assert len(fitting) == len(orders)
    assert len(list(permutations(range(size)))) <= len(fitting) < len(labellings) or size == 2


BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    # case: (changes to a good canonical row, settings, what the message must hold)
    "one response": ({"responses": ["a"], "ranks": [1]}, {}, "'responses' holds 1 response; .* at least 2"),
    "no response": ({"responses": [], "ranks": []}, {}, "'responses' holds 0 responses"),
    "missing ranks": (
        {"ranks": None, "rank": [1, 2]},
        {"ranks": "ranking"},
        "no column 'ranking'; did you mean",
    ),
    "ranks are null": ({"ranks": None}, {}, "'ranks' must be a list"),
    "too few ranks": ({"ranks": [1]}, {}, "1 ranks for 2 responses"),
    "rank from 0": ({"ranks": [0, 1]}, {}, "rank 0 is not a whole number from 1"),
    "rank is text": ({"ranks": ["1", "2"]}, {}, "rank '1' is not a whole number"),
    "rank is true": ({"ranks": [True, 2]}, {}, "rank True is not a whole number"),
    "one ranked": ({"ranks": [1, None]}, {}, "nothing is compared"),
    "empty response": ({"responses": ["a", " \n"]}, {}, "response 2 of 2 is empty"),
    "response is a number": (
        {"responses": ["a", 5]},
        {},
        r"'responses\[1\]' must be text, but is a number \('5'\)",
    ),
    "responses is text": ({"responses": "a"}, {}, "'responses' must be a list of texts, but is text"),
    "same responses": ({"responses": ["a", " a"]}, {}, "are the same text"),
    "prompt is null": ({"prompt": None}, {}, "'prompt' must be text, but is null"),
    "prompt is empty": ({"prompt": " "}, {}, "the prompt is empty"),
    "no messages": ({"prompt": []}, {}, "the prompt is empty"),
    "unknown role": ({"prompt": [{"role": "narrator", "content": "x"}]}, {}, "unknown role 'narrator'"),
    "no content": ({"prompt": [{"role": "user"}]}, {}, "a message is an object with role and content"),
    "content is a list": ({"prompt": [{"role": "user", "content": ["x"]}]}, {}, "'content' must be text"),
    "ends with answer": (
        {"prompt": [USER, {"role": "gpt", "content": "x"}]},
        {},
        "ends with the user's turn",
    ),
    "late system": ({"prompt": [USER, {"role": "system", "content": "x"}, USER]}, {}, "may only come first"),
    "two systems": (
        {"prompt": [{"role": "system", "content": "x"}, USER]},
        {"system": "{prompt[0].content}"},
        "has a system message already",
    ),
    "annotator is a list": ({"annotator": ["x"]}, {}, "'annotator' must be text"),
    "no such group": ({}, {"group": "topic"}, "no column 'topic'"),
    "unknown label": (
        {"label": 3},
        {"format": "pairwise", "label_values": {1: "first", 2: "second"}},
        "unknown label 3 in 'label'; label_values has {1: first, 2: second}",
    ),
    "too many labels": (
        {"label": [1, 1]},
        {"format": "pairwise", "label_values": {1: "first"}},
        "2 labels in 'label' for 1 pairs of 2 responses",
    ),
    "nothing labelled": (
        {"label": None},
        {"format": "pairwise", "label_values": {1: "first"}},
        "nothing is compared",
    ),
    "empty chosen": ({"chosen": "", "rejected": "x"}, {"format": "pair"}, "chosen is empty"),
    "chosen is a list": ({"chosen": [USER], "rejected": "x"}, {"format": "pair"}, "'chosen' must be text"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_row_gives_one_message_with_its_place(tmp_path: Path, case: str) -> None:
    changes, settings, expected = BAD[case]
    row = {"prompt": "Hi", "responses": ["a", "b"], "ranks": [1, 2]} | changes
    with pytest.raises(DataError, match=r"x\.jsonl:1: .*" + expected):
        read_one(tmp_path, row, **settings)


def test_more_role_names_by_setting(tmp_path: Path) -> None:
    turns = [
        {"role": "narrator", "content": "x"},
        {"role": "Bot", "content": "y"},
        {"role": "prompter", "content": "z"},
    ]
    prompt = read_one(tmp_path, {"prompt": turns}, read_prompts, roles={"narrator": "user"})
    assert [message.role for message in prompt.messages] == ["user", "assistant", "user"]


def test_partial_and_contradictory_rankings_are_noted(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "responses": ["x", "y", "z"], "ranks": [1, None, 2]},
        {"prompt": "b", "responses": ["x", "x", "z"], "ranks": [1, 2, 3]},
        {"prompt": "c", "responses": ["x", "x"], "ranks": [1, 1]},
    ]
    reading = read_rankings([{"path": write_rows(tmp_path / "x.jsonl", rows)}])
    assert reading.counts() == {"missing_rank": 1, "same_responses": 1}
    assert [note.where.rpartition(":")[2] for note in reading.notes] == ["1", "2"]


def test_demonstrations_and_prompts(tmp_path: Path) -> None:
    row = {"prompt": "Hi", "response": "Hello", "other": "Ho"}
    assert read_one(tmp_path, row, read_demonstrations).response == "Hello"
    assert (
        read_one(tmp_path, row, read_demonstrations, response="{response}, {other}").response == "Hello, Ho"
    )
    with pytest.raises(DataError, match="'response' is empty"):
        read_one(tmp_path, row | {"response": ""}, read_demonstrations)
    with pytest.raises(DataError, match=r"x\.jsonl:1: no column 'response'; did you mean 'respond'"):
        read_one(tmp_path, {"prompt": "Hi", "respond": "x"}, read_demonstrations)
