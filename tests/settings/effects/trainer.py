"""Entries of the settings that the stages on `transformers.Trainer` have in common."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from tests.settings.effects.effect import Effect, Refused, becomes, falls, times
from tests.settings.effects.look import (
    largest_gradient,
    num_steps,
    rates,
    steps_of,
    training_passes,
    training_rows,
    training_types,
    weights_norm,
)


def trainer_effects(section: str) -> tuple[Effect | Refused, ...]:
    """`TrainerSettings`, whose baseline is `baselines.TRAINER`."""
    entries: tuple[Effect | Refused, ...] = (
        Effect("epochs", "2.0", "twice the optimizer steps", num_steps, times(2)),
        Effect(
            "learning_rate",
            "6e-3",
            "twice the learning rate of each optimizer step",
            rates,
            lambda before, after: after == [2 * rate for rate in before],
        ),
        Effect(
            "schedule",
            "constant",
            "the learning rate never falls",
            rates,
            lambda before, after: before == sorted(before, reverse=True) and len(set(after)) == 1,
        ),
        Effect(
            "schedule",
            "linear",
            "the learning rate falls by equal steps",
            rates,
            lambda before, after: not _falls_evenly(before) and _falls_evenly(after),
        ),
        Effect(
            "final_learning_rate_fraction",
            "1.0",
            "the learning rate never falls",
            rates,
            lambda before, after: len(set(after)) == 1,
        ),
        Refused(
            "final_learning_rate_fraction",
            "0.3",
            "is only read where schedule is cosine or linear",
            (f"{section}.schedule=constant",),
        ),
        Effect(
            "warmup_fraction",
            "0.75",
            "the learning rate rises for three quarters of the steps",
            rates,
            lambda before, after: (
                before[0] == max(before)
                and after.index(max(after)) == -(-3 * len(after) // 4) - 1
                and after[0] < after[1]
            ),
        ),
        Effect("weight_decay", "50.0", "smaller weights", weights_norm, falls),
        Effect(
            "max_grad_norm",
            "0.01",
            "no optimizer step sees a longer gradient",
            largest_gradient,
            lambda before, after: before > 0.1 and 0.009 < after < 0.0101,
        ),
        Effect("batch_size", "8", "half the optimizer steps", num_steps, times(0.5)),
        Effect("microbatch_size", "1", "so many elements in a forward pass", training_rows, becomes(2, 1)),
        Effect(
            "mixed_precision",
            "bf16",
            "the matrix products of the training are in bfloat16",
            training_types,
            becomes({"float32"}, {"bfloat16"}),
        ),
        Effect(
            "gradient_checkpointing",
            "true",
            "in training each block is computed twice",
            training_passes,
            times(2),
        ),
        Effect(
            "log_every_updates",
            "2",
            "half the rows with a loss",
            steps_of(f"{section}/loss"),
            lambda before, after: after == before[1::2],
        ),
    )
    return tuple(replace(entry, key=f"{section}.{entry.key}") for entry in entries)


def _falls_evenly(values: list[float]) -> bool:
    changes = [after - before for before, after in pairwise(values)]
    return max(changes) < 0 and max(changes) - min(changes) < 1e-9
