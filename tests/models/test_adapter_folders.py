"""A reward model kept as an adapter, and what else a folder with an adapter may be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rlhf.errors import ModelError, SettingsError
from rlhf.models.adapter_folders import check_goes_on, holds_score_head, load_adapter
from rlhf.models.adapters import LoraSpec, add_lora
from rlhf.models.centring import norm_before_head, recentre
from rlhf.models.folders import check_writes
from rlhf.models.loading import build_reward_model, load_policy, load_reward_model
from rlhf.models.padding import ensure_distinct_pad
from rlhf.models.saving import save_model
from rlhf.models.values import sequence_scores
from tests.helpers import tiny_gpt2, tiny_reward_model, tiny_tokenizer
from tests.models.adapters import IDS, MASK, SPEC, learnt, write_reward_adapter, write_sft, write_sft_adapter


def reward_adapter(base: str) -> torch.nn.Module:
    model = build_reward_model(base)
    kept = (norm_before_head(model),) if norm_before_head(model) else ()
    return learnt(add_lora(model, SPEC, keep_trainable=("score",), keep_whole=kept), seed=1)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_inv74_a_reward_adapter_is_loaded_as_a_whole_model_with_its_scores(tmp_path: Path, kind: str) -> None:
    base = write_sft(tmp_path / "sft", kind)
    model = reward_adapter(base)
    before = sequence_scores(model, IDS, MASK)
    recentre(model, 0.7)
    recentre(model, 0.3)
    scores = sequence_scores(model, IDS, MASK)
    torch.testing.assert_close(scores, before - 1.0, atol=1e-5, rtol=0)
    save_model(model, tiny_tokenizer(), tmp_path / "reward", keep_adapter=True)
    assert not (tmp_path / "reward" / "model.safetensors").exists()
    loaded = load_reward_model(str(tmp_path / "reward")).eval()
    assert not hasattr(loaded, "peft_config")
    torch.testing.assert_close(sequence_scores(loaded, IDS, MASK), scores, atol=1e-5, rtol=0)
    # as a whole model it can be saved and loaded again
    save_model(loaded, tiny_tokenizer(), tmp_path / "whole")
    again = load_reward_model(str(tmp_path / "whole")).eval()
    torch.testing.assert_close(sequence_scores(again, IDS, MASK), scores, atol=1e-5, rtol=0)


def test_inv38_centring_an_adapter_changes_only_what_the_adapter_holds(tmp_path: Path) -> None:
    model = reward_adapter(write_sft(tmp_path / "sft"))
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    recentre(model, 2.0)
    changed = [name for name, value in model.named_parameters() if not torch.equal(value, before[name])]
    assert changed == ["base_model.model.transformer.ln_f.modules_to_save.default.bias"]


def test_inv38_an_adapter_without_the_norm_gets_a_bias_and_leaves_the_base_alone(tmp_path: Path) -> None:
    model = build_reward_model(write_sft(tmp_path / "sft"))
    model = learnt(add_lora(model, SPEC, keep_trainable=("score",)), seed=1)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    scores = sequence_scores(model, IDS, MASK)
    recentre(model, 2.0)
    torch.testing.assert_close(sequence_scores(model, IDS, MASK), scores - 2.0, atol=1e-5, rtol=0)
    after = dict(model.named_parameters())
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert after.keys() - before.keys() == {"base_model.model.score.modules_to_save.default.bias"}
    save_model(model, tiny_tokenizer(), tmp_path / "reward", keep_adapter=True)
    loaded = load_reward_model(str(tmp_path / "reward")).eval()
    torch.testing.assert_close(sequence_scores(loaded, IDS, MASK), scores - 2.0, atol=1e-5, rtol=0)


def test_modules_that_are_kept_whole_are_not_trained() -> None:
    model = tiny_reward_model(tiny_tokenizer())
    adapted = add_lora(model, SPEC, keep_trainable=("score",), keep_whole=("transformer.ln_f",))
    trained = {name for name, value in adapted.named_parameters() if value.requires_grad}
    assert not any("ln_f" in name for name in trained)
    assert "base_model.model.score.modules_to_save.default.weight" in trained


OUTSIDE = """
import sys, json, torch
sys.modules["rlhf"] = sys.modules["stages"] = None  # installed or not, importing them fails
from peft import AutoPeftModelForSequenceClassification
from transformers import AutoModelForSequenceClassification
ids, mask = (torch.tensor(rows) for rows in json.loads(sys.argv[2]))
found = []
for load in (AutoPeftModelForSequenceClassification, AutoModelForSequenceClassification):
    model = load.from_pretrained(sys.argv[1], num_labels=1).eval()
    found.append(model(input_ids=ids, attention_mask=mask).logits[:, 0].tolist())
print(json.dumps(found))
"""


def test_inv74_plain_peft_and_plain_transformers_give_our_scores(tmp_path: Path) -> None:
    model = reward_adapter(write_sft(tmp_path / "sft"))
    recentre(model, -1.5)
    save_model(model, tiny_tokenizer(), tmp_path / "reward", keep_adapter=True)
    words = [str(tmp_path / "reward"), json.dumps([IDS.tolist(), MASK.long().tolist()])]
    command = [sys.executable, "-I", "-c", OUTSIDE, *words]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    ours = sequence_scores(model, IDS, MASK).tolist()
    for theirs in json.loads(found.stdout.splitlines()[-1]):
        assert theirs == pytest.approx(ours, abs=1e-5)


def test_a_reward_adapter_says_nothing_and_an_sft_adapter_scores_nothing(tmp_path: Path) -> None:
    base = write_sft(tmp_path / "sft")
    policy, reward = write_sft_adapter(tmp_path / "adapter", base), write_reward_adapter(tmp_path / "r", base)
    assert (holds_score_head(base), holds_score_head(policy), holds_score_head(reward)) == (
        False,
        False,
        True,
    )
    with pytest.raises(ModelError, match="is a reward model, which says nothing"):
        load_policy(reward)
    with pytest.raises(ModelError, match="is not a reward model"):
        load_reward_model(policy)


def test_a_merged_adapter_can_be_trained_whole(tmp_path: Path) -> None:
    base = write_sft(tmp_path / "sft")
    policy, reward = write_sft_adapter(tmp_path / "adapter", base), write_reward_adapter(tmp_path / "r", base)
    for model in (load_policy(policy), load_reward_model(reward), build_reward_model(policy)):
        assert all(parameter.requires_grad for parameter in model.parameters())


def test_an_adapter_that_lacks_its_head_is_refused(tmp_path: Path) -> None:
    reward = write_reward_adapter(tmp_path / "reward", write_sft(tmp_path / "sft"))
    file = tmp_path / "reward" / "adapter_model.safetensors"
    save_file({k: v for k, v in load_file(file).items() if "score" not in k}, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"it lacks base_model\.model\.score\.weight"):
        load_reward_model(reward)


def test_an_adapter_on_a_base_of_other_sizes_is_one_message(tmp_path: Path) -> None:
    base = write_sft(tmp_path / "sft")
    reward = write_reward_adapter(tmp_path / "reward", base)
    save_model(tiny_gpt2(tiny_tokenizer(), n_embd=32), tiny_tokenizer(), base)
    with pytest.raises(ModelError, match=r"cannot load a LoRA adapter from .*: its weights have other sizes"):
        load_reward_model(reward)


def test_places_that_name_the_transformer_are_found_within_it(tmp_path: Path) -> None:
    """As the library writes those of a small model: model.layers.0.self_attn.q_proj."""
    llama = write_sft(tmp_path / "llama", "llama")
    adapter = write_sft_adapter(tmp_path / "adapter", llama)
    file = tmp_path / "adapter" / "adapter_config.json"
    config = json.loads(file.read_text())
    full = config["target_modules"]
    assert all(name.startswith("model.layers.") for name in full)
    changes = {}
    for kind, places in (("short", sorted({name.rpartition(".")[2] for name in full})), ("full", full)):
        file.write_text(json.dumps({**config, "target_modules": places}))
        adapted = load_adapter(load_policy(llama).model, adapter, setting="policy.path", trunk_name="model")
        changes[kind] = {name: value for name, value in adapted.state_dict().items() if "lora_" in name}
    assert changes["short"].keys() == changes["full"].keys() != set()
    assert all(torch.equal(changes["short"][name], changes["full"][name]) for name in changes["short"])


def test_an_adapter_of_another_architecture_is_one_short_message(tmp_path: Path) -> None:
    llama = write_sft(tmp_path / "llama", "llama")
    adapter = write_sft_adapter(tmp_path / "adapter", llama)
    file = tmp_path / "adapter" / "adapter_config.json"
    gpt2 = write_sft(tmp_path / "gpt2")
    file.write_text(json.dumps({**json.loads(file.read_text()), "base_model_name_or_path": gpt2}))
    with pytest.raises(ModelError) as caught:
        load_policy(adapter)
    said = str(caught.value)
    assert (
        f"the adapter in {adapter!r} is for another model: it changes down_proj, gate_proj, k_proj, o_proj"
        in said
    )
    assert f"{gpt2!r} (GPT2LMHeadModel) has c_attn, c_fc, c_proj, lm_head and 2 more" in said
    assert "base_model_name_or_path" in said
    assert len(said) < 400 + len(adapter) + len(gpt2)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"init_lora_weights": "pissa"}, "init_lora_weights pissa"),
        ({"bias": "all"}, "bias all"),
    ],
)
def test_an_adapter_that_changes_its_base_is_refused_where_others_use_it(
    tmp_path: Path, change: dict[str, str], found: str
) -> None:
    base = write_sft(tmp_path / "sft")
    adapter = write_sft_adapter(tmp_path / "adapter", base)
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(ModelError, match=f"changes its base .*{found}"):
        load_adapter(load_policy(base), adapter, setting="policy.path", shared=True)


def test_an_adapter_with_embeddings_of_its_own_is_refused_where_others_use_them(tmp_path: Path) -> None:
    base = write_sft(tmp_path / "sft")
    adapter = write_sft_adapter(tmp_path / "adapter", base)
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    model = load_policy(base)
    name = "base_model.model.transformer.wte.weight"
    before = model.transformer.wte.weight.detach().clone()
    save_file({**load_file(file), name: before + 1}, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="a weight of the base itself"):
        load_adapter(model, adapter, setting="policy.path", shared=True)
    assert torch.equal(model.transformer.wte.weight, before)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (LoraSpec(8, 8.0), "set lora.rank=4 lora.alpha=8, or"),
        (LoraSpec(4, 16.0), "set lora.rank=4 lora.alpha=8, or"),
        (LoraSpec(4, 8.0, 0.0, ("c_attn",)), "lora.alpha=8 lora.target_modules=null, or"),
    ],
)
def test_going_on_from_an_adapter_means_its_own_sizes(tmp_path: Path, spec: LoraSpec, told: str) -> None:
    adapter = write_sft_adapter(tmp_path / "adapter", write_sft(tmp_path / "sft"))
    check_goes_on(adapter, SPEC, "policy.path")
    with pytest.raises(SettingsError, match=told):
        check_goes_on(adapter, spec, "policy.path")


@pytest.mark.parametrize(
    ("tokens", "pad"),
    [
        ({}, "<|pad|>"),  # its own
        ({"pad_token": "<|end|>", "unk_token": "<|system|>"}, "<|system|>"),
        ({"pad_token": None, "bos_token": "<|user|>"}, "<|user|>"),
    ],
)
def test_inv40_inv66_an_adapter_takes_its_padding_from_the_tokens_there_are(tokens: dict, pad: str) -> None:
    tokenizer = tiny_tokenizer(**tokens)
    model = tiny_reward_model(tokenizer)
    ensure_distinct_pad(model, tokenizer, may_grow=False)
    assert tokenizer.pad_token == pad
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert model.get_input_embeddings().num_embeddings == 400


def test_inv66_padding_that_needs_a_new_embedding_is_refused_for_an_adapter() -> None:
    tokenizer = tiny_tokenizer(pad_token=None)
    with pytest.raises(ModelError, match=r"no token that can be padding.*lora\.merge=true"):
        ensure_distinct_pad(tiny_reward_model(tokenizer), tokenizer, may_grow=False)


def test_an_adapter_on_an_encoder_is_refused_where_text_is_to_be_written(tmp_path: Path) -> None:
    """Before anything is loaded, so in a dry run too."""
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text(
        json.dumps({"model_type": "bert", "architectures": ["BertModel"]})
    )
    (tmp_path / "adapter").mkdir()
    told = {"peft_type": "LORA", "base_model_name_or_path": str(tmp_path / "bert")}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(told))
    with pytest.raises(ModelError, match="is an encoder"):
        check_writes(str(tmp_path / "adapter"), setting="model.path")
