"""Encoder-decoders (T5, BART ...) as policies: the encoder reads the prompt, the decoder writes the response.

Everywhere a policy reads rows of ids and predicts the end of each. An encoder-decoder's rows are those of its
decoder: what it is opened with (`rlhf.seq2seq` says what that is), then the response. The prompts are read
aside, by the encoder, and padded on the right, as its positions may count from the first column (BART).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rlhf.errors import ModelError
from rlhf.models.inputs import plain_model

__all__ = [
    "Aside",
    "Seq2SeqCritic",
    "decoder_start",
    "encode",
    "is_encoder_decoder",
    "seq2seq_inputs",
    "trunk_name",
    "trunk_of",
]


class Aside(NamedTuple):
    """What the encoder reads beside the decoder's rows: ids (B, P), padded on the right, and their mask."""

    ids: Tensor
    mask: Tensor


def is_encoder_decoder(config: Any) -> bool:
    """Say whether a config is that of an encoder-decoder."""
    return bool(getattr(config, "is_encoder_decoder", False))


def decoder_start(model: Any) -> int:
    """Return the id that the decoder's rows begin with, which the config names (T5: pad, BART: </s>).

    Raises:
        ModelError: it names none.

    """
    inner = plain_model(model)
    for holder in (inner.config, getattr(inner, "generation_config", None)):
        start = getattr(holder, "decoder_start_token_id", None)
        if isinstance(start, int):
            return start
    raise ModelError(
        f"the config of {inner.name_or_path!r} names no decoder_start_token_id, with which its decoder "
        "begins every text; set it in config.json"
    )


def seq2seq_inputs(input_ids: Tensor, attention_mask: Tensor, aside: Aside) -> dict[str, Tensor]:
    """Build the keyword arguments of a full (cache-free) forward of an encoder-decoder.

    Args:
        input_ids: (B, T), the decoder's rows, padded on the right.
        attention_mask: (B, T), True counts.
        aside: what the encoder reads.

    """
    return {
        "input_ids": aside.ids,
        "attention_mask": aside.mask.long(),
        "decoder_input_ids": input_ids,
        "decoder_attention_mask": attention_mask.long(),
    }


def encode(model: Any, aside: Aside) -> Tensor:
    """Return what the encoder makes of the prompts: (B, P, width)."""
    encoder: Any = plain_model(model).get_encoder()
    hidden: Tensor = encoder(input_ids=aside.ids, attention_mask=aside.mask.long()).last_hidden_state
    return hidden


def trunk_name(policy: Any) -> str:
    """Return the name of the transformer in the policy; "" where its parts stand there by themselves."""
    name: str = policy.base_model_prefix
    return name if getattr(policy, name, None) is not None else ""


def trunk_of(policy: Any) -> Any:
    """Return the transformer below the output layer, made of the policy's own modules (no copies).

    Raises:
        ModelError: the architecture is built otherwise than those that are known.

    """
    from transformers import AutoModel

    name = trunk_name(policy)
    if name:  # BART and what came of it
        return getattr(policy, name)
    with torch.device("meta"):  # weights that are replaced below take no memory
        trunk: Any = AutoModel.from_config(policy.config)
    for name, _ in list(trunk.named_children()):  # T5 and what came of it: the parts themselves
        if hasattr(policy, name):
            setattr(trunk, name, getattr(policy, name))
    own = {id(parameter) for parameter in policy.parameters()}
    if any(id(parameter) not in own for parameter in trunk.parameters()):
        raise ModelError(
            f"{type(policy).__name__} has no transformer that could be a critic of its own; "
            "set critic.init_from=trunk"
        )
    trunk.name_or_path = policy.name_or_path
    return trunk.train(policy.training)


class Seq2SeqCritic(nn.Module):
    """A value head on the decoder's states: what is to be expected before each token of a response.

    The head starts at standard deviation 1/sqrt(width + 1), drawn from torch's global generator, and works in
    float32: bfloat16 would make values equal that differ (invariant 81).

    Attributes:
        model: the transformer without an output layer, see `trunk_of`; plain or with adapters.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        width = plain_model(model).config.hidden_size
        self.score = nn.Linear(width, 1)
        nn.init.normal_(self.score.weight, std=1.0 / math.sqrt(width + 1))
        nn.init.zeros_(self.score.bias)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, aside: Aside) -> Tensor:
        """Return (B, T) float32: the value after each token of the decoder's rows; junk at padding."""
        inputs = seq2seq_inputs(input_ids, attention_mask, aside)
        hidden = self.model(**inputs, use_cache=False).last_hidden_state
        with torch.autocast(hidden.device.type, enabled=False):
            values: Tensor = self.score(hidden.float()).squeeze(-1)
        return values
