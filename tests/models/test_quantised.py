"""4-bit weights below adapters; what needs bitsandbytes is skipped where it is not installed."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from torch import nn
from transformers import AutoModelForCausalLM

from rlhf.errors import SettingsError
from rlhf.models import quantised
from rlhf.models.adapter_folders import load_adapter
from rlhf.models.adapters import add_lora, merged_copy
from rlhf.models.inputs import disable_dropout
from rlhf.models.learner import SeparateLearner
from rlhf.models.loading import build_reward_model, load_policy
from rlhf.models.one_base import load_one_base, num_distinct_parameters
from rlhf.models.quantised import check_quantiser, is_quantised, num_weights, quantise, reload_of
from rlhf.models.quiet import quiet_library
from rlhf.models.saving import save_model
from tests.helpers import tiny_tokenizer
from tests.models.adapters import (
    IDS,
    LEFT,
    MASK,
    SPEC,
    learnt,
    logits,
    write_reward_adapter,
    write_sft,
    write_sft_adapter,
)
from tests.seq2seq import write_seq2seq

FOUR_BIT = replace(SPEC, quantize="4bit")
HAS_IT = importlib.util.find_spec("bitsandbytes") is not None
needs_it = pytest.mark.skipif(not HAS_IT, reason="bitsandbytes is not installed")
KINDS = pytest.mark.parametrize("kind", ["gpt2", "llama"])
# Half the widest gap of NF4 is 0.15 of a block's largest weight (|w| < 0.1 here): logits of these models, below
# 0.3 in size, move by some 0.02; a wrong orientation or a lost adapter moves them by 0.3.
ROUNDING = 0.06


def adapted(path: str) -> Any:
    return add_lora(load_policy(path), FOUR_BIT, reload=lambda: load_policy(path))


def test_a_missing_library_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantised.importlib.util, "find_spec", lambda name: None)
    expected = r"lora.quantize: 4bit needs bitsandbytes, which is not installed: pip install 'rlhf\[4bit\]'.*lora.quantize=null"
    with pytest.raises(SettingsError, match=expected):
        check_quantiser()


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        (RuntimeError("no kernel image\nfor this device"), "here: no kernel image; install"),
        (NotImplementedError(), "here: NotImplementedError; install"),
        (ImportError("libcudart.so: cannot open"), "here: libcudart.so: cannot open; install"),
        (None, "here; install"),
    ],
)
def test_a_library_that_does_not_work_is_one_message(
    monkeypatch: pytest.MonkeyPatch, broken: Exception | None, found: str
) -> None:
    def layer(*given: Any) -> nn.Module:
        if broken is not None:
            raise broken
        made = nn.Linear(64, 64)
        nn.init.constant_(made.weight, float("nan"))
        return made

    monkeypatch.setattr(quantised.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(quantised, "_quantised_layer", layer)
    with pytest.raises(SettingsError, match="bitsandbytes is installed but does not work on 'cpu' " + found):
        check_quantiser(torch.device("cpu"))


def test_adapters_that_could_not_be_merged_are_not_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="weights that are rounded need reload"):
        add_lora(load_policy(write_sft(tmp_path / "sft")), FOUR_BIT)


@needs_it
@KINDS
def test_linear_layers_are_rounded_and_nothing_else(tmp_path: Path, kind: str) -> None:
    path = write_sft(tmp_path / "sft", kind)
    whole, model = load_policy(path), adapted(path)
    rounded = {name for name, module in model.named_modules() if type(module).__name__ == "Linear4bit" and not hasattr(module, "lora_A")}  # fmt: skip
    assert len(rounded) == {"gpt2": 8, "llama": 14}[kind], "4 or 7 in each of two layers"
    assert not any("lm_head" in name for name in rounded)
    for name, parameter in model.named_parameters():
        four_bit = hasattr(parameter, "quant_state")
        assert four_bit == (parameter.dtype == torch.uint8)
        assert parameter.requires_grad == ("lora_" in name)
        assert four_bit or parameter.dtype == torch.float32
        if four_bit:
            assert (parameter.quant_state.quant_type, parameter.quant_state.nested) == ("nf4", True)
            assert num_weights(parameter) == 2 * parameter.numel()
    moved = (logits(model) - logits(whole)).abs().max()
    assert 0 < moved < ROUNDING
    adapters = sum(p.numel() for n, p in model.named_parameters() if "lora_" in n)
    assert num_distinct_parameters(model) == num_distinct_parameters(whole) + adapters


@needs_it
@pytest.mark.parametrize("name", ["t5", "t5_gated", "bart"])
def test_an_encoder_decoder_computes_with_its_rounded_weights(tmp_path: Path, name: str) -> None:
    """T5 turns what comes before `wo` into the type of its weight: rounded, that would be whole numbers."""
    from bitsandbytes.functional import dequantize_4bit

    path = write_seq2seq(tmp_path, name)
    model = add_lora(load_policy(path), FOUR_BIT, reload=lambda: load_policy(path))
    given = {"input_ids": IDS, "attention_mask": MASK, "decoder_input_ids": IDS}
    found, whole = model(**given).logits, load_policy(path)
    with torch.no_grad():  # what the rounded weights come to, computed by whole layers
        for name, module in model.get_base_model().named_modules():
            if type(module).__name__ == "Linear4bit" and not hasattr(module, "base_layer"):
                plain = whole.get_submodule(name.removesuffix(".base_layer"))
                plain.weight.copy_(dequantize_4bit(module.weight.data, module.weight.quant_state))
    assert torch.allclose(found, whole(**given).logits, atol=1e-4)
    found.square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


@needs_it
def test_a_score_head_stays_whole(tmp_path: Path) -> None:
    path = write_sft(tmp_path / "sft")
    model = add_lora(
        build_reward_model(path), FOUR_BIT, keep_trainable=("score",), reload=lambda: build_reward_model(path)
    )
    heads = [parameter for name, parameter in model.named_parameters() if "score" in name]
    assert {parameter.dtype for parameter in heads} == {torch.float32}
    assert any(parameter.requires_grad for parameter in heads)


@needs_it
@KINDS
def test_adapters_learn_and_are_merged_onto_the_whole_weights(tmp_path: Path, kind: str) -> None:
    path = write_sft(tmp_path / "sft", kind)
    model = adapted(path)
    disable_dropout(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-2)
    losses = []
    for _ in range(8):
        loss = model(input_ids=IDS, attention_mask=MASK, labels=IDS).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
    model.eval()
    state = torch.get_rng_state()
    merged = merged_copy(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert not is_quantised(merged)
    assert is_quantised(model), "the trained one is left as it is"
    whole = load_policy(path)
    learnt_by = (logits(model) - logits(whole)).abs().max()
    assert learnt_by > 3 * ROUNDING
    assert (logits(model) - logits(merged)).abs().max() < learnt_by / 4, (
        "but for the rounding it is what was trained"
    )
    weights = merged.state_dict()
    for name, layer in model.base_model.model.named_modules():
        if hasattr(layer, "lora_A"):
            change = layer.get_delta_weight("default")
            before = whole.get_submodule(name).weight
            change = change.T if kind == "gpt2" else change
            torch.testing.assert_close(weights[f"{name}.weight"], before + change, atol=1e-6, rtol=0)


@needs_it
@KINDS
@pytest.mark.parametrize("keep", [False, True])
def test_what_is_saved_is_loaded_by_the_auto_classes(tmp_path: Path, kind: str, keep: bool) -> None:
    path = write_sft(tmp_path / "sft", kind)
    model = learnt(adapted(path), seed=3)
    save_model(model, tiny_tokenizer(), tmp_path / "saved", keep_adapter=keep)
    auto = AutoPeftModelForCausalLM if keep else AutoModelForCausalLM
    with quiet_library():
        again = auto.from_pretrained(tmp_path / "saved").eval()
    assert not is_quantised(again)
    torch.testing.assert_close(logits(again), logits(merged_copy(model)), atol=1e-5, rtol=0)
    learnt_by = (logits(again) - logits(load_policy(path))).abs().max()
    assert (logits(again) - logits(model)).abs().max() < learnt_by / 3, (
        "the rounding is less than what was learnt"
    )
    assert not list((tmp_path / "saved").glob("*quant*"))


@needs_it
def test_bfloat16_weights_are_computed_in_bfloat16(tmp_path: Path) -> None:
    path = write_sft(tmp_path / "sft", "llama")
    model = quantise(load_policy(path, dtype="bfloat16"), reload=lambda: None)
    layers = [module for module in model.modules() if type(module).__name__ == "Linear4bit"]
    assert {layer.compute_dtype for layer in layers} == {torch.bfloat16}
    assert torch.isfinite(logits(model)).all()


@needs_it
@pytest.mark.parametrize("from_adapter", [False, True])
def test_inv64_models_on_one_rounded_base_start_equal_and_share_it(
    tmp_path: Path, from_adapter: bool
) -> None:
    path = write_sft(tmp_path / "sft", "llama")
    start = write_sft_adapter(tmp_path / "adapter", path) if from_adapter else path
    reward = write_reward_adapter(tmp_path / "reward", path)
    base = load_one_base(start, quantize=True)
    policy, reference = base.policy(FOUR_BIT), base.reference()
    learner = SeparateLearner(policy, base.critic(reward))
    assert torch.equal(logits(policy.eval()), logits(reference.eval()))
    held = {id(p) for p in base.model.parameters() if hasattr(p, "quant_state")}
    for model in (policy, reference, learner, base.reward_model(reward), base.new_critic(FOUR_BIT)):
        assert held <= {id(p) for p in model.parameters()}, "the weights are in memory once"
    _, values = learner(*LEFT, 2)
    assert values is not None
    assert torch.isfinite(values).all()
    merged = merged_copy(learnt(policy, seed=2))
    whole = load_adapter(load_policy(path), _kept(policy, tmp_path / "kept"), setting="x")
    torch.testing.assert_close(logits(merged), logits(whole.eval()), atol=1e-5, rtol=0)


def _kept(policy: Any, folder: Path) -> str:
    save_model(policy, tiny_tokenizer(), folder, keep_adapter=True)
    return str(folder)


@needs_it
def test_a_whole_model_has_nothing_to_reload(tmp_path: Path) -> None:
    model = load_policy(write_sft(tmp_path / "sft"))
    assert reload_of(model) is None
    assert not is_quantised(model)
    rounded = quantise(model, reload=lambda: None)
    delattr(rounded, "_whole_model")
    with pytest.raises(ValueError, match="nothing gives the whole weights"):
        merged_copy(add_lora(rounded, FOUR_BIT))
