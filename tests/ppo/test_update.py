"""The verb update: ratio 1 at first, gradients that do not depend on how a batch was cut, steps that are taken."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from rlhf.errors import RunError
from rlhf.maths.losses import policy_loss
from rlhf.ppo.credit import advantages
from rlhf.ppo.iteration import learn
from rlhf.ppo.objective import Objective
from rlhf.ppo.parts import is_checkpointing
from rlhf.ppo.steps import rollout, score
from rlhf.ppo.update import clip_gradients, update
from rlhf.rollout import logprobs_with_gradient
from tests.ppo.tiny import same_weights, tiny_parts, tiny_prompts, tiny_recipe, weights


def collect(parts, recipe, temperature=1.0, count=8, microbatch_size=2, minibatch_size=4):
    rolled = rollout(
        parts.learner,
        tiny_prompts(parts.renderer, count),
        parts.renderer,
        temperature=temperature,
        max_response_tokens=recipe.max_response_tokens,
        seed=4,
        minibatch_size=minibatch_size,
        microbatch_size=microbatch_size,
    )
    return advantages(
        score(rolled, parts.scorer), parts.reference, parts.learner, kl_coef=0.1, gamma=1.0, gae_lambda=0.95
    )


def run_update(parts, experience, **changes):
    options = {"ppo_epochs": 1, "objective": Objective(), "max_grad_norm": 1.0}
    return update(
        parts.learner,
        parts.policy_optimizer,
        parts.critic_optimizer,
        experience,
        accelerator=parts.accelerator,
        **{**options, **changes},
    )


def without_steps(optimizer):
    """Keep gradients where they are: the optimizer neither steps nor clears."""
    optimizer.step = lambda *args, **kwargs: None
    optimizer.zero_grad = lambda *args, **kwargs: None


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("gradient_checkpointing", [False, True])
def test_inv01_inv09_ratio_is_exactly_1_before_the_first_step(temperature, gradient_checkpointing):
    recipe = tiny_recipe(max_response_tokens=12)
    parts = tiny_parts(recipe, gradient_checkpointing=gradient_checkpointing)
    experience = collect(parts, recipe, temperature)
    assert not experience.generation.response_mask.all()
    stats = run_update(parts, dataclasses.replace(experience, minibatches=experience.minibatches[:1]))
    assert stats.first_ratio_error == 0.0
    assert stats.approx_kl == 0.0
    assert stats.clip_fraction == 0.0
    assert stats.ratio_mean == pytest.approx(1.0, abs=1e-6)


@pytest.fixture
def in_bfloat16():
    AcceleratorState._reset_state(reset_partial_state=True)
    yield Accelerator(cpu=True, mixed_precision="bf16")
    AcceleratorState._reset_state(reset_partial_state=True)


def test_inv01_inv09_inv33_inv72_in_bfloat16_the_ratio_is_as_exactly_1_and_the_kl_0(in_bfloat16):
    recipe = tiny_recipe(max_response_tokens=12)
    parts = tiny_parts(recipe, accelerator=in_bfloat16)
    seen = set()
    for model in (parts.policy, parts.reference, parts.learner.critic):
        for name, module in model.named_modules():
            if name.endswith("mlp.c_fc"):
                module.register_forward_hook(
                    lambda _, __, out: seen.add((out.dtype, torch.is_grad_enabled()))
                )
    experience = collect(parts, recipe)
    assert (torch.bfloat16, False) in seen
    assert experience.kl.abs().max() == 0.0
    assert experience.old_logprobs.dtype == torch.float32
    seen.clear()
    stats = run_update(parts, dataclasses.replace(experience, minibatches=experience.minibatches[:1]))
    assert seen == {(torch.bfloat16, True)}
    assert stats.first_ratio_error == 0.0
    assert {weight.dtype for weight in weights(parts.policy).values()} == {torch.float32}


def test_inv01_with_a_learning_rate_of_0_the_ratio_stays_1_in_all_epochs():
    recipe = tiny_recipe()
    parts = tiny_parts(recipe)
    for optimizer in (parts.policy_optimizer, parts.critic_optimizer):
        optimizer.param_groups[0]["lr"] = 0.0
    stats = run_update(parts, collect(parts, recipe), ppo_epochs=3)
    assert (stats.approx_kl, stats.clip_fraction) == (0.0, 0.0)
    assert stats.ratio_mean == pytest.approx(1.0, abs=1e-6)


def test_inv54_gradient_is_that_of_the_mean_over_the_tokens_of_the_optimizer_step():
    """For every cut into microbatches, with responses of different lengths, equal to one plain batch."""
    recipe = tiny_recipe(max_response_tokens=12)
    found = []
    for microbatch_size in (8, 4, 2, 1):
        parts = tiny_parts(recipe)
        experience = collect(parts, recipe, microbatch_size=microbatch_size, minibatch_size=8)
        assert len(set(experience.generation.response_mask.sum(1).tolist())) > 2
        without_steps(parts.policy_optimizer)
        without_steps(parts.critic_optimizer)
        run_update(parts, experience, max_grad_norm=None)
        found.append({name: p.grad.clone() for name, p in parts.policy.named_parameters()})
        found[-1] |= {f"critic.{name}": p.grad.clone() for name, p in parts.learner.critic.named_parameters()}
    parts = tiny_parts(recipe)
    experience = collect(parts, recipe, microbatch_size=8, minibatch_size=8)
    mask = experience.generation.response_mask
    logprobs = logprobs_with_gradient(parts.policy, experience.generation, 1.0)
    ratio = (logprobs - experience.old_logprobs).exp()
    (-(experience.advantages * ratio)[mask].sum() / mask.sum()).backward()
    for name, parameter in parts.policy.named_parameters():
        for grads in found:
            torch.testing.assert_close(grads[name], parameter.grad, atol=1e-6, rtol=1e-4)
    for grads in found[1:]:
        for name, grad in grads.items():
            torch.testing.assert_close(grad, found[0][name], atol=1e-6, rtol=1e-4)


def test_inv55_every_sample_is_visited_epochs_times_and_every_minibatch_is_a_step(monkeypatch):
    recipe = tiny_recipe()
    parts = tiny_parts(recipe)
    experience = collect(parts, recipe)
    seen = torch.zeros(8)
    steps = []
    original = policy_loss

    def spy(logprobs, old_logprobs, *args, **kwargs):
        for row, values in enumerate(experience.old_logprobs):
            width = old_logprobs.shape[1]
            seen[row] += sum(torch.equal(values[:width], other) for other in old_logprobs)
        return original(logprobs, old_logprobs, *args, **kwargs)

    monkeypatch.setattr("rlhf.ppo.objective.policy_loss", spy)
    stats = run_update(parts, experience, ppo_epochs=3, before_step=steps.append)
    assert seen.tolist() == [3.0] * 8
    assert stats.num_optimizer_steps == 6
    assert steps == list(range(6))


def test_inv50_the_targets_are_the_same_tensors_after_all_epochs():
    recipe = tiny_recipe()
    parts = tiny_parts(recipe)
    experience = collect(parts, recipe)
    names = ("old_logprobs", "advantages", "returns", "old_values", "ref_logprobs", "rewards")
    before = {
        name: (getattr(experience, name).data_ptr(), getattr(experience, name).clone()) for name in names
    }
    run_update(parts, experience, ppo_epochs=3)
    for name, (pointer, values) in before.items():
        assert getattr(experience, name).data_ptr() == pointer
        assert torch.equal(getattr(experience, name), values), name


def test_inv57_gradients_are_clipped_and_the_norm_before_is_reported():
    recipe = tiny_recipe()
    parts = tiny_parts(recipe)
    experience = collect(parts, recipe)
    without_steps(parts.policy_optimizer)
    without_steps(parts.critic_optimizer)
    one_step = dataclasses.replace(experience, minibatches=experience.minibatches[:1])
    stats = run_update(parts, one_step, max_grad_norm=1e-3)
    for model, norm in (
        (parts.policy, stats.policy_grad_norm),
        (parts.learner.critic, stats.critic_grad_norm),
    ):
        clipped = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
        torch.testing.assert_close(clipped, torch.tensor(1e-3), atol=1e-5, rtol=0)
        assert norm > 1e-2


def test_a_norm_of_null_only_measures():
    layer = torch.nn.Linear(2, 1, bias=False)
    layer.weight.grad = torch.tensor([[3.0, 4.0]])
    assert clip_gradients([layer.weight], None) == 5.0
    assert layer.weight.grad.tolist() == [[3.0, 4.0]]


def test_inv58_learning_rates_follow_the_schedule_step_by_step():
    """Warm-up over 2 of 8 steps, then linear to 0: 1/2, 1, 1, 5/6 ... of the base."""
    recipe = tiny_recipe(schedule="linear", warmup_fraction=0.25, num_updates=2, ppo_epochs=2)
    parts = tiny_parts(recipe)
    assert recipe.num_optimizer_steps == 8
    experience = collect(parts, recipe)
    found = []
    step = parts.policy_optimizer.step
    parts.policy_optimizer.step = lambda: (found.append(parts.policy_optimizer.param_groups[0]["lr"]), step())
    learn(parts, recipe, experience, 1)
    learn(parts, recipe, experience, 2)
    expected = [0.5, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    assert found == pytest.approx([recipe.learning_rate * factor for factor in expected])


def test_inv61_adam_epsilon_is_1e_5_and_the_rates_are_separate():
    recipe = tiny_recipe(learning_rate=1e-3, critic_learning_rate=3e-3, adam_beta2=0.95)
    parts = tiny_parts(recipe)
    optimizers = (parts.policy_optimizer, parts.critic_optimizer)
    assert [optimizer.param_groups[0]["eps"] for optimizer in optimizers] == [1e-5, 1e-5]
    assert [optimizer.param_groups[0]["betas"] for optimizer in optimizers] == [(0.9, 0.95)] * 2
    assert [optimizer.param_groups[0]["lr"] for optimizer in optimizers] == [1e-3, 3e-3]


def test_inv19_ids_and_numbers_at_padding_change_no_weight():
    recipe = tiny_recipe(max_response_tokens=12)
    results = []
    for junk in (False, True):
        parts = tiny_parts(recipe)
        experience = collect(parts, recipe)
        if junk:
            mask = experience.generation.response_mask
            ids = torch.where(mask, experience.generation.response_ids, 77)
            generation = dataclasses.replace(experience.generation, response_ids=ids)
            noisy = {
                name: torch.where(mask, getattr(experience, name), torch.nan)
                for name in ("old_logprobs", "advantages", "returns", "old_values")
            }
            experience = dataclasses.replace(experience, generation=generation, **noisy)
        run_update(parts, experience, ppo_epochs=2)
        results.append(weights(parts.policy) | weights(parts.learner.critic))
    assert same_weights(*results)


def test_inv56_statistics_are_means_over_tokens_and_steps():
    recipe = tiny_recipe(max_response_tokens=12)
    parts = tiny_parts(recipe)
    experience = collect(parts, recipe, microbatch_size=1, minibatch_size=8)
    shifted = dataclasses.replace(experience, old_logprobs=experience.old_logprobs - 0.5)
    stats = run_update(parts, shifted)
    assert stats.ratio_mean == pytest.approx(float(torch.tensor(0.5).exp()), rel=1e-5)
    positive = (experience.advantages > 0)[experience.generation.response_mask].float().mean()
    assert stats.clip_fraction == pytest.approx(float(positive), abs=1e-6), "only A > 0 is clipped above 1.2"


def test_inv28_an_empty_response_is_learned_from_without_nan():
    recipe = tiny_recipe()
    parts = tiny_parts(recipe)
    parts.renderer.stop_token_ids = tuple(range(400))  # the first token always ends the response
    experience = collect(parts, recipe)
    assert experience.generation.response_mask.shape == (8, 1)
    stats = run_update(parts, experience)
    assert torch.isfinite(torch.tensor(stats.policy_loss))


def test_a_loss_that_is_not_finite_stops_before_the_step_and_says_why():
    recipe = tiny_recipe()
    parts = tiny_parts(recipe)
    experience = collect(parts, recipe)
    broken = dataclasses.replace(experience, returns=torch.full_like(experience.returns, torch.inf))
    before = weights(parts.policy)
    with pytest.raises(
        RunError, match=r"update 7, optimizer step 1: value loss is .*kl .*lower ppo.learning_rate"
    ):
        run_update(parts, broken, number=7)
    assert same_weights(before, weights(parts.policy))


def test_inv71_gradients_are_equal_with_gradient_checkpointing():
    recipe = tiny_recipe()
    results = []
    for checkpointing in (False, True):
        parts = tiny_parts(recipe, gradient_checkpointing=checkpointing)
        assert is_checkpointing(parts.policy) is is_checkpointing(parts.learner.critic) is checkpointing
        run_update(parts, collect(parts, recipe))
        results.append(weights(parts.policy) | weights(parts.learner.critic))
    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name])


def test_inv39_reference_and_reward_model_do_not_move_while_policy_and_critic_do():
    recipe = tiny_recipe()
    parts = tiny_parts(recipe)
    models = (parts.reference, parts.scorer.model, parts.policy, parts.learner.critic)
    before = [copy.deepcopy(weights(model)) for model in models]
    run_update(parts, collect(parts, recipe))
    unchanged = [same_weights(old, weights(model)) for old, model in zip(before, models, strict=True)]
    assert unchanged == [True, True, False, False]
