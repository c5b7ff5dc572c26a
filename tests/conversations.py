"""Small conversations for tests of rendering."""

from __future__ import annotations

import pytest

from rlhf.feedback import Message, Prompt
from tests.tokenizers import FAMILIES

ASK = [{"role": "user", "content": "Why does the baker sell bread?"}]
TALK = [
    *ASK,
    {"role": "assistant", "content": "It is warm."},
    {"role": "user", "content": "And the cat?"},
]
families = pytest.mark.parametrize("family", FAMILIES)


def prompt_of(*contents: str, name: str = "p") -> Prompt:
    roles = ("user", "assistant")
    messages = tuple(Message(roles[number % 2], content) for number, content in enumerate(contents))
    return Prompt(name, messages, name, f"x.jsonl:{name}")


def long_talk(turns: int) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[turn % 2], "content": f"turn {turn} about bread"} for turn in range(turns)]
