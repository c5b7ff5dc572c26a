"""Text in the policy's gradient: one combined step, and what it keeps of language."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from rlhf.models.saving import unwrap_model
from rlhf.ppo.credit import advantages
from rlhf.ppo.iteration import learn, roll_out
from rlhf.ppo.objective import Objective
from rlhf.ppo.ptx import PtxText, TextRow, policy_forward, text_loss
from rlhf.ppo.steps import score
from rlhf.ppo.update import update
from rlhf.runs.jsonl import read_jsonl
from tests.ppo.running import all_weights, run_training
from tests.ppo.tiny import function_scorer, same_weights, tiny_parts, tiny_prompts, tiny_recipe


def rows(count=24, seed=0):
    """Texts of a tiny language: each token is followed by the one five further on."""
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(20, 60, (count,), generator=generator).tolist()
    lengths = torch.randint(4, 12, (count,), generator=generator).tolist()
    return [
        TextRow([start + 5 * i for i in range(length)]) for start, length in zip(starts, lengths, strict=True)
    ]


def text(coef, **changes):
    options = {"batch_size": 8, "microbatch_size": 4, "seed": 1, "pad_token_id": 0}
    return PtxText(rows(), coef=coef, **{**options, **changes})


def gradient(ptx, *, objective=None, train_policy=True):
    """The policy's gradient of one optimizer step."""
    recipe = tiny_recipe()
    parts = tiny_parts(recipe)
    rolled = roll_out(parts, recipe, tiny_prompts(parts.renderer, 8), seed=4)
    experience = advantages(score(rolled, parts.scorer), parts.reference, parts.learner, kl_coef=0.1)
    one_step = dataclasses.replace(experience, minibatches=experience.minibatches[:1])
    for optimizer in (parts.policy_optimizer, parts.critic_optimizer):
        optimizer.step = lambda: None
        optimizer.zero_grad = lambda **_: None
    stats = update(
        parts.learner, parts.policy_optimizer, parts.critic_optimizer, one_step, accelerator=parts.accelerator,
        objective=objective or Objective(), max_grad_norm=None, ptx=ptx, first_step=2, train_policy=train_policy,
    )  # fmt: skip
    return stats, {name: p.grad.clone() for name, p in parts.policy.named_parameters()}


def test_inv60_the_gradient_is_that_of_ppo_plus_the_coefficient_times_that_of_the_text():
    _, plain = gradient(None)
    stats, both = gradient(text(3.0))
    parts = tiny_parts(tiny_recipe())
    batch = text(3.0).batch(2)
    losses = list(text(3.0).losses(parts.learner, 2))
    sum(losses).backward()
    alone = {name: p.grad for name, p in parts.policy.named_parameters()}
    for name, value in both.items():
        torch.testing.assert_close(value, plain[name] + 3.0 * alone[name], atol=1e-6, rtol=1e-4)
    assert stats.ptx_loss == pytest.approx(float(sum(losses).detach()), rel=1e-5)
    assert len(batch.microbatches) == 2


def test_inv60_the_loss_of_the_text_is_a_mean_over_its_predicted_tokens_at_temperature_1():
    parts = tiny_parts(tiny_recipe(temperature=0.5))
    batch = text(1.0).batch(0)
    found = float(sum(text(1.0).losses(parts.learner, 0)).detach())
    total, count = 0.0, 0
    for part in batch.microbatches:
        for ids, mask in zip(part.ids, part.mask, strict=True):
            row = ids[mask]
            logits = parts.policy(input_ids=row[None]).logits[0, :-1]
            total -= float(torch.log_softmax(logits, -1).gather(1, row[1:, None]).sum().detach())
            count += len(row) - 1
    assert count == batch.num_tokens
    assert found == pytest.approx(total / count, rel=1e-5)


def test_inv60_a_coefficient_of_0_is_ppo_bitwise(tmp_path):
    plain, _, _ = run_training(tmp_path / "plain", tiny_recipe(num_updates=2))
    zero, _, _ = run_training(tmp_path / "zero", tiny_recipe(num_updates=2), ptx=text(0.0))
    some, _, _ = run_training(tmp_path / "some", tiny_recipe(num_updates=2), ptx=text(1.0))
    assert same_weights(all_weights(plain), all_weights(zero))
    assert not same_weights(all_weights(plain), all_weights(some))


def test_inv60_inv76_text_does_not_move_the_policy_while_the_critic_warms_up():
    stats, grads = gradient(text(3.0), train_policy=False)
    assert stats.ptx_loss == 0.0
    assert all((grad == 0).all() for grad in grads.values())


def test_inv60_every_optimizer_step_of_a_run_learns_from_its_own_text():
    seen = []

    class Spy(PtxText):
        def losses(self, learner, step):
            seen.append(step)
            return super().losses(learner, step)

    recipe = tiny_recipe(ppo_epochs=2, num_updates=3, early_stop_kl=None)
    spy = Spy(rows(), coef=1.0, batch_size=8, microbatch_size=4, seed=1, pad_token_id=0)
    parts = tiny_parts(recipe, ptx=spy)
    rolled = roll_out(parts, recipe, tiny_prompts(parts.renderer, 8), seed=4)
    experience = advantages(score(rolled, parts.scorer), parts.reference, parts.learner, kl_coef=0.1)
    for number in (1, 2, 3):
        learn(parts, recipe, experience, number)
    assert seen == list(range(recipe.num_optimizer_steps))


def test_inv60_inv73_a_run_with_text_resumes_bitwise(tmp_path):
    recipe = tiny_recipe(num_updates=4, ppo_epochs=2)
    whole, _, _ = run_training(tmp_path / "whole", recipe, ptx=text(1.0))
    run_training(tmp_path / "half", tiny_recipe(num_updates=2, ppo_epochs=2), ptx=text(1.0), finish=False)
    resumed, _, _ = run_training(tmp_path / "half", recipe, ptx=text(1.0))
    assert same_weights(all_weights(whole), all_weights(resumed))


def test_text_keeps_language_while_scores_rise(tmp_path):
    def letters(prompts, responses):
        return [float(sum(letter in "e " for letter in text)) / 4 for text in responses]

    found = {}
    for coef in (0.0, 1.0):
        recipe = tiny_recipe(
            num_updates=8,
            rollout_batch_size=32,
            minibatch_size=8,
            microbatch_size=8,
            learning_rate=2e-2,
            kl_coef=0.0,
        )
        folder = tmp_path / str(coef)
        parts, _, _ = run_training(
            folder, recipe, scorer=function_scorer(letters), ptx=text(coef), held_out=False
        )
        held_out = text_loss(
            policy_forward(unwrap_model(parts.learner)), rows(12, seed=5), batch_size=4, pad_token_id=0
        )
        found[coef] = (held_out.loss, read_jsonl(folder / "metrics.jsonl"))
    assert found[1.0][0] < found[0.0][0] - 1.0
    scores = [row["ppo/score"] for row in found[1.0][1]]
    assert scores[-1] > scores[0]
