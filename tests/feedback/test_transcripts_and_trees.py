"""hh-rlhf transcripts and Open Assistant trees, on rows written by hand in their shapes."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlhf.errors import DataError
from rlhf.feedback import Message, Reading, read_demonstrations, read_prompts, read_rankings, read_texts
from tests.feedback.shapes import HH_ROWS, TREE_ROWS, message, write_rows


@pytest.fixture
def hh(tmp_path: Path) -> str:
    return write_rows(tmp_path / "hh.jsonl.gz", HH_ROWS)


@pytest.fixture
def trees(tmp_path: Path) -> str:
    return write_rows(tmp_path / "trees.jsonl", TREE_ROWS)


def lines(reading: Reading[object], code: str) -> list[int]:
    return [int(note.where.rpartition(":")[2]) for note in reading.notes if note.code == code]


def test_transcript_pairs(hh: str) -> None:
    reading = read_rankings([{"path": hh, "format": "transcript", "on_bad_row": "skip", "max_bad": 0.5}])
    assert len(reading) == 4
    assert (lines(reading, "empty_response"), lines(reading, "marker_in_response")) == ([2], [3])
    # Both transcripts of lines 4 and 5; of line 3 the chosen one, whose response holds a second marker.
    assert lines(reading, "repeated_speaker") == [3, 4, 4, 5, 5]

    first, rolled, repeated, same = reading.records
    assert [(turn.role, turn.content) for turn in first.prompt.messages] == [
        ("user", "hi, my cat said Human: meow"),
        ("assistant", "Hello."),
        ("user", "why?"),
    ]
    # One space belongs to the marker; the second one and the line end are the response's own.
    assert first.responses == ("It is a cat.", " No idea.\n")
    assert first.ranks == (1, 2)
    assert rolled.prompt.messages == (Message("user", "tell me"),)
    assert rolled.responses == ("First.\n\nAssistant: Second.", "Nothing.")
    assert [turn.role for turn in repeated.prompt.messages] == ["user", "user"]
    assert [turn.content for turn in same.prompt.messages] == ["One", " two "], "spaces of its own stay"
    assert repeated.prompt.group == same.prompt.group != first.prompt.group


def test_transcript_stops_at_an_empty_answer_unless_told_to_skip(hh: str) -> None:
    with pytest.raises(DataError, match=r"hh\.jsonl\.gz:2: chosen is empty \(on_bad_row: skip"):
        read_rankings([{"path": hh, "format": "transcript"}])
    with pytest.raises(
        DataError, match=r"1 of 5 rows are bad \(empty_response 1\), more than max_bad: 0.1 allows"
    ):
        read_rankings([{"path": hh, "format": "transcript", "on_bad_row": "skip", "max_bad": 0.1}])


def test_transcript_prompts_demonstrations_and_texts(hh: str) -> None:
    source = {"path": hh, "format": "transcript"}
    assert len(read_prompts([source])) == 5  # an empty answer does not hurt the prompt
    skip = source | {"on_bad_row": "skip", "max_bad": 0.5}
    demonstrations = read_demonstrations([skip | {"limit": 1}])
    assert demonstrations.records[0].response == "It is a cat."
    assert [text.text for text in read_texts([source])][1] == HH_ROWS[1]["chosen"]
    assert [text.text for text in read_texts([source | {"text": "rejected"}])][1] == HH_ROWS[1]["rejected"]


@pytest.mark.parametrize(
    ("chosen", "rejected", "expected"),
    [
        ("\n\nHuman: a\n\nAssistant: x", "\n\nHuman: b\n\nAssistant: x", "share no human turn"),
        ("\n\nAssistant: x", "\n\nAssistant: y", "share no human turn"),
        ("\n\nHuman: a", "\n\nHuman: a\n\nAssistant: x", "share no human turn"),
        (
            "Hello there",
            "\n\nHuman: a\n\nAssistant: x",
            "begins with 'Human:' or 'Assistant:', not 'Hello there'",
        ),
        ("\n\nHuman: a\n\nAssistant: x", "\n\nHuman: a\n\nAssistant: x ", "chosen and rejected are the same"),
        (None, "\n\nHuman: a\n\nAssistant: x", "'chosen' must be text, but is null"),
    ],
)
def test_bad_transcripts(tmp_path: Path, chosen: str, rejected: str, expected: str) -> None:
    path = write_rows(tmp_path / "x.jsonl", [{"chosen": chosen, "rejected": rejected}])
    with pytest.raises(DataError, match=r"x\.jsonl:1: .*" + expected):
        read_rankings([{"path": path, "format": "transcript"}])


def test_longer_rejected_transcript_keeps_the_shared_prompt_short(tmp_path: Path) -> None:
    """After different answers nothing is shared any more, even where later human turns agree."""
    row = {
        "chosen": "Human: a\n\nAssistant: x\n\nHuman: b\n\nAssistant: y",
        "rejected": "Human: a\n\nAssistant: z\n\nHuman: b\n\nAssistant: y",
    }
    path = write_rows(tmp_path / "x.jsonl", [row])
    (ranking,) = read_rankings([{"path": path, "format": "transcript"}])
    assert ranking.prompt.messages == (Message("user", "a"),)
    assert ranking.responses == ("x\n\nHuman: b\n\nAssistant: y", "z\n\nHuman: b\n\nAssistant: y")


def test_tree_rankings(trees: str) -> None:
    reading = read_rankings([{"path": trees, "format": "tree"}])
    (ranking,) = reading.records
    assert (ranking.responses, ranking.ranks) == (("worse", "best", "unranked"), (2, 1, None))
    assert ranking.comparisons() == [(1, 0, 1.0)]
    assert ranking.prompt.id == "p1"
    assert [(note.code, note.skipped) for note in reading.notes] == [
        ("missing_rank", False),
        ("missing_rank", True),
    ]


def test_tree_demonstrations_best_and_all(trees: str) -> None:
    best = read_demonstrations([{"path": trees, "format": "tree"}])
    assert [one.response for one in best] == ["best", "only one"]
    assert [turn.content for turn in best.records[1].prompt.messages] == ["How?", "best", "Why?"]
    assert lines(best, "missing_rank") == [2]
    every = read_demonstrations([{"path": trees, "format": "tree", "replies": "all"}])
    assert [one.response for one in every] == ["worse", "best", "unranked", "only one", "here", "there"]


def test_tree_prompts_and_threads(trees: str) -> None:
    prompts = read_prompts([{"path": trees, "format": "tree"}])
    assert [prompt.id for prompt in prompts] == ["p1", "p2", "p3", "p4"]
    assert len({prompt.group for prompt in prompts}) == 2, "all prompts of a tree are one group"
    best = [text.text for text in read_texts([{"path": trees, "format": "tree"}])]
    assert best == ["Human: How?\n\nAssistant: best\n\nHuman: Why?\n\nAssistant: only one", "Human: Where?"]
    every = read_texts([{"path": trees, "format": "tree", "replies": "all"}])
    assert {text.group for text in every} == {prompt.group for prompt in prompts}, (
        "one division holds for both"
    )
    assert [text.id for text in every] == ["p2", "a5", "a3", "a6", "a7"]


def test_tree_as_root_message_and_deleted_replies(tmp_path: Path) -> None:
    root = message(
        "p", "How?", "prompter", None,
        message("a", "x", "assistant", 0, message("q", "lost", "prompter"), deleted=True),
        message("b", "y", "assistant", 1),
        message("c", " ", "assistant", 2),
    )  # fmt: skip
    path = write_rows(tmp_path / "x.jsonl", [root])
    reading = read_demonstrations([{"path": path, "format": "tree", "replies": "all"}])
    assert [one.response for one in reading] == ["y"]
    assert reading.counts() == {"deleted_message": 1, "empty_response": 1}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "just text"}, "a tree is an object with text, role and replies"),
        ({"prompt": message("p", "x", "human")}, "role 'human' is not one of prompter, assistant"),
        ({"prompt": message("p", "x", "prompter") | {"text": None}}, "'text' must be text, but is null"),
        ({"prompt": message("p", "x", "prompter") | {"replies": ["y"]}}, "a reply is an object"),
        ({"prompt": message("p", "x", "prompter") | {"replies": {"y": 1}}}, "'replies' must be a list"),
        ({"prompt": message("p", "x", "prompter", None, message("a", "y", "assistant", -1))}, "rank -1"),  # type: ignore[arg-type]
    ],
)
def test_bad_trees(tmp_path: Path, row: dict[str, object], expected: str) -> None:
    path = write_rows(tmp_path / "x.jsonl", [row])
    with pytest.raises(DataError, match=r"x\.jsonl:1: .*" + expected):
        read_rankings([{"path": path, "format": "tree"}])


def test_deep_tree_needs_no_recursion(tmp_path: Path) -> None:
    node = message("m0", "end", "assistant")
    for depth in range(1, 300):
        node = message(f"m{depth}", "turn", "prompter" if depth % 2 else "assistant", None, node)
    path = write_rows(tmp_path / "x.jsonl", [node])
    assert len(read_demonstrations([{"path": path, "format": "tree"}])) == 150


def test_prompt_ends_with_a_turn_that_both_answer(tmp_path: Path) -> None:
    """What the human said next in one of them is no response."""
    shared = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c"
    row = {"chosen": shared + "\n\nAssistant: d", "rejected": shared + "\n\nHuman: e"}
    path = write_rows(tmp_path / "x.jsonl", [row])
    (ranking,) = read_rankings([{"path": path, "format": "transcript"}])
    assert [message.content for message in ranking.prompt.messages] == ["a"]
    assert ranking.responses == ("b\n\nHuman: c\n\nAssistant: d", "b\n\nHuman: c\n\nHuman: e")
