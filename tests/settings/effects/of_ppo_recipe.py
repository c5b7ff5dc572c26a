"""Settings of PPO's algorithm."""

from __future__ import annotations

from typing import Any

from tests.settings.effects.effect import Effect, Entry, Refused, becomes, falls, rises, times
from tests.settings.effects.look import (
    betas,
    epsilons,
    first,
    largest_gradient,
    last,
    metric,
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
from tests.settings.effects.seen import Seen

ADAPTIVE = ("ppo.kl_controller=adaptive", "ppo.kl_target=5.0", "ppo.kl_horizon=20")
FAR = ("reference={path: '{inputs}/other'}", *ADAPTIVE)  # with a KL that is above 0 from the start
EPOCHS = (
    "ppo.ppo_epochs=2",
)  # without a second look at a minibatch nothing has moved far enough to be clipped


def price_of_kl(seen: Seen) -> float:
    """What the rewards of the last update lack of the scores, for each nat of KL."""
    score, reward, kl = (seen.metrics(f"ppo/{name}")[-1] for name in ("score", "reward", "kl"))
    return float((score - reward) / kl)


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
    Effect("critic.learning_rate", "1e-3", "twice the rate of each step of the critic", rates_of(1), doubled),
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
    Refused(
        "ppo.final_learning_rate_fraction",
        "0.3",
        "is only read where schedule is cosine or linear",
        ("ppo.schedule=constant",),
    ),
    Effect("ppo.adam_epsilon", "1.0", "AdamW's own", epsilons, becomes({1e-5}, {1.0})),
    Effect("ppo.adam_beta2", "0.9", "AdamW's own", betas, becomes({0.999}, {0.9})),
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
    Effect(
        "ppo.kl_controller",
        "adaptive",
        "the coefficient changes",
        metric("ppo/kl_coef"),
        lambda before, after: len(set(before)) == 1 and len(set(after)) == 2,
        along=ADAPTIVE[1:],
    ),
    Effect(
        "ppo.kl_target",
        "0.001",
        "a KL above it makes the coefficient rise",
        last("ppo/kl_coef"),
        rises,
        FAR,
    ),
    Refused("ppo.kl_horizon", "1", "kl_horizon 1 is too short for a rollout_batch_size of 8", ADAPTIVE),
    Effect("ppo.kl_horizon", "50", "the coefficient falls slower", last("ppo/kl_coef"), rises, FAR),
    Effect(
        "ppo.kl_coef",
        "0.5",
        "the price of a nat in the reward",
        price_of_kl,
        lambda before, after: abs(before - 0.02) < 1e-4 and abs(after - 0.5) < 1e-4,
    ),
    Effect("ppo.gamma", "0.5", "other returns", first("ppo/return_mean")),
    Effect("ppo.gae_lambda", "0.5", "other returns", first("ppo/return_mean")),
    Effect("ppo.whiten_advantages", "false", "another loss", first("ppo/policy_loss")),
    Effect("ppo.clip_range", "0.001", "more is clipped", last("ppo/clip_fraction"), rises, EPOCHS),
    Effect(
        "ppo.value_clip_range", "0.0001", "values are clipped", last("ppo/value_clip_fraction"), rises, EPOCHS
    ),
    Effect(
        "ppo.score_clip",
        "0.001",
        "no score is larger",
        first("ppo/score"),
        lambda before, after: abs(after) < 0.00101 < abs(before),
    ),
    Effect(
        "ppo.missing_eos_penalty",
        "3.0",
        "it is subtracted from the scores of all responses, which are cut",
        first("ppo/score"),
        lambda before, after: abs(before - after - 3) < 1e-5,
    ),
    Effect(
        "ppo.missing_eos_score",
        "-4.0",
        "it is the score of all responses, which are cut",
        metric("ppo/score"),
        lambda before, after: set(after) == {-4.0},
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
    Effect("ppo.adam_beta2", "0.9", "other weights", weights),
)
