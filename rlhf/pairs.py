"""How an encoder reads prompt and response: as two texts, ``[CLS] prompt [SEP] response [SEP]``.

The pair is what encoders were pre-trained on and what published reward models of this kind were trained on
(OpenAssistant's DeBERTa: ``tokenizer(question, answer)``); a chat template's markers would be ordinary
letters to them. The ids are exactly those of the tokenizer's own call on two texts, so that a saved model can
be used without this project::

    conversation = tokenizer.apply_chat_template(messages, tokenize=False)
    score = model(**tokenizer(conversation, response, return_tensors="pt")).logits

They also follow the one rule of `rlhf.rendering`: prompt ids (with what stands before and between the texts),
then response ids (with the separator at the end), each encoded by itself. Nothing is assumed about what the
tokenizer puts around the texts; it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlhf.errors import ModelError
from rlhf.templates import (
    TemplateFacts,
    TemplateForm,
    find_form,
    refuse_empty_template,
    write_conversation,
)

__all__ = ["PairFacts", "inspect_pairs", "pair_template", "supply_pair_template"]

# For encoders without a template, saved with them: a lone question stands bare, as in `tokenizer(question,
# answer)`; a longer conversation is a transcript. No special token is in it.
_TRANSCRIPT = (
    "{% if messages | length == 1 %}{{ messages[0]['content'] }}{% else %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ 'Human: ' }}"
    "{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' }}{% endif %}"
    "{{ message['content'] }}{% if not loop.last %}{{ '\\n\\n' }}{% endif %}"
    "{% endfor %}{% endif %}"
)
_FIRST, _SECOND = "Why?", "Zebras"


@dataclass(frozen=True)
class PairFacts:
    """What a tokenizer puts around two texts.

    Args:
        opening: ids before the first ([CLS]; may be none).
        between: ids between the two ([SEP]; RoBERTa has two).
        end_token_id: the one id behind the second ([SEP]).
        form: how its chat template is given conversations.
    """

    opening: tuple[int, ...]
    between: tuple[int, ...]
    end_token_id: int
    form: TemplateForm


def supply_pair_template(tokenizer: Any) -> None:
    """Give an encoder's tokenizer without a chat template a plain one, saved with it."""
    if tokenizer.chat_template is None:
        tokenizer.chat_template = _TRANSCRIPT
    refuse_empty_template(tokenizer)


def inspect_pairs(tokenizer: Any) -> PairFacts:
    """Find out what a tokenizer puts around two texts.

    Raises:
        ModelError: it does not part them, ends them with no or several tokens, has no padding token, or has a
            chat template that writes the separator itself, or that loses the question.
    """
    name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (_FIRST, _SECOND))
    whole: list[int] = tokenizer(_FIRST, _SECOND)["input_ids"]
    start = _place(whole, first, 0)
    after = _place(whole, second, start + len(first))  # both may be all unknown, and so alike
    end = whole[after + len(second) :]
    between = whole[start + len(first) : after]
    if min(start, after) < 0 or not between or len(end) != 1:
        raise ModelError(
            f"the tokenizer of {name!r} makes {tokenizer.convert_ids_to_tokens(whole)} of two texts; an "
            "encoder's puts a separator between them and one behind them; give it such a post-processor, or "
            "for a reward model set model.path to an encoder, or to a decoder"
        )
    if tokenizer.pad_token_id is None:
        raise ModelError(f"the tokenizer of {name!r} has no padding token; save it with the model's own")
    form = find_form(tokenizer)
    question = [{"role": "user", "content": _FIRST}]
    asked = write_conversation(tokenizer, question, generation_prompt=True, parts=form.parts)
    if {*whole[:start], *between} & {*tokenizer(asked, add_special_tokens=False)["input_ids"]}:
        raise ModelError(
            f"the chat template of {name!r} writes the tokens that open and part the two texts, which the "
            "tokenizer does; give a template without them by model.chat_template"
        )
    return PairFacts(tuple(whole[:start]), tuple(between), end[0], form)


def pair_template(tokenizer: Any) -> tuple[TemplateFacts, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return what a renderer knows of a template, and the ids around a prompt; supplies a template.

    Raises:
        ModelError: as `inspect_pairs`.
    """
    supply_pair_template(tokenizer)
    facts = inspect_pairs(tokenizer)
    end = facts.end_token_id
    told = TemplateFacts(end_token_id=end, eos_token_id=end, lead="", form=facts.form)
    return told, (facts.opening, facts.between)


def _place(whole: list[int], part: list[int], start: int) -> int:
    """Return where `part` begins in `whole`, from `start` on; -1 if nowhere."""
    places = range(start, len(whole) - len(part) + 1)
    return next((place for place in places if whole[place : place + len(part)] == part), -1)
