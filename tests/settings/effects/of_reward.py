"""Settings of the reward stage."""

from __future__ import annotations

from tests.settings.effects.effect import Effect, Entry, becomes, rises
from tests.settings.effects.look import (
    counted,
    first,
    steps_of,
    stop_tokens,
    summary,
    training_tokens,
    weights,
)
from tests.settings.effects.shared import (
    LORA_DROPOUT,
    checkpoint_effects,
    load_effects,
    lora_effects,
    model_effects,
    run_effects,
)
from tests.settings.effects.trainer import trainer_effects

HEAD = 16  # parameters of the score head
POLICY = ("centring.policy={path: '{inputs}/other'}",)
SHIFT = summary("centring_shift")


def _both(name: str) -> str:
    folder = "{inputs}/rankings"
    return f"[{{path: '{folder}.{name}.jsonl'}}, {{path: '{folder}.more.jsonl'}}]"


ENTRIES: tuple[Entry, ...] = (
    *run_effects("reward"),
    *model_effects("model", {"bfloat16", "float32"}),
    *lora_effects(more_trained=HEAD),
    LORA_DROPOUT,
    Effect("data.train", _both("train"), "both sources", summary("num_rankings"), becomes(16, 24)),
    Effect("data.validation", _both("validation"), "both sources", first("reward/log_loss")),
    Effect("data.test", _both("test"), "both sources", summary("num_prompts"), becomes(8, 15)),
    Effect("data.test", "[]", "the final numbers are of the validation data", summary("log_loss")),
    *trainer_effects("reward"),
    Effect("reward.loss", "plackett_luce", "other weights", weights),
    Effect("reward.ties", "drop", "other weights", weights),
    Effect("reward.strength", "margin", "other weights", weights),
    Effect("reward.strength", "weight", "other weights", weights),
    Effect("reward.strength_scale", "0.1", "other weights", weights, given=("reward.strength=weight",)),
    Effect("reward.centring_coef", "1.0", "other weights", weights),
    Effect("reward.share_prompts", "false", "more tokens for the model", training_tokens, rises),
    Effect("reward.max_prompt_tokens", "96", "no prompt is cut", counted("cut_within_turn"), becomes(3, 0)),
    Effect(
        "reward.max_response_tokens",
        "60",
        "no response is left out",
        counted("dropped_responses"),
        becomes(3, 0),
    ),
    Effect(
        "centring",
        "null",
        "the scores of SFT responses are neither moved nor measured",
        summary("centring_shift"),
        lambda before, after: abs(before) > 0 and after is None,
    ),
    Effect("centring.num_prompts", "2", "another zero", summary("centring_shift")),
    Effect("centring.temperature", "0.0", "another zero", summary("centring_shift")),
    Effect("centring.max_response_tokens", "8", "another zero", summary("centring_shift")),
    Effect("centring.policy", "{path: '{inputs}/other'}", "another model answers", SHIFT),
    Effect("centring.policy.path", "{inputs}/base", "another model answers", SHIFT, given=POLICY),
    *load_effects("centring.policy", "other", POLICY),
    Effect("centring.policy.dtype", "bfloat16", "other weights answer", SHIFT, given=POLICY),
    Effect(
        "centring.policy.eos_token",
        "<|user|>",
        "one more token ends an answer",
        stop_tokens,
        becomes(1, 2),
        given=POLICY,
    ),
    Effect("centring.policy.chat_template", "{inputs}/template.jinja", "other answers", SHIFT, given=POLICY),
    Effect(
        "evaluation.every_updates",
        "1",
        "evaluations after each step",
        steps_of("reward/log_loss"),
        becomes([0, 2, 4], [0, 1, 2, 3, 4]),
    ),
    Effect("evaluation.num_rankings", "2", "measured on two only", first("reward/log_loss")),
    Effect(
        "evaluation.judge",
        "null",
        "no accuracy by a judge",
        summary("pair_accuracy_judge"),
        lambda before, after: before is not None and after is None,
    ),
    Effect(
        "evaluation.judge",
        "{inputs}/other_judge.py:judge",
        "another judge has other opinions",
        summary("judge_accuracy_labels"),
    ),
    *checkpoint_effects(4),
)
