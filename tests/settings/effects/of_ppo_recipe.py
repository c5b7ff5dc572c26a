"""Settings of how long, how fast and in what portions PPO trains."""

from __future__ import annotations

from typing import Any

from tests.settings.effects.effect import Effect, Entry, becomes, falls, times
from tests.settings.effects.look import (
    epsilons,
    largest_gradient,
    num_samples,
    num_steps,
    rates,
    rates_of,
    training_passes,
    training_rows,
    training_types,
    weights,
    weights_norm,
)


def doubled(before: list[float], after: list[float]) -> bool:
    return after == [2 * rate for rate in before]


def constant(before: Any, after: list[float]) -> bool:
    return len(set(after)) == 1


ENTRIES: tuple[Entry, ...] = (
    Effect("ppo.num_updates", "1", "half the optimizer steps", num_steps, times(0.5)),
    Effect("ppo.rollout_batch_size", "16", "twice the optimizer steps", num_steps, times(2)),
    Effect("ppo.minibatch_size", "8", "half the optimizer steps", num_steps, times(0.5)),
    Effect("ppo.microbatch_size", "1", "so many responses in a forward pass", training_rows, becomes(2, 1)),
    Effect("ppo.ppo_epochs", "2", "twice the optimizer steps", num_steps, times(2)),
    Effect("ppo.learning_rate", "6e-3", "twice the rate of each step of the policy", rates, doubled),
    Effect(
        "ppo.critic_learning_rate", "1e-3", "twice the rate of each step of the critic", rates_of(1), doubled
    ),
    Effect("ppo.schedule", "constant", "the rates never fall", rates, constant),
    Effect("ppo.schedule", "cosine", "other rates", rates_of(1)),
    Effect(
        "ppo.warmup_fraction",
        "0.5",
        "the rates rise for half of the steps",
        rates,
        lambda before, after: before[0] == max(before) and after[0] < after[1] == max(after),
    ),
    Effect("ppo.final_learning_rate_fraction", "1.0", "the rates never fall", rates, constant),
    Effect("ppo.adam_epsilon", "1.0", "AdamW's own", epsilons, becomes({1e-5}, {1.0})),
    Effect("ppo.weight_decay", "50.0", "smaller weights", weights_norm, falls),
    Effect(
        "ppo.max_grad_norm",
        "0.01",
        "no optimizer step sees a longer gradient",
        largest_gradient,
        lambda before, after: before > 0.1 and 0.009 < after < 0.0101,
    ),
    Effect(
        "ppo.max_grad_norm", "null", "longer gradients", largest_gradient, lambda before, after: after > 1.1
    ),
    Effect("ppo.num_samples", "3", "so many responses", num_samples(kind="rollout", step=1), becomes(2, 3)),
    Effect(
        "ppo.mixed_precision",
        "bf16",
        "the matrix products of the training are in bfloat16",
        training_types,
        becomes({"float32"}, {"bfloat16"}),
    ),
    Effect(
        "ppo.gradient_checkpointing",
        "true",
        "in training each block is computed twice",
        training_passes,
        times(2),
    ),
    Effect("ppo.adam_epsilon", "1.0", "other weights", weights),
)
