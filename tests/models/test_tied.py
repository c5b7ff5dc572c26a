"""Invariant 66: where input and output embeddings are one tensor, nothing else is, and it stays one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from rlhf.models import LoraSpec, add_lora, build_reward_model, load_critic, load_reward_model, save_model
from rlhf.models.learner import TrunkLearner
from rlhf.models.loading import load_tokenizer
from rlhf.models.padding import ensure_distinct_pad
from rlhf.models.values import sequence_scores
from rlhf.scoring import score_sequences
from rlhf.shared_ids import same_rendering
from tests.helpers import tiny_gpt2, tiny_reward_model
from tests.ppo_stage import lay_over, main
from tests.stage_data import run_main, write_base
from tests.tokenizers import gpt2_like

IDS = torch.tensor([[9, 8, 7, 6, 5, 30]])


@pytest.fixture
def gloo() -> Iterator[None]:
    """One process as a group of one: enough for the real wrapper."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def take_a_step(model: nn.Module) -> None:
    logits = model(IDS).logits
    nn.functional.cross_entropy(logits[0, :-1], IDS[0, 1:]).backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    torch.optim.SGD(trained, lr=0.5).step()


def check_saved(model: Any, plain: Any, tokenizer: Any, folder: Path, *, tied: bool) -> None:
    """Save `model` and compare what plain transformers loads with `plain`."""
    save_model(model, tokenizer, folder)
    names = set(load_file(folder / "model.safetensors"))
    assert ("lm_head.weight" in names) != tied, "a tied tensor is written once"
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    pointers = [part.weight.data_ptr() for part in (loaded.lm_head, loaded.transformer.wte)]
    assert (pointers[0] == pointers[1]) == tied
    torch.testing.assert_close(loaded(IDS).logits, plain(IDS).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("tied", [True, False])
def test_inv66_a_model_saves_from_inside_ddp_and_loads_with_its_tie(
    gloo: None, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, tied: bool
) -> None:
    model = tiny_gpt2(tokenizer, tie_word_embeddings=tied)
    before = model(IDS).logits
    wrapped = DistributedDataParallel(model)
    take_a_step(wrapped)
    assert not torch.equal(model(IDS).logits, before)
    check_saved(wrapped, model, tokenizer, tmp_path, tied=tied)


@pytest.mark.parametrize("tied", [True, False])
def test_inv66_merged_adapters_save_and_load_with_the_tie(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, tied: bool
) -> None:
    model = add_lora(tiny_gpt2(tokenizer, tie_word_embeddings=tied), LoraSpec(rank=2, alpha=8.0))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    check_saved(model, model.eval(), tokenizer, tmp_path, tied=tied)


def test_inv66_a_critic_from_a_tied_policy_has_a_head_and_weights_of_its_own(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    policy = tiny_gpt2(tokenizer)
    save_model(policy, tokenizer, tmp_path)
    critic = build_reward_model(str(tmp_path))
    assert critic.score.weight.shape == (1, policy.config.n_embd)
    assert torch.equal(critic.transformer.wte.weight, policy.transformer.wte.weight)
    head = TrunkLearner(policy).value_head.weight
    own = {parameter.data_ptr() for parameter in policy.parameters()}
    assert critic.score.weight.data_ptr() not in {p.data_ptr() for p in critic.transformer.parameters()}
    assert own.isdisjoint({head.data_ptr(), *(parameter.data_ptr() for parameter in critic.parameters())})
    before = copy.deepcopy(policy.state_dict())
    sequence_scores(critic, IDS, torch.ones_like(IDS)).sum().backward()
    assert critic.score.weight.grad is not None
    torch.optim.SGD(critic.parameters(), lr=1.0).step()
    assert all(torch.equal(value, before[name]) for name, value in policy.state_dict().items())


SEQUENCES = [[9, 8, 7, 0], [30, 0], [40, 0, 41, 42, 0]]


def test_inv66_a_new_pad_token_changes_no_score_and_no_other_model(tmp_path: Path) -> None:
    """The tokenizer has one special token for everything; the reward model gets a pad token of its own."""
    for_policy, for_reward = gpt2_like(), gpt2_like()
    policy = tiny_gpt2(for_policy)
    model = tiny_reward_model(for_reward)
    scores = score_sequences(model, SEQUENCES, 1)
    ensure_distinct_pad(model, for_reward)
    assert model.get_input_embeddings().num_embeddings == len(for_reward) == len(for_policy) + 1
    assert for_reward.pad_token_id == len(for_policy)
    torch.testing.assert_close(score_sequences(model, SEQUENCES, 3), scores, atol=1e-5, rtol=0)
    save_model(model, for_reward, tmp_path)
    for loaded in (load_reward_model(str(tmp_path)), load_critic(str(tmp_path)).model):
        found = score_sequences(loaded.eval(), SEQUENCES, 3)
        torch.testing.assert_close(found, scores, atol=1e-5, rtol=0)
    # ids still mean the same to both, and the policy, of which the reference is a copy, is what it was
    assert same_rendering(for_policy, load_tokenizer(str(tmp_path)))
    assert policy.get_input_embeddings().num_embeddings == len(for_policy)
    assert policy.lm_head.weight.data_ptr() == policy.transformer.wte.weight.data_ptr()


def test_inv66_a_reference_with_another_vocabulary_is_refused(
    tmp_path: Path, words: list[str], capsys: Any
) -> None:
    write_base(tmp_path / "other", vocab_size=416)
    assert run_main(main, lay_over(words, f"reference={{path: {tmp_path}/other}}")) == 2
    assert "reference.path: has another vocabulary than the policy" in capsys.readouterr().err
