"""Settings of what PPO's policy is rewarded for and how far an update goes."""

from __future__ import annotations

from tests.settings.effects.effect import Effect, becomes, falls, rises
from tests.settings.effects.look import (
    all_steps,
    first,
    last,
    metric,
    num_optimizers,
    num_steps,
    weights,
)
from tests.settings.effects.of_ppo_scores import TWO_EACH
from tests.settings.effects.seen import Seen

ADAPTIVE = ("ppo.kl_controller=adaptive", "ppo.kl_target=5.0", "ppo.kl_horizon=20")
FAR = ("reference={path: '{inputs}/other'}", *ADAPTIVE)  # with a KL that is above 0 from the start
EPOCHS = (
    "ppo.ppo_epochs=2",
)  # without a second look at a minibatch nothing has moved far enough to be clipped
FAST = (*EPOCHS, "ppo.learning_rate=0.3")
IN_LOSS = ("ppo.kl_in=loss", "ppo.kl_loss=k2", "ppo.kl_coef=1.0")
BRIEF = ("policy.path={inputs}/brief",)  # its responses are of different lengths
GROUPS = ("critic=null", "ppo.advantages=leave_one_out", *TWO_EACH)
AVERAGE = ("ppo.ema_decay=0.5", "checkpoint.weights=average")


def price_of_kl(seen: Seen) -> float:
    """What the rewards of the last update lack of the scores, for each nat of KL."""
    score, reward, kl = (seen.metrics(f"ppo/{name}")[-1] for name in ("score", "reward", "kl"))
    return round(float((score - reward) / kl), 4)


def asked(seen: Seen) -> int:
    """How many prompts the recorded responses of the first rollout answer."""
    return len({row["prompt_id"] for row in seen.samples if row["kind"] == "rollout" and row["step"] == 1})


KL = (
    Effect(
        "ppo.kl_controller",
        "adaptive",
        "the coefficient changes",
        metric("ppo/kl_coef"),
        lambda before, after: len(set(before)) == 1 and len(set(after)) == 2,
        along=ADAPTIVE[1:],
    ),
    Effect(
        "ppo.kl_target", "0.001", "a KL above it makes the coefficient rise", last("ppo/kl_coef"), rises, FAR
    ),
    Effect("ppo.kl_horizon", "50", "the coefficient falls slower", last("ppo/kl_coef"), rises, FAR),
    Effect("ppo.kl_coef", "0.5", "the price of a nat in the reward", price_of_kl, becomes(0.02, 0.5)),
    Effect(
        "ppo.kl_in",
        "loss",
        "a nat costs nothing in the reward",
        price_of_kl,
        becomes(0.02, 0.0),
        along=("ppo.kl_loss=k2",),
    ),
    Effect(
        "ppo.kl_in", "loss", "a nat costs in the loss", last("ppo/kl_loss"), rises, along=("ppo.kl_loss=k2",)
    ),
    Effect("ppo.kl_loss", "k3", "another estimate in the loss", last("ppo/kl_loss"), given=IN_LOSS),
)

CREDIT = (
    Effect("ppo.samples_per_prompt", "2", "each prompt is answered twice", asked, becomes(2, 1)),
    Effect(
        "ppo.advantages",
        "leave_one_out",
        "no critic learns",
        num_optimizers,
        becomes(2, 1),
        TWO_EACH,
        along=("critic=null",),
    ),
    Effect("ppo.advantages", "group_normalised", "another loss", first("ppo/policy_loss"), given=GROUPS),
    Effect("ppo.gamma", "0.5", "other returns", first("ppo/return_mean")),
    Effect("ppo.gae_lambda", "0.5", "other returns", first("ppo/return_mean")),
    Effect("ppo.whiten_rewards", "true", "other returns", first("ppo/return_mean")),
    Effect("ppo.whiten_advantages", "false", "another loss", first("ppo/policy_loss")),
)

LOSS = (
    Effect("ppo.loss_average", "responses", "another loss", first("ppo/policy_loss"), given=BRIEF),
    Effect("ppo.clip_range", "0.001", "more is clipped", last("ppo/clip_fraction"), rises, EPOCHS),
    Effect("ppo.clip_range_high", "0.001", "more is clipped", last("ppo/clip_fraction"), rises, EPOCHS),
    Effect("ppo.dual_clip", "1.01", "other weights", weights, given=FAST),
    Effect(
        "ppo.value_clip_range", "0.0001", "values are clipped", last("ppo/value_clip_fraction"), rises, EPOCHS
    ),
    Effect("ppo.entropy_coef", "10.0", "less sure of its choices", last("ppo/entropy"), rises),
    Effect("ppo.early_stop_kl", "1e-9", "fewer optimizer steps", num_steps, falls, EPOCHS),
    Effect("ppo.critic_warmup_updates", "1", "the policy waits for an update", all_steps, becomes(8, 6)),
    Effect(
        "ppo.ema_decay",
        "0.9",
        "the average of the weights is left instead of the last",
        weights,
        along=("checkpoint.weights=average",),
    ),
    Effect("ppo.ema_decay", "0.9", "another average", weights, given=AVERAGE),
    Effect(
        "checkpoint.weights",
        "average",
        "the average of the weights is left instead of the last",
        weights,
        along=("ppo.ema_decay=0.5",),
    ),
)

SCORES = (
    Effect(
        "ppo.score_normalisation",
        "initial",
        "scores are measured by the deviation of others from the same policy",
        first("ppo/score_std"),
        lambda before, after: before < 0.1 and 0.3 < after < 3,
    ),
    Effect(
        "ppo.score_normalisation",
        "running",
        "the scores of the first rollout have the deviation 1",
        first("ppo/score_std"),
        lambda before, after: before < 0.1 and abs(after - 1) < 1e-4,
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
    Effect(
        "ppo.length_penalty",
        "0.5",
        "it is subtracted six times from the score of six tokens",
        first("ppo/score"),
        lambda before, after: abs(before - after - 3) < 1e-5,
    ),
)

ENTRIES = (*KL, *CREDIT, *LOSS, *SCORES)
