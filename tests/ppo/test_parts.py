"""What a run is made of, as it is put together."""

from __future__ import annotations

from rlhf.ppo.averaged import using_average
from rlhf.ppo.parts import Parts
from tests.ppo.tiny import same_weights, tiny_parts, tiny_recipe, weights


def test_frozen_models_leave_the_device_before_training(monkeypatch):
    """Or the first rollout, which needs neither, would have the least memory of all."""
    left = []
    original = Parts.at_hand

    def spy(self, *models):
        left.extend(models)
        return original(self, *models)

    monkeypatch.setattr(Parts, "at_hand", spy)
    parts = tiny_parts(tiny_recipe(), offload=True)
    assert left == [parts.reference, parts.scorer.model]


def test_weight_decay_is_that_of_the_recipe():
    for decay in (0.0, 0.1):
        parts = tiny_parts(tiny_recipe(weight_decay=decay))
        optimizers = (parts.policy_optimizer, parts.critic_optimizer)
        assert [optimizer.param_groups[0]["weight_decay"] for optimizer in optimizers] == [decay, decay]


def test_inv77_an_average_that_is_not_asked_for_is_not_evaluated():
    parts = tiny_parts(tiny_recipe(ema_decay=0.9))
    for value in parts.average.values():
        value.zero_()
    before = weights(parts.policy)
    with using_average(parts, False):
        assert same_weights(before, weights(parts.policy))
    with using_average(parts, True):
        assert all(not value.any() for value in weights(parts.policy).values())
