"""A critic on the policy's trunk, and updates that move the critic alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from rlhf.models.saving import unwrap_model
from rlhf.ppo.credit import advantages
from rlhf.ppo.iteration import learn
from rlhf.ppo.objective import Objective
from rlhf.ppo.steps import rollout, score
from rlhf.ppo.update import update
from rlhf.runs.jsonl import read_jsonl
from tests.ppo.running import all_weights, run_training
from tests.ppo.tiny import function_scorer, same_weights, tiny_parts, tiny_prompts, tiny_recipe, weights


def experience_of(parts, recipe):
    rolled = rollout(
        parts.learner,
        tiny_prompts(parts.renderer, 8),
        parts.renderer,
        temperature=1.0,
        max_response_tokens=recipe.max_response_tokens,
        seed=4,
        minibatch_size=4,
        microbatch_size=2,
    )
    return advantages(score(rolled, parts.scorer), parts.reference, parts.learner, kl_coef=0.1)


def gradients(critic, value_coef):
    """The policy's gradient of one step, the critic's head away from zero."""
    recipe = tiny_recipe(max_grad_norm=None)
    parts = tiny_parts(recipe, critic=critic)
    if critic == "trunk":
        torch.manual_seed(0)
        torch.nn.init.normal_(unwrap_model(parts.learner).value_head.weight)
    experience = experience_of(parts, recipe)
    one_step = dataclasses.replace(experience, minibatches=experience.minibatches[:1])
    for optimizer in (parts.policy_optimizer, parts.critic_optimizer):
        optimizer.step = lambda: None
        optimizer.zero_grad = lambda **_: None
    update(
        parts.learner, parts.policy_optimizer, parts.critic_optimizer, one_step,
        accelerator=parts.accelerator, objective=Objective(value_coef=value_coef), max_grad_norm=None,
    )  # fmt: skip
    return {name: p.grad.clone() for name, p in unwrap_model(parts.learner).policy.named_parameters()}


def test_inv62_the_value_coefficient_pulls_at_a_shared_trunk():
    small, large = gradients("trunk", 0.1), gradients("trunk", 1.0)
    moved = [name for name in small if not torch.allclose(small[name], large[name], rtol=1e-3)]
    assert len(moved) > len(small) / 2


def test_inv62_the_value_coefficient_does_not_touch_a_policy_with_a_critic_of_its_own():
    small, large = gradients("reward", 0.1), gradients("reward", 1.0)
    assert all(torch.equal(small[name], large[name]) for name in small)


def test_inv62_under_adam_the_coefficient_of_a_critic_of_its_own_changes_nothing():
    """Why critic.value_coef is refused for it: Adam divides it out again (a power of two without rounding)."""
    found = []
    for value_coef in (1.0, 128.0):
        recipe = tiny_recipe(value_coef=value_coef, max_grad_norm=None, adam_epsilon=1e-30)
        parts = tiny_parts(recipe)
        learn(parts, recipe, experience_of(parts, recipe), 1)
        found.append(weights(unwrap_model(parts.learner).critic))
    assert not same_weights(found[0], weights(tiny_parts(recipe).learner.critic))
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("critic", ["reward", "trunk"])
def test_inv76_updates_of_the_critic_alone_leave_the_policy_bitwise_as_it_is(tmp_path, critic):
    recipe = tiny_recipe(num_updates=2, critic_warmup_updates=2, weight_decay=0.1)
    fresh = tiny_parts(recipe, critic=critic)
    parts, _, _ = run_training(tmp_path / "ppo", recipe, critic=critic)
    assert same_weights(weights(fresh.policy), weights(parts.policy))
    before, after = all_weights(fresh), all_weights(parts)
    assert not same_weights(before, after), "the critic has moved"
    rows = [row for row in read_jsonl(tmp_path / "ppo" / "metrics.jsonl") if "ppo/kl" in row]
    assert [row["ppo/kl"] for row in rows] == [0.0, 0.0]


def test_inv76_after_the_warm_up_the_policy_moves(tmp_path):
    recipe = tiny_recipe(num_updates=3, critic_warmup_updates=2)
    parts, _, _ = run_training(tmp_path / "ppo", recipe)
    assert not same_weights(weights(tiny_parts(recipe).policy), weights(parts.policy))


def test_a_trunk_critic_learns_values_and_the_policy_scores(tmp_path):
    def letters(prompts, responses):
        return [float(sum(letter in "e " for letter in text)) / 4 for text in responses]

    recipe = tiny_recipe(
        num_updates=12, rollout_batch_size=32, minibatch_size=8, microbatch_size=8, ppo_epochs=2,
        learning_rate=2e-2, critic_learning_rate=3e-2, kl_coef=0.0, value_coef=0.1,
    )  # fmt: skip
    run_training(tmp_path / "ppo", recipe, scorer=function_scorer(letters), critic="trunk")
    rows = [row for row in read_jsonl(tmp_path / "ppo" / "metrics.jsonl") if "ppo/score" in row]
    assert rows[0]["ppo/value_mean"] == rows[0]["ppo/kl"] == rows[0]["ppo/first_ratio_error"] == 0.0
    assert rows[-1]["ppo/score"] > rows[0]["ppo/score"] + 3 * rows[0]["ppo/score_std"] / 32**0.5
    gaps = [abs(row["ppo/value_mean"] - row["ppo/return_mean"]) for row in rows]
    assert gaps[-1] < 0.5 * rows[-1]["ppo/return_mean"], "a head that stays at zero would be off by all of it"


def test_inv73_a_run_with_a_trunk_critic_resumes_bitwise(tmp_path):
    recipe = tiny_recipe(num_updates=4)
    whole, _, _ = run_training(tmp_path / "whole", recipe, critic="trunk")
    run_training(tmp_path / "half", tiny_recipe(num_updates=2), critic="trunk", finish=False)
    resumed, progress, _ = run_training(tmp_path / "half", recipe, critic="trunk")
    assert progress.update == 4
    assert same_weights(all_weights(whole), all_weights(resumed))
