"""What a tokenizer's chat template does: its text, the token that ends a turn, the space before an answer.

Nothing is assumed about a template; it is asked, by writing a small conversation with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlhf.errors import DataError, ModelError

__all__ = [
    "TemplateFacts",
    "inspect_template",
    "supply_chat_template",
    "write_conversation",
    "write_conversations",
]

# For tokenizers without a template: the layout of the public transcripts, which base models have met in
# their text. An answer ends with the end token; the generation prompt ends at the colon, so that an answer's
# first token holds its leading space, as it does in running text.
_PLAIN = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'Human: ' + message['content'] + '\\n\\n' }}"
    "{% else %}{{ 'Assistant: ' + message['content'] + eos_token + '\\n\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
_ASKED, _ANSWERED = "Why?", "Zebras"

Conversation = Sequence[dict[str, str]]


@dataclass(frozen=True)
class TemplateFacts:
    """What was found out about a template.

    Args:
        end_token_id: what ends an assistant's turn: the template's own token, else the end-of-sequence token.
        eos_token_id: the tokenizer's end-of-sequence token.
        lead: text between the generation prompt and an answer (a space, mostly), part of the response.
    """

    end_token_id: int
    eos_token_id: int
    lead: str


def supply_chat_template(tokenizer: Any, *, special_tokens: bool = True) -> bool:
    """Give a tokenizer without a chat template a plain one, saved with it; return whether it had none.

    The plain one begins with the beginning-of-sequence token where the tokenizer itself would add that. With
    `special_tokens` False there is none in it: they are put around what it writes (encoder-decoders).
    """
    if tokenizer.chat_template is not None:
        return False
    if not special_tokens:
        tokenizer.chat_template = _PLAIN.replace(" + eos_token", "")
        return True
    bos = tokenizer.bos_token_id
    begins = bos is not None and tokenizer("a")["input_ids"][:1] == [bos]
    tokenizer.chat_template = ("{{ bos_token }}" if begins else "") + _PLAIN
    return True


def write_conversation(tokenizer: Any, messages: Conversation, *, generation_prompt: bool) -> str:
    """Return the text of a conversation.

    Raises:
        DataError: with the template's own words, where it refuses these roles in this order.
    """
    return write_conversations(tokenizer, [messages], generation_prompt=generation_prompt)[0]


def write_conversations(
    tokenizer: Any, conversations: Sequence[Conversation], *, generation_prompt: bool
) -> list[str]:
    """Return the texts of several conversations, as `write_conversation`."""
    from jinja2.exceptions import TemplateError

    try:
        texts: list[str] = tokenizer.apply_chat_template(
            [list(messages) for messages in conversations],
            tokenize=False,
            add_generation_prompt=generation_prompt,
        )
    except TemplateError as error:
        raise DataError(
            f"the tokenizer's chat template refuses a conversation: {error}; "
            "the setting chat_template gives another one"
        ) from error
    return texts


def inspect_template(tokenizer: Any) -> TemplateFacts:
    """Find out what a tokenizer's template puts around an answer.

    Raises:
        ModelError: there is no end-of-sequence token, or the template writes no generation prompt, so that a
            prompt would end with the token that ends a turn.
    """
    name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
    if tokenizer.eos_token_id is None:
        raise ModelError(f"tokenizer of {name!r} has no end-of-sequence token; set model.eos_token")
    asked = [{"role": "user", "content": _ASKED}]
    prompt = write_conversation(tokenizer, asked, generation_prompt=True)
    answered = write_conversation(
        tokenizer, [*asked, {"role": "assistant", "content": _ANSWERED}], generation_prompt=False
    )
    before, _, after = answered.rpartition(_ANSWERED)
    end = _first_special(tokenizer, after)
    facts = TemplateFacts(
        end_token_id=tokenizer.eos_token_id if end is None else end,
        eos_token_id=tokenizer.eos_token_id,
        lead=_lead(tokenizer, prompt, before),
    )
    if _encode(tokenizer, prompt)[-1] in (facts.end_token_id, facts.eos_token_id):
        last = tokenizer.convert_ids_to_tokens(_encode(tokenizer, prompt)[-1])
        raise ModelError(
            f"chat template of {name!r} writes no generation prompt: prompts end with {last!r}; "
            f"give a template by model.chat_template"
        )
    return facts


def _encode(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def special_ids(tokenizer: Any) -> set[int]:
    """Return the ids of all special tokens, those in the vocabulary by name and those added beside it."""
    added = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    return added | set(tokenizer.all_special_ids)


def _first_special(tokenizer: Any, text: str) -> int | None:
    specials = special_ids(tokenizer)
    return next((index for index in _encode(tokenizer, text) if index in specials), None)


def _lead(tokenizer: Any, prompt: str, before: str) -> str:
    """Return what stands between generation prompt and answer, if the two ways of writing the turn agree.

    A tokenizer that puts a space before any text itself (Llama's) needs no second one: nothing is put there
    if the joined ids already read as the template's own text does.
    """
    if not before.startswith(prompt):
        return ""
    whole = _decode(tokenizer, _encode(tokenizer, before + _ANSWERED))
    joined = _encode(tokenizer, prompt) + _encode(tokenizer, _ANSWERED)
    return "" if _decode(tokenizer, joined) == whole else before.removeprefix(prompt)


def _decode(tokenizer: Any, ids: list[int]) -> str:
    text: str = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    return text
