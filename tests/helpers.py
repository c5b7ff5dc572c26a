"""Small tokenizers and models made in memory, so that no test needs a network, a cache or a download."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

SPECIAL_TOKENS = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>")

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

_TEXTS = (
    "The baker lives in the red house near the river and sells warm bread.",
    "Please write a short story with a cat and a lantern in it.",
    "I do not know where the gardener keeps the key. Could you tell me?",
    "List three fruits: apple, pear, plum. Thank you very much!",
    "No, I would rather not say something that hurts somebody.",
)


@lru_cache(maxsize=1)
def _trained_tokenizer() -> str:
    """The JSON of a byte-level BPE tokenizer trained on a few sentences (every byte is in its vocabulary)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXTS * 4, trainer)
    return tokenizer.to_str()


def tiny_tokenizer(**options: Any) -> PreTrainedTokenizerFast:
    """A fresh byte-level BPE tokenizer of 400 ids with distinct pad and end tokens and a chat template.

    `options` replace what is passed to `PreTrainedTokenizerFast` (``eos_token=None`` makes one without an
    end).
    """
    arguments: dict[str, Any] = {
        "pad_token": "<|pad|>",
        "eos_token": "<|end|>",
        "additional_special_tokens": ["<|user|>", "<|assistant|>", "<|system|>"],
        "clean_up_tokenization_spaces": False,
        "model_max_length": 128,
    }
    arguments.update(options)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained_tokenizer()), **arguments
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def tiny_gpt2_config(tokenizer: PreTrainedTokenizerBase, **changes: Any) -> GPT2Config:
    """The config of a two-layer GPT-2 of some ten thousand parameters; GPT-2's own dropout of 0.1 is kept."""
    values: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "n_positions": 128,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    values.update(changes)
    return GPT2Config(**values)


def tiny_gpt2(tokenizer: PreTrainedTokenizerBase, seed: int = 0, **changes: Any) -> GPT2LMHeadModel:
    """A randomly initialised tiny GPT-2 in evaluation mode; the same seed gives the same weights.

    The global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GPT2LMHeadModel(tiny_gpt2_config(tokenizer, **changes)).eval()


def tiny_reward_model(
    tokenizer: PreTrainedTokenizerBase, seed: int = 0, **changes: Any
) -> GPT2ForSequenceClassification:
    """A randomly initialised tiny GPT-2 with one score a sequence, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = tiny_gpt2_config(tokenizer, num_labels=1, **changes)
        return GPT2ForSequenceClassification(config).eval()
