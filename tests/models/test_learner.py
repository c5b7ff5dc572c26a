"""Policy and critic as one module: the same numbers as each alone, and who owns which parameter."""

from __future__ import annotations

import pytest
import torch

from rlhf.models.learner import SeparateLearner, TrunkLearner, last_logits
from rlhf.models.values import Critic
from rlhf.rollout import build_generation, join
from tests.helpers import tiny_gpt2, tiny_reward_model, tiny_tokenizer


@pytest.fixture(params=["separate", "trunk"])
def learner(request, tokenizer):
    policy = tiny_gpt2(tokenizer)
    if request.param == "trunk":
        return TrunkLearner(policy)
    return SeparateLearner(policy, Critic(tiny_reward_model(tokenizer)))


def batch():
    return join(build_generation([[5, 6, 7], [8]], [[9, 1], [9, 9, 9, 1]], [1], 0))


def test_each_half_alone_is_what_both_give(learner):
    ids, mask = batch()
    logits, values = learner(ids, mask, 4)
    assert logits.shape == (2, 4, learner.policy.config.vocab_size)
    assert values.shape == (2, 4)
    assert values.dtype == torch.float32
    alone, nothing = learner(ids, mask, 4, want="logits")
    assert nothing is None
    assert torch.equal(alone, logits)
    nothing, alone = learner(ids, mask, 4, want="values")
    assert nothing is None
    assert torch.equal(alone, values)
    assert torch.equal(logits, last_logits(learner.policy, ids, mask, 4))


def test_every_trained_parameter_is_the_policys_or_the_critics(learner):
    own = [id(p) for p in learner.policy_parameters()] + [id(p) for p in learner.critic_parameters()]
    assert sorted(own) == sorted(id(p) for p in learner.parameters() if p.requires_grad)
    assert set(learner.policy_weights()) <= {name for name, _ in learner.policy.named_parameters()}


def test_inv67_a_new_head_on_the_trunk_values_everything_at_zero(tokenizer):
    _, values = TrunkLearner(tiny_gpt2(tokenizer))(*batch(), 4)
    assert (values == 0).all()


def test_a_trunk_head_reads_the_last_hidden_state_before_the_token_it_values(tokenizer):
    learner = TrunkLearner(tiny_gpt2(tokenizer))
    torch.nn.init.normal_(learner.value_head.weight)
    ids, mask = batch()
    _, values = learner(ids, mask, 4)
    hidden = learner.policy.transformer(
        input_ids=ids, attention_mask=mask.long(), position_ids=(mask.long().cumsum(1) - 1).clamp(min=0)
    ).last_hidden_state
    expected = learner.value_head(hidden).squeeze(-1)[:, -5:-1]
    torch.testing.assert_close(values[1], expected[1])
    torch.testing.assert_close(values[0, -2:], expected[0, -2:])


def test_the_trunk_head_sees_the_same_without_logits_to_keep(tokenizer, monkeypatch):
    learner = TrunkLearner(tiny_gpt2(tokenizer))
    torch.nn.init.normal_(learner.value_head.weight)
    _, expected = learner(*batch(), 4)
    monkeypatch.setattr("rlhf.models.learner.accepts_logits_to_keep", lambda model: False)
    _, values = learner(*batch(), 4)
    torch.testing.assert_close(values, expected)


def test_a_policy_alone_has_no_values(tokenizer):
    learner = SeparateLearner(tiny_gpt2(tiny_tokenizer()), None)
    logits, values = learner(*batch(), 4)
    assert logits is not None
    assert values is None
    assert learner.critic_parameters() == []
    assert not learner.has_critic


def test_inv72_a_trunk_head_values_in_float32_also_under_autocast(tokenizer):
    learner = TrunkLearner(tiny_gpt2(tokenizer).bfloat16())
    torch.nn.init.normal_(learner.value_head.weight)
    with torch.autocast("cpu", torch.bfloat16):
        _, values = learner(*batch(), 4)
    assert values.dtype == torch.float32
    assert not torch.equal(values, values.bfloat16().float()), "nor rounded on the way"


def test_a_forward_pass_leaves_no_hook_on_the_policy(tokenizer):
    learner = TrunkLearner(tiny_gpt2(tokenizer))
    for _ in range(2):
        learner(*batch(), 4)
    assert not learner.policy.get_output_embeddings()._forward_pre_hooks
