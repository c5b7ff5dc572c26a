"""Tiny random encoders as folders, each with the kind of tokenizer that its family has."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertTokenizer,
    DebertaV2Tokenizer,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
)

from tests.stage_data import WORDS

_BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_TEXTS = [f"Say {word} 12. The {word} is here. Human: Assistant:" for word in WORDS]


def bert_tokenizer() -> Any:
    """WordPiece in small letters, two kinds of tokens, no end token."""
    letters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    pieces = [*_BERT, *letters, *(f"##{letter}" for letter in letters), "say", "the", "is", "here", *WORDS]
    return BertTokenizer(vocab={piece: number for number, piece in enumerate(dict.fromkeys(pieces))})


def roberta_tokenizer() -> Any:
    """Bytes, two separators in the middle, and the end token of GPTs as separator."""
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    return RobertaTokenizer(vocab={piece: number for number, piece in enumerate(vocabulary)}, merges=[])


def deberta_tokenizer() -> Any:
    """Unigram, as sentencepiece makes it."""
    pieces = [
        "[PAD]",
        "[CLS]",
        "[SEP]",
        "[UNK]",
        "▁",
        *string.ascii_letters,
        *string.digits,
        *string.punctuation,
    ]
    words = [f"▁{word}" for word in ("Say", "The", "is", "here", *WORDS)]
    vocabulary = [
        (piece, -float(len(pieces) > number) * 5 - 1) for number, piece in enumerate([*pieces, *words])
    ]
    return DebertaV2Tokenizer(vocab=vocabulary)


def modernbert_tokenizer() -> Any:
    """Bytes with BERT's special tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        _TEXTS,
        trainers.BpeTrainer(
            vocab_size=340, special_tokens=_BERT, initial_alphabet=alphabet, show_progress=False
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), _BERT, strict=True))
    options = {f"{name}_token": token for name, token in names.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_input_names=["input_ids", "attention_mask"], **options
    )


SMALL = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 160,
}
RELATIVE = {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["p2c", "c2p"]}
ENCODERS: dict[str, tuple[str, dict[str, Any], Callable[[], Any]]] = {
    "bert": ("bert", {}, bert_tokenizer),
    "roberta": ("roberta", {"type_vocab_size": 1}, roberta_tokenizer),
    "deberta": ("deberta-v2", {**RELATIVE, "type_vocab_size": 0}, deberta_tokenizer),
    "modernbert": ("modernbert", {"reference_compile": False}, modernbert_tokenizer),
    "electra": ("electra", {"embedding_size": 16}, bert_tokenizer),
    "distilbert": ("distilbert", {"dim": 16, "hidden_dim": 32, "n_layers": 2, "n_heads": 2}, bert_tokenizer),
}
ASK = [{"role": "user", "content": "Say bread 7."}]
TALK = [*ASK, {"role": "assistant", "content": "The cat."}, {"role": "user", "content": "Say [SEP] </s>!"}]
ANSWERS = ("The bread is here.", "", "No [SEP] cat </s> at all, never, nowhere.")
SPECIALS = ("pad_token_id", "cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id")


def write_encoder(folder: Path, name: str, *, trained: bool = False, **changes: Any) -> str:
    """Write a random encoder as people find it: one that fills gaps, or with `trained` a reward model."""
    model_type, own, make = ENCODERS[name]
    tokenizer = make()
    values = {**SMALL, "vocab_size": len(tokenizer), "num_labels": 1 if trained else 2}
    values |= {key: getattr(tokenizer, key) for key in SPECIALS}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = AutoConfig.for_model(model_type, **{**values, **own, **changes})
        loader = AutoModelForSequenceClassification if trained else AutoModelForMaskedLM
        model = loader.from_config(config)
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
