"""Models with fresh weights (from torch's global generator) and without dropout."""

from __future__ import annotations

import math
from typing import Any

import torch

from rlhf.errors import ModelError
from rlhf.models.attention import choose_attention

__all__ = ["build_bert", "build_gpt2", "build_t5"]


def build_gpt2(tokenizer: Any, *, layers: int, width: int, heads: int, context_tokens: int) -> Any:
    """Build a GPT-2 with fresh weights (from torch's global generator) and without dropout.

    Raises:
        ModelError: the width is no multiple of the number of heads.

    """
    from transformers import GPT2Config, GPT2LMHeadModel

    _check_width(width, heads)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=context_tokens,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        activation_function="gelu_pytorch_tanh",  # GPT-2's own function, in one kernel
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return choose_attention(GPT2LMHeadModel(config))


def build_t5(tokenizer: Any, *, layers: int, width: int, heads: int, context_tokens: int) -> Any:
    """Build a T5: `layers` in the encoder and as many in the decoder.

    As in T5 1.1 the feed-forward layers are gated GELUs, here of 8/3 of the width, which have the weights of
    a plain one of four times the width (Shazeer 2020, arXiv:2002.05202, section 3), and the output layer is
    not the embedding. In T5 (Raffel et al. 2020, arXiv:1910.10683) it is, scaled down, with an embedding of
    standard deviation 1: a step of Adam, which is as large for large weights as for small ones, moves logits
    so little that it learns more slowly. Positions are relative, so any length can be read: `context_tokens`
    is how far apart two tokens can be told to be.

    Raises:
        ModelError: the width is no multiple of the number of heads.

    """
    from transformers import T5Config, T5ForConditionalGeneration

    _check_width(width, heads)
    more: dict[str, Any] = {
        "decoder_start_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": False,  # transformers 5 takes this for unscaled outputs, and ties all the same
    }
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=width // heads,
        d_ff=max(8, 8 * round(width / 3)),
        num_layers=layers,
        num_decoder_layers=layers,
        num_heads=heads,
        relative_attention_max_distance=context_tokens,
        feed_forward_proj="gated-gelu_pytorch_tanh",  # the GELU of "gated-gelu", in one kernel
        dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **more,
    )
    model = T5ForConditionalGeneration(config)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(torch.randn(len(tokenizer), width) / math.sqrt(width))
    return choose_attention(model)


def build_bert(tokenizer: Any, *, layers: int, width: int, heads: int, context_tokens: int) -> Any:
    """Build a BERT that fills gaps (Devlin et al. 2019, arXiv:1810.04805).

    Raises:
        ModelError: the width is no multiple of the number of heads.

    """
    from transformers import BertConfig, BertForMaskedLM

    _check_width(width, heads)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=context_tokens,
        hidden_act="gelu_pytorch_tanh",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
    )
    return choose_attention(BertForMaskedLM(config))


def _check_width(width: int, heads: int) -> None:
    if width % heads:
        raise ModelError(f"{width} is no multiple of model.heads {heads}", where="model.width")
