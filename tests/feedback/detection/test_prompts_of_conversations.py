"""A file gives PPO the prompts that it gives SFT and the reward model: the conversation before the response."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlhf.errors import DataError
from rlhf.feedback import read_demonstrations, read_prompts, read_rankings
from tests.feedback.real_shapes import assistant, user
from tests.feedback.shapes import write_rows

BEFORE = [user("hi"), assistant("hello"), user("what is red?")]
SHAPES: dict[str, tuple[Any, dict[str, Any]]] = {
    "messages": (read_demonstrations, {"messages": [*BEFORE, assistant("A rose.")]}),
    "messages as JSON": (read_demonstrations, {"messages": json.dumps([*BEFORE, assistant("A rose.")])}),
    "pairs": (read_rankings, {"chosen": [*BEFORE, assistant("A rose.")], "rejected": [*BEFORE, assistant("No.")]}),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_prompts_are_those_of_the_other_stages(tmp_path: Path, name: str) -> None:
    read, columns = SHAPES[name]
    path = write_rows(tmp_path / "x.jsonl", [{"prompt": "what is red?", **columns}])
    (other,), prompts = read([{"path": path}]), read_prompts([{"path": path}])
    (prompt,) = prompts
    assert [message.content for message in prompt.messages] == ["hi", "hello", "what is red?"]
    assert (prompt.messages, prompt.group) == (other.prompt.messages, other.prompt.group)
    assert "not read" not in prompts.detections[0].line()


@pytest.mark.parametrize("name", SHAPES)
def test_a_prompt_that_contradicts_them_is_an_error_for_all(tmp_path: Path, name: str) -> None:
    read, columns = SHAPES[name]
    path = write_rows(tmp_path / "x.jsonl", [{"prompt": "who sings?", **columns}])
    for reader in (read, read_prompts):
        with pytest.raises(DataError, match=r"x\.jsonl:1: .*who sings"):
            reader([{"path": path}])


def test_prompts_beside_plain_responses_leave_these_unread(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", [{"prompt": "a", "chosen": "b", "rejected": "c"}])
    (detection,) = read_prompts([{"path": path}]).detections
    assert "not read: chosen, rejected" in detection.line()
