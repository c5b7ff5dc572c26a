"""Settings of the SFT stage."""

from __future__ import annotations

from tests.settings.effects.effect import Effect, Entry, becomes
from tests.settings.effects.look import counted, first, num_samples, responses, steps_of, summary
from tests.settings.effects.shared import (
    LORA_DROPOUT,
    checkpoint_effects,
    lora_effects,
    model_effects,
    run_effects,
)
from tests.settings.effects.trainer import trainer_effects


def _both(name: str) -> str:
    folder = "{inputs}/demonstrations"
    return f"[{{path: '{folder}.{name}.jsonl'}}, {{path: '{folder}.more.jsonl'}}]"


ENTRIES: tuple[Entry, ...] = (
    *run_effects("sft"),
    *model_effects("model", {"bfloat16"}),
    *lora_effects(),
    LORA_DROPOUT,
    Effect("data.train", _both("train"), "both sources", summary("num_demonstrations"), becomes(16, 24)),
    Effect("data.validation", _both("validation"), "both sources", first("sft/validation_loss")),
    *trainer_effects("sft"),
    Effect("sft.max_prompt_tokens", "96", "no prompt is cut", counted("cut_within_turn"), becomes(4, 0)),
    Effect(
        "sft.max_response_tokens",
        "60",
        "no response is dropped",
        counted("dropped_responses"),
        becomes(2, 0),
    ),
    Effect(
        "evaluation.every_updates",
        "1",
        "evaluations after each step",
        steps_of("sft/validation_loss"),
        becomes([0, 2, 4], [0, 1, 2, 3, 4]),
    ),
    Effect("evaluation.num_demonstrations", "2", "measured on two only", first("sft/validation_loss")),
    Effect("evaluation.num_samples", "3", "so many answers", num_samples(when="before"), becomes(2, 3)),
    Effect("evaluation.temperature", "0.0", "other answers", responses),
    *checkpoint_effects(4),
)
