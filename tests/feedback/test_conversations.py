"""Conversations as rows hold them, and what their sets say: roles, systems, spaces, directions, groups."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rlhf.errors import DataError
from rlhf.feedback import count_rankings, read_demonstrations, read_prompts, read_rankings
from rlhf.feedback.columns import group_of_text
from tests.feedback.real_shapes import assistant, user
from tests.feedback.shapes import write_rows

ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "player"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "chatgpt", "model", "ai", "Assistant"), "assistant"),
}


@pytest.mark.parametrize("role", ROLES)
def test_each_name_of_a_role(tmp_path: Path, role: str) -> None:
    prompt = [{"role": role, "content": "x"}, user("Q")]
    path = write_rows(tmp_path / "x.jsonl", [{"prompt": prompt, "response": "a"}])
    assert read_prompts([{"path": path}]).records[0].messages[0].role == ROLES[role]


DEMONSTRATIONS: dict[str, dict[str, Any]] = {
    "stack-exchange-paired": {"qid": 1, "question": "Q", "response_j": "good", "response_k": "bad"},
    "skywork": {"chosen": [user("Q"), assistant("good")], "rejected": [user("Q"), assistant("bad")]},
    "llama-factory-pairs": {"instruction": "Q", "input": "", "chosen": "good", "rejected": "bad"},
    "llama-factory-sharegpt-pairs": {
        "conversations": [{"from": "human", "value": "Q"}],
        "chosen": {"from": "gpt", "value": "good"},
        "rejected": {"from": "gpt", "value": "bad"},
    },
    "trl-preference": {"prompt": "Q", "chosen": "good", "rejected": "bad"},
    "trl-preference-implicit": {"chosen": [user("Q"), assistant("good")], "rejected": [user("Q"), assistant("bad")]},
}  # fmt: skip


@pytest.mark.parametrize("name", DEMONSTRATIONS)
def test_the_better_response_of_a_pair_is_imitated(tmp_path: Path, name: str) -> None:
    source = {"path": write_rows(tmp_path / "x.jsonl", [DEMONSTRATIONS[name]]), "preset": name}
    assert [one.response for one in read_demonstrations([source])] == ["good"]
    assert read_rankings([source]).records[0].responses == ("good", "bad")


@pytest.mark.parametrize("value", [-3, -2, -1, 0, 1, 2, 3])
@pytest.mark.parametrize("name", ["helpsteer2-preference", "helpsteer3", "helpsteer3-annotators"])
def test_every_step_of_a_signed_scale(tmp_path: Path, name: str, value: int) -> None:
    row = {"prompt": "Q", "response_1": "x", "response_2": "y", "preference_strength": value}
    row |= {"context": [user("Q")], "response1": "x", "response2": "y", "overall_preference": value}
    row |= {"individual_preference": [{"score": value}]}
    (one,) = read_rankings([{"path": write_rows(tmp_path / "x.jsonl", [row]), "preset": name}])
    assert one.ranks == ((1, 2) if value < 0 else (1, 1) if value == 0 else (2, 1))
    assert one.strengths == (abs(value),)


def test_groups_that_presets_name(tmp_path: Path) -> None:
    shp = {"post_id": "p7", "history": "Q", "human_ref_A": "a", "human_ref_B": "b", "labels": 1}
    path = write_rows(tmp_path / "x.jsonl", [shp])
    assert read_rankings([{"path": path, "preset": "shp"}]).records[0].prompt.group == "p7"
    sides = {"chosen": [user("Q"), assistant("a")], "rejected": [user("Q"), assistant("b")]}
    rows = [{**sides, "prompt_id": "h", "score_chosen": score, "score_rejected": 1} for score in (3, 2)]
    path = write_rows(tmp_path / "y.jsonl", rows)
    found = read_rankings([{"path": path, "preset": "ultrafeedback_binarized"}]).records
    assert [one.prompt.group for one in found] == ["h", "h"], "two rows of one prompt are no mistake"


def test_letters_composed_in_two_ways_are_one_group() -> None:
    assert group_of_text("Caf\u00e9") == group_of_text("cafe\u0301 ")
    assert group_of_text("cafe") != group_of_text("caf\u00e9")


def test_the_space_after_a_marker_is_not_the_response(tmp_path: Path) -> None:
    markers = {"user": "\n\nHuman:", "assistant": "\n\nAssistant:"}

    def response(prompt: str, text: str, **told: Any) -> str:
        path = write_rows(tmp_path / "x.jsonl", [{"prompt": prompt, "response": text}])
        return read_demonstrations([{"path": path, "format": "canonical", **told}]).records[0].response

    assert response("\n\nHuman: Q\n\nAssistant:", "  Dry.", markers=markers) == " Dry."
    assert response("\n\nHuman: Q\n\nAssistant: ", " Dry.", markers=markers) == " Dry.", (
        "it stands in the prompt"
    )
    assert response("\n\nHuman: Q", " Dry.", markers=markers) == " Dry.", "no open turn"
    assert response("Q\n\nTL;DR:", " Dry.") == " Dry.", "without markers nothing is known to part them"


def test_system_that_is_null_is_none_and_one_that_is_not_read_is_counted(tmp_path: Path) -> None:
    rows = [{"prompt": "Q", "response": "a", "system": text} for text in (None, " ", "Be brief.")]
    path = write_rows(tmp_path / "x.jsonl", rows)
    told = {"path": path, "format": "canonical"}
    found = read_demonstrations([{**told, "system": "system"}])
    assert [len(one.prompt.messages) for one in found] == [1, 1, 2]
    assert read_demonstrations([told]).counts() == {"unread_system": 1}
    assert read_demonstrations([{**told, "prompt": "{prompt}"}]).counts() == {"unread_system": 1}
    assert found.counts() == {}


ROW = {"id": "q1", "prompt": "Q", "responses": ["a", "b"], "ranks": [1, 2]}


def test_annotators_of_one_id_are_one_prompt(tmp_path: Path) -> None:
    rows = [{**ROW, "annotator": name} for name in "xy"]
    path = write_rows(tmp_path / "x.jsonl", rows)
    assert len(read_rankings([{"path": path}])) == 2
    assert len(read_prompts([{"path": path}])) == 1
    assert (
        len(read_demonstrations([{"path": path, "format": "canonical", "response": "{responses[0]}"}])) == 2
    )
    other = write_rows(tmp_path / "y.jsonl", [rows[0], {**rows[1], "prompt": "R"}])
    with pytest.raises(DataError, match=r"y\.jsonl:2: id 'q1' stands at .*y\.jsonl:1 already"):
        read_prompts([{"path": other}])
    with pytest.raises(DataError, match="ids must differ"):
        read_prompts([{"path": path}, {"path": path}])


def test_empty_cells_name_nobody(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("prompt,chosen,rejected,annotator,id,group\nQ,a,b,,,\n")
    (one,) = read_rankings([{"path": str(path), "format": "pair"}])
    assert (one.annotator, one.prompt.id) == (None, f"{path}:2")
    assert one.prompt.group == group_of_text("user: Q")


def test_a_list_of_one_conversation_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text in ('[{"messages": %s}]', '{"messages": %s}'):
        path.write_text(text % '[{"role": "user", "content": "Q"}, {"role": "assistant", "content": "a"}]')
        assert (
            read_demonstrations([{"path": str(path), "preset": "openai-messages"}]).records[0].response == "a"
        )


def test_labels_of_some_pairs_are_partial_and_no_circle(tmp_path: Path) -> None:
    three = {"prompt": "Q", "responses": ["x", "y", "z"]}
    told = {"format": "pairwise", "label_values": {1: "first", 2: "second"}}

    def facts(label: list[Any]) -> tuple[int, int, dict[str, int]]:
        reading = read_rankings(
            [{"path": write_rows(tmp_path / "x.jsonl", [{**three, "label": label}]), **told}]
        )
        counts = count_rankings(reading)
        return counts.num_intransitive, counts.num_partial, dict(reading.counts())

    assert facts([1, None, 2]) == (0, 1, {"missing_label": 1})
    assert facts([None, None, 2]) == (0, 1, {"missing_label": 1})
    assert facts([1, 2, 1]) == (1, 0, {"intransitive": 1}), "x > y > z > x"
    assert facts([1, 1, 1]) == (0, 0, {})


def test_the_nearest_preset_whatever_the_case(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no preset 'SHP'; did you mean shp"):
        read_rankings([{"path": write_rows(tmp_path / "x.jsonl", [ROW]), "preset": "SHP"}])


TALK = [
    {"role": "system", "content": "Be kind."},
    user("Who sings?"),
    assistant("Ann."),
    user("And \n who dances?"),
]
SAME: dict[str, Any] = {
    "the last turn": "And who dances? ",
    "the first turn": "who sings?",
    "all of them": TALK,
    "without the system message": TALK[1:],
    "the system message": "Be kind.",
    "the whole rendered": "### Human: Who sings? ### Assistant: Ann. ### Human: And who dances? ### Assistant:",
    "the whole of a template": "<|im_start|>user\nWho sings?<|im_end|>\n<|im_start|>assistant\nAnn.<|im_end|>\n<|im_start|>user\n"
    "And who dances?<|im_end|>",
    "with the system's text": "[INST] <<SYS>> Be kind. <</SYS>> Who sings? [/INST] Ann. [INST] And who dances? [/INST]",
    "the user's turns alone": "Who sings? And who dances?",
    "nothing": None,
    "blank": " ",
    "an empty list": [],
}
TURNS = r"the turns are user: 'Who sings\?', user: 'And"
OTHER: dict[str, tuple[Any, str]] = {
    "another text": ("Where is Bob?", "the prompt is user: 'Where is Bob?'"),
    "the turns in another order": ("And who dances? Who sings?", "the prompt is user: 'And who dances? Who sings?'"),
    "a name": ("p-17", "the prompt is user: 'p-17'"),
    "a turn more": ([*TALK, assistant("Bob."), user("Why?")], "and 5 further messages"),
    "turns that do not follow": ([TALK[1], TALK[3]], "and 1 further message"),
    "what the assistant said": ("Ann.", "the prompt is user: 'Ann.'"),
    "more than the turns": ("Answer briefly. Who sings? And who dances?", "the prompt is user: 'Answer briefly."),
    "more behind them": ("Who sings? And who dances? Think twice.", "the prompt is user: 'Who sings?"),
    "parts of words": ("xWho sings? And who dances?", "the prompt is user: 'xWho sings?"),
}  # fmt: skip


def sides_of(prompt: Any, **more: Any) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": [*TALK, assistant("x")], "rejected": [*TALK, assistant("y")], **more}


@pytest.mark.parametrize("name", SAME)
def test_a_prompt_beside_conversations_that_says_the_same(tmp_path: Path, name: str) -> None:
    rows = [sides_of(prompt) for prompt in (SAME[name], TALK, TALK)]
    source = {"path": write_rows(tmp_path / "x.jsonl", rows)}
    for record in read_rankings([source]):
        assert [turn.content for turn in record.prompt.messages] == [turn["content"] for turn in TALK]
    assert len(read_prompts([{**source, "format": "pair"}]).records[0].messages) == 4, (
        "as the rankings have it"
    )


@pytest.mark.parametrize("name", OTHER)
def test_a_prompt_beside_conversations_that_says_something_else(tmp_path: Path, name: str) -> None:
    prompt, expected = OTHER[name]
    path = write_rows(tmp_path / "x.jsonl", [sides_of(TALK), sides_of(prompt)])
    with pytest.raises(DataError, match=r"x\.jsonl:2: the row's prompt \('prompt'\) is no turn") as caught:
        read_rankings([{"path": path}])
    assert expected in str(caught.value)
    assert re.search(TURNS, str(caught.value))
    assert "prompt: null reads the conversation alone, or name the right column" in str(caught.value)
    assert len(read_rankings([{"path": path, "prompt": None}])) == 2


def test_a_short_turn_is_not_found_within_a_word_of_a_prompt(tmp_path: Path) -> None:
    row = {
        "prompt": "Question 12",
        "chosen": [user("1"), assistant("x")],
        "rejected": [user("1"), assistant("y")],
    }
    with pytest.raises(DataError, match=r"the turns are user: '?1'?;"):
        read_rankings([{"path": write_rows(tmp_path / "x.jsonl", [row]), "format": "pair"}])


@pytest.mark.parametrize(
    ("asked", "stated"), [(["1"], "1a"), (["1"], "a1"), (["Again.", "Again."], "Human: Again.")]
)
def test_every_turn_stands_there_by_itself(tmp_path: Path, asked: list[str], stated: str) -> None:
    """Not as a part of a word, and one said twice stands there twice."""
    talk = [turn for text in asked for turn in (user(text), assistant("Yes."))][:-1]
    row = {"prompt": stated, "chosen": [*talk, assistant("x")], "rejected": [*talk, assistant("y")]}
    with pytest.raises(DataError, match="no turn of the conversation"):
        read_rankings([{"path": write_rows(tmp_path / "x.jsonl", [row]), "format": "pair"}])


def test_a_prompt_beside_the_conversations_of_other_shapes_is_compared_too(tmp_path: Path) -> None:
    scores = {"score_chosen": 2, "score_rejected": 1}
    talk = {"prompt": "Where is Bob?", "messages": [*TALK, assistant("x")]}
    for read, row in ((read_rankings, sides_of("Where is Bob?", **scores)), (read_demonstrations, talk)):
        path = write_rows(tmp_path / "x.jsonl", [row])
        with pytest.raises(DataError, match="is no turn of the conversation"):
            read([{"path": path}])
