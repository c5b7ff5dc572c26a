"""Settings of PPO that steer it beyond the plain algorithm: groups, KL, clips, scores, steps, averages."""

from __future__ import annotations

import math

from tests.settings.effects.effect import Effect, Entry, Refused, becomes, rises
from tests.settings.effects.look import (
    also,
    first,
    last,
    metric,
    num_generates,
    num_steps,
    said,
    way_from_start,
)
from tests.settings.effects.seen import Seen

EPOCHS = ("ppo.ppo_epochs=2",)
GROUPS = ("critic=null", "ppo.advantages=leave_one_out", "ppo.samples_per_prompt=2")
# One step from two responses to one prompt, of 2 and of 6 tokens (the first ends with this token): what
# comes out can be computed from their scores.
PAIR = (
    *GROUPS,
    "policy.eos_token='>'",
    "ppo.num_updates=1",
    "ppo.rollout_batch_size=2",
    "ppo.minibatch_size=2",
    "ppo.whiten_advantages=false",
)
PAIR_WITH_CRITIC = ("ppo.samples_per_prompt=2", "ppo.gae_lambda=1.0", *PAIR[len(GROUPS) :])
FAR_ONE_STEP = ("reference={path: '{inputs}/other'}", "ppo.minibatch_size=8")
KL_IN_LOSS = (*FAR_ONE_STEP, "ppo.kl_in=loss", "ppo.kl_loss=k2")
PER_TOKEN = (
    "scores=[{function: '{inputs}/scores.py:count', per_token: true}]",
    "critic.init_from=policy",
)
AVERAGE = ("checkpoint.weights=average", "ppo.ema_decay=0.5")


def pair_and_gradient(seen: Seen) -> tuple[tuple[tuple[float, int], ...], float]:
    """Score and length of both responses of a `PAIR`, and the norm of their one gradient."""
    rows = [row for row in seen.samples if row["kind"] == "rollout"]
    norm = seen.metrics("ppo/policy_grad_norm")[0]
    return tuple((row["score"], row["response_tokens"]) for row in rows), norm


Pair = tuple[tuple[tuple[float, int], ...], float]


def without_size(before: Pair, after: Pair) -> bool:
    """Their advantages are 1 and -1, which was the difference of the scores."""
    ((one, _), (other, _)), norm = before
    return before[0] == after[0] and math.isclose(after[1] * abs(one - other), norm, rel_tol=1e-2)


def pair_and_returns(seen: Seen) -> Pair:
    """Score and length of both responses of a pair, and the mean return of all their tokens."""
    return pair_and_gradient(seen)[0], seen.metrics("ppo/return_mean")[0]


def whitened(before: Pair, after: Pair) -> bool:
    """The rewards of all tokens, 0 but for the last one's score, are scaled around their mean.

    With lambda 1 the return of a token is the sum of the rewards from there on.
    """
    pair, mean_return = before
    num_tokens = sum(length for _, length in pair)
    mean = sum(score for score, _ in pair) / num_tokens
    deviation = math.sqrt(sum(score**2 for score, _ in pair) / num_tokens - mean**2)

    def expected(scale: float, shift: float) -> float:
        returns = [score * scale + left * shift for score, length in pair for left in range(1, length + 1)]
        return sum(returns) / num_tokens

    plain, white = expected(1.0, 0.0), expected(1 / deviation, mean - mean / deviation)
    found = ((mean_return, plain), (after[1], white))
    return pair == after[0] and all(math.isclose(*each, rel_tol=1e-4) for each in found)


def prompts_of_samples(seen: Seen) -> int:
    """How many prompts the two responses of the first rollout that are written down answer."""
    return len({row["prompt_id"] for row in seen.samples if row["kind"] == "rollout" and row["step"] == 1})


def kl_in_the_reward(seen: Seen) -> bool:
    """Whether the rewards of the last update lack anything of the scores."""
    score, reward = (seen.metrics(f"ppo/{name}")[-1] for name in ("score", "reward"))
    return bool(abs(score - reward) > 1e-6)


def estimator(seen: Seen) -> str:
    """Which of the KL's estimates, nats a response, the loss of the first step is six times, a token's."""
    loss = 6 * seen.metrics("ppo/kl_loss")[0]
    return "".join(
        name for name in ("k2", "k3") if math.isclose(loss, seen.metrics(f"ppo/kl_{name}")[0], rel_tol=1e-4)
    )


def _shorter_way(before: float, after: float) -> bool:
    return 0 < abs(after) < abs(before) / 4


ENTRIES: tuple[Entry, ...] = (
    Effect(
        "ppo.samples_per_prompt",
        "2",
        "the first two responses answer one prompt",
        prompts_of_samples,
        becomes(2, 1),
    ),
    Effect(
        "ppo.advantages",
        "group_normalised",
        "the size of the scores' difference does not matter",
        pair_and_gradient,
        without_size,
        PAIR,
    ),
    Effect(
        "ppo.advantages",
        "leave_one_out",
        "no values",
        metric("ppo/value_mean"),
        lambda before, after: before and not after,
        along=GROUPS[::2],
    ),
    Effect(
        "ppo.whiten_rewards",
        "true",
        "the returns are what rewards scaled around their mean add up to",
        pair_and_returns,
        whitened,
        PAIR_WITH_CRITIC,
    ),
    Effect(
        "ppo.loss_average",
        "responses",
        "the advantages of two responses of different length add up to 0",
        first("ppo/policy_loss"),
        lambda before, after: abs(before) > 1e-3 and abs(after) < 1e-7,
        PAIR,
    ),
    Effect(
        "ppo.early_stop_kl",
        "1e-9",
        "each update stops after its second step",
        also(num_steps, metric("ppo/stopped_early")),
        becomes([8, [0.0, 0.0]], [4, [1.0, 1.0]]),
        EPOCHS,
    ),
    Effect(
        "ppo.critic_warmup_updates",
        "1",
        "the second rollout is by the policy as it starts",
        last("ppo/kl"),
        lambda before, after: before != 0 == after,
    ),
    Effect(
        "ppo.kl_in",
        "loss",
        "the rewards are the scores",
        kl_in_the_reward,
        becomes(True, False),
        along=("ppo.kl_loss=k2",),
    ),
    Effect(
        "ppo.kl_in",
        "loss",
        "the loss has a term for it",
        first("ppo/kl_loss"),
        lambda before, after: before == 0 < after,
        FAR_ONE_STEP,
        along=("ppo.kl_loss=k2",),
    ),
    Effect("ppo.kl_loss", "k3", "the other estimate", estimator, becomes("k2", "k3"), KL_IN_LOSS),
    Refused("ppo.kl_loss", "k3", "kl_loss (k2 or k3) is set where kl_in is loss"),
    Refused("ppo.gamma", "0.5", "gamma and gae_lambda are only read where advantages is gae", GROUPS),
    Refused("ppo.gae_lambda", "0.5", "gamma and gae_lambda are only read where advantages is gae", GROUPS),
    Refused("ppo.whiten_rewards", "true", "whiten_rewards scales rewards token by token", GROUPS),
    Effect("ppo.clip_range_high", "0.001", "more is clipped", last("ppo/clip_fraction"), rises, EPOCHS),
    Effect("ppo.dual_clip", "1.001", "bad tokens are clipped too", first("ppo/clip_fraction"), rises, EPOCHS),
    Effect("ppo.entropy_coef", "10.0", "more varied responses", last("ppo/entropy"), rises),
    Effect(
        "ppo.score_normalisation",
        "running",
        "the first rollout's scores have mean 0 and deviation 1",
        also(first("ppo/score"), first("ppo/score_std")),
        lambda before, after: abs(after[0]) < 1e-4 and abs(after[1] - 1) < 1e-3,
    ),
    Effect(
        "ppo.score_normalisation",
        "initial",
        "one more rollout is sampled first",
        num_generates,
        lambda before, after: after == before + 1,
    ),
    Effect(
        "ppo.score_normalisation",
        "initial",
        "scores are of size 1",
        first("ppo/score_std"),
        lambda before, after: before < 0.3 and 0.5 < after < 2,
    ),
    Refused("ppo.score_normalisation", "initial", "scores is all per_token", PER_TOKEN),
    Refused("ppo.score_clip", "1.0", "scores is all per_token", PER_TOKEN),
    Effect(
        "ppo.length_penalty",
        "0.5",
        "each of six tokens costs it",
        first("ppo/score"),
        lambda before, after: abs(before - after - 3) < 1e-5,
    ),
    Effect(
        "ppo.ema_decay",
        "0.99",
        "the average stays closer to the start",
        way_from_start,
        _shorter_way,
        AVERAGE,
    ),
    Effect(
        "checkpoint.weights",
        "average",
        "the average is saved",
        way_from_start,
        _shorter_way,
        along=("ppo.ema_decay=0.999",),
    ),
    Effect(
        "checkpoint.weights",
        "average",
        "the average is evaluated",
        last("evaluation/kl"),
        _shorter_way,
        along=("ppo.ema_decay=0.999",),
    ),
    Effect(
        "callbacks",
        "['{inputs}/diary.py:Diary']",
        "it is called after updates, evaluations and checkpoints",
        said("diary: (.*)"),
        becomes([], ["evaluate 0", "update 1", "save 1", "update 2", "evaluate 2", "save 2"]),
    ),
)
