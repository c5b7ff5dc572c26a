"""Settings of what scores in the PPO stage, in training and held out, and of what values tokens."""

from __future__ import annotations

from dataclasses import replace

from tests.settings.effects.effect import Effect, Entry, Refused, falls, rises, times
from tests.settings.effects.look import (
    also,
    first,
    loads_of_weights,
    metric,
    moves_of,
    rates_of,
)
from tests.settings.effects.seen import Seen
from tests.settings.effects.shared import LORA, load_effects

FROM_POLICY = ("critic.init_from=policy",)
HELD_OUT = "evaluation.held_out_scores"
COUNT = "[{function: '{inputs}/scores.py:count'}]"
BY_FUNCTION = (f"scores={COUNT}", f"{HELD_OUT}={COUNT}", *FROM_POLICY)
# Of two members the mean less one deviation would be the smaller of the two: half a deviation is neither.
TWO = (
    "[{models: ['{inputs}/reward', '{inputs}/other_reward'], combine: mean_minus_std, combine_std_coef: 0.5}]"
)
ENSEMBLES = (f"scores={TWO}", f"{HELD_OUT}={TWO}")
HELD = (f"{HELD_OUT}=[{{model: '{{inputs}}/other_reward'}}]",)
ON_BASE = ("scores=[{model: '{inputs}/reward_adapter'}]", LORA, "critic.init_from=trunk")
ONE_STEP = ("critic.init_from=trunk", "ppo.minibatch_size=8")

disagreement = first("ppo/scores[0].disagreement")
held_out_score = first("evaluation/held_out_score")
score_and_disagreement = also(first("ppo/raw_score"), disagreement)


def price_of_disagreement(seen: Seen) -> float:
    """What a score lacks of the mean of its two members, for each deviation between them."""
    score, deviation = (seen.metrics(f"ppo/{name}")[0] for name in ("raw_score", "scores[0].disagreement"))
    return float(score / deviation)


def _ensemble_effects() -> tuple[Effect, ...]:
    """`models`, `combine` and `combine_std_coef` of the scores that are trained on."""
    without_coef = ("scores[0].combine_std_coef=null",)
    return (
        Effect(
            "scores[].models",
            "['{inputs}/reward']",
            "a member alone disagrees with nobody",
            disagreement,
            lambda before, after: before > 0 == after,
            ENSEMBLES,
        ),
        Effect(
            "scores[].combine",
            "min",
            "the worst instead of a mean less half a deviation: another half",
            price_of_disagreement,
            lambda before, after: abs(after - before + 0.5) < 1e-3,
            ENSEMBLES,
            along=without_coef,
        ),
        Effect(
            "scores[].combine_std_coef",
            "2.5",
            "two more deviations are taken off",
            price_of_disagreement,
            lambda before, after: abs(after - before + 2) < 1e-3,
            ENSEMBLES,
        ),
    )


def _held_out_effects() -> tuple[Effect, ...]:
    """`ScoreSettings` of scores that nothing is trained on."""
    pair = also(held_out_score, first("evaluation/score"))
    entries = (
        Effect("model", "{inputs}/reward", "the score that is trained on", pair, _only_then_equal, HELD),
        Effect("weight", "2.0", "twice the score", held_out_score, times(2), HELD),
        Effect("dtype", "bfloat16", "rounded scores", held_out_score, given=HELD),
        Effect(
            "function",
            "{inputs}/scores.py:constant",
            "its scores",
            metric("evaluation/held_out_score"),
            lambda before, after: set(after) == {7.0},
            BY_FUNCTION,
        ),
        Effect(
            "per_token",
            "true",
            "a number for each of six tokens",
            metric("evaluation/held_out_score"),
            lambda before, after: set(after) == {6.0},
            BY_FUNCTION,
        ),
        Effect(
            "models",
            "['{inputs}/reward']",
            "another score",
            held_out_score,
            given=ENSEMBLES,
        ),
        Effect(
            "combine",
            "mean",
            "a mean from which nothing is taken off",
            held_out_score,
            rises,
            ENSEMBLES,
            along=("evaluation.held_out_scores[0].combine_std_coef=null",),
        ),
        Effect("combine_std_coef", "2.5", "more is taken off", held_out_score, falls, ENSEMBLES),
    )
    return tuple(replace(entry, key=f"{HELD_OUT}[].{entry.key}") for entry in entries)


def _only_then_equal(before: list[float], after: list[float]) -> bool:
    return before[0] != before[1] and after[0] == after[1]


def _of_models_only(section: str) -> tuple[Refused, ...]:
    """What a source that is a function would not read."""
    values = {"revision": "v2", "trust_remote_code": "true", "dtype": "bfloat16"}
    says = "are only read where a model is loaded"
    return tuple(Refused(f"{section}[].{name}", to, says, BY_FUNCTION) for name, to in values.items())


ENTRIES: tuple[Entry, ...] = (
    *_of_models_only("scores"),
    *_of_models_only(HELD_OUT),
    Effect(
        "scores",
        "[{model: '{inputs}/reward'}, {function: '{inputs}/scores.py:constant'}]",
        "the scores are added",
        first("ppo/raw_score"),
        lambda before, after: abs(after - before - 7) < 1e-4,
    ),
    Effect("scores[].model", "{inputs}/other_reward", "other scores", first("ppo/raw_score")),
    *_ensemble_effects(),
    Effect(
        "scores[].function",
        "{inputs}/scores.py:constant",
        "its scores",
        metric("ppo/raw_score"),
        lambda before, after: set(after) == {7.0},
        BY_FUNCTION,
    ),
    Effect(
        "scores[].per_token",
        "true",
        "a number for each of six tokens",
        metric("ppo/raw_score"),
        lambda before, after: set(after) == {6.0},
        BY_FUNCTION,
    ),
    Effect(
        "scores[].weight",
        "2.0",
        "twice the scores",
        first("ppo/raw_score"),
        lambda before, after: abs(after - 2 * before) < 1e-5,
    ),
    *load_effects("scores[]", "reward"),
    Effect("scores[].dtype", "bfloat16", "rounded scores", first("ppo/raw_score")),
    Effect(
        HELD_OUT,
        HELD[0].partition("=")[2],
        "they are measured at both ends",
        metric("evaluation/held_out_score"),
        lambda before, after: not before and len(after) == 2,
    ),
    *_held_out_effects(),
    *load_effects(f"{HELD_OUT}[]", "other_reward", HELD),
    Effect(
        "critic",
        "null",
        "no optimizer of a critic, and no values",
        also(rates_of(1), metric("ppo/value_mean")),
        lambda before, after: all(before) and not any(after),
        along=("ppo.advantages=leave_one_out", "ppo.samples_per_prompt=2"),
    ),
    Effect("critic.init_from", "policy", "other values", first("ppo/value_mean")),
    Effect(
        "critic.init_from",
        "trunk",
        "one model less is loaded",
        loads_of_weights("reward"),
        lambda before, after: after < before,
    ),
    Effect("critic.path", "{inputs}/other_reward", "other values", first("ppo/value_mean")),
    Effect(
        "critic.value_coef",
        "5.0",
        "50 times the gradient of the critic, whose weight is 0.1 where none is set",
        first("ppo/critic_grad_norm"),
        lambda before, after: abs(after / before - 50) < 1e-3,
        ONE_STEP,
    ),
    Refused(
        "scores",
        "[{models: ['{inputs}/reward', '{inputs}/reward'], combine: min}]",
        "models names one reward model twice",
    ),
    Refused("critic.value_coef", "0.5", "only read where critic.init_from is trunk"),
    Effect(
        "memory.one_base",
        "true",
        "the weights of the base are loaded once, not for policy, reference and reward model each",
        loads_of_weights("base"),
        lambda before, after: before > 2 and after == 1,
        ON_BASE,
    ),
    Effect(
        "memory.offload",
        "true",
        "two updates and two evaluations each move the reward model there and back, and the start does",
        moves_of("GPT2ForSequenceClassification"),
        lambda before, after: after - before == 2 * 5,
    ),
    Effect(
        "memory.offload",
        "true",
        "and the reference",
        moves_of("GPT2LMHeadModel"),
        lambda before, after: after - before == 2 * 5,
    ),
    Effect(
        "memory.offload",
        "true",
        "a held-out reward model is moved there and back by the start and by each of the two evaluations",
        moves_of("GPT2ForSequenceClassification"),
        lambda before, after: after - before == 2 * 5 + 2 * 3,
        ("evaluation.held_out_scores=[{model: '{inputs}/other_reward'}]",),
    ),
)
