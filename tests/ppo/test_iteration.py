"""One update: the recipe's numbers where they belong, and what is counted."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from rlhf.ppo import iteration
from rlhf.ppo.batching import PromptOrder
from rlhf.ppo.checkpoint import Progress
from rlhf.ppo.iteration import one_update
from rlhf.ppo.ptx import PtxText, TextRow
from tests.ppo.running import run_training
from tests.ppo.tiny import tiny_parts, tiny_prompts, tiny_recipe

# Every one is another than the default of the verb that takes it.
NUMBERS = {
    "temperature": 0.8, "ppo_epochs": 2, "early_stop_kl": 7.0, "critic_learning_rate": 3e-3, "max_grad_norm": 0.7,
    "kl_coef": 0.3, "kl_in": "loss", "gamma": 0.9, "gae_lambda": 0.8, "whiten_rewards": True,
    "whiten_advantages": False, "score_clip": 2.0, "seed": 5, "advantages": "leave_one_out",
    "samples_per_prompt": 2, "entropy_coef": 0.1,
}  # fmt: skip


def test_every_number_of_the_recipe_reaches_the_verb_that_it_is_for(monkeypatch):
    recipe = tiny_recipe(**NUMBERS)
    text = PtxText(
        [TextRow([5, 6, 7])] * 4, coef=1.0, batch_size=4, microbatch_size=4, seed=1, pad_token_id=0
    )
    parts = tiny_parts(recipe, ptx=text)
    given = {}

    def watched(name, original):
        def spy(*args, **kwargs):
            given[name] = kwargs
            return original(*args, **kwargs)

        return spy

    for name in ("rollout", "score", "reward", "credit", "update"):
        monkeypatch.setattr(iteration, name, watched(name, getattr(iteration, name)))
    one_update(parts, recipe, tiny_prompts(parts.renderer, 4), Progress())
    expected = {
        "rollout": {"temperature", "max_response_tokens", "generation_batch_size"},
        "reward": {"kl_coef", "kl_in", "whiten_rewards"},
        "credit": {"samples_per_prompt", "gamma", "gae_lambda", "whiten_advantages"},
        "update": {"objective", "ppo_epochs", "max_grad_norm", "early_stop_kl", "seed"},
    }
    for verb, names in expected.items():
        for name in names:
            assert given[verb][name] == getattr(recipe, name), f"{verb}: {name}"
    assert given["score"]["rules"] == recipe.score_rules
    assert given["credit"]["method"] == "leave_one_out"
    assert given["update"]["number"] == 1
    assert given["update"]["ptx"] is text
    rates = [
        optimizer.param_groups[0]["lr"] for optimizer in (parts.policy_optimizer, parts.critic_optimizer)
    ]
    assert rates == [recipe.learning_rate, recipe.critic_learning_rate]


def test_inv36_counters_and_controller_after_an_update_with_several_samples():
    """Ziegler's rule with episodes for n, the KL of a response, and the coefficient used from the next update."""
    target = 1.0
    for _ in range(2):  # the first time only to find a target that is near, where the error is not clipped
        options = {"kl_controller": "adaptive", "kl_coef": 0.1, "kl_target": target, "kl_horizon": 40}
        recipe = tiny_recipe(samples_per_prompt=2, ppo_epochs=2, **options)
        parts = tiny_parts(recipe)
        with torch.no_grad():
            parts.reference.lm_head.weight.mul_(20.0)
        prompts, progress, coefficient = tiny_prompts(parts.renderer, 4), Progress(), 0.1
        if target == 1.0:
            target = 1.1 * one_update(parts, recipe, prompts, Progress())[0]["ppo/kl"]
    assert target > 0.1
    for number in (1, 2):
        metrics, _ = one_update(parts, recipe, prompts, progress)
        assert metrics["ppo/kl_coef"] == pytest.approx(coefficient)
        error = metrics["ppo/kl"] / target - 1
        assert number == 2 or 0.05 < abs(error) < 0.15
        coefficient *= 1 + min(max(error, -0.2), 0.2) * 8 / 40
        assert parts.kl_controller.kl_coef == pytest.approx(coefficient)
        assert (progress.update, progress.num_prompts, progress.num_episodes) == (
            number,
            4 * number,
            8 * number,
        )
        assert metrics["ppo/episodes"] == 8 * number
        assert progress.num_optimizer_steps == 4 * number


def test_inv16_every_update_draws_noise_of_its_own():
    """And what one seed draws in one update, no other seed draws in another."""
    parts = tiny_parts(tiny_recipe())
    prompts = tiny_prompts(parts.renderer, 8)
    drawn = {
        iteration.collect(parts, tiny_recipe(seed=seed), prompts, number, {}).texts
        for seed in (1, 2)
        for number in (1, 2)
    }
    assert len(drawn) == 4


def test_inv38_inv73_a_resumed_run_keeps_the_moments_of_its_start(tmp_path):
    """They are those of the policy before any update, taken once: neither a rollout nor a resume moves them."""
    options = {"score_normalisation": "initial", "learning_rate": 3e-2}
    parts = tiny_parts(tiny_recipe(**options))
    iteration.calibrate(
        parts,
        tiny_recipe(**options),
        [tiny_prompts(parts.renderer)[i] for i in PromptOrder(32, 1, 8).take(0, 8)],
    )
    run_training(tmp_path / "ppo", tiny_recipe(num_updates=1, **options), finish=False)
    resumed, _, _ = run_training(tmp_path / "ppo", tiny_recipe(num_updates=2, **options))
    assert resumed.moments.count == 8
    assert resumed.moments.state_dict() == parts.moments.state_dict()


@pytest.mark.parametrize(("num_ended", "warned"), [(0, True), (3, True), (8, False)])
def test_inv38_a_calibration_on_hardly_any_response_is_told(monkeypatch, capsys, num_ended, warned):
    """All others were cut, and their scores are replaced."""
    recipe = tiny_recipe(score_normalisation="initial", missing_eos_score=-1.0)
    parts = tiny_parts(recipe)
    rolled = iteration.roll_out(parts, recipe, tiny_prompts(parts.renderer, 8), seed=1)
    ended = torch.arange(8) < num_ended
    made = dataclasses.replace(rolled, generation=dataclasses.replace(rolled.generation, ended=ended))
    monkeypatch.setattr(iteration, "roll_out", lambda *_: made)
    iteration.calibrate(parts, recipe, tiny_prompts(parts.renderer, 8))
    said = capsys.readouterr().out
    assert f"those of {num_ended} responses" in said
    assert ("too few to go by" in said) is warned
