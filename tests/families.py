"""Tiny random models of the public decoder families, as folders with the kind of tokenizer that each has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.helpers import tiny_tokenizer
from tests.tokenizers import gpt2_like, llama_like, qwen_like

CONTEXT = 128
IMAGE = "<image_soft_token>"
SMALL = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": CONTEXT,
}
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": CONTEXT}


def one_too_many(tokenizer: Any) -> Any:
    """Add the token for images that Gemma 3's models of text have no embedding for."""
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]}, replace_extra_special_tokens=False)
    return tokenizer


# Name in transformers, what differs from `SMALL`, and the tokenizer.
DECODERS: dict[str, tuple[str, dict[str, Any], Callable[[], Any]]] = {
    "gpt2": ("gpt2", GPT, gpt2_like),
    "gpt_neo": ("gpt_neo", {"attention_types": [[["global", "local"], 1]], "num_layers": 2, "num_heads": 2}, gpt2_like),
    "pythia": ("gpt_neox", {}, gpt2_like),
    "llama": ("llama", {}, llama_like),
    "smollm": ("llama", {"tie_word_embeddings": True}, qwen_like),
    "smollm3": ("smollm3", {}, qwen_like),
    "mistral": ("mistral", {"sliding_window": 16}, lambda: llama_like(legacy=True)),
    "qwen2": ("qwen2", {}, qwen_like),
    "qwen3": ("qwen3", {"head_dim": 8}, qwen_like),
    "gemma": ("gemma", {"head_dim": 8}, llama_like),
    "gemma2": ("gemma2", {"head_dim": 8, "sliding_window": 16}, llama_like),
    "gemma3": ("gemma3_text", {"head_dim": 8, "sliding_window": 16}, lambda: one_too_many(llama_like())),
    "phi": ("phi", {}, gpt2_like),
    "phi3": ("phi3", {}, llama_like),
    "opt": ("opt", {"ffn_dim": 32, "word_embed_proj_dim": 16}, llama_like),
    "bloom": ("bloom", {"n_layer": 2, "n_head": 2}, tiny_tokenizer),
    "falcon": ("falcon", {"alibi": False, "ffn_hidden_size": 32}, gpt2_like),
    "olmo2": ("olmo2", {}, gpt2_like),
    "stablelm": ("stablelm", {}, gpt2_like),
}  # fmt: skip
# Their last norm is an RMS norm, which has no bias.
NO_BIAS = {
    "llama",
    "smollm",
    "smollm3",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3",
    "phi3",
    "olmo2",
}
SPARE = 8  # embeddings without a token, as most published models have


def write_decoder(folder: Path, name: str, **changes: Any) -> str:
    """Write a random model of the family to `folder` by the library alone, as a person would find it."""
    model_type, own, make = DECODERS[name]
    tokenizer = make()
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    size = len(tokenizer) - 1 if IMAGE in tokenizer.get_vocab() else len(tokenizer) + SPARE
    values = {**SMALL, "vocab_size": size, **ends, "pad_token_id": tokenizer.pad_token_id}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = AutoConfig.for_model(model_type, **{**values, **own, **changes})
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
