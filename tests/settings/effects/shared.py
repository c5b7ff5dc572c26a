"""Entries of the sections that several stages have. Each stage is run for its own."""

from __future__ import annotations

from tests.settings.effects.effect import Effect, Shown, becomes, falls
from tests.settings.effects.look import (
    chat_template,
    checkpoints,
    end_token,
    every_load_gets,
    has_previous,
    has_tracked,
    resumed_from,
    saved_files,
    saved_types,
    title,
    told_loaders,
    trained_parameters,
    weights,
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
            lambda before, after: str(before).startswith("checkpoints/step_") and after is None,
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


def checkpoint_effects(last: int, every: int = 2, keep: int = 1) -> tuple[Effect, ...]:
    """`CheckpointSettings`, where the baseline writes one `every` so many updates, the last after `last`."""
    names = [f"step_{number:06d}" for number in range(every, last + 1, every)]
    other = 2 if keep == 1 else 1
    return (
        Effect(
            "checkpoint.every_updates",
            f"{last}",
            "the first checkpoint comes at the end",
            checkpoints,
            becomes(names[-2:], names[-1:]),
            given=("checkpoint.keep=2",) if keep == 1 else (),
        ),
        Effect(
            "checkpoint.every_updates",
            "null",
            "no checkpoint is written",
            checkpoints,
            becomes(names[-keep:], []),
        ),
        Effect(
            "checkpoint.keep",
            f"{other}",
            "so many checkpoints are left",
            checkpoints,
            becomes(names[-keep:], names[-other:]),
        ),
    )


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


def lora_effects(*, more_trained: int = 0) -> tuple[Effect | Shown, ...]:
    """`AdapterSettings`; `more_trained` are the parameters that are trained beside the adapters."""
    given = (LORA,)
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
        Effect("lora.target_modules", "[c_attn]", "fewer adapters", trained_parameters, falls, given),
        Effect(
            "lora.merge",
            "false",
            "an adapter is saved instead of a whole model",
            saved_files,
            lambda before, after: "adapter_config.json" in set(after) - set(before),
            given,
        ),
        Shown(
            "lora.quantize",
            "tests/test_four_bit.py::test_without_bitsandbytes_lora_quantize_is_refused_before_anything_is_loaded",
            "4bit needs bitsandbytes; where that is installed, the tests beside it train on rounded weights",
        ),
    )


# Where there is dropout: PPO has none anywhere.
LORA_DROPOUT = Effect("lora.dropout", "0.5", "other weights", weights, given=(LORA,))
