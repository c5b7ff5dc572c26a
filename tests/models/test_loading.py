from __future__ import annotations

from pathlib import Path

import pytest

from rlhf.errors import ModelError
from rlhf.models.loading import (
    build_reward_model,
    check_model_path,
    ensure_distinct_pad,
    load_causal_lm,
    load_reward_model,
    load_tokenizer,
)
from rlhf.models.saving import save_model
from tests.helpers import tiny_gpt2, tiny_reward_model, tiny_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> str:
    tokenizer = tiny_tokenizer()
    save_model(tiny_gpt2(tokenizer), tokenizer, tmp_path / "model")
    return str(tmp_path / "model")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("runs/sft", "'runs/sft' does not exist; run `make sft` or set model.path"),
        ("runs/nowhere/reward", "run `make reward`"),
        ("/no/such/folder", "set model.path to a model folder or a hub id"),
    ],
)
def test_missing_folder_names_what_makes_it(path: str, words: str) -> None:
    with pytest.raises(ModelError, match=words.replace("'", ".")):
        check_model_path(path)


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        load_causal_lm(str(tmp_path))


def test_broken_model_is_one_message(folder: str) -> None:
    (Path(folder) / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="cannot load a causal language model"):
        load_causal_lm(folder)


def test_unknown_hub_id_offline() -> None:
    with pytest.raises(ModelError, match="cannot load a causal language model from 'nobody/nothing'"):
        load_causal_lm("nobody/nothing")


def test_tokenizer_without_an_end_token(tmp_path: Path) -> None:
    tiny_tokenizer(eos_token=None).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"no end-of-sequence token; set model\.eos_token"):
        load_tokenizer(str(tmp_path))
    with pytest.raises(ModelError, match="is not a token of"):
        load_tokenizer(str(tmp_path), eos_token="<nope>")
    assert load_tokenizer(str(tmp_path), eos_token="<|end|>").eos_token == "<|end|>"


def test_tokenizer_without_pad_pads_with_its_end_token(tmp_path: Path) -> None:
    tiny_tokenizer(pad_token=None).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    tokenizer = load_tokenizer(str(tmp_path))
    assert tokenizer.pad_token_id == tokenizer.eos_token_id


def test_policy_is_no_reward_model(folder: str) -> None:
    with pytest.raises(ModelError, match="is not a reward model; run `make reward`"):
        load_reward_model(folder)


def test_inv67_head_of_a_new_reward_model_is_small(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    save_model(tiny_gpt2(tokenizer, n_embd=256), tokenizer, tmp_path)
    model = build_reward_model(str(tmp_path))
    # 256 draws: the sample's standard deviation is within 20 % of 1/sqrt(257) but once in a million
    assert model.score.weight.std().item() == pytest.approx(257**-0.5, rel=0.2)
    assert model.num_labels == 1


@pytest.mark.parametrize("pad", [None, "<|end|>"])
def test_inv17_reward_model_pads_with_a_token_that_ends_nothing(pad: str | None) -> None:
    tokenizer = tiny_tokenizer(pad_token=pad)
    model = tiny_reward_model(tokenizer)
    ensure_distinct_pad(model, tokenizer)
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert model.get_input_embeddings().num_embeddings >= len(tokenizer)
