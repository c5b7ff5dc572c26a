from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, GPT2ForSequenceClassification

from rlhf.errors import ModelError
from rlhf.models import LoraSpec, add_lora
from rlhf.models.folders import check_model_path, check_vocabulary
from rlhf.models.heads import set_score_bias
from rlhf.models.loading import (
    build_reward_model,
    load_policy,
    load_reward_model,
    load_tokenizer,
)
from rlhf.models.padding import ensure_distinct_pad
from rlhf.models.saving import save_model
from rlhf.models.values import sequence_scores
from rlhf.rendering import Renderer
from tests.families import write_decoder
from tests.helpers import tiny_gpt2, tiny_gpt2_config, tiny_reward_model, tiny_tokenizer
from tests.tokenizers import gpt2_like, qwen_like


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
def test_missing_folder_names_what_makes_it(
    path: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # after `make all`, runs/sft does exist in the repository
    with pytest.raises(ModelError, match=words.replace("'", ".")):
        check_model_path(path)


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        load_policy(str(tmp_path))


def test_broken_model_is_one_message(folder: str) -> None:
    (Path(folder) / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(
        ModelError, match=r"model.safetensors' is damaged \(.*\); copy it again, or set model"
    ):
        load_policy(folder)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer.json"])
def test_damaged_file_is_found_before_anything_is_loaded(folder: str, name: str) -> None:
    (Path(folder) / name).write_text("{ not json")
    with pytest.raises(ModelError, match=rf"model.path: .*{name}' is damaged"):
        check_model_path(folder)


def test_truncated_weights_are_found_before_anything_is_loaded(folder: str) -> None:
    file = Path(folder) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ModelError, match=r"model\.safetensors' is damaged"):
        check_model_path(folder)


def test_adapter_that_names_no_base(folder: str) -> None:
    (Path(folder) / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="names no base model"):
        load_policy(folder)


def change_config(folder: str, **changes: object) -> None:
    file = Path(folder) / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_weights_of_other_sizes_than_the_config_says(folder: str) -> None:
    change_config(folder, n_embd=32)
    with pytest.raises(ModelError, match=r"its weights have other sizes than its config\.json says"):
        load_policy(folder)


@pytest.mark.parametrize("load", [load_policy, build_reward_model])
def test_missing_weights_are_not_drawn_at_random(folder: str, load: Callable[[str], object]) -> None:
    change_config(folder, n_layer=4)
    with pytest.raises(ModelError, match=r"24 tensors are missing, e.g. transformer.h.2"):
        load(folder)


def test_reward_model_without_its_head(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    save_model(tiny_gpt2(tokenizer), tokenizer, tmp_path)
    change_config(str(tmp_path), architectures=["GPT2ForSequenceClassification"], num_labels=1)
    with pytest.raises(ModelError, match=r"1 tensors are missing, e.g. score.weight"):
        load_reward_model(str(tmp_path))


def test_folder_without_a_tokenizer(folder: str) -> None:
    for file in Path(folder).glob("*token*"):
        file.unlink()
    with pytest.raises(ModelError, match=r"holds no tokenizer \(no tokenizer.json\)"):
        load_tokenizer(folder)


def test_tokenizer_with_more_tokens_than_embeddings() -> None:
    tokenizer = tiny_tokenizer()
    with pytest.raises(ModelError, match="has 400 tokens, but the model has embeddings for 100"):
        check_vocabulary(tokenizer, tiny_gpt2(tokenizer, vocab_size=100))


def test_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("")
    with pytest.raises(ModelError, match="is a file, not a model's folder"):
        check_model_path(str(tmp_path / "model"))


def test_unknown_hub_id_offline() -> None:
    with pytest.raises(ModelError, match="cannot load a language model from 'nobody/nothing'"):
        load_policy("nobody/nothing")


def test_tokenizer_without_an_end_token(tmp_path: Path) -> None:
    tiny_tokenizer(eos_token=None).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"no end-of-sequence token; set model\.eos_token"):
        load_tokenizer(str(tmp_path))
    with pytest.raises(ModelError, match=r"set policy\.eos_token"):
        load_tokenizer(str(tmp_path), setting="policy.path")
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


def test_reward_model_is_no_policy(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    save_model(tiny_reward_model(tokenizer), tokenizer, tmp_path)
    with pytest.raises(ModelError, match=r"policy\.path: .* is a reward model, .*; run `make sft` or set"):
        load_policy(str(tmp_path), setting="policy.path")


def test_a_pad_token_that_is_new_to_the_reward_model_gets_an_embedding() -> None:
    tokenizer = gpt2_like()
    model = tiny_reward_model(tokenizer)
    ensure_distinct_pad(model, tokenizer)
    assert model.get_input_embeddings().num_embeddings == len(tokenizer) == tokenizer.pad_token_id + 1


def test_a_model_of_two_labels_gives_no_score(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    config = tiny_gpt2_config(tokenizer, num_labels=2)
    save_model(GPT2ForSequenceClassification(config), tokenizer, tmp_path)
    with pytest.raises(ModelError, match="gives 2 numbers; a reward model gives 1"):
        load_reward_model(str(tmp_path))


def test_the_template_that_is_asked_for_replaces_the_tokenizers(folder: str) -> None:
    assert load_tokenizer(folder).chat_template == tiny_tokenizer().chat_template
    assert load_tokenizer(folder, chat_template="{{ messages }}").chat_template == "{{ messages }}"


def test_inv64_a_reward_model_starts_from_the_adapter_that_sft_left(folder: str, tmp_path: Path) -> None:
    adapted = add_lora(load_policy(folder), LoraSpec(rank=2, alpha=4.0))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    save_model(adapted, tiny_tokenizer(), tmp_path / "sft", keep_adapter=True)
    found = build_reward_model(str(tmp_path / "sft")).base_model.state_dict()
    expected = load_policy(str(tmp_path / "sft")).base_model.state_dict()
    base = load_policy(folder).base_model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert not torch.equal(found["h.0.attn.c_attn.weight"], base["h.0.attn.c_attn.weight"])


def test_tokens_of_others_behind_the_last_embedding_are_no_mistake_where_nothing_writes_them() -> None:
    """Gemma 3's tokenizer has one for images, also in its models of text alone."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<image>"]}, replace_extra_special_tokens=False
    )
    model = tiny_gpt2(tokenizer, vocab_size=len(tokenizer) - 1)
    check_vocabulary(tokenizer, model)
    reward = tiny_reward_model(tokenizer, vocab_size=len(tokenizer) - 1)
    num_tokens = len(tokenizer)
    ensure_distinct_pad(reward, tokenizer)
    assert tokenizer.pad_token_id < reward.get_input_embeddings().num_embeddings
    tokenizer.pad_token = "<image>"
    with pytest.raises(ModelError, match=f"has {len(tokenizer)} tokens, but the model has embeddings for"):
        check_vocabulary(tokenizer, model)
    ordinary = tiny_tokenizer()
    ordinary.add_tokens(["<word>"])
    with pytest.raises(ModelError, match=f"has {num_tokens} tokens"):
        check_vocabulary(ordinary, model)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", "[]", "holds a list"),
        ("adapter_config.json", "3", "holds a int"),
        ("generation_config.json", '{"eos_token_id": "x"}', "eos_token_id is 'x'; it is a number or a list"),
        ("generation_config.json", '{"eos_token_id": [1, "x"]}', r"eos_token_id is \[1, 'x'\]"),
    ],
)
def test_files_that_hold_something_else_are_found_before_anything_is_loaded(
    folder: str, file: str, content: str, message: str
) -> None:
    (Path(folder) / file).write_text(content)
    with pytest.raises(ModelError, match=message):
        check_model_path(folder)


@pytest.mark.parametrize("changes", [{"n_head": 0}, {"n_embd": "wide"}, {"vocab_size": None}])
def test_sizes_that_are_none_are_one_message(folder: str, changes: dict[str, object]) -> None:
    change_config(folder, **changes)
    for load in (load_policy, build_reward_model):
        with pytest.raises(ModelError, match=r"cannot load a|are not those of its config"):
            load(folder)


def test_a_tokenizer_that_its_library_cannot_read_is_one_message(folder: str) -> None:
    file = Path(folder) / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "model": None}))
    with pytest.raises(ModelError, match=r"cannot load a tokenizer from .*; copy the folder again"):
        load_tokenizer(folder)


def test_a_misspelt_folder_that_could_be_a_hub_id_says_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = tiny_tokenizer()
    save_model(tiny_gpt2(tokenizer), tokenizer, tmp_path / "my" / "base_model")
    monkeypatch.chdir(tmp_path)
    message = r"no folder 'my/base-model' here \(did you mean 'my/base_model'\?\), and as a hub id it cannot be read"
    for load in (load_policy, load_tokenizer, build_reward_model):
        with pytest.raises(ModelError, match=message):
            load("my/base-model")
    with pytest.raises(ModelError, match="no folder 'nobody/nothing' here, and as a hub id"):
        load_policy("nobody/nothing")


def test_a_reward_model_that_is_trained_on_keeps_its_head_and_its_zero(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    save_model(tiny_gpt2(tokenizer), tokenizer, tmp_path / "gpt2")
    for name, base in (
        ("gpt2", str(tmp_path / "gpt2")),
        ("llama", write_decoder(tmp_path / "llama", "llama")),
    ):
        model = build_reward_model(base)
        set_score_bias(model, 0.5)
        save_model(model, tokenizer, tmp_path / f"{name}-reward")
        again = build_reward_model(str(tmp_path / f"{name}-reward"))
        assert torch.equal(again.score.weight, model.score.weight)
        assert again.score.bias.item() == 0.5


def test_inv17_padding_is_not_the_templates_end_of_a_turn_either(tmp_path: Path) -> None:
    """With it, everyone's `AutoModelForSequenceClassification` reads the score one token early."""
    tokenizer = qwen_like()
    tokenizer.pad_token = "<|im_end|>"
    base = write_decoder(tmp_path / "base", "qwen2")
    model = build_reward_model(base).eval()
    renderer = Renderer(tokenizer)
    ensure_distinct_pad(model, tokenizer, stop_token_ids=renderer.stop_token_ids)
    assert tokenizer.pad_token_id not in renderer.stop_token_ids
    save_model(model, tokenizer, tmp_path / "reward")
    rendered = renderer.render_demonstration([{"role": "user", "content": "Why?"}], "Zebras.")
    ids = torch.tensor([rendered.ids])
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward")
    ours = sequence_scores(model, ids, torch.ones_like(ids, dtype=torch.bool))
    torch.testing.assert_close(plain(ids).logits[:, 0], ours, atol=1e-5, rtol=0)
