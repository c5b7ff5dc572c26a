"""What a source refuses: settings that are wrong or would be ignored, and rows that mean something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlhf.errors import DataError
from rlhf.feedback import Source, read_demonstrations, read_prompts, read_rankings
from rlhf.feedback.turns import HH_MARKERS
from tests.feedback.real_shapes import assistant, user
from tests.feedback.shapes import write_rows

LABELS = {1: "first", 2: "second"}
PAIRWISE: dict[str, Any] = {"format": "pairwise", "responses": ["a", "b"], "label_values": LABELS}
SCORED: dict[str, Any] = {"format": "scored", "best": "highest"}

WRONG_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    # case: (settings, what the message must hold)
    "scores without direction": (
        {"format": "scored", "scores": "rank"},
        "format: scored needs best: highest or lowest; which end of 'rank' .* is not guessed .*rank with 1 or 0",
    ),
    "another direction": ({"format": "scored", "best": "top"}, "best is 'top'; it can be null, highest, lowest"),
    "direction of no scores": ({"format": "canonical", "best": "lowest"}, "best is only read where format is scored, not canonical"),
    "scores of no format": ({"scores": "s", **PAIRWISE}, "scores is only read where format is scored, not pairwise"),
    "missing of no scores": ({"format": "canonical", "missing": ("N/A",)}, "missing is only read where format is scored"),
    "distance of no scores": ({"format": "canonical", "tie_within": 1.0}, "tie_within is only read where format is scored"),
    "negative distance": ({**SCORED, "tie_within": -1.0}, "tie_within is -1.0; it is a distance of scores"),
    "labels without meaning": ({"format": "pairwise"}, r"pairwise labels need label_values, e.g. \{1: first"),
    "meaning that is none": ({**PAIRWISE, "label_values": {1: "better"}}, r"label_values\[1\] is 'better'; it can be first, second, tie"),
    "one label twice": (
        {**PAIRWISE, "label_values": {1: "first", "1.0": "second"}},
        "label_values has 1 and '1.0', which are one label; keep one",
    ),
    "two ranges of a side": (
        {**PAIRWISE, "label_values": {"<0": "first", "<-1": "second"}},
        "label_values has two ranges with '<'",
    ),
    "ranges that overlap": (
        {**PAIRWISE, "label_values": {"<1": "first", ">0": "second"}},
        "numbers between 0 and 1 are in both ranges; move a bound",
    ),
    "values of no labels": ({"format": "pair", "label_values": {0: "first"}}, "label_values is only read where format is pairwise, not pair"),
    "no labels": ({"format": "scored", "best": "highest", "labels": "winner"}, "labels is only read where format is pairwise, not scored"),
    "layout of no labels": ({"format": "canonical", "label_layout": "one_hot"}, "label_layout is only read where format is pairwise, not canonical"),
    "one_hot of one column": (
        {**PAIRWISE, "label_layout": "one_hot"},
        "one_hot needs labels as a list of columns and label_values for exactly these.*found labels: 'label' and label_values of 1, 2",
    ),
    "one_hot without a meaning": (
        {**PAIRWISE, "label_layout": "one_hot", "labels": ["x", "y"], "label_values": {"x": "first"}},
        "for exactly these.*found labels: .'x', 'y'. and label_values of x",
    ),
    "annotators named twice": (
        {**PAIRWISE, "label_layout": "annotators", "labels": ["x", "y"], "annotator": "who"},
        "annotator has no effect where labels lists a path for each annotator; drop annotator",
    ),
    "no prompt in transcripts": ({"format": "transcript", "prompt": None}, "prompt: null takes the prompt from messages, and format transcript has none"),
    "markers of a tree": ({"format": "tree", "markers": HH_MARKERS}, "markers split a transcript, and format tree has none"),
    "markers of no prompt": ({"prompt": None, "markers": HH_MARKERS}, "with prompt: null there is none; drop one of them"),
    "one marker": ({"markers": {"user": "U:"}}, "markers has user; it needs user and assistant, and can have start"),
    "unknown marker": ({"markers": {**HH_MARKERS, "bot": "B:"}}, "markers has user, assistant, bot"),
    "blank marker": ({"markers": {"user": "\n", "assistant": "A:"}}, "must be two different texts, not '' and 'A:'"),
    "equal markers": ({"markers": {"user": "A:", "assistant": "\nA:"}}, "must be two different texts"),
    "unknown start": ({"markers": {**HH_MARKERS, "start": "system"}}, "markers.start is 'system'; who speaks first can be user, assistant"),
    "no columns": ({"responses": ()}, "responses is an empty list; name at least one column"),
    "adapter and loader": ({"adapter": "a.py:f", "loader": "a.py:g"}, "adapter and loader are both set"),
    "separator of a loader": ({"loader": "a.py:g", "separator": "--"}, "separator has no effect beside loader"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_SETTINGS)
def test_wrong_settings_are_refused_before_a_row_is_read(case: str) -> None:
    settings, expected = WRONG_SETTINGS[case]
    with pytest.raises(DataError, match="^mine.jsonl: .*" + expected):
        Source(path="mine.jsonl", **settings)


A, B = [user("Hi"), assistant("x")], [user("Hi"), assistant("y")]
WRONG_ROWS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    # case: (changes to a row, settings, what the message must hold)
    "score that is a word": (
        {"scores": [1, "N/A"]}, SCORED,
        r"score 'N/A' in 'scores\[1\]' is no number; if it stands for no score, list it: missing: \['N/A'\]",
    ),
    "score that is true": ({"scores": [1, True]}, SCORED, r"score True in 'scores\[1\]' is no number"),
    "score that is a list": ({"scores": [1, [2]]}, SCORED, r"score a list in 'scores\[1\]' is no number"),
    "empty cell": ({"x": "", "y": "2"}, {**SCORED, "scores": ["x", "y"]}, "score '' in 'x' is no number"),
    "nan as text": ({"scores": [1, "nan"]}, SCORED, "score 'nan'.* is no number"),
    "no list of scores": ({"scores": 3}, SCORED, "'scores' must be a list of scores, but is a number"),
    "too few scores": ({"scores": [1]}, SCORED, "1 scores in 'scores' for 2 responses; each needs one"),
    "one score": ({"scores": [1, None]}, SCORED, "nothing is compared"),
    "no score": ({"scores": [None, None]}, SCORED, "nothing is compared"),
    "no column of scores": ({"score": [1, 2]}, SCORED, "no column 'scores'; did you mean 'score'"),
    "label outside the ranges": (
        {"label": 0}, {**PAIRWISE, "label_values": {"<0": "first", ">0": "second"}},
        "unknown label 0 in 'label'; label_values has {<0: first, >0: second}",
    ),
    "label that is true": ({"label": True}, PAIRWISE, "unknown label True in 'label'"),
    "label of leading zero": ({"label": "01"}, PAIRWISE, "unknown label '01'"),
    "two columns set": (
        {"u": 1, "v": 1}, {**PAIRWISE, "label_layout": "one_hot", "labels": ["u", "v"], "label_values": {"u": "first", "v": "second"}},
        "2 of the columns u, v are set; exactly one must be",
    ),
    "no column set": (
        {"u": 0, "v": False}, {**PAIRWISE, "label_layout": "one_hot", "labels": ["u", "v"], "label_values": {"u": "first", "v": "second"}},
        "0 of the columns u, v are set",
    ),
    "no flag": (
        {"u": 0.5, "v": 0}, {**PAIRWISE, "label_layout": "one_hot", "labels": ["u", "v"], "label_values": {"u": "first", "v": "second"}},
        "u is 0.5; a column of label_layout: one_hot is 0 or 1",
    ),
    "annotators of three": (
        {"label": [1]}, {**PAIRWISE, "label_layout": "annotators", "responses": ["a", "b", "text"]},
        "label_layout: annotators compares 2 responses, and here are 3",
    ),
    "no annotator": ({"label": [None]}, {**PAIRWISE, "label_layout": "annotators"}, "no annotator has a label in 'label'"),
    "other number of names": (
        {"label": [1, 2], "who": ["ann"]}, {**PAIRWISE, "label_layout": "annotators", "annotator": "who"},
        "'who' must list the 2 annotators of 'label', but is 1",
    ),
    "labels in too many columns": (
        {"u": 1, "v": 1}, {**PAIRWISE, "labels": ["u", "v"]}, "2 labels in 'u, v' for 1 pairs of 2 responses",
    ),
    "messages begin otherwise than the prompt": (
        {"chosen": [user("Ho"), assistant("x")], "rejected": B}, {"format": "pair"},
        r"the row's prompt \('prompt'\) is no turn of the conversation in 'chosen', nor the whole of it: the prompt is user: 'Hi'; "
        "the turns are user: 'Ho'; prompt: null reads the conversation alone, or name the right column",
    ),
    "messages begin otherwise than each other": (
        {"chosen": A, "rejected": [user("Ho"), assistant("y")]}, {"format": "pair", "prompt": None},
        "'rejected' does not begin with 'chosen': message 1 is user: 'Ho', of 'chosen' user: 'Hi'",
    ),
    "messages of other number": (
        {"chosen": A, "rejected": [*A, *B]}, {"format": "pair", "prompt": None},
        "'rejected' does not begin with 'chosen': 3 messages before the response, 'chosen' has 1",
    ),
    "conversations that part early": (
        {"chosen": [*A, user("Why?"), assistant("x")], "rejected": [*B, user("Why?"), assistant("y")]},
        {"format": "pair", "prompt": None}, "message 2 is assistant: 'y', of 'chosen' assistant: 'x'",
    ),
    "text without a prompt": (
        {"chosen": "x", "rejected": "y"}, {"format": "pair", "prompt": None},
        "prompt: null takes the prompt from messages, but 'chosen' has none before the response; name the prompt's column",
    ),
    "answer alone without a prompt": (
        {"chosen": [assistant("x")], "rejected": [assistant("y")]}, {"format": "pair", "prompt": None},
        "'chosen' has none before the response",
    ),
    "user has the last word": ({"chosen": [user("Hi")], "rejected": B}, {"format": "pair"}, "'chosen' must be text or end with the assistant's turn, not the user's"),
    "both spellings of a message": (
        {"chosen": [{**user("Hi"), "from": "human", "value": "Ho"}, assistant("x")], "rejected": B}, {"format": "pair"},
        r"a message is an object with role and content \(or from and value\), not",
    ),
    "image in a message": (
        {"chosen": [user([{"type": "image_url", "image_url": {}}]), assistant("x")], "rejected": B},
        {"format": "pair", "prompt": None}, "'content' has a part of type 'image_url'; only text is read",
    ),
    "tool call": (
        {"chosen": [user("Hi"), {"role": "assistant", "content": None, "tool_calls": []}], "rejected": B}, {"format": "pair"},
        "'content' must be text, but is null",
    ),
    "turns of another number": (
        {"prompt": ["Hi", "Ho"], "a": ["x"], "b": ["y", "z"]}, PAIRWISE,
        r"'prompt' is a list of 2 texts, so 'a' must be one too, but is a list of 1",
    ),
    "turns and a text": ({"prompt": ["Hi"]}, PAIRWISE, "'prompt' is a list of 1 texts, so 'a' must be one too, but is text"),
    "prompt without its markers": (
        {}, {"format": "pair", "markers": HH_MARKERS}, "a transcript begins with 'Human:' or 'Assistant:', not 'Hi'",
    ),
    "prompt that ends with an answer": (
        {"prompt": "Human: Hi\n\nAssistant: Yes"}, {"format": "pair", "markers": HH_MARKERS}, "ends with the user's turn",
    ),
    "messages and markers": ({"prompt": [user("Hi")]}, {"format": "pair", "markers": HH_MARKERS}, "'prompt' must be text, but is a list"),
    "column that is no JSON": (
        {"label": "{x}"}, {**PAIRWISE, "json_columns": ["label"]}, "'label' of json_columns is not JSON: expecting property name",
    ),
    "column that is decoded already": ({}, {**PAIRWISE, "json_columns": ["label"]}, "'label' must be text, but is a number"),
    "no such JSON column": ({}, {**PAIRWISE, "json_columns": ["lable"]}, "no column 'lable'; did you mean 'label'"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_ROWS)
def test_wrong_row_gives_one_message_with_its_place(tmp_path: Path, case: str) -> None:
    changes, settings, expected = WRONG_ROWS[case]
    row = {"prompt": "Hi", "responses": ["a", "b"], "a": "x", "b": "y", "text": "z", "label": 1}
    row |= {"chosen": "x", "rejected": "y", **changes}
    path = write_rows(tmp_path / "x.jsonl", [row])
    with pytest.raises(DataError, match=r"x\.jsonl:1: .*" + expected):
        read_rankings([{"path": path, **settings}])


def test_mismatch_can_be_skipped_and_is_counted(tmp_path: Path) -> None:
    rows = [{"chosen": A, "rejected": B}, {"chosen": A, "rejected": [user("Ho"), assistant("y")]}]
    source = {"path": write_rows(tmp_path / "x.jsonl", rows), "format": "pair", "prompt": None}
    reading = read_rankings([source | {"on_bad_row": "skip", "max_bad": 0.5}])
    assert (len(reading), reading.counts()) == (1, {"prompt_mismatch": 1})


def test_scores_of_a_csv_and_a_number_for_missing(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("prompt,a,b,c,sa,sb,sc\nQ,x,y,z, 4.5 ,1e1,-1\n")
    source = {
        "path": str(tmp_path / "x.csv"),
        **SCORED,
        "responses": ["a", "b", "c"],
        "scores": ["sa", "sb", "sc"],
    }
    (ranking,) = read_rankings([source])
    assert ranking.ranks == (2, 1, 3)
    reading = read_rankings([source | {"missing": [-1]}])
    assert (reading.records[0].ranks, reading.counts()) == ((2, 1, None), {"missing_rank": 1})


def test_ties_within_a_distance_that_fit_no_order_are_pairs(tmp_path: Path) -> None:
    row = {"prompt": "Q", "responses": ["x", "y", "z"], "scores": [3, 2, 1]}
    reading = read_rankings([{"path": write_rows(tmp_path / "x.jsonl", [row]), **SCORED, "tie_within": 1}])
    (ranking,) = reading.records
    assert ranking.comparisons() == [(0, 1, 0.5), (0, 2, 1.0), (1, 2, 0.5)]
    assert (ranking.ranks, reading.counts()) == ((None, None, None), {"intransitive": 1})


def test_label_that_an_annotator_did_not_give_is_counted(tmp_path: Path) -> None:
    row = {"prompt": "Q", "a": "x", "b": "y", "label": [1, None, 2]}
    path = write_rows(tmp_path / "x.jsonl", [row])
    reading = read_rankings([{"path": path, **PAIRWISE, "label_layout": "annotators"}])
    assert (len(reading), reading.counts()) == (2, {"missing_label": 1})


def test_markers_of_a_whole_transcript_and_text_before_the_first(tmp_path: Path) -> None:
    markers = {"user": "\n[Q] ", "assistant": "\n[A] ", "start": "user"}
    row = {"chosen": "One\n[A]  Two\n[Q] Three\n[A] x", "rejected": "One\n[A]  Two\n[Q] Three\n[A] y [Q] z"}
    source = {"path": write_rows(tmp_path / "x.jsonl", [row]), "format": "transcript", "markers": markers}
    (ranking,) = read_rankings([source])
    assert [turn.content for turn in ranking.prompt.messages] == ["One", " Two", "Three"]
    assert ranking.responses == ("x", "y [Q] z"), "a marker without its line break is text"
    assert read_demonstrations([source]).records[0].response == "x"


def test_prompts_of_rows_that_state_none_come_from_response_or_responses(tmp_path: Path) -> None:
    rows = [{"response": A}, {"responses": [[*A, user("Why?"), assistant("z")]]}]
    path = write_rows(tmp_path / "x.jsonl", rows)
    found = [len(prompt.messages) for prompt in read_prompts([{"path": path, "prompt": None}])]
    assert found == [1, 3]


def test_long_texts_are_cut_in_messages(tmp_path: Path) -> None:
    chosen, rejected = ([user(letter * 300), assistant("a")] for letter in "xy")
    path = write_rows(tmp_path / "x.jsonl", [{"chosen": chosen, "rejected": rejected}])
    with pytest.raises(DataError, match="does not begin with 'chosen'") as caught:
        read_rankings([{"path": path, "format": "pair", "prompt": None}])
    assert "x" * 40 + "..." in str(caught.value)
    assert "x" * 41 not in str(caught.value)
