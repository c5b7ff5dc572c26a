from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from rlhf.models import LoraSpec, add_lora, load_policy, save_model, unwrap_model
from rlhf.models.adapters import merged_copy
from rlhf.models.card import build_card
from tests.helpers import tiny_gpt2, tiny_tokenizer

IDS = torch.tensor([[9, 8, 7, 6, 5, 30]])


def trained_lora(model: torch.nn.Module) -> torch.nn.Module:
    adapted = add_lora(model, LoraSpec(rank=4, alpha=8.0))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return adapted.eval()


def test_inv74_folder_is_plain_hugging_face(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_gpt2(tokenizer)
    model.generation_config.eos_token_id = [7]
    model.generation_config.temperature = 0.6
    model.generation_config.pad_token_id = None
    card = build_card("T", "text", task="text-generation", base_model=None, numbers={"a": 1})
    save_model(model, tokenizer, tmp_path, stop_token_ids=[1, 9], card=card)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)
    assert loaded.generation_config.eos_token_id == [7, 1, 9]
    assert loaded.generation_config.pad_token_id == tokenizer.pad_token_id
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template == tokenizer.chat_template
    assert "pipeline_tag: text-generation" in (tmp_path / "README.md").read_text()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".saving")]


class Wrapper(torch.nn.Module):
    """What accelerate and torch.compile put around a model, by the name under which it is inside."""

    def __init__(self, name: str, model: torch.nn.Module) -> None:
        super().__init__()
        setattr(self, name, model)


@pytest.mark.parametrize(
    "names", [(), ("module",), ("_orig_mod",), ("module", "_orig_mod"), ("_orig_mod", "module")]
)
def test_inv74_names_have_no_prefix_whatever_is_around_the_model(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_gpt2(tokenizer)
    wrapped: torch.nn.Module = model
    for name in names:
        wrapped = Wrapper(name, wrapped)
    save_model(wrapped, tokenizer, tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert set(file.keys()) == {name for name, _ in model.named_parameters()}
    assert torch.equal(AutoModelForCausalLM.from_pretrained(tmp_path)(IDS).logits, model(IDS).logits)


PUBLISHED = [
    {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 7, "repetition_penalty": 1.1, "max_length": 99},
    {"do_sample": False, "temperature": 0.7, "top_p": 0.9},
    {"temperature": 0.6},
    {"min_p": 0.1},
    {"typical_p": 0.9},
    {"epsilon_cutoff": 0.1},
    {"length_penalty": 2.0},
    {"num_beams": 1, "early_stopping": True},
    {"top_k": 1},
    {"do_sample": True, "temperature": 0.0},
    {"output_scores": True, "use_cache": False, "cache_implementation": "static"},
]  # fmt: skip


@pytest.mark.parametrize("told", PUBLISHED, ids=str)
def test_inv74_the_generation_config_is_kept_whatever_is_in_it(
    tmp_path: Path, told: dict[str, object]
) -> None:
    """The library refuses to save changed ones with values that are not in use; a greedy model stays greedy."""
    tokenizer = tiny_tokenizer()
    save_model(tiny_gpt2(tokenizer), tokenizer, tmp_path / "base")
    file = tmp_path / "base" / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **told}))
    model = load_policy(str(tmp_path / "base"))
    before = model.generation_config.to_dict()
    save_model(model, tokenizer, tmp_path / "saved", stop_token_ids=[1, 9])
    assert model.generation_config.to_dict() == before
    found = GenerationConfig.from_pretrained(tmp_path / "saved")
    assert {name: getattr(found, name) for name in told} == told
    assert (found.do_sample, found.eos_token_id) == (told.get("do_sample"), [1, 9])
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    plain.save_pretrained(tmp_path / "again")  # as anybody may do with a published model


def test_other_files_of_the_run_stay(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    (tmp_path / "model-00001-of-00002.safetensors").write_text("an earlier save")
    save_model(tiny_gpt2(tokenizer), tokenizer, tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text() == "{}\n"
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["model.safetensors"]


def test_failed_save_leaves_the_earlier_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_tokenizer()
    save_model(tiny_gpt2(tokenizer), tokenizer, tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    other = tiny_gpt2(tokenizer, seed=1)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tokenizer), "save_pretrained", full)
    with pytest.raises(OSError, match="No space"):
        save_model(other, tokenizer, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert not list(tmp_path.glob(".saving*"))


def test_save_dtype_does_not_change_the_model(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_gpt2(tokenizer)
    save_model(model, tokenizer, tmp_path, dtype=torch.bfloat16)
    assert model.dtype == torch.float32
    assert AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto").dtype == torch.bfloat16
    assert load_policy(str(tmp_path)).dtype == torch.float32


def test_lora_is_merged_or_kept(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    save_model(tiny_gpt2(tokenizer), tokenizer, tmp_path / "base")
    adapted = trained_lora(load_policy(str(tmp_path / "base")))
    logits = adapted(IDS).logits
    save_model(adapted, tokenizer, tmp_path / "merged")
    save_model(adapted, tokenizer, tmp_path / "kept", keep_adapter=True)
    assert not (tmp_path / "merged" / "adapter_config.json").exists()
    assert not (tmp_path / "kept" / "model.safetensors").exists()
    for name in ("merged", "kept"):
        loaded = load_policy(str(tmp_path / name)).eval()
        torch.testing.assert_close(loaded(IDS).logits, logits, atol=1e-5, rtol=0)
    assert torch.equal(adapted(IDS).logits, logits)  # saving changed nothing


def test_merged_copy_leaves_the_adapters() -> None:
    adapted = trained_lora(tiny_gpt2(tiny_tokenizer()))
    merged = merged_copy(adapted)
    assert not hasattr(merged, "peft_config")
    assert any("lora_A" in name for name, _ in adapted.named_parameters())


def test_lora_is_as_asked_for() -> None:
    adapted = add_lora(tiny_gpt2(tiny_tokenizer()), LoraSpec(rank=4, alpha=24.0, dropout=0.25))
    layers = {name: module for name, module in adapted.named_modules() if hasattr(module, "lora_A")}
    assert {name.rpartition("h.0.")[2] for name in layers if "h.0." in name} == {
        "attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj",
    }  # fmt: skip
    for layer in layers.values():
        assert layer.scaling["default"] == 24.0 / 4
        assert layer.lora_dropout["default"].p == 0.25
        assert layer.lora_A["default"].weight.shape[0] == 4
    few = add_lora(tiny_gpt2(tiny_tokenizer()), LoraSpec(rank=4, alpha=8.0, target_modules=("c_fc",)))
    assert {name.rpartition(".")[2] for name, module in few.named_modules() if hasattr(module, "lora_A")} == {
        "c_fc"
    }


def test_inv74_keys_hold_no_name_of_a_wrapper(tmp_path: Path) -> None:
    class Wrapped(torch.nn.Module):
        def __init__(self, name: str, model: torch.nn.Module) -> None:
            super().__init__()
            setattr(self, name, model)

    tokenizer = tiny_tokenizer()
    model = tiny_gpt2(tokenizer)
    wrapped = Wrapped("module", Wrapped("_orig_mod", Wrapped("module", model)))
    assert unwrap_model(wrapped) is unwrap_model(Wrapped("_orig_mod", model)) is model
    save_model(wrapped, tokenizer, tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as tensors:
        assert set(tensors.keys()) <= set(model.state_dict())
