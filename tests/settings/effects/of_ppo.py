"""Settings of the PPO stage.

Those of the plain algorithm are in `of_ppo_recipe.py`, what steers it further in `of_ppo_controls.py`, scores,
critic and memory in `of_ppo_scores.py`, text in `of_ppo_texts.py`.
"""

from __future__ import annotations

from tests.settings.effects import of_ppo_controls, of_ppo_recipe, of_ppo_scores, of_ppo_texts
from tests.settings.effects.effect import Effect, Entry, becomes, falls
from tests.settings.effects.look import (
    counted,
    first,
    generated_rows,
    metric,
    num_samples,
    responses,
    steps_of,
    summary,
    weights,
)
from tests.settings.effects.of_ppo_scores import FROM_POLICY
from tests.settings.effects.shared import (
    checkpoint_effects,
    load_effects,
    lora_effects,
    model_effects,
    run_effects,
)

REFERENCE = ("reference={path: '{inputs}/other'}",)


def _both(name: str) -> str:
    folder = "{inputs}/prompts"
    return f"[{{path: '{folder}.{name}.jsonl'}}, {{path: '{folder}.more.jsonl'}}]"


ENTRIES: tuple[Entry, ...] = (
    *run_effects("ppo"),
    *model_effects("policy", {"bfloat16"}),
    *load_effects("policy", "base", FROM_POLICY, ", the critic's too"),
    Effect(
        "reference",
        "{path: '{inputs}/other'}",
        "the KL is not 0 at the start",
        first("ppo/kl"),
        lambda before, after: before == 0 != after,
    ),
    Effect("reference.path", "{inputs}/base", "the KL is to another model", first("ppo/kl"), given=REFERENCE),
    *load_effects("reference", "other", REFERENCE),
    Effect("reference.dtype", "bfloat16", "the KL is to other weights", first("ppo/kl"), given=REFERENCE),
    *lora_effects(),
    Effect("data.train", _both("train"), "both sources", responses),
    Effect(
        "data.validation",
        _both("validation"),
        "both sources",
        first("evaluation/score"),
        given=("evaluation.num_prompts=16",),
    ),
    *of_ppo_scores.ENTRIES,
    Effect("sampling.temperature", "0.5", "surer choices", first("ppo/entropy"), falls),
    Effect(
        "sampling.max_response_tokens",
        "3",
        "shorter responses",
        first("ppo/response_tokens"),
        lambda before, after: after <= 3 < before,
    ),
    Effect("sampling.max_prompt_tokens", "96", "no prompt is cut", counted("cut_within_turn"), becomes(2, 0)),
    Effect("sampling.batch_size", "2", "so many are sampled together", generated_rows, becomes(8, 2)),
    *of_ppo_recipe.ENTRIES,
    *of_ppo_controls.ENTRIES,
    *of_ppo_texts.ENTRIES,
    Effect(
        "evaluation.every_updates",
        "1",
        "evaluations after each update, not at both ends only",
        steps_of("evaluation/score"),
        becomes([0, 2], [0, 1, 2]),
    ),
    Effect("evaluation.num_prompts", "2", "measured on two only", first("evaluation/score")),
    Effect(
        "evaluation.judge",
        "null",
        "no judge's numbers",
        metric("evaluation/judge_score"),
        lambda before, after: before and not after,
    ),
    Effect(
        "evaluation.judge",
        "{inputs}/other_judge.py:judge",
        "another judge has other criteria",
        metric("evaluation/judge_brief"),
        lambda before, after: not before and after,
    ),
    Effect("evaluation.temperature", "0.0", "other answers", first("evaluation/score")),
    Effect(
        "evaluation.num_samples",
        "3",
        "so many answers",
        num_samples(kind="evaluation", step=0),
        becomes(2, 3),
    ),
    *checkpoint_effects(2, every=1, keep=2),
    Effect(
        "checkpoint.export",
        "best",
        "the weights of the best evaluation instead of the last",
        summary("exported_update"),
        becomes(2, 0),
    ),
    Effect("checkpoint.export", "best", "the weights of the best evaluation", weights),
)
