from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rlhf.errors import ModelError
from rlhf.models.encoders import is_encoder
from rlhf.models.loading import load_policy
from rlhf.models.saving import save_model
from rlhf.pretraining.models import build_bert, build_gpt2, build_t5
from rlhf.pretraining.tokenizers import train_tokenizer, train_wordpiece
from tests.pretraining.texts import TEXTS

SIZES = {"layers": 1, "width": 16, "heads": 2, "context_tokens": 32}


@pytest.mark.parametrize("build", [build_gpt2, build_t5, build_bert])
def test_sizes_that_cannot_be(build: Callable[..., Any]) -> None:
    with pytest.raises(ModelError, match=r"model\.width: 10 is no multiple of model\.heads 3"):
        build(train_tokenizer(TEXTS, 300, 32), layers=1, width=10, heads=3, context_tokens=32)


def test_a_t5_starts_its_decoder_with_the_padding_token_and_has_an_output_layer_of_its_own() -> None:
    tokenizer = train_tokenizer(TEXTS, 300, 32)
    model = build_t5(tokenizer, **SIZES | {"layers": 2, "width": 24})
    config = model.config
    assert (config.decoder_start_token_id, config.pad_token_id, config.eos_token_id) == (0, 0, 1)
    assert (config.num_layers, config.num_decoder_layers, config.d_kv, config.d_ff) == (2, 2, 12, 64)
    assert config.relative_attention_max_distance == 32
    embedding = model.shared.weight.data_ptr()
    assert model.encoder.embed_tokens.weight.data_ptr() == embedding
    assert model.decoder.embed_tokens.weight.data_ptr() == embedding
    assert model.lm_head.weight.data_ptr() != embedding
    assert not model.config.scale_decoder_outputs
    assert model.lm_head.weight.std().item() == pytest.approx(24**-0.5, rel=0.05)


def test_a_t5_that_was_trained_and_saved_is_the_same_when_it_is_loaded(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TEXTS, 300, 32)
    model = build_t5(tokenizer, **SIZES)
    with torch.no_grad():
        model.lm_head.weight[:, 0] += 1.0
        model.shared.weight[:, 0] -= 1.0
    save_model(model, tokenizer, tmp_path)
    again = load_policy(str(tmp_path))
    ids = torch.arange(8)[None]
    with torch.no_grad():
        said = [one(ids, decoder_input_ids=ids).logits for one in (model.eval(), again.eval())]
    assert torch.equal(*said)
    assert again.encoder.embed_tokens.weight.data_ptr() == again.shared.weight.data_ptr()


def test_a_bert_is_an_encoder_with_two_token_types() -> None:
    tokenizer = train_wordpiece(TEXTS, 260, 32)
    model = build_bert(tokenizer, **SIZES)
    assert is_encoder(model.config)
    assert (model.config.type_vocab_size, model.config.max_position_embeddings) == (2, 32)
    assert model.config.vocab_size == len(tokenizer)


@pytest.mark.parametrize("build", [build_gpt2, build_t5, build_bert])
def test_no_dropout(build: Callable[..., Any]) -> None:
    model = build(train_tokenizer(TEXTS, 300, 32), **SIZES).train()
    ids = torch.arange(8)[None]
    more = {"decoder_input_ids": ids} if build is build_t5 else {}
    with torch.no_grad():
        assert torch.equal(model(ids, **more).logits, model(ids, **more).logits)
