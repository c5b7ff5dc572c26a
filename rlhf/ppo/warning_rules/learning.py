"""Rules: the parts are right, but learning goes wrong."""

from __future__ import annotations

import math
import statistics

from rlhf.ppo.warning_rules.memory import Memory, Rule

__all__ = ["RULES"]

# A new critic needs some updates (ours five). Noise around 0 is below it 20 times in a row once in a million.
USELESS_CRITIC_UPDATES = 20
# A quarter of the variance of the scores goes with length. A rollout of 64 measures r to 0.12, ten to 0.04.
LENGTH_UPDATES, LENGTH_CORRELATION = 10, 0.5
# 0.1 nats are 1.1 choices a token. Who starts almost certain is none the worse, so it must have fallen, too.
ENTROPY_UPDATES, ENTROPY, ENTROPY_SHARE = 5, 0.1, 0.25
# On average the reference gives each token a third of the policy's probability; healthy runs have 0.01 to 0.4
# nats a token. Responses of a token or two may go as far without harm.
RUNAWAY_UPDATES, RUNAWAY_KL_PER_TOKEN, RUNAWAY_KL = 5, 1.0, 10.0
# Usual: up to 0.3. Beyond, much of each update is thrown away.
CLIPPED_UPDATES, CLIP_FRACTION = 5, 0.4
# Two evaluations in a row must agree. The fall must be four standard deviations of one evaluation, and a
# fifth of all that the held-out score ever moved. Simulated with 20 evaluations: a held-out score that rises
# with the score and stays up never fires, one that only jitters does in 3 runs of 100.
FALLING_EVALUATIONS, AGREEING, FALL_NOISE, FALL_SHARE = 6, 2, 4.0, 0.2


def _useless_critic(seen: Memory) -> str | None:
    explained = seen.last("ppo/explained_variance", USELESS_CRITIC_UPDATES)
    if not explained or max(explained) >= 0:
        return None
    return (
        f"the critic's explained variance has been below 0 for {len(explained)} updates (median "
        f"{statistics.median(explained):.2f}): its values add noise to the advantages instead of removing "
        "it. Raise critic.learning_rate or ppo.critic_warmup_updates, start it with "
        "critic.init_from=reward, loosen ppo.value_clip_range, or do without (ppo.advantages=leave_one_out)."
    )


def _score_follows_length(seen: Memory) -> str | None:
    found = seen.last("ppo/score_length_correlation", LENGTH_UPDATES)
    if not found:
        return None
    mean = statistics.fmean(found)
    if abs(mean) <= LENGTH_CORRELATION or min(found) * max(found) <= 0:
        return None
    if mean > 0:
        way = "longer"
        advice = "raise ppo.length_penalty"
    else:
        way = "shorter"
        advice = (
            "raise sampling.max_response_tokens where many are cut, lower ppo.length_penalty, or let a cut "
            "response cost less (a higher ppo.missing_eos_score, a lower ppo.missing_eos_penalty)"
        )
    return (
        f"score and length of responses go together (correlation {mean:+.2f}, mean of {len(found)} updates): "
        f"being {way} pays, whatever is said. Read samples.jsonl; if {way} responses are not better ones, "
        f"{advice}, or train the reward model on rankings that length does not decide."
    )


def _entropy_collapsed(seen: Memory) -> str | None:
    now = seen.last("ppo/entropy", ENTROPY_UPDATES)
    first, recent = seen.first["ppo/entropy"], seen.recent["ppo/entropy"]
    if not now or recent[-ENTROPY_UPDATES][0] <= first[-1][0]:  # still the beginning
        return None
    start, mean = statistics.fmean(value for _, value in first), statistics.fmean(now)
    if mean >= min(ENTROPY, ENTROPY_SHARE * start):
        return None
    return (
        f"the policy's entropy has fallen from {start:.2f} to {mean:.2g} nats a token: it gives nearly the "
        "same response each time and has nothing left to compare. If the responses in samples.jsonl are "
        "alike, start again with a higher ppo.entropy_coef or ppo.kl_coef, or a lower ppo.learning_rate or "
        "ppo.ppo_epochs."
    )


def _kl_runaway(seen: Memory) -> str | None:
    kl, per_token = (seen.last(name, RUNAWAY_UPDATES) for name in ("ppo/kl", "ppo/kl_per_token"))
    if not kl or not per_token or min(kl) <= RUNAWAY_KL or min(per_token) <= RUNAWAY_KL_PER_TOKEN:
        return None
    return (
        f"the policy has run away from the reference (KL {kl[-1]:.3g} nats a response, {per_token[-1]:.2f} a "
        "token): its responses are unlike those that the reward model was trained on, so their scores mean "
        "little. Raise ppo.kl_coef (adaptive: lower ppo.kl_target) or lower ppo.learning_rate."
    )


def _much_clipped(seen: Memory) -> str | None:
    clipped = seen.last("ppo/clip_fraction", CLIPPED_UPDATES)
    if not clipped or statistics.fmean(clipped) <= CLIP_FRACTION:
        return None
    return (
        f"{statistics.fmean(clipped):.0%} of the tokens of the last {len(clipped)} updates were clipped "
        "(usual: below 30%): the policy moves too far within an update. Lower ppo.learning_rate or "
        "ppo.ppo_epochs, raise ppo.minibatch_size, or set ppo.early_stop_kl."
    )


def _over_optimised(seen: Memory) -> str | None:
    scores: dict[int, float] = dict(map(tuple, seen.recent["evaluation/score"]))
    points = [(step, value) for step, value in seen.recent["evaluation/held_out_score"] if step in scores]
    if len(points) < FALLING_EVALUATIONS:
        return None
    steps, held = [step for step, _ in points], [value for _, value in points]
    ours = [scores[step] for step in steps]
    # What two neighbours both reach, so that no single evaluation decides.
    reached = [min(held[i : i + AGREEING]) for i in range(len(held) - AGREEING)]
    peak = max(range(len(reached)), key=reached.__getitem__)
    now = max(held[-AGREEING:])
    fall = reached[peak] - now
    # Of numbers that only jitter, the highest is always well above the last. So the peak must also be above
    # the first, or the last below it.
    moved = max(reached[peak] - held[0], held[0] - now)
    if min(fall, moved) <= FALL_NOISE * _noise(held) or fall <= FALL_SHARE * (max(held) - min(held)):
        return None
    before, after = statistics.fmean(ours[peak : peak + AGREEING]), statistics.fmean(ours[-AGREEING:])
    if after <= before:
        return None
    return (
        f"the score of held-out prompts still rises (from {before:.3g} at update {steps[peak]} to "
        f"{after:.3g}) while that of the held-out reward model falls (from {reached[peak]:.3g} to "
        f"{now:.3g}): the policy now learns what the reward model overrates. Stop near update "
        f"{steps[peak + AGREEING - 1]} (ppo.num_updates), raise ppo.kl_coef, or combine several reward "
        "models (scores)."
    )


def _noise(values: list[float]) -> float:
    """Estimate the standard deviation of one value around a smooth course.

    Second differences of a straight line are 0; those of independent noise have 6 times its variance. Their
    median (of a normal: 0.6745 standard deviations) does not mind the steep beginning.
    """
    bends = [abs(values[i + 1] - 2 * values[i] + values[i - 1]) for i in range(1, len(values) - 1)]
    return statistics.median(bends) / (0.6745 * math.sqrt(6))


RULES = (
    Rule("useless_critic", ("ppo/explained_variance",), _useless_critic),
    Rule("score_follows_length", ("ppo/score_length_correlation",), _score_follows_length),
    Rule("entropy_collapsed", ("ppo/entropy",), _entropy_collapsed),
    Rule("kl_runaway", ("ppo/kl", "ppo/kl_per_token"), _kl_runaway),
    Rule("much_clipped", ("ppo/clip_fraction",), _much_clipped),
    Rule("over_optimised", ("evaluation/score", "evaluation/held_out_score"), _over_optimised),
)
