"""Several samples a prompt, and advantages that need no critic (RLOO, GRPO)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from rlhf.ppo.credit import advantages
from rlhf.ppo.iteration import collect, learn, roll_out
from rlhf.ppo.steps import score
from rlhf.runs.jsonl import read_jsonl
from rlhf.settings.layers import resolve_settings
from rlhf.settings.ppo import PpoSettings
from stages._ppo_models import build_recipe
from tests.ppo.running import HABITS, run_training
from tests.ppo.tiny import function_scorer, tiny_parts, tiny_prompts, tiny_recipe


def place(prompts, responses, number):
    """A score that says which prompt it is for, plus what tells samples apart."""
    return [100.0 * n + len(text) for n, text in zip(number, responses, strict=True)]


def grouped(samples=4, **changes):
    return tiny_recipe(
        samples_per_prompt=samples, advantages="leave_one_out", max_response_tokens=10, **changes
    )


def collected(recipe, scorer=None, method="leave_one_out", **options):
    parts = tiny_parts(recipe, scorer or function_scorer(place), critic=None)
    rolled = roll_out(parts, recipe, tiny_prompts(parts.renderer, recipe.num_prompts), seed=4)
    scored = score(rolled, parts.scorer)
    return advantages(
        scored,
        parts.reference,
        parts.learner,
        kl_coef=0.1,
        method=method,
        samples_per_prompt=recipe.samples_per_prompt,
        **options,
    )


def test_inv15_row_i_times_n_plus_j_belongs_to_prompt_i():
    found = collected(grouped())
    assert [prompt.id for prompt in found.prompts] == ["p0"] * 4 + ["p1"] * 4
    assert (found.scores // 100).tolist() == [0.0] * 4 + [1.0] * 4, "also through sorting by length"
    prompts = found.generation.prompts()
    assert prompts[0] == prompts[3] != prompts[4]


def test_inv15_the_samples_of_a_prompt_differ():
    texts = collected(grouped()).texts
    assert len(set(texts[:4])) > 1
    assert len(set(texts[4:])) > 1


def test_leave_one_out_by_hand():
    found = collected(grouped(), whiten_advantages=False)
    totals = found.rewards.sum(1)
    mask = found.generation.response_mask
    for row in range(8):
        first = row - row % 4
        others = [totals[i] for i in range(first, first + 4) if i != row]
        expected = totals[row] - sum(others) / 3
        torch.testing.assert_close(found.advantages[row][mask[row]], expected.expand(int(mask[row].sum())))
    assert (found.advantages[~mask] == 0).all()


def test_group_normalised_has_mean_0_and_spread_1_in_each_group():
    found = collected(grouped(), method="group_normalised", whiten_advantages=False)
    one_each = found.advantages[:, 0].reshape(2, 4)
    torch.testing.assert_close(one_each.mean(1), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(one_each.std(1, correction=0), torch.ones(2), atol=1e-3, rtol=0)


def test_the_kl_is_part_of_what_is_compared_only_where_it_is_in_the_reward():
    recipe = grouped()
    parts = tiny_parts(recipe, function_scorer(place), critic=None)
    with torch.no_grad():
        parts.policy.lm_head.weight.mul_(1.5)
    rolled = roll_out(parts, recipe, tiny_prompts(parts.renderer, 2), seed=4)
    scored = score(rolled, parts.scorer)
    options = {"kl_coef": 3.0, "method": "leave_one_out", "samples_per_prompt": 4}
    inside, beside = (
        advantages(scored, parts.reference, parts.learner, kl_in=where, whiten_advantages=False, **options)
        for where in ("reward", "loss")
    )
    assert inside.kl.sum(1).abs().min() > 0
    torch.testing.assert_close(beside.rewards.sum(1), beside.scores)
    torch.testing.assert_close(inside.rewards.sum(1), inside.scores - 3.0 * inside.kl.sum(1))
    assert not torch.allclose(inside.advantages, beside.advantages)


@pytest.mark.parametrize("method", ["leave_one_out", "group_normalised"])
def test_a_run_without_a_critic_raises_the_score(tmp_path, method):
    def letters(prompts, responses):
        return [float(sum(letter in "e " for letter in text)) / 4 for text in responses]

    recipe = tiny_recipe(
        num_updates=10, rollout_batch_size=32, minibatch_size=8, microbatch_size=8, samples_per_prompt=4,
        learning_rate=3e-2, kl_coef=0.01, advantages=method,
    )  # fmt: skip
    parts, progress, _ = run_training(tmp_path / "ppo", recipe, scorer=function_scorer(letters), critic=None)
    before, after = progress.first_evaluation, progress.last_evaluation
    assert after["evaluation/score"] > 1.5 * before["evaluation/score"]
    assert parts.critic_optimizer is None
    assert (progress.num_prompts, progress.num_episodes) == (80, 320)
    rows = [row for row in read_jsonl(tmp_path / "ppo" / "metrics.jsonl") if "ppo/score" in row]
    assert all("ppo/explained_variance" not in row and row["ppo/value_loss"] == 0 for row in rows)


def test_every_prompt_is_taken_once_an_epoch_also_with_several_samples(tmp_path):
    recipe = tiny_recipe(num_updates=8, samples_per_prompt=2, num_samples=8)
    _, _, _ = run_training(tmp_path / "ppo", recipe, habits=HABITS, held_out=False)
    seen = [row["prompt_id"] for row in read_jsonl(tmp_path / "ppo" / "samples.jsonl")]
    assert sorted(seen) == sorted(f"p{i}" for i in range(32) for _ in range(2))


def whole_logprob(policy, prompt, response):
    logprobs = policy(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    return logprobs.gather(1, torch.tensor(response)[:, None]).sum()


def test_the_rloo_recipe_takes_a_step_along_the_gradient_of_reinforce():
    """sum_i (total_i - mean of the others) * grad log pi(y_i), whole responses: long ones are not averaged away."""
    published = build_recipe(resolve_settings(PpoSettings, Path("configs/recipes/rloo.yaml")).settings)
    recipe = dataclasses.replace(
        published, rollout_batch_size=8, minibatch_size=8, microbatch_size=2, max_response_tokens=12
    )
    parts = tiny_parts(recipe, function_scorer(place), critic=None)
    experience = collect(parts, recipe, tiny_prompts(parts.renderer, 2), 1, {})
    mask = experience.generation.response_mask
    assert len(set(mask.sum(1).tolist())) > 2
    parts.policy_optimizer.step = parts.policy_optimizer.zero_grad = lambda *args, **kwargs: None
    learn(parts, recipe, experience, 1)
    ours = torch.cat([weight.grad.flatten() for weight in parts.learner.policy_parameters()])

    totals = experience.scores - recipe.kl_coef * experience.kl.sum(1)
    others = (totals.view(2, 4).sum(1, keepdim=True) - totals.view(2, 4)) / 3
    generation = experience.generation
    expected = sum(
        advantage * whole_logprob(parts.policy, prompt, response)
        for advantage, prompt, response in zip(
            totals - others.flatten(), generation.prompts(), generation.responses(), strict=True
        )
    )
    gradients = torch.autograd.grad(expected, parts.learner.policy_parameters())
    theirs = torch.cat([gradient.flatten() for gradient in gradients])
    assert float(torch.cosine_similarity(-ours, theirs, dim=0)) == pytest.approx(1.0, abs=1e-5)
