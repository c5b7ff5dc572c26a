"""Where prompt and response stand: in a row (decoders), as two texts (encoders), apart (encoder-decoders)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlhf.errors import SettingsError
from rlhf.pairs import pair_template
from rlhf.seq2seq import seq2seq_template
from rlhf.templates import TemplateFacts, inspect_template, supply_chat_template

__all__ = ["Layout", "layout_of"]

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """What a renderer knows of the places of prompt and response.

    Args:
        facts: of the chat template.
        around: ids before and behind what the template writes of a prompt.
        opening: ids that the decoder of an encoder-decoder reads before a response; () where it stands behind
            its prompt.
    """

    facts: TemplateFacts
    around: tuple[Ids, Ids] = ((), ())
    opening: Ids = ()

    def num_read(self, num_prompt_tokens: int, num_response_tokens: int) -> int:
        """Return the most tokens that are read at once, which the context has to hold."""
        if self.opening:
            return max(num_prompt_tokens, len(self.opening) + num_response_tokens)
        return num_prompt_tokens + num_response_tokens

    def most_prompt_tokens(self, prompt: int | None, response: int | None, context: int | None) -> int | None:
        """Return the limit of prompts: their own (`prompt`), or what the context leaves.

        Raises:
            SettingsError: the limits of prompts and responses are no lengths, or do not fit into the context.
        """
        for name, value in (("max_prompt_tokens", prompt), ("max_response_tokens", response)):
            if value is not None and value < 1:
                raise SettingsError(f"{name} is {value}; it must be at least 1")
        if context is None:
            return prompt
        shortest = 1 if response is None else response
        if self.num_read(prompt or 1, shortest) > context:
            wanted = f"max_prompt_tokens {prompt} and max_response_tokens {response}"
            each = " (each by itself)" if self.opening else ""
            raise SettingsError(
                f"{wanted} do not fit into the model's context of {context} tokens{each}; lower them"
            )
        return prompt if prompt is not None else context if self.opening else context - shortest


def layout_of(tokenizer: Any, *, pairs: bool, decoder_start_token_id: int | None) -> Layout:
    """Ask a tokenizer for its layout; one without a chat template is given a plain one.

    Args:
        tokenizer: a transformers tokenizer.
        pairs: it is an encoder's, see `rlhf.pairs`.
        decoder_start_token_id: that of an encoder-decoder, see `rlhf.seq2seq`; None for others.

    Raises:
        ModelError: what the tokenizer or its template does is not what models of its kind are given.
    """
    if pairs:
        return Layout(*pair_template(tokenizer))
    if decoder_start_token_id is not None:
        return Layout(*seq2seq_template(tokenizer, decoder_start_token_id))
    supply_chat_template(tokenizer)
    return Layout(inspect_template(tokenizer))
