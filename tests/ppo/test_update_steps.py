"""The verb update, step by step: divisors, first ratio and what is left of a gradient."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from rlhf.ppo.batching import split_minibatches
from rlhf.ppo.objective import Objective, microbatch_terms
from rlhf.ppo.steps import row_lengths
from rlhf.ppo.update import minibatch_divisors
from tests.ppo.test_update import collect, run_update
from tests.ppo.tiny import tiny_parts, tiny_recipe


def test_inv54_a_minibatch_is_divided_by_its_own_tokens_or_responses(monkeypatch):
    recipe = tiny_recipe(max_response_tokens=12)
    parts = tiny_parts(recipe)
    experience = collect(parts, recipe)
    mask = experience.generation.response_mask
    lengths = [int(sum(mask[rows].sum() for rows in minibatch)) for minibatch in experience.minibatches]
    assert len(set(lengths)) == 2
    by_responses = Objective(loss_average="responses")
    assert minibatch_divisors(experience, parts.accelerator, Objective()) == lengths
    assert minibatch_divisors(experience, parts.accelerator, by_responses) == [4, 4]
    used = []

    def spy(learner, experience, rows, divisor, *args, **kwargs):
        used.append((tuple(rows.tolist()), divisor))
        return microbatch_terms(learner, experience, rows, divisor, *args, **kwargs)

    monkeypatch.setattr("rlhf.ppo.update.microbatch_terms", spy)
    run_update(parts, experience, ppo_epochs=2)
    expected = {
        (tuple(rows.tolist()), length)
        for minibatch, length in zip(experience.minibatches, lengths, strict=True)
        for rows in minibatch
    }
    assert set(used) == expected


def test_inv01_the_first_ratio_is_that_of_the_first_step():
    recipe = tiny_recipe()
    parts = tiny_parts(recipe)
    experience = collect(parts, recipe)
    old = experience.old_logprobs.clone()
    old[experience.minibatches[0][0]] += 0.5  # the ratio is e^-0.5 in one microbatch of the first step
    stats = run_update(parts, dataclasses.replace(experience, old_logprobs=old))
    assert stats.first_ratio_error == pytest.approx(1 - float(torch.tensor(-0.5).exp()), rel=1e-4)
    old = experience.old_logprobs.clone()
    for rows in experience.minibatches[1]:
        old[rows] += 0.5
    parts = tiny_parts(recipe)
    assert run_update(parts, dataclasses.replace(experience, old_logprobs=old)).first_ratio_error == 0.0


def test_inv54_no_gradient_of_an_earlier_step_is_left():
    """Also where the critic alone moves: the policy's gradients must not wait for its first step."""
    recipe = tiny_recipe()
    for train_policy in (True, False):
        parts = tiny_parts(recipe)
        run_update(parts, collect(parts, recipe), train_policy=train_policy)
        assert all(p.grad is None or not p.grad.any() for p in parts.learner.parameters())


def test_minibatches_of_a_process_are_cut_by_length():
    recipe = tiny_recipe(max_response_tokens=12)
    parts = tiny_parts(recipe)
    experience = collect(parts, recipe)
    lengths = row_lengths(experience.generation)
    again = split_minibatches(lengths, 4, 2)
    for parts_, expected in zip(experience.minibatches, again, strict=True):
        assert [rows.tolist() for rows in parts_] == [rows.tolist() for rows in expected]
