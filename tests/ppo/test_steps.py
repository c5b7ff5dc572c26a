"""The verbs rollout, score and advantages."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from rlhf.maths.advantages import gae
from rlhf.maths.moments import RunningMoments
from rlhf.models.values import sequence_scores
from rlhf.ppo.credit import advantages, compare, credit, response_values, reward
from rlhf.ppo.steps import ScoreRules, final_scores, rollout, score
from rlhf.ppo.types import Experience, Rollout, ScoredRollout
from rlhf.rollout import build_generation, join
from tests.ppo.tiny import function_scorer, tiny_parts, tiny_prompts, tiny_recipe


@pytest.fixture
def recipe():
    return tiny_recipe(max_response_tokens=10)


@pytest.fixture
def parts(recipe):
    return tiny_parts(recipe)


def roll(parts, recipe, temperature=1.0, count=8):
    prompts = tiny_prompts(parts.renderer, count)
    return rollout(
        parts.learner,
        prompts,
        parts.renderer,
        temperature=temperature,
        max_response_tokens=recipe.max_response_tokens,
        seed=4,
        minibatch_size=4,
        microbatch_size=2,
    )


def experience_of(parts, rolled, kl_coef=0.1, **options) -> Experience:
    scored = score(rolled, parts.scorer)
    return advantages(
        scored, parts.reference, parts.learner, kl_coef=kl_coef, gamma=1.0, gae_lambda=0.95, **options
    )


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_inv33_kl_is_exactly_0_while_the_policy_is_the_reference(parts, recipe, temperature):
    """Also with dropout of 0.1 in the config, train mode, and a temperature."""
    experience = experience_of(parts, roll(parts, recipe, temperature))
    assert parts.policy.training
    assert torch.equal(experience.kl, torch.zeros_like(experience.kl))


def test_inv02_kl_is_of_the_distributions_that_were_sampled_from(parts, recipe):
    with torch.no_grad():
        parts.policy.lm_head.weight.mul_(1.5)
    rolled = roll(parts, recipe, temperature=0.5)
    scored = score(rolled, parts.scorer)
    compared = compare(scored, parts.reference)
    ids, mask = join(rolled.generation.rows(torch.tensor([0])))
    logits = parts.reference(input_ids=ids, attention_mask=mask.long()).logits
    num_tokens = int(rolled.generation.response_mask[0].sum())
    expected = torch.log_softmax(logits[0, -num_tokens - 1 : -1] / 0.5, -1).gather(
        -1, ids[0, -num_tokens:, None]
    )
    torch.testing.assert_close(compared.ref_logprobs[0, :num_tokens], expected[:, 0])


def test_inv31_inv32_rewards_add_up_to_score_minus_penalty(parts, recipe):
    with torch.no_grad():
        parts.policy.lm_head.weight.mul_(1.5)
    experience = experience_of(parts, roll(parts, recipe), kl_coef=0.3)
    mask = experience.generation.response_mask
    assert not mask.all(), "the test needs padding"
    assert experience.kl[mask].abs().min() > 0
    torch.testing.assert_close(experience.rewards.sum(1), experience.scores - 0.3 * experience.kl.sum(1))
    assert (experience.rewards[~mask] == 0).all()
    last = mask.sum(1) - 1
    at_last = (
        experience.rewards.gather(1, last[:, None])[:, 0] + 0.3 * experience.kl.gather(1, last[:, None])[:, 0]
    )
    torch.testing.assert_close(at_last, experience.scores)


def test_inv35_the_kl_in_the_reward_is_policy_against_reference(parts, recipe):
    rolled = roll(parts, recipe)
    compared = compare(score(rolled, parts.scorer), parts.reference)
    moved = dataclasses.replace(compared, ref_logprobs=compared.ref_logprobs - 0.5)
    rewarded = reward(moved, kl_coef=2.0)
    mask = rolled.generation.response_mask
    torch.testing.assert_close(rewarded.kl, torch.where(mask, 0.5, 0.0))
    assert (rewarded.rewards.sum(1) - moved.scores + mask.sum(1)).abs().max() < 1e-5


def test_inv22_rules_for_missing_ends_touch_the_score_only(parts, recipe):
    scorer = function_scorer(lambda prompts, responses: [2.0] * len(responses))
    rolled = roll(parts, recipe)
    ended = torch.tensor([True, False] * 4)
    rolled = dataclasses.replace(rolled, generation=dataclasses.replace(rolled.generation, ended=ended))
    assert score(rolled, scorer, rules=ScoreRules(missing_eos_penalty=0.5)).scores.tolist() == [2.0, 1.5] * 4
    assert score(rolled, scorer, rules=ScoreRules(missing_eos_score=-1.0)).scores.tolist() == [2.0, -1.0] * 4
    clipped = score(rolled, scorer, rules=ScoreRules(score_clip=1.0, missing_eos_penalty=0.5))
    assert clipped.scores.tolist() == [1.0, 0.5] * 4, "the penalty comes after the clip"
    assert clipped.raw_scores.tolist() == [2.0] * 8


def test_inv37_the_clip_limits_the_score_and_not_the_penalty(parts, recipe):
    rolled = roll(parts, recipe)
    scorer = function_scorer(lambda prompts, responses: [9.0] * len(responses))
    compared = compare(score(rolled, scorer, rules=ScoreRules(score_clip=1.0)), parts.reference)
    rewarded = reward(dataclasses.replace(compared, ref_logprobs=compared.ref_logprobs - 5.0), kl_coef=1.0)
    assert (rewarded.rewards.sum(1) < -1.0 + 1e-5).all()


def test_inv48_inv49_returns_come_from_raw_advantages_and_whitening_is_over_the_batch(parts, recipe):
    rolled = roll(parts, recipe)
    white, raw = experience_of(parts, rolled), experience_of(parts, rolled, whiten_advantages=False)
    mask = rolled.generation.response_mask
    torch.testing.assert_close(raw.returns, raw.advantages + raw.old_values)
    assert torch.equal(white.returns, raw.returns)
    chosen = white.advantages[mask]
    assert chosen.mean().abs() < 1e-5
    torch.testing.assert_close(chosen.var(unbiased=False), torch.tensor(1.0), atol=1e-4, rtol=0)
    assert (white.advantages[~mask] == 0).all()


def test_inv45_values_at_padding_leave_credit_unchanged(parts, recipe):
    rewarded = reward(compare(score(roll(parts, recipe), parts.scorer), parts.reference), kl_coef=0.1)
    first = credit(rewarded, parts.learner, gamma=1.0, gae_lambda=0.9)
    junk = torch.where(rewarded.generation.response_mask, rewarded.rewards, 1e6)
    second = credit(dataclasses.replace(rewarded, rewards=junk), parts.learner, gamma=1.0, gae_lambda=0.9)
    assert torch.equal(first.advantages, second.advantages)


def test_inv67_a_critic_from_the_reward_model_values_the_last_token_at_its_score(parts):
    generation = build_generation([[5, 6, 7], [8]], [[9, 1], [9, 9, 9, 1]], [1], 0)
    ids, mask = join(generation)
    values = parts.learner.critic(ids, mask)
    torch.testing.assert_close(values[:, -1], sequence_scores(parts.scorer.model, ids, mask))


def test_values_stand_before_the_token_that_they_judge(parts):
    """V_t is read where token t is predicted: it must not know token t."""
    one = build_generation([[5, 6, 7]], [[9, 10, 1]], [1], 0)
    other = build_generation([[5, 6, 7]], [[9, 11, 1]], [1], 0)
    first, second = (
        response_values(parts.learner.critic, one)[0],
        response_values(parts.learner.critic, other)[0],
    )
    torch.testing.assert_close(first[:2], second[:2])
    assert (first[2] - second[2]).abs() > 1e-6
    ids, mask = join(one)
    torch.testing.assert_close(first, parts.learner.critic(ids, mask)[0, 2:5])


def test_inv50_nothing_in_experience_has_a_gradient(parts, recipe):
    experience = experience_of(parts, roll(parts, recipe))
    tensors = [value for value in vars(experience).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) >= 9
    assert not any(tensor.requires_grad for tensor in tensors)


def test_inv19_padding_is_0_at_every_station(parts, recipe):
    experience = experience_of(parts, roll(parts, recipe))
    mask = experience.generation.response_mask
    for name in (
        "old_logprobs",
        "entropy",
        "ref_logprobs",
        "kl",
        "rewards",
        "old_values",
        "advantages",
        "returns",
    ):
        assert (getattr(experience, name)[~mask] == 0).all(), name


def test_inv39_reward_model_and_critic_share_no_tensor(parts):
    own = {value.data_ptr() for value in parts.learner.critic.parameters()}
    assert own.isdisjoint(value.data_ptr() for value in parts.scorer.model.parameters())
    assert not any(value.requires_grad for value in parts.scorer.model.parameters())
    assert not any(value.requires_grad for value in parts.reference.parameters())


def test_a_later_station_is_a_new_type_with_all_of_the_earlier(parts, recipe):
    rolled = roll(parts, recipe)
    scored = score(rolled, parts.scorer)
    assert type(rolled) is Rollout
    assert type(scored) is ScoredRollout
    assert not hasattr(rolled, "scores")
    assert scored.generation is rolled.generation
    assert [prompt.id for prompt in rolled.prompts] == [f"p{i}" for i in range(8)]


def test_inv42_scores_stay_with_their_rows(parts, recipe):
    def place(prompts, responses, number):
        return [float(n) for n in number]

    assert score(roll(parts, recipe), function_scorer(place)).scores.tolist() == [float(i) for i in range(8)]


def test_inv42_texts_stay_with_their_rows(parts, recipe):
    rolled = roll(parts, recipe)
    assert len(set(rolled.texts)) > 4
    assert [parts.renderer.decode_response(ids) for ids in rolled.generation.responses()] == list(
        rolled.texts
    )


def test_inv02_entropy_is_of_the_distribution_that_was_sampled_from(parts, recipe):
    with torch.no_grad():
        parts.policy.lm_head.weight.mul_(20.0)
    rolled = roll(parts, recipe, temperature=0.5)
    ids, mask = join(rolled.generation.rows(torch.tensor([0])))
    num_tokens = int(rolled.generation.response_mask[0].sum())
    logits = parts.policy(input_ids=ids, attention_mask=mask.long()).logits[0, -num_tokens - 1 : -1]
    expected = torch.distributions.Categorical(logits=logits / 0.5).entropy()
    assert (expected - torch.distributions.Categorical(logits=logits).entropy()).abs().max() > 0.01
    torch.testing.assert_close(rolled.entropy[0, :num_tokens], expected, atol=1e-4, rtol=1e-4)
    cold = roll(parts, recipe, temperature=1e-3)
    assert cold.old_logprobs.min() > -1e-3, "next to temperature 0 only the likeliest tokens are sampled"


def test_inv31_scores_of_tokens_are_rewards_at_their_tokens(parts, recipe):
    def judge(prompts, generation, texts):
        return torch.arange(1.0, 1.0 + generation.response_ids.numel()).reshape(generation.response_ids.shape)

    rolled = roll(parts, recipe)
    mask = rolled.generation.response_mask
    rewarded = reward(compare(score(rolled, judge), parts.reference), kl_coef=0.0)
    torch.testing.assert_close(rewarded.rewards, judge(None, rolled.generation, None) * mask)


def test_inv22_inv37_rules_apply_in_their_order(parts, recipe):
    """Normalised, clipped, then what a missing end and each token cost, which no clip takes back."""
    moments = RunningMoments()
    moments.update(torch.tensor([8.0, 12.0]))  # mean 10, deviation 2
    generation = build_generation([[5]] * 3, [[9, 1], [9, 9, 9], [9, 1]], [1], 0)
    raw = torch.tensor([20.0, 20.0, 11.0])
    rules = ScoreRules(score_clip=1.5, missing_eos_penalty=0.5, length_penalty=0.1)
    assert final_scores(raw, generation, rules, moments).tolist() == pytest.approx(
        [1.5 - 0.2, 1.5 - 0.5 - 0.3, 0.5 - 0.2]
    )
    low = torch.tensor([-20.0, -20.0, 9.0])
    assert final_scores(low, generation, rules, moments).tolist() == pytest.approx(
        [-1.5 - 0.2, -1.5 - 0.5 - 0.3, -0.5 - 0.2]
    )
    rules = ScoreRules(score_clip=1.5, missing_eos_score=-4.0)
    assert final_scores(raw, generation, rules, moments).tolist() == pytest.approx([1.5, -4.0, 0.5])


def test_inv34_the_penalty_of_a_token_may_be_negative(parts, recipe):
    """Only so do the penalties add up to the KL in expectation."""
    compared = compare(score(roll(parts, recipe), parts.scorer), parts.reference)
    moved = dataclasses.replace(compared, ref_logprobs=compared.ref_logprobs + 0.5)
    mask = compared.generation.response_mask
    torch.testing.assert_close(reward(moved, kl_coef=1.0).kl, torch.where(mask, -0.5, 0.0))


def test_inv44_credit_discounts_by_gamma_and_lambda(parts, recipe):
    rewarded = reward(compare(score(roll(parts, recipe), parts.scorer), parts.reference), kl_coef=0.1)
    found = credit(rewarded, parts.learner, gamma=0.9, gae_lambda=0.5, whiten_advantages=False)
    expected, _ = gae(rewarded.rewards, found.old_values, rewarded.generation.response_mask, 0.9, 0.5)
    assert torch.equal(found.advantages, expected)
    assert found.old_values.abs().max() > 0


def test_inv05_values_of_the_learner_are_those_of_each_row_alone(parts):
    """One per response token, left-aligned, each from before its token; also through policy and critic as one."""
    responses = [[9, 1], [9, 8, 7, 1]]
    both = build_generation([[5, 6, 7], [8]], responses, [1], 0)
    values = response_values(parts.learner, both)
    for row, (prompt, response) in enumerate(zip([[5, 6, 7], [8]], responses, strict=True)):
        ids = torch.tensor([prompt + response])
        alone = parts.learner.critic(ids, torch.ones_like(ids, dtype=torch.bool))[0]
        expected = alone[len(prompt) - 1 : -1]
        torch.testing.assert_close(values[row, : len(response)], expected)
