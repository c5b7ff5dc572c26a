"""Rows of two shapes, of no shape, and single bad rows between good ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlhf.errors import DataError
from rlhf.feedback import read_demonstrations, read_prompts, read_rankings, read_texts
from rlhf.feedback.detection import ShapeError, detect_source
from rlhf.feedback.mapping import Source
from tests.feedback.real_shapes import assistant, user
from tests.feedback.shapes import write_rows

TALK = "\n\nHuman: Dry?\n\nAssistant: "
CANONICAL = {"prompt": "Q", "responses": ["x", "y"], "ranks": [1, 2]}
PAIR = {"prompt": "Q", "chosen": "x", "rejected": "y"}
MIXED: dict[str, tuple[Any, list[dict[str, Any]], str]] = {
    # case: (reader, rows, what the message must hold)
    "our own form and pairs": (
        read_rankings, [CANONICAL, PAIR, CANONICAL, PAIR],
        r"lines 1, 3 are our own form of rankings \(rank 1 is best\) \(columns prompt, responses, ranks\), lines 2, 4 are "
        r"a prompt, a better and a worse response \(columns prompt, chosen, rejected\); keep one shape a file",
    ),
    "pairs and labels": (
        read_rankings, [PAIR, PAIR, {"prompt": "Q", "a": "x", "b": "y", "label": 1}],
        r"lines 1, 2 are a prompt, a better .*, line 3 is responses with a label or scores \(columns prompt, a, b, label\)",
    ),
    "conversations and texts": (
        read_rankings,
        [{"chosen": [user("Q"), assistant("x")], "rejected": [user("Q"), assistant("y")]}] * 2 + [PAIR],
        "lines 1, 2 are a better and a worse conversation .* line 3 is a prompt, a better",
    ),
    "transcripts and others": (
        read_rankings, [{"chosen": TALK + "x", "rejected": TALK + "y"}, {"chosen": "x", "rejected": "y"}],
        r"chosen and rejected are transcripts in 1 of 2 rows, and in the others they are not \(the first: .*x\.jsonl:2\)",
    ),
    "prompts and responses, and conversations": (
        read_demonstrations, [{"prompt": "Q", "response": "a"}, {"messages": [user("Q"), assistant("b")]}],
        "line 1 is our own form of demonstrations .* line 2 is conversations that end with the response",
    ),
    "two names of the prompt": (
        read_prompts, [{"prompt": "Q"}, {"question": "Q"}], "line 1 is our own form of prompts .* line 2 is prompts",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MIXED)
def test_rows_of_two_shapes_are_told_apart_by_their_lines(tmp_path: Path, name: str) -> None:
    read, rows, expected = MIXED[name]
    path = write_rows(tmp_path / "x.jsonl", rows)
    with pytest.raises(ShapeError, match=expected) as caught:
        read([{"path": path}])
    assert caught.value.code == "several_shapes"


BAD: dict[str, tuple[Any, dict[str, Any], dict[str, Any], str]] = {
    # case: (reader, a good row, a bad one between good ones, its message)
    "a column less": (read_demonstrations, {"prompt": "Q", "response": "a"}, {"prompt": "Q"}, "no column 'response'"),
    "another name": (
        read_rankings, CANONICAL, {"prompt": "Q", "responses": ["x", "y"], "rank": [1, 2]},
        "no column 'ranks'; did you mean 'rank'",
    ),
    "no list": (read_rankings, CANONICAL, CANONICAL | {"ranks": "1, 2"}, "'ranks' must be a list"),
    "no text": (read_rankings, PAIR, PAIR | {"chosen": 3}, "'chosen' must be text, but is a number"),
    "null": (read_demonstrations, {"question": "Q", "answer": "a"}, {"question": "Q", "answer": None}, "'answer' must be text"),
    "nothing": (read_prompts, {"prompt": "Q"}, {}, "no column 'prompt'"),
}  # fmt: skip


def test_few_rows_of_another_shape_are_skipped_where_that_is_asked_for(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", [PAIR] * 30 + [CANONICAL])
    with pytest.raises(ShapeError, match="rows of two shapes"):
        read_rankings([{"path": path, "chosen": "chosen"}])
    reading = read_rankings([{"path": path, "on_bad_row": "skip", "max_bad": 0.05}])
    assert (len(reading), reading.counts()) == (30, {"missing_column": 1})


@pytest.mark.parametrize("name", BAD)
def test_single_bad_row_is_a_bad_row(tmp_path: Path, name: str) -> None:
    read, good, bad, expected = BAD[name]
    path = write_rows(tmp_path / "x.jsonl", [good, good, bad, good])
    if name == "another name":  # which is a shape of its own, too
        with pytest.raises(ShapeError, match="line 3 is responses with a label or scores"):
            read([{"path": path}])
        return
    with pytest.raises(DataError, match=rf"x\.jsonl:3: .*{expected}"):
        read([{"path": path}])
    reading = read([{"path": path, "on_bad_row": "skip", "max_bad": 0.5}])
    assert sum(note.skipped for note in reading.notes if "repeat" not in note.message) == 1


UNKNOWN: dict[str, tuple[Any, dict[str, Any], str]] = {
    "nothing near": (
        read_rankings, {"foo": "x", "bar": 3},
        r"the columns are those of no shape that is known for rankings \(there are: foo \(text\), bar \(number\)\); "
        "say where things stand with prompt, responses",
    ),
    "a typo": (
        read_demonstrations, {"prompts": "Q", "response": "a"},
        r"x\.jsonl:1: no column 'prompt'; did you mean 'prompts'\? \(there are: prompts \(text\), response \(text\)\); "
        "looks like our own form of demonstrations: response found, prompt missing",
    ),
    "no ranks": (
        read_rankings, {"prompt": "Q", "responses": ["x", "y"], "model": "m"},
        r"no column 'ranks' \(there are: prompt \(text\), responses \(texts\), model \(text\)\); looks like our own form of "
        "rankings: prompt and responses found, ranks missing",
    ),
    "no prompt": (
        read_rankings, {"chosen": "x", "rejected": "y"},
        r"no column 'prompt' .*; looks like a prompt, a better and a worse response: chosen and rejected found, prompt missing",
    ),
    "no label": (
        read_rankings, {"prompt": "Q", "response_a": "x", "response_b": "y", "model_a": "m"},
        "the responses may be response_a and response_b, but no column says which is better",
    ),
    "two sets of responses": (
        read_rankings, {"prompt": "Q", "answer_a": "x", "answer_b": "y", "output_1": "x", "output_2": "y", "winner": 1},
        r"\[answer_a, answer_b\] or \[output_1, output_2\] could be the responses",
    ),
    "messages of a tree, a row each": (
        read_rankings, {"message_id": "a", "parent_id": None, "text": "Q", "role": "prompter", "rank": None},
        r"each row is one message of a tree .* format: tree reads a whole tree a row.*\.trees\.jsonl\.gz.* 'replies' of the one "
        "that parent_id names",
    ),
    "unpaired feedback": (
        read_rankings, {"prompt": "Q", "completion": "x", "label": True},
        r"one response \(completion\) and a yes or no \(label: yes in 1 of 1 row\): unpaired feedback, as KTO learns from.* "
        r"a prompt has a yes and a no \(0 of 1 in the first rows\), a loader .* rows of prompt, chosen and rejected.* "
        "demonstrations .* an adapter gives None for the others",
    ),
    "unpaired conversations": (
        read_rankings, {"messages": [user("Q"), assistant("x")], "label": False},
        r"one response \(messages\) and a yes or no \(label: yes in 0 of 1 row\)",
    ),
    "conversations that end with the user": (
        read_demonstrations, {"messages": [user("Q"), assistant("x"), user("Why?")]},
        "the conversations in messages end with the user's turn, so there is no response to learn: .* prompts",
    ),
    "one response a row with ratings": (
        read_rankings, {"prompt": "Q", "response": "x", "helpfulness": 3},
        r"one response \(response\), and a ranking compares several responses to one prompt: .* a loader",
    ),
    "texts of another name": (read_texts, {"body": "x"}, r"no shape that is known for texts \(there are: body \(text\)\); say .* text: a column"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_shape_says_what_is_there_and_what_is_missing(tmp_path: Path, name: str) -> None:
    read, row, expected = UNKNOWN[name]
    path = write_rows(tmp_path / "x.jsonl", [row])
    with pytest.raises(ShapeError, match=expected) as caught:
        read([{"path": path}])
    assert caught.value.where == f"{path}:1"


LOADERS = """
import csv, json, pathlib

def trees(path):
    messages = {}
    for line in pathlib.Path(path).read_text().splitlines():
        one = json.loads(line)
        messages[one["message_id"]] = {**one, "replies": []}
    for one in messages.values():
        if one["parent_id"] is None:
            yield one
        else:
            messages[one["parent_id"]]["replies"].append(one)

def pairs(path):
    said = {}
    for row in csv.DictReader(pathlib.Path(path).read_text().splitlines()):
        said.setdefault(row["prompt"], {"True": [], "False": []})[row["label"]].append(row["completion"])
    for prompt, by in said.items():
        for good, bad in zip(by["True"], by["False"]):
            yield {"prompt": prompt, "chosen": good, "rejected": bad}
"""


def test_what_is_advised_for_shapes_that_no_format_reads_reads_them(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(LOADERS)
    rows = [
        {"message_id": "a", "parent_id": None, "text": "Q", "role": "prompter", "rank": None},
        {"message_id": "b", "parent_id": "a", "text": "x", "role": "assistant", "rank": 1},
        {"message_id": "c", "parent_id": "a", "text": "y", "role": "assistant", "rank": 0},
    ]
    source = {"path": write_rows(tmp_path / "x.jsonl", rows), "loader": f"{tmp_path / 'mine.py'}:trees"}
    (ranking,) = read_rankings([source])
    assert (ranking.responses, ranking.ranks) == (("x", "y"), (2, 1))
    (tmp_path / "x.csv").write_text("prompt,completion,label\nQ,x,True\nQ,y,False\nR,z,True\n")
    path = str(tmp_path / "x.csv")
    with pytest.raises(ShapeError, match=r"label: yes in 2 of 3 rows.*\(1 of 2 in the first rows\)"):
        read_rankings([{"path": path}])
    with pytest.raises(ShapeError, match="some may be bad ones"):
        read_demonstrations([{"path": path}])
    (pair,) = read_rankings([{"path": path, "loader": f"{tmp_path / 'mine.py'}:pairs"}])
    assert pair.responses == ("x", "y")


@pytest.mark.parametrize(
    ("yes", "no"), [("True", "False"), ("1", "0"), ("1", "-1"), ("Yes", "no"), ("good", "bad")]
)
def test_responses_with_a_yes_or_no_are_not_imitated_however_it_is_written(
    tmp_path: Path, yes: str, no: str
) -> None:
    (tmp_path / "x.csv").write_text(f"prompt,completion,label\nQ,x,{yes}\nQ,y,{no}\nR,z,{yes}\n")
    with pytest.raises(ShapeError, match=r"label: yes in 2 of 3 rows\), so some may be bad ones"):
        read_demonstrations([{"path": str(tmp_path / "x.csv")}])


JUDGED = {
    "a third answer": ("label", [1, 0, 2, 1, 0]),
    "an odd cell": ("label", ["yes", "no", "?"]),
    "nulls": ("label", [1, None, 0]),
    "a CSV's nulls": ("label", ["1", "", "", "1"]),
    "a few odd numbers of many": ("label", [*[1, 0] * 10, 7, 9]),
    "feedback in words": ("feedback", ["good", "bad"]),
    "thumbs": ("thumbs", ["thumbs up", "Thumbs_Down"]),
    "thumbs as signs": ("user_feedback", ["\N{THUMBS UP SIGN}", "\N{THUMBS DOWN SIGN}"]),
    "likes": ("rating", ["like", "dislike"]),
    "a rating of 1 and 0": ("rating", [1, 0]),
    "chosen or rejected": ("label", ["chosen", "rejected"]),
    "whether it was accepted": ("is_accepted", [True, False]),
    "whether it is good": ("good", [1, 0]),
    "whether it is bad": ("is_bad", [False, True]),
    "whether it helps": ("helpful", ["yes", "no"]),
    "KTO's tag": ("kto_tag", [True, False]),
    "a reward of 1 and 0": ("reward", [1.0, 0.0]),
}
UNRELATED = {
    "classes": ("label", [0, 1, 2, 3, 4, 5]),
    "classes, mostly the first two": ("label", [0, 0, 1, 0, 1, 2, 3]),
    "topics": ("label", ["sports", "news", "good"]),
    "half of them": ("label", [0, "sports"]),
    "stars": ("rating", [5, 1, 1, 0]),
    "stars that are all one": ("rating", [1, 1]),
    "a critique": ("feedback", ["bad", "Too long, and the second step is wrong."]),
    "reasons": ("feedback_comment", ["good", "bad"]),
    "a name that says nothing": ("split", [1, 0]),
    "a score that is more than yes and no": ("score", [1, 0, 4]),
    "whether it is good, always": ("good", [1, 1]),
    "a yes or no of something else": ("is_multilingual", [True, False]),
}


def judged(values: list[Any], name: str) -> list[dict[str, Any]]:
    return [{"prompt": f"Q{n}", "completion": "x", name: value} for n, value in enumerate(values)]


@pytest.mark.parametrize("name", JUDGED)
def test_what_is_mostly_a_yes_or_no_is_one(tmp_path: Path, name: str) -> None:
    column, values = JUDGED[name]
    path = write_rows(tmp_path / "x.jsonl", judged(values, column))
    with pytest.raises(ShapeError, match=rf"yes or no \({column}: .*some may be bad ones"):
        read_demonstrations([{"path": path}])
    assert len(read_demonstrations([{"path": path, "format": "canonical", "response": "completion"}])) == len(
        values
    )


@pytest.mark.parametrize("name", UNRELATED)
def test_a_column_of_classes_is_no_yes_or_no(tmp_path: Path, name: str) -> None:
    column, values = UNRELATED[name]
    path = write_rows(tmp_path / "x.jsonl", judged(values, column))
    assert len(read_demonstrations([{"path": path}])) == len(values)
    assert detect_source(Source(path=path), "demonstrations").because[-1] == f"not read: {column}"


def test_an_adapter_that_leaves_out_each_no_is_taken_at_its_word(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def good(row): return row if row['label'] == '1' else None\n")
    (tmp_path / "x.csv").write_text("prompt,completion,label\nQ,x,1\nQ,y,0\nR,z,1\n")
    source = {"path": str(tmp_path / "x.csv"), "adapter": f"{tmp_path / 'mine.py'}:good"}
    assert [one.response for one in read_demonstrations([source])] == ["x", "z"]
    (tmp_path / "x.csv").write_text("prompt,completion,label\nQ,x,1\nR,z,1\n")
    with pytest.raises(ShapeError, match="some may be bad ones"):  # further rows may be
        read_demonstrations([{"path": source["path"]}])


def test_a_text_file_of_prompts(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("Who?\nWhen?\n")
    with pytest.raises(ShapeError, match=r'prompt: text and separator: "\\n" read one prompt a line'):
        read_prompts([{"path": str(path)}])
    found = read_prompts([{"path": str(path), "prompt": "text", "separator": "\n"}])
    assert [prompt.messages[0].content for prompt in found] == ["Who?", "When?"]
    with pytest.raises(ShapeError, match=r"has no columns for rankings: write them as \.jsonl"):
        read_rankings([{"path": str(path)}])


def test_error_survives_a_process_boundary() -> None:
    import pickle

    error = ShapeError("what", "x.jsonl:1", "several_shapes")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.code) == ("x.jsonl:1: what", "several_shapes")
