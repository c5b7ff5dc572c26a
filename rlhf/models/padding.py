"""A reward model's padding token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlhf.errors import ModelError
from rlhf.models.folders import check_vocabulary

__all__ = ["ensure_distinct_pad"]

PAD_TOKEN = "<|pad|>"


def ensure_distinct_pad(
    model: Any, tokenizer: Any, *, stop_token_ids: Sequence[int] = (), may_grow: bool = True
) -> None:
    """Give a reward model a padding token that is no end token, in place.

    End tokens are the tokenizer's and `stop_token_ids`, those of its renderer (the template's end of a turn).
    transformers finds the last token of a sequence by its id: it takes the last one that is not
    `pad_token_id`. With pad equal to end it would read the score one token early; with no pad it refuses
    batches (trl#2778). Our own read-out uses the mask; this makes the saved model right for everyone else.

    With `may_grow` False the embedding stays as it is, for an adapter, which does not hold it: padding is
    then a token that never ends a sequence.

    Raises:
        ModelError: there is none, or the tokenizer has tokens without an embedding.

    """
    check_vocabulary(tokenizer, model)
    num_embeddings = model.get_input_embeddings().num_embeddings
    ends = {tokenizer.eos_token_id, *stop_token_ids, None}
    if tokenizer.pad_token_id in ends:
        spare = may_grow or len(tokenizer) < num_embeddings
        if tokenizer.unk_token_id not in ends:
            tokenizer.pad_token = tokenizer.unk_token
        elif spare:
            tokenizer.add_special_tokens({"pad_token": PAD_TOKEN})
        elif tokenizer.bos_token_id not in ends:
            tokenizer.pad_token = tokenizer.bos_token
        else:
            raise ModelError(
                f"the tokenizer of {tokenizer.name_or_path!r} has no token that can be padding, and a new "
                "one needs an embedding, which an adapter does not hold; set lora.merge=true"
            )
    if tokenizer.pad_token_id >= num_embeddings:
        # The padding's embedding is never attended to, so any value will do: no resampling from the others.
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.config.pad_token_id = tokenizer.pad_token_id
