"""What a tokenizer's chat template does: its text, the token that ends a turn, the space before an answer.

Nothing is assumed about a template; it is asked, by writing a small conversation with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rlhf.errors import DataError, ModelError

__all__ = [
    "TemplateFacts",
    "TemplateForm",
    "find_form",
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
# Texts that no template holds by itself.
_SYSTEM, _ASKED, _ANSWERED, _AGAIN = "Quokkas.", "Why?", "Zebras", "Yaks too?"
# What a template raises: its own refusal, or what went wrong while it was worked through.
_REFUSALS = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError)

Conversation = Sequence[dict[str, str]]


@dataclass(frozen=True)
class TemplateForm:
    """How a template is given a conversation, and what it leaves out.

    Args:
        parts: each content as a list of parts (``[{"type": "text", "text": ...}]``): it reads nothing else.
        drops_system: it writes nothing of a system message.
        drops_turns: it writes nothing of earlier turns.
    """

    parts: bool = False
    drops_system: bool = False
    drops_turns: bool = False

    def check(self, messages: Conversation) -> None:
        """Refuse a conversation of which something would be lost.

        Raises:
            DataError: says what.
        """
        has_system = messages[0]["role"] == "system"
        lost = "the system message" if has_system and self.drops_system else None
        if self.drops_turns and len(messages) - has_system > 1:
            lost = "earlier turns"
        if lost is not None:
            raise DataError(
                f"the tokenizer's chat template leaves out {lost}; the setting chat_template "
                "gives another one"
            )


@dataclass(frozen=True)
class TemplateFacts:
    """What was found out about a template.

    Args:
        end_token_id: what ends an assistant's turn: the template's own token, else the end-of-sequence token.
        eos_token_id: the tokenizer's end-of-sequence token.
        lead: text between the generation prompt and an answer (a space, mostly), part of the response.
        form: how it is given conversations.
    """

    end_token_id: int
    eos_token_id: int
    lead: str
    form: TemplateForm = field(default_factory=TemplateForm)


def supply_chat_template(tokenizer: Any, *, special_tokens: bool = True) -> bool:
    """Give a tokenizer without a chat template a plain one, saved with it; return whether it had none.

    The plain one begins with the beginning-of-sequence token where the tokenizer itself would add that. With
    `special_tokens` False there is none in it: they are put around what it writes (encoder-decoders).
    """
    if tokenizer.chat_template is not None:
        refuse_empty_template(tokenizer)
        return False
    if not special_tokens:
        tokenizer.chat_template = _PLAIN.replace(" + eos_token", "")
        return True
    bos = tokenizer.bos_token_id
    begins = bos is not None and tokenizer("a")["input_ids"][:1] == [bos]
    tokenizer.chat_template = ("{{ bos_token }}" if begins else "") + _PLAIN
    return True


def refuse_empty_template(tokenizer: Any) -> None:
    """Refuse a chat template without a letter.

    Raises:
        ModelError: it is one.
    """
    template = tokenizer.chat_template
    if isinstance(template, str) and not template.strip():
        raise ModelError(
            f"the chat template of {name_of(tokenizer)!r} is empty; the setting chat_template gives another "
            "one, and without the file (chat_template.jinja) there is a plain one"
        )


def write_conversation(
    tokenizer: Any, messages: Conversation, *, generation_prompt: bool, parts: bool = False
) -> str:
    """Return the text of a conversation.

    Raises:
        DataError: with the template's own words, where it refuses these roles in this order.
    """
    return write_conversations(tokenizer, [messages], generation_prompt=generation_prompt, parts=parts)[0]


def write_conversations(
    tokenizer: Any, conversations: Sequence[Conversation], *, generation_prompt: bool, parts: bool = False
) -> list[str]:
    """Return the texts of several conversations, as `write_conversation`; `parts` as in `TemplateForm`."""
    from jinja2.exceptions import TemplateError

    given = [[_in_parts(message) if parts else message for message in talk] for talk in conversations]
    try:
        texts: list[str] = tokenizer.apply_chat_template(
            given, tokenize=False, add_generation_prompt=generation_prompt
        )
    except (TemplateError, *_REFUSALS) as error:
        said = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
        raise DataError(
            f"the tokenizer's chat template refuses a conversation: {said}; "
            "the setting chat_template gives another one"
        ) from error
    return texts


def _in_parts(message: dict[str, str]) -> dict[str, Any]:
    return {**message, "content": [{"type": "text", "text": message["content"]}]}


def find_form(tokenizer: Any) -> TemplateForm:
    """Find out how a template is to be given a conversation, and what it leaves out.

    Raises:
        ModelError: it writes no question, or no answer.
        DataError: it refuses a question, or a question with its answer.
    """
    asked = [{"role": "user", "content": _ASKED}]
    answered = [*asked, {"role": "assistant", "content": _ANSWERED}]
    parts = not _holds(tokenizer, asked, parts=False) and bool(_holds(tokenizer, asked, parts=True))
    write = partial(write_conversation, tokenizer, parts=parts)
    written = {
        _ASKED: write(asked, generation_prompt=True),
        _ANSWERED: write(answered, generation_prompt=False),
    }
    for text, what in ((_ASKED, "a user's question"), (_ANSWERED, "an answer")):
        if text not in written[text]:
            raise ModelError(
                f"the chat template of {name_of(tokenizer)!r} writes {written[text][:80]!r} for {what} "
                f"{text!r}, which is lost; the setting chat_template gives another one"
            )
    # A template that refuses one of these (None) says so itself, when it meets one.
    system = _holds(tokenizer, [{"role": "system", "content": _SYSTEM}, *asked], parts=parts)
    again = _holds(tokenizer, [*answered, {"role": "user", "content": _AGAIN}], parts=parts)
    return TemplateForm(parts, drops_system=system is False, drops_turns=again is False)


def _holds(tokenizer: Any, messages: Conversation, *, parts: bool) -> bool | None:
    """Say whether all of a conversation's texts are in what the template writes; None where it refuses."""
    try:
        text = write_conversation(tokenizer, messages, generation_prompt=True, parts=parts)
    except DataError:
        return None
    return all(message["content"] in text for message in messages)


def inspect_template(tokenizer: Any) -> TemplateFacts:
    """Find out what a tokenizer's template puts around an answer.

    Raises:
        ModelError: there is no end-of-sequence token, or the template loses a question or an answer, or it
            writes no generation prompt, so that a prompt would end with the token that ends a turn, or an
            answer would begin with the tokens that open one.
    """
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"tokenizer of {name_of(tokenizer)!r} has no end-of-sequence token; set model.eos_token"
        )
    form = find_form(tokenizer)
    write = partial(write_conversation, tokenizer, parts=form.parts)
    asked = [{"role": "user", "content": _ASKED}]
    prompt = write(asked, generation_prompt=True)
    answered = write([*asked, {"role": "assistant", "content": _ANSWERED}], generation_prompt=False)
    before, _, after = answered.rpartition(_ANSWERED)
    end = _first_special(tokenizer, after)
    facts = TemplateFacts(
        end_token_id=tokenizer.eos_token_id if end is None else end,
        eos_token_id=tokenizer.eos_token_id,
        lead=_lead(tokenizer, prompt, before),
        form=form,
    )
    _check_generation_prompt(tokenizer, prompt, facts)
    return facts


def _check_generation_prompt(tokenizer: Any, prompt: str, facts: TemplateFacts) -> None:
    """Refuse prompts that do not open the assistant's turn."""
    found = None
    tail = _encode(tokenizer, prompt)
    while tail and tail[-1] not in special_ids(tokenizer) and not _decode(tokenizer, tail[-1:]).strip():
        tail.pop()  # the line's end behind the token that ends the user's turn
    if tail and tail[-1] in (facts.end_token_id, facts.eos_token_id):
        found = f"prompts end with {tokenizer.convert_ids_to_tokens(tail[-1])!r}"
    elif _first_special(tokenizer, facts.lead) is not None:
        found = f"an answer would begin with {facts.lead!r}"
    if found is not None:
        raise ModelError(
            f"chat template of {name_of(tokenizer)!r} writes no generation prompt: {found}; "
            f"give a template by model.chat_template"
        )


def name_of(tokenizer: Any) -> str:
    """Return what messages call a tokenizer."""
    return getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__


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
