"""Settings of what scores and what values in PPO: `scores`, `evaluation.held_out_scores`, `critic`, `memory`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.settings.effects.effect import Effect, becomes, falls, rises
from tests.settings.effects.look import first, moves_away, num_optimizers, weight_loads_of, weights
from tests.settings.effects.seen import Seen
from tests.settings.effects.shared import LORA, load_effects

FROM_POLICY = ("critic.init_from=policy",)
FROM_TRUNK = ("critic.init_from=trunk",)
TWO_EACH = ("ppo.samples_per_prompt=2",)
MEMBERS = "models: ['{inputs}/reward', '{inputs}/other_reward']"


def score_effects(
    section: str, see: Callable[[Seen], Any], folder: str, given: tuple[str, ...] = ()
) -> tuple[Effect, ...]:
    """`ScoreSettings` of a list whose sum is seen as `see`.

    Args:
        section: the list.
        see: the mean score of responses that are the same with every value.
        folder: of the reward model that stands there with `given`; nothing else is loaded from it.
        given: more settings of all runs.
    """

    def source(*settings: str) -> tuple[str, ...]:
        return (*given, f"{section}=[{{{', '.join(settings)}}}]")

    model = f"model: '{{inputs}}/{folder}'"
    by_function = (*FROM_POLICY, *source("function: '{inputs}/scores.py:one_each'"))
    item = f"{section}[]"
    return (
        Effect(
            section,
            f"[{{{model}}}, {{function: '{{inputs}}/scores.py:constant'}}]",
            "the scores are added",
            see,
            lambda before, after: abs(after - before - 7) < 1e-4,
            source(model),
        ),
        Effect(f"{item}.model", "{inputs}/reward_3", "other scores", see, given=source(model)),
        Effect(
            f"{item}.models",
            "['{inputs}/reward', '{inputs}/reward_3']",
            "other scores",
            see,
            given=source(MEMBERS, "combine: mean"),
        ),
        Effect(f"{item}.combine", "min", "lower scores", see, falls, source(MEMBERS, "combine: mean")),
        Effect(
            f"{item}.combine_std_coef",
            "1.0",
            "lower scores",
            see,
            falls,
            source(MEMBERS, "combine: mean_minus_std", "combine_std_coef: 0.0"),
        ),
        Effect(
            f"{item}.function",
            "{inputs}/scores.py:constant",
            "its scores",
            see,
            becomes(1.0, 7.0),
            by_function,
        ),
        Effect(
            f"{item}.per_token",
            "true",
            "each of the six tokens is scored, not the response",
            see,
            becomes(1.0, 6.0),
            by_function,
        ),
        Effect(
            f"{item}.weight",
            "2.0",
            "twice the scores",
            see,
            lambda before, after: abs(after - 2 * before) < 1e-5,
            source(model),
        ),
        *load_effects(item, folder, source(model)),
        Effect(f"{item}.dtype", "bfloat16", "rounded scores", see, given=source(model)),
    )


def smallest_optimizer(seen: Seen) -> int:
    """The parameters of the optimizer that has fewest."""
    return min(step.num_parameters for step in seen.notes.steps)


CRITIC = (
    Effect(
        "critic",
        "null",
        "no second optimizer",
        num_optimizers,
        becomes(2, 1),
        TWO_EACH,
        along=("ppo.advantages=leave_one_out",),
    ),
    Effect("critic.init_from", "policy", "other values", first("ppo/value_mean")),
    Effect(
        "critic.init_from",
        "trunk",
        "only the head is the critic's own",
        smallest_optimizer,
        lambda before, after: after < 100 < before,
    ),
    Effect("critic.path", "{inputs}/other_reward", "other values", first("ppo/value_mean")),
    Effect("critic.value_coef", "50.0", "other weights of the policy", weights, given=FROM_TRUNK),
)

MEMORY = (
    Effect(
        "memory.one_base",
        "true",
        "the base is loaded once, not for policy, reference and critic",
        weight_loads_of("base"),
        becomes(3, 1),
        (LORA, *FROM_POLICY),
    ),
    Effect("memory.offload", "true", "frozen models are moved to main memory after use", moves_away, rises),
)

ENTRIES = (
    *score_effects("scores", first("ppo/raw_score"), "reward"),
    *CRITIC,
    *MEMORY,
)
