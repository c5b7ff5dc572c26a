"""What `rlhf.renderer` gives and takes, and the words for what it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rlhf.errors import DataError
from rlhf.feedback.records import Message, Packed, Prompt

__all__ = ["WORDS", "Messages", "NoEmbedding", "Rendered", "TooLong", "as_dicts"]

Messages = Sequence[Message | Mapping[str, str]]
TooLong = Literal["cut", "drop"]


@dataclass(frozen=True, slots=True)
class Rendered(Packed):
    """A prompt with a response as token ids; the response's last id is the end token.

    `prompt` is the record it was made of, where there is one.

    >>> Rendered([5, 6], [7, 2]).response_mask
    [False, False, True, True]
    """

    prompt_ids: list[int]
    response_ids: list[int]
    prompt: Prompt | None = None

    @property
    def ids(self) -> list[int]:
        """Return the whole sequence."""
        return self.prompt_ids + self.response_ids

    @property
    def response_mask(self) -> list[bool]:
        """Return one entry an id: True for the response, its end token included."""
        return [False] * len(self.prompt_ids) + [True] * len(self.response_ids)


class NoEmbedding(DataError):
    """A text became a token without an embedding: tokenizer or template are not the model's own."""


WORDS = {
    "cut_to_last_turns": "prompts that lost their oldest turns (max_prompt_tokens or the context)",
    "cut_within_turn": "prompts whose last turn lost its beginning (max_prompt_tokens or the context)",
    "joined_turns": "conversations adapted to the template (system message or one speaker's turns joined)",
    "lost_line_breaks": "texts with line breaks that the tokenizer reads as spaces (it has none)",
    "special_text": "prompts that hold a special token's text, rendered as text",
    "cut_responses": "responses that lost their end, to fit into the context",
    "dropped_prompts": "records dropped for their prompt (refused by the template, or too long)",
    "dropped_responses": "responses dropped (longer than max_response_tokens or the context)",
    "dropped_rankings": "rankings dropped (nothing compared is left)",
}


def as_dicts(messages: Messages) -> list[dict[str, str]]:
    """Return a conversation as chat templates take it."""
    return [
        {"role": message.role, "content": message.content}
        if isinstance(message, Message)
        else {"role": message["role"], "content": message["content"]}
        for message in messages
    ]
