"""Encoders (BERT, RoBERTa, DeBERTa, ModernBERT ...) as reward models: which models are, what they are given.

They read prompt and response as two texts, both ways, and pool by a head of their own; `rlhf.pairs` says how
the two texts become ids. An encoder-decoder (BART, T5) as a reward model does the same: the library's
classifiers of that kind give both texts to encoder and decoder and read the decoder's state at the last end
token.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch

from rlhf.models.seq2seq import is_encoder_decoder

__all__ = ["encoder_inputs", "fresh_parts", "is_encoder", "note_separator", "reads_pairs"]


def is_encoder(config: Any) -> bool:
    """Say whether a config is that of an encoder: pre-trained to fill gaps, reading both ways."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    writes = getattr(config, "is_encoder_decoder", False) or getattr(config, "is_decoder", False)
    return not writes and getattr(config, "model_type", None) in MODEL_FOR_MASKED_LM_MAPPING_NAMES


def reads_pairs(config: Any) -> bool:
    """Say whether a reward model of this config reads prompt and response as two texts."""
    return is_encoder(config) or is_encoder_decoder(config)


def note_separator(model: Any, tokenizer: Any) -> None:
    """Note in the model's config which token parts the two texts, where tokenizer and model tell them apart.

    BERT has an embedding for tokens of the first text and one for those of the second, and its tokenizer
    gives both numbers with the ids; RoBERTa and others have one for all.
    """
    parts = "token_type_ids" in tokenizer.model_input_names
    model.config.sep_token_id = tokenizer.sep_token_id if parts else None


def encoder_inputs(
    model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Build the keyword arguments of an encoder's forward: what its own tokenizer would give it.

    Positions are left to the model, which may start to count elsewhere than at 0 (RoBERTa).

    Args:
        model: the plain model; its config knows the separator, see `note_separator`.
        input_ids: (B, T), padded on the right.
        attention_mask: (B, T), True counts.

    """
    assert bool(attention_mask[:, 0].all()), "an encoder pools at its first token: padding goes to the right"
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask.long()}
    separator = getattr(model.config, "sep_token_id", None)
    has_types = (getattr(model.config, "type_vocab_size", None) or 0) > 1
    if (
        separator is not None
        and has_types
        and "token_type_ids" in inspect.signature(model.forward).parameters
    ):
        ends = (input_ids == separator).long()
        second = (ends.cumsum(1) - ends).clamp(max=1)  # behind the first separator
        inputs["token_type_ids"] = second * attention_mask.long()
    return inputs


def fresh_parts(model: Any) -> tuple[str, ...]:
    """Return the names of what a pre-trained encoder may lack, as only classifiers have it: pooler, head."""
    body = model.base_model_prefix
    beside = {name: part for name, part in model.named_children() if name != body}
    pooler = {f"{body}.pooler": getattr(getattr(model, body), "pooler", None)}
    parts = {name: part for name, part in (beside | pooler).items() if part is not None}
    return tuple(name for name, part in parts.items() if list(part.parameters()))
