"""Tiny random encoder-decoders as folders, each with the kind of tokenizer that its family has."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForSeq2SeqLM, BartTokenizer, T5Tokenizer

from tests.helpers import tiny_tokenizer
from tests.stage_data import WORDS

CONTEXT = 96  # of BART, for encoder and decoder each


def t5_tokenizer() -> Any:
    """Unigram, as sentencepiece makes it: no line breaks; a text to be read or written ends with </s>."""
    letters = [*string.ascii_letters, *string.digits, *(set(string.punctuation) - {"{", "}", "~"})]
    words = ["▁Say", "▁The", "▁is", "▁here", "▁Human", "▁Assistant", *(f"▁{word}" for word in WORDS)]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    pieces += [(letter, -6.0) for letter in sorted(letters)] + [(word, -2.0) for word in words]
    return T5Tokenizer(vocab=pieces + [(f"<extra_id_{i}>", 0.0) for i in (1, 0)], extra_ids=2)


def bart_tokenizer() -> Any:
    """Bytes; a text stands between <s> and </s>."""
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    return BartTokenizer(vocab={piece: number for number, piece in enumerate(vocabulary)}, merges=[])


T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
BART = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
        "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": CONTEXT}  # fmt: skip
# Name in transformers, its config, the tokenizer, and which of its tokens the decoder starts with.
ENCODER_DECODERS: dict[str, tuple[str, dict[str, Any], Callable[[], Any], str]] = {
    "t5": ("t5", T5, t5_tokenizer, "pad_token_id"),
    "t5_gated": ("t5", {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}, t5_tokenizer, "pad_token_id"),
    "t5_bytes": ("t5", T5, tiny_tokenizer, "pad_token_id"),  # a tokenizer that puts nothing around a text
    "bart": ("bart", BART, bart_tokenizer, "eos_token_id"),
}  # fmt: skip
SPARE = 4  # embeddings without a token


def seq2seq_model(name: str, **changes: Any) -> Any:
    """A random model of the family, in evaluation mode, whose next tokens depend on all that it has read.

    A fresh T5 hardly listens to its prompt; its weights are made larger.
    """
    model_type, own, make, start = ENCODER_DECODERS[name]
    tokenizer = make()
    values = {"vocab_size": len(tokenizer) + SPARE, "decoder_start_token_id": getattr(tokenizer, start)}
    values |= {key: getattr(tokenizer, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = AutoConfig.for_model(model_type, **{**values, **own, **changes})
        model = AutoModelForSeq2SeqLM.from_config(config).eval()
        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
    return model


def write_seq2seq(folder: Path, name: str, **changes: Any) -> str:
    """Write a random model of the family to `folder` by the library alone, as a person would find it."""
    seq2seq_model(name, **changes).save_pretrained(folder)
    ENCODER_DECODERS[name][2]().save_pretrained(folder)
    return str(folder)
