"""The average of the weights, and where frozen models are between their uses."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from rlhf.models.saving import unwrap_model
from rlhf.ppo.averaged import using_average
from rlhf.ppo.checkpoint import load_best
from rlhf.ppo.loop import Habits
from tests.ppo.running import HABITS, all_weights, run_training
from tests.ppo.tiny import function_scorer, same_weights, tiny_parts, tiny_recipe, weights

# ---- the average of the weights


def test_inv77_the_average_is_the_recursion_over_the_updates_and_is_what_is_evaluated(tmp_path, monkeypatch):
    seen = []
    original = run_training.__globals__["evaluate"]

    def spy(parts, recipe, prompts):
        seen.append(weights(parts.policy))
        return original(parts, recipe, prompts)

    monkeypatch.setitem(run_training.__globals__, "evaluate", spy)
    trained = []

    class Keep:
        def on_update(self, state):
            trained.append(weights(state.parts.policy))

    recipe = tiny_recipe(num_updates=3, ema_decay=0.9)
    habits = Habits(evaluate_every=1, checkpoint_every=None, evaluate_average=True)
    parts, _, _ = run_training(tmp_path / "ppo", recipe, habits=habits, callbacks=[Keep()])
    expected = weights(tiny_parts(recipe).policy)
    assert same_weights(seen[0], expected), "before the first update the average is the policy"
    for number, after in enumerate(trained, start=1):
        expected = {name: 0.9 * expected[name] + 0.1 * value for name, value in after.items()}
        for name, value in expected.items():
            torch.testing.assert_close(seen[number][name], value, atol=1e-6, rtol=1e-5)
    assert same_weights(weights(parts.policy), trained[-1]), "training goes on with the trained weights"


def test_inv77_inv73_the_average_is_saved_and_restored(tmp_path):
    recipe = tiny_recipe(num_updates=4, ema_decay=0.9)
    whole, _, _ = run_training(tmp_path / "whole", recipe)
    run_training(tmp_path / "half", tiny_recipe(num_updates=2, ema_decay=0.9), finish=False)
    resumed, _, _ = run_training(tmp_path / "half", recipe)
    assert same_weights(whole.average, resumed.average)
    assert not same_weights(whole.average, weights(whole.policy))


def test_inv77_the_best_weights_are_the_averaged_ones_where_those_are_evaluated(tmp_path):
    calls = []

    def better_each_time(prompts, responses):
        calls.append(100.0 * len(calls))
        return [calls[-1]] * len(responses)

    recipe = tiny_recipe(num_updates=2, ema_decay=0.5, learning_rate=3e-2, kl_coef=0.0)
    habits = dataclasses.replace(HABITS, evaluate_average=True)
    scorer = function_scorer(better_each_time)
    parts, progress, run = run_training(tmp_path / "ppo", recipe, habits=habits, scorer=scorer)
    assert progress.best_update == 2, "at the start the average is the policy"
    assert not same_weights(dict(parts.average), weights(parts.policy))
    load_best(run, parts, progress.best_update)
    assert same_weights(dict(parts.average), weights(parts.policy))


def test_the_policy_is_bitwise_its_own_again_after_its_average_stood_in(tmp_path):
    recipe = tiny_recipe(num_updates=2, ema_decay=0.9)
    parts, _, _ = run_training(tmp_path / "ppo", recipe, held_out=False)
    before = weights(parts.policy)
    with pytest.raises(KeyError), using_average(parts, True):
        assert not same_weights(before, weights(parts.policy))
        raise KeyError
    assert same_weights(before, weights(parts.policy))


# ---- where frozen models are


def test_frozen_models_are_on_the_device_only_while_they_are_used(monkeypatch, tmp_path):
    recipe = tiny_recipe(num_updates=1)
    moves = []
    original = torch.nn.Module.to

    def spy(self, *args, **kwargs):
        moves.append((id(self), str(args[0])))
        return original(self, *args, **kwargs)

    parts = tiny_parts(recipe, offload=True)
    frozen = {id(parts.reference), id(parts.scorer.model)}
    monkeypatch.setattr(torch.nn.Module, "to", spy)
    with parts.at_hand(parts.reference, parts.scorer.model):
        inside = list(moves)
    assert {who for who, _ in inside} == frozen
    assert {where for _, where in inside} == {str(parts.accelerator.device)}
    assert [where for _, where in moves[len(inside) :]] == ["cpu", "cpu"]
    assert unwrap_model(parts.learner).policy is parts.policy


def test_a_run_with_offloading_ends_with_the_same_weights(tmp_path):
    plain, _, _ = run_training(tmp_path / "plain", tiny_recipe(num_updates=2))
    moved, _, _ = run_training(tmp_path / "moved", tiny_recipe(num_updates=2), offload=True)
    assert same_weights(all_weights(plain), all_weights(moved))
