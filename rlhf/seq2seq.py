"""How an encoder-decoder reads prompt and response: one to its encoder, the other to its decoder.

The encoder is given what the tokenizer itself makes of the text that the chat template writes, special tokens
and all: T5 was trained on inputs that end with </s>, BART on inputs between <s> and </s>. A saved model is
therefore used without this project as every other of its kind::

    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    model.generate(**tokenizer(text, return_tensors="pt"))

The decoder is opened with the start token that the model's config names, and then with what the tokenizer
puts before a text to be written (BART: <s>; T5: nothing), as the model has always met it. These ids are
given: they are neither sampled nor learnt. The response follows with its end token, each encoded by itself.
Nothing is assumed about what the tokenizer puts where; it is asked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rlhf.errors import ModelError
from rlhf.templates import TemplateFacts, inspect_template, supply_chat_template

__all__ = ["seq2seq_template"]

_TEXT = "Why?"
Ids = tuple[int, ...]


def seq2seq_template(
    tokenizer: Any, decoder_start_token_id: int
) -> tuple[TemplateFacts, tuple[Ids, Ids], Ids]:
    """Return what a renderer knows of a template, the ids around a prompt and those that open the decoder.

    A tokenizer without a chat template is given a plain one without special tokens: those are put around it.

    Raises:
        ModelError: as `inspect_template`, or the tokenizer puts several tokens before a text.
    """
    supply_chat_template(tokenizer, special_tokens=False)
    facts = replace(inspect_template(tokenizer), lead="")  # a response begins a text of its own
    around = _around(tokenizer, tokenizer(_TEXT)["input_ids"])
    before, _ = _around(tokenizer, tokenizer(text_target=_TEXT)["input_ids"])
    if len(before) > 1:
        name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
        raise ModelError(
            f"the tokenizer of {name!r} puts {tokenizer.convert_ids_to_tokens(list(before))} before a text; "
            "a generation config can name one such token only"
        )
    start = (decoder_start_token_id,)
    return facts, around, start if before == start else start + before


def _around(tokenizer: Any, whole: list[int]) -> tuple[Ids, Ids]:
    """Return the special tokens before and behind the ids of `_TEXT`."""
    part: list[int] = tokenizer(_TEXT, add_special_tokens=False)["input_ids"]
    for place in range(len(whole) - len(part) + 1):
        if whole[place : place + len(part)] == part:
            return tuple(whole[:place]), tuple(whole[place + len(part) :])
    raise ModelError(
        f"the tokenizer makes {tokenizer.convert_ids_to_tokens(whole)} of {_TEXT!r}, which does not hold "
        f"{tokenizer.convert_ids_to_tokens(part)}: what it adds is not just tokens around a text"
    )
