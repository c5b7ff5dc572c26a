"""Policy, reference, critic and reward models on one frozen base."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2LMHeadModel

from rlhf.errors import ModelError, SettingsError
from rlhf.models.adapters import LoraSpec, add_lora
from rlhf.models.inputs import accepts_logits_to_keep, disable_dropout, plain_model, takes_position_ids
from rlhf.models.learner import SeparateLearner, TrunkLearner
from rlhf.models.loading import load_policy, load_reward_model
from rlhf.models.one_base import OneBase, load_one_base, num_distinct_parameters, share
from rlhf.models.saving import save_model
from rlhf.models.seq2seq import Aside, seq2seq_inputs, trunk_of
from rlhf.models.values import sequence_scores
from rlhf.ppo.parts import enable_gradient_checkpointing, is_checkpointing
from tests.helpers import tiny_tokenizer
from tests.models.adapters import (
    IDS,
    LEFT,
    MASK,
    SPEC,
    digest,
    learnt,
    logits,
    train_a_little,
    write_reward_adapter,
    write_sft,
    write_sft_adapter,
)
from tests.seq2seq import ENCODER_DECODERS, write_seq2seq


def test_inv64_the_reference_is_bitwise_the_initial_policy_before_and_after_training(
    sft: str, reward: str
) -> None:
    base = load_one_base(sft)
    assert not any(parameter.requires_grad for parameter in base.reference().parameters())
    policy, reference = base.policy(SPEC), base.reference()
    initial = logits(load_policy(sft).eval())
    assert torch.equal(logits(reference), initial)
    assert torch.equal(logits(policy), initial)
    train_a_little(SeparateLearner(policy, base.critic(reward)))
    assert torch.equal(logits(reference), initial)
    assert not torch.equal(logits(policy), initial)


def test_inv64_where_sft_left_an_adapter_the_reference_is_base_and_adapter(
    tmp_path: Path, sft: str, reward: str
) -> None:
    adapter = write_sft_adapter(tmp_path / "adapter", sft)
    base = load_one_base(adapter)
    policy, reference = base.policy(SPEC), base.reference()
    frozen = copy.deepcopy(policy)
    assert not torch.equal(logits(reference), logits(load_policy(sft)))  # not the base: the SFT policy
    torch.testing.assert_close(logits(reference), logits(load_policy(adapter)), atol=1e-5, rtol=0)
    assert torch.equal(logits(policy), logits(reference))
    assert not any(parameter.requires_grad for parameter in reference.parameters())
    train_a_little(SeparateLearner(policy, base.critic(reward)))
    assert torch.equal(logits(reference), logits(frozen))
    assert not torch.equal(logits(policy), logits(frozen))


def test_inv64_another_rank_than_the_sft_adapters_is_refused(tmp_path: Path, sft: str) -> None:
    base = load_one_base(write_sft_adapter(tmp_path / "adapter", sft))
    with pytest.raises(SettingsError, match=r"holds an adapter of rank 4 .* set lora.rank=4 lora.alpha=8"):
        base.policy(LoraSpec(16, 32.0))


def test_inv65_the_base_is_the_same_after_training(sft: str, reward: str) -> None:
    base = load_one_base(sft)
    before = digest(base.model)
    learner = SeparateLearner(base.policy(SPEC), base.critic(reward))
    train_a_little(learner)
    assert digest(base.model) == before == digest(load_policy(sft))


@pytest.mark.parametrize("start", ["reward", "policy", "trunk"])
def test_every_trained_parameter_gets_a_gradient_in_one_call(sft: str, reward: str, start: str) -> None:
    base = load_one_base(sft)
    policy = base.policy(SPEC)
    if start == "trunk":
        learner: Any = TrunkLearner(policy)
    else:
        learner = SeparateLearner(policy, base.critic(reward) if start == "reward" else base.new_critic(SPEC))
    found, values = learner(*LEFT, 3)
    (found.square().mean() + values.mean()).backward()
    trained = [*learner.policy_parameters(), *learner.critic_parameters()]
    assert {id(p) for p in trained} == {id(p) for p in learner.parameters() if p.requires_grad}
    assert all(parameter.grad is not None for parameter in trained)
    assert all(p.grad is None for p in learner.parameters() if not p.requires_grad)


def test_inv64_an_error_in_a_forward_changes_nothing(sft: str, reward: str) -> None:
    base = load_one_base(sft)
    learner = SeparateLearner(base.policy(SPEC), base.critic(reward))
    reference, judge = base.reference(), base.reward_model(reward)
    flags = [parameter.requires_grad for parameter in learner.parameters()]
    expected = logits(learner.policy)

    def fail(*_: Any) -> None:
        raise RuntimeError("out of memory")

    for model in (learner.policy, learner.critic.model, reference, judge):
        last = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
        handle = last.register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError):
            model(input_ids=IDS, attention_mask=MASK.long())
        handle.remove()
        assert [parameter.requires_grad for parameter in learner.parameters()] == flags
        assert torch.equal(logits(learner.policy), expected)


def test_inv39_inv67_a_critic_starts_as_the_judge_and_shares_no_trained_tensor_with_it(
    sft: str, reward: str
) -> None:
    base = load_one_base(sft)
    critic, judge = base.critic(reward), base.reward_model(reward)
    scores = sequence_scores(judge, IDS, MASK)
    values = critic(IDS, MASK)
    assert torch.equal(values[torch.arange(2), MASK.sum(1) - 1], scores)
    trained = {p.data_ptr() for p in critic.parameters() if p.requires_grad}
    assert not trained & {p.data_ptr() for p in judge.parameters()}
    assert not any(parameter.requires_grad for parameter in judge.parameters())
    train_a_little(SeparateLearner(base.policy(SPEC), critic))
    assert torch.equal(sequence_scores(judge, IDS, MASK), scores)
    assert not torch.equal(critic(IDS, MASK), values)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_inv67_an_encoder_decoders_new_critic_starts_from_the_adapter_that_sft_left(
    tmp_path: Path, name: str
) -> None:
    whole = write_seq2seq(tmp_path / "base", name)
    adapted = learnt(add_lora(load_policy(whole), LoraSpec(2, 4.0)), seed=5)
    save_model(adapted, ENCODER_DECODERS[name][2](), tmp_path / "sft", keep_adapter=True)
    base = load_one_base(str(tmp_path / "sft"))
    critic, reference = base.new_critic(LoraSpec(2, 4.0)).eval(), base.reference().eval()
    inputs = seq2seq_inputs(IDS, MASK, Aside(IDS.flip(1), MASK))

    def states(model: Any) -> torch.Tensor:
        with torch.no_grad():
            return model(**inputs).last_hidden_state

    assert torch.equal(states(critic.model), states(trunk_of(plain_model(reference))))
    assert not torch.allclose(states(critic.model), states(trunk_of(base.model)))
    trained = {name for name, parameter in critic.named_parameters() if parameter.requires_grad}
    assert all("lora" in name or name.startswith("score") for name in trained)
    assert any("encoder" in name for name in trained)
    assert {id(p) for p in trunk_of(base.model).parameters()} <= {id(p) for p in critic.parameters()}


def test_inv67_a_new_critic_reads_the_policys_hidden_states(tmp_path: Path, sft: str) -> None:
    """Its transformer is the SFT policy's, whichever of base and adapter that is made of."""
    for path in (sft, write_sft_adapter(tmp_path / "adapter", sft)):
        base = load_one_base(path)
        critic, policy = base.new_critic(SPEC), base.policy(SPEC)
        hidden = []
        policy.get_output_embeddings().register_forward_pre_hook(
            lambda _, given, seen=hidden: seen.append(given[0])
        )
        policy(input_ids=IDS, attention_mask=MASK.long())
        head = critic.model.get_base_model().score
        values = critic(IDS, MASK)[MASK]
        torch.testing.assert_close(values, head(hidden[0]).squeeze(-1)[MASK], atol=1e-5, rtol=0)
        assert values.std() > 0


def test_inv81_a_shared_judge_scores_as_the_whole_model_with_a_float32_head(
    tmp_path: Path, sft: str, reward: str
) -> None:
    other = write_reward_adapter(tmp_path / "other", sft, seed=2, shift=-0.4)
    base = load_one_base(sft)
    for path in (reward, other):
        judge = base.reward_model(path)
        whole = sequence_scores(load_reward_model(path).eval(), IDS, MASK)
        torch.testing.assert_close(sequence_scores(judge, IDS, MASK), whole, atol=1e-5, rtol=0)
        with torch.autocast("cpu", torch.bfloat16):
            scores = sequence_scores(judge, IDS, MASK)
        assert scores.dtype == torch.float32
        assert not torch.equal(scores, scores.bfloat16().float())


def test_only_adapters_on_this_very_base_are_held(tmp_path: Path, sft: str, reward: str) -> None:
    base = load_one_base(sft)
    other = write_sft(tmp_path / "elsewhere")
    assert base.holds(reward)
    assert base.holds(f"{reward}/../reward")
    assert not base.holds(write_sft_adapter(tmp_path / "adapter", sft))
    assert not base.holds(write_reward_adapter(tmp_path / "other", other))
    assert not base.holds(sft)
    with pytest.raises(ModelError, match="is no adapter of a reward model on"):
        base.reward_model(sft)


def test_weights_are_in_memory_once(tmp_path: Path, sft: str, reward: str) -> None:
    whole = num_distinct_parameters(load_policy(sft))
    base = load_one_base(sft)
    policy, reference = base.policy(SPEC), base.reference()
    critic, judge = base.critic(reward), base.reward_model(reward)
    models = (base.model, policy, reference, critic, judge)
    small = sum(
        parameter.numel()
        for model in models
        for name, parameter in model.named_parameters()
        if "lora_" in name or "score" in name or "modules_to_save" in name
    )
    assert num_distinct_parameters(*models) == whole + small
    storages = {p.untyped_storage().data_ptr(): p.numel() for model in models for p in model.parameters()}
    assert sum(storages.values()) == whole + small
    # and everything that a move to a device would have to move is moved once
    policy.to(torch.float64)
    assert all(parameter.dtype == torch.float64 for parameter in reference.parameters())


@pytest.mark.parametrize("use", ["policy", "critic"])
def test_inv71_gradients_with_checkpointing_are_those_without(sft: str, reward: str, use: str) -> None:
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        base = load_one_base(sft)
        learner = SeparateLearner(base.policy(SPEC), base.critic(reward))
        disable_dropout(learner)
        learner.train()
        if checkpointing:
            for transformer in learner.transformers():
                enable_gradient_checkpointing(transformer)
            assert all(is_checkpointing(transformer) for transformer in learner.transformers())
            assert not is_checkpointing(base.reference())
        out, values = learner(*LEFT, 3)
        (out.log_softmax(-1)[..., 7].mean() + values.square().mean()).backward()
        trained = learner.policy_parameters() if use == "policy" else learner.critic_parameters()
        found.append([parameter.grad.clone() for parameter in trained])
    assert any(bool(gradient.any()) for gradient in found[0])
    for without, within in zip(*found, strict=True):
        assert torch.equal(without, within)


def test_inv63_dropout_of_the_sft_adapter_can_be_switched_off(tmp_path: Path, sft: str) -> None:
    spec = LoraSpec(4, 8.0, 0.5)
    policy = load_one_base(write_sft_adapter(tmp_path / "adapter", sft, spec)).policy(spec)
    policy.train()
    assert not torch.equal(logits(policy), logits(policy))
    disable_dropout(policy)
    assert torch.equal(logits(policy), logits(policy))


def test_what_wraps_a_model_is_seen_through(sft: str, reward: str) -> None:
    base = load_one_base(sft)
    for model in (base.policy(SPEC), base.reference()):
        assert takes_position_ids(model)
        assert accepts_logits_to_keep(model)
        assert model.config.max_position_embeddings == 128


def test_a_share_holds_the_same_tensors_and_takes_no_adapter_of_another() -> None:
    from tests.helpers import tiny_gpt2

    model = tiny_gpt2(tiny_tokenizer())
    first, second = share(model), share(model)
    assert all(a is b for a, b in zip(model.parameters(), first.parameters(), strict=True))
    assert first.lm_head.weight is first.transformer.wte.weight  # tied weights stay tied
    base = OneBase(first, "path")
    base.policy(SPEC)
    assert isinstance(second, GPT2LMHeadModel)
    assert not any("lora" in name for tree in (model, second, base.model) for name, _ in tree.named_modules())
    second.config.pad_token_id = 77
    assert model.config.pad_token_id == 0


def test_a_reward_adapter_is_no_policy(sft: str, reward: str) -> None:
    with pytest.raises(ModelError, match="is a reward model, which says nothing"):
        load_one_base(reward)
