"""float16: what the loss scaler does to an update."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator

from tests.ppo.test_update import collect, run_update
from tests.ppo.tiny import same_weights, tiny_parts, tiny_recipe, weights


class Scaled(Accelerator):
    """As accelerate is with fp16 on a GPU, on a CPU and in float32: losses are scaled, gradients unscaled."""

    def prepare(self, *parts):
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
        prepared = super().prepare(*parts)
        for optimizer in self._optimizers:
            optimizer.scaler = self.scaler
        return prepared

    def unscale_gradients(self, optimizer=None):
        for prepared in self._optimizers:
            self.scaler.unscale_(prepared.optimizer)


def updated(accelerator, *, learning_rate=1e-2, train_policy=True, spoil=None):
    recipe = tiny_recipe(adam_epsilon=1e-5, learning_rate=learning_rate, critic_learning_rate=learning_rate)
    parts = tiny_parts(recipe, accelerator=accelerator)
    experience = collect(parts, recipe)
    before = weights(parts.learner)
    if spoil is not None:
        spoil(parts)
    stats = run_update(parts, experience, ppo_epochs=2, train_policy=train_policy)
    return before, weights(parts.learner), stats


@pytest.mark.parametrize("train_policy", [True, False])
def test_inv57_inv72_scaled_losses_leave_policy_and_critic_where_plain_ones_do(train_policy):
    """One update of the scaler for both: else the second optimizer's gradients are divided by the scale twice."""
    before, plain, stats = updated(Accelerator(cpu=True), train_policy=train_policy)
    accelerator = Scaled(cpu=True)
    _, scaled, scaled_stats = updated(accelerator, train_policy=train_policy)
    for name, value in plain.items():
        torch.testing.assert_close(scaled[name], value, atol=1e-6, rtol=1e-4, msg=name)
    moved = {name for name in plain if not torch.equal(before[name], plain[name])}
    assert any(name.startswith("critic") for name in moved)
    assert any(name.startswith("policy") for name in moved) == train_policy
    assert scaled_stats.critic_grad_norm == pytest.approx(stats.critic_grad_norm, rel=1e-4)
    assert accelerator.scaler._growth_tracker.item() == stats.num_optimizer_steps, "once a step"


def test_inv72_a_step_with_an_infinite_gradient_is_skipped_and_the_scale_halved():
    accelerator = Scaled(cpu=True)

    def spoil(parts):
        for weight in parts.learner.parameters():
            if weight.requires_grad:
                weight.register_hook(lambda gradient: torch.full_like(gradient, torch.inf))

    before, after, stats = updated(accelerator, spoil=spoil)
    assert same_weights(before, after)
    assert accelerator.scaler.get_scale() == 2.0**16 / 2**stats.num_optimizer_steps
