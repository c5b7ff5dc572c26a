"""Entries of the sections that several stages have. Each stage is run for its own."""

from __future__ import annotations

from itertools import pairwise

from tests.settings.effects.effect import Effect, Refused, becomes, falls, times
from tests.settings.effects.look import (
    chat_template,
    checkpoints,
    end_token,
    every_load_gets,
    has_previous,
    has_tracked,
    largest_gradient,
    num_steps,
    rates,
    resumed_from,
    saved_files,
    saved_types,
    steps_of,
    title,
    told_loaders,
    trained_parameters,
    training_passes,
    training_rows,
    training_types,
    weights,
    weights_norm,
    where,
)

LORA = "lora={rank: 4, alpha: 8.0}"


def run_effects(stage: str) -> tuple[Effect, ...]:
    """`RunSettings`."""
    return (
        Effect(
            "run.root",
            "{desk}/elsewhere",
            "the run's folder is below it",
            where,
            becomes([f"runs/{stage}"], [f"elsewhere/{stage}"]),
        ),
        Effect(
            "run.output",
            "{run.root}/other",
            "the run's folder is there",
            where,
            becomes([f"runs/{stage}"], ["runs/other"]),
        ),
        Effect(
            "run.name",
            "Bright Owl",
            "the model's card has it as its heading",
            title,
            lambda before, after: "Bright Owl" not in before and after == "# Bright Owl",
        ),
        Effect("run.seed", "2", "other weights", weights),
        Effect(
            "run.resume",
            "false",
            "an interrupted run starts anew instead of going on",
            resumed_from,
            becomes("checkpoints/step_000001", None),
            after="interrupted",
        ),
        Effect(
            "run.resume",
            "true",
            "a finished run is taken up again instead of moved away",
            has_previous,
            becomes(True, False),
            after="finished",
        ),
        Effect(
            "run.keep_previous",
            "false",
            "the older run is deleted instead of moved away",
            has_previous,
            becomes(True, False),
            after="finished",
        ),
        Effect(
            "run.trackers", "[tensorboard]", "tensorboard writes events", has_tracked, becomes(False, True)
        ),
    )


def checkpoint_effects(num_updates: int, keep: int = 1) -> tuple[Effect, ...]:
    """`CheckpointSettings`, where the baseline writes one each update and keeps `keep`."""
    names = [f"step_{number:06d}" for number in range(1, num_updates + 1)]
    return (
        Effect(
            "checkpoint.every_updates",
            "null",
            "no checkpoint is written",
            checkpoints,
            becomes(names[-keep:], []),
        ),
        Effect(
            "checkpoint.keep",
            f"{keep + 1}" if keep < num_updates else f"{keep - 1}",
            "so many checkpoints are left",
            checkpoints,
            becomes(names[-keep:], names[-keep - 1 :] if keep < num_updates else names[1 - keep :]),
        ),
    )


def trainer_effects(section: str) -> tuple[Effect, ...]:
    """`TrainerSettings`, whose baseline is `baselines.TRAINER`."""
    entries = (
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
    return tuple(_under(section, entry) for entry in entries)


def _under(section: str, entry: Effect) -> Effect:
    values = {name: getattr(entry, name) for name in entry.__dataclass_fields__}
    return Effect(**{**values, "key": f"{section}.{entry.key}"})


def _falls_evenly(values: list[float]) -> bool:
    changes = [after - before for before, after in pairwise(values)]
    return max(changes) < 0 and max(changes) - min(changes) < 1e-9


def load_effects(section: str, folder: str, given: tuple[str, ...] = (), why: str = "") -> tuple[Effect, ...]:
    """What only matters for hub ids: it has to reach every loader of the model in a folder of that name."""
    return (
        Effect(
            f"{section}.revision",
            "v2",
            f"every loader of it is told{why}",
            told_loaders("revision", folder),
            every_load_gets("v2"),
            given,
        ),
        Effect(
            f"{section}.trust_remote_code",
            "true",
            f"every loader of it is told{why}",
            told_loaders("trust_remote_code", folder),
            every_load_gets(True),
            given,
        ),
    )


def model_effects(section: str, saved: set[str]) -> tuple[Effect, ...]:
    """`ModelSettings` of a model that is trained; `saved` are the types of the weights of a bfloat16 one."""
    return (
        Effect(f"{section}.path", "{inputs}/other", "another model is trained", weights),
        *load_effects(section, "base"),
        Effect(
            f"{section}.dtype",
            "bfloat16",
            "the weights are of that type",
            saved_types,
            becomes({"float32"}, saved),
        ),
        Effect(
            f"{section}.eos_token",
            "<|user|>",
            "the saved tokenizer ends with it",
            end_token,
            becomes("<|end|>", "<|user|>"),
        ),
        Effect(
            f"{section}.chat_template",
            "{inputs}/template.jinja",
            "it is saved with the model",
            chat_template,
            lambda before, after: "'|> '" in after and "'|> '" not in before,
        ),
    )


def lora_effects(*, more_trained: int = 0, kept: bool = True) -> tuple[Effect | Refused, ...]:
    """`LoraSettings`.

    Args:
        more_trained: parameters that are trained beside the adapters.
        kept: whether the stage can leave the adapters unmerged.
    """
    given = (LORA,)
    merge: Effect | Refused = Refused("lora.merge", "false", "lora.merge has to be true", given)
    if kept:
        merge = Effect(
            "lora.merge",
            "false",
            "an adapter is saved instead of a whole model",
            saved_files,
            lambda before, after: "adapter_config.json" in set(after) - set(before),
            given,
        )
    return (
        Effect(
            "lora",
            "{rank: 4}",
            "adapters are trained instead of all weights",
            trained_parameters,
            lambda before, after: after < before / 2,
        ),
        Effect(
            "lora.rank",
            "8",
            "adapters of twice the size",
            trained_parameters,
            lambda before, after: after - more_trained == 2 * (before - more_trained),
            given,
        ),
        Effect("lora.alpha", "64.0", "other weights", weights, given=given),
        Effect("lora.dropout", "0.5", "other weights", weights, given=given),
        Effect(
            "lora.target_modules",
            "[c_attn]",
            "fewer adapters",
            trained_parameters,
            falls,
            given,
        ),
        merge,
    )
