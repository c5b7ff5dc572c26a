"""What is written of models on one frozen base, and what is read from them."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from rlhf.models.learner import SeparateLearner
from rlhf.models.loading import load_policy
from rlhf.models.one_base import load_one_base
from rlhf.models.saving import save_model
from rlhf.ppo.checkpoint import trained_weights
from rlhf.rollout import generate
from tests.helpers import tiny_tokenizer
from tests.models.adapters import (
    SPEC,
    digest,
    logits,
    train_a_little,
    write_sft_adapter,
)


def test_inv73_a_checkpoint_holds_adapters_and_heads_only(sft: str, reward: str) -> None:
    base = load_one_base(sft)
    kept = trained_weights(SeparateLearner(base.policy(SPEC), base.critic(reward)))
    assert {name.split(".")[0] for name in kept} == {"policy", "critic"}
    assert all("lora_" in name or ".score." in name for name in kept)
    assert sum(".score." in name for name in kept) == (1 if base.model.config.model_type == "gpt2" else 2)


def test_inv06_the_policy_generates_as_the_whole_model_does(sft: str, reward: str) -> None:
    base = load_one_base(sft)
    learner = SeparateLearner(base.policy(SPEC), base.critic(reward))
    train_a_little(learner)
    options = {"stop_token_ids": [1], "pad_token_id": 0, "max_new_tokens": 6, "temperature": 1.0}
    prompts = [[9, 8, 7], [5, 4, 3, 2, 6]]
    whole = copy.deepcopy(learner.policy).merge_and_unload()
    assert (
        generate(learner, prompts, **options).responses() == generate(whole, prompts, **options).responses()
    )


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft's, of transformers
@pytest.mark.parametrize("from_adapter", [False, True])
@pytest.mark.parametrize("keep_adapter", [False, True])
def test_inv74_the_saved_policy_is_the_policy_alone(
    tmp_path: Path, sft: str, reward: str, keep_adapter: bool, from_adapter: bool
) -> None:
    start = write_sft_adapter(tmp_path / "adapter", sft) if from_adapter else sft
    base = load_one_base(start)
    learner = SeparateLearner(base.policy(SPEC), base.critic(reward))
    train_a_little(learner)
    expected, untouched = logits(learner.policy), digest(base.model)
    save_model(learner.policy, tiny_tokenizer(), tmp_path / "ppo", keep_adapter=keep_adapter)
    if keep_adapter:
        assert not (tmp_path / "ppo" / "model.safetensors").exists()
        loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(sft), tmp_path / "ppo")
        torch.testing.assert_close(logits(load_policy(str(tmp_path / "ppo"))), expected, atol=1e-5, rtol=0)
    else:
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "ppo")
    torch.testing.assert_close(logits(loaded.eval()), expected, atol=1e-5, rtol=0)
    assert digest(base.model) == untouched
    assert torch.equal(logits(learner.policy), expected)
