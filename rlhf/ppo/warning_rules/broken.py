"""Rules: something is wired wrongly, so that nothing right can be learnt."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

from rlhf.ppo.warning_rules.memory import Memory, Rule

__all__ = ["RULES"]

# The reference is a copy: the KL is 0 but for rounding, 1e-6 nats a token in float32; in 16 bits up to 1e-2
# of either sign, so 1e-4 in the mean over a rollout. Another model differs by 0.01 nats a token or more.
KL_AT_START, KL_AT_START_PER_TOKEN = 1e-3, 1e-4
# Old and new log-probabilities come from the same forward pass on the same weights and are equal bit for bit.
# Other shapes or kernels move them by 1e-6 to 1e-5 in float32, and by 1e-2 in bfloat16 (8 bits).
FIRST_RATIO_ERROR = 1e-4
# Five rollouts without one end are hundreds of responses.
NO_END_UPDATES = 5
# One cut response may score anything, so the mean of eight updates must be four standard errors above 0.
# Simulated over 60 updates with one cut response each, its lead of deviation 1: told in 1 run of 1,000 where
# cut responses score lower by 0.5 on average, in 99 of 100 where higher by 1.
CUT_UPDATES = 8
# At a KL of 0.01, ten rollouts of 128 responses measure it to 0.004 nats. Where it is noisier than that, the
# updates themselves show it: four standard errors, as the question is put after every update.
NEGATIVE_KL_UPDATES, NEGATIVE_KL, STANDARD_ERRORS = 10, -0.01, 4.0
# float32 scores that differ at all differ by more.
EQUAL_UPDATES, EQUAL_SCORES = 5, 1e-6


def _kl_at_start(kl_name: str, tokens_name: str, first_step: int) -> Callable[[Memory], str | None]:
    def find(seen: Memory) -> str | None:
        kl = seen.now(kl_name)
        rounding = max(KL_AT_START, KL_AT_START_PER_TOKEN * seen.now(tokens_name))
        if seen.step(kl_name) > first_step or abs(kl) <= rounding:
            return None
        return (
            f"the KL from the reference is {kl:.3g} nats a response before anything was learnt, and must be "
            "0: the reference is not the policy as it starts. Look for a base model in the place of the SFT "
            "model (policy.path, reference), a 16-bit policy.dtype, a model with randomness of its own, and "
            "a policy.chat_template or sampling.temperature that only one of the two follows."
        )

    return find


def _first_ratio(seen: Memory) -> str | None:
    error = seen.now("ppo/first_ratio_error")
    if error <= FIRST_RATIO_ERROR:
        return None
    return (
        f"before the first step of an update, the ratio of new to old probability is {error:.2g} away from 1 "
        f"(rounding: below {FIRST_RATIO_ERROR:g}): rollout and update compute log-probabilities differently, "
        "and clipping acts on the difference. Try ppo.mixed_precision=no and policy.dtype=float32; if it "
        "stays, the model itself is random (dropout, routing) or depends on what else is in the batch."
    )


def _no_response_ends(seen: Memory) -> str | None:
    ended = seen.last("ppo/ended_fraction", NO_END_UPDATES)
    if not ended or max(ended) > 0:
        return None
    tokens = seen.now("ppo/response_tokens")
    ever = seen.highest["ppo/ended_fraction"] > 0
    return (
        f"no response of the last {NO_END_UPDATES} updates ended before the length limit"
        f"{f' (mean length {tokens:.0f} tokens)' if tokens else ''}: "
        f"{'the policy has learnt to run on' if ever else 'its end token is never trained'}. "
        "Raise sampling.max_response_tokens, and check that policy.eos_token and policy.chat_template are "
        "those of SFT. With ppo.missing_eos_score all of them score the same, and nothing is learnt from "
        "that; where all responses are meant to be equally long, set it to null."
    )


def _cut_pays(seen: Memory) -> str | None:
    lead = seen.last("ppo/cut_score_lead", CUT_UPDATES)
    if not lead or statistics.fmean(lead) <= STANDARD_ERRORS * statistics.stdev(lead) / math.sqrt(len(lead)):
        return None
    return (
        "responses that were cut at the length limit score higher than those that ended (by "
        f"{statistics.fmean(lead):.2g} in the mean of the last {len(lead)} updates with both): running on "
        "pays. A reward model has learnt to read complete responses, and what it says of others means "
        "nothing. Set ppo.missing_eos_score, which replaces their score, below what bad responses score; "
        "where long responses are wanted, raise sampling.max_response_tokens."
    )


def _nothing_counts(seen: Memory) -> str | None:
    if seen.now("ppo/num_tokens") > 0:
        return None
    return (
        "no response token of the rollout counts, so that nothing can be learnt from it. Even an empty "
        "response counts its end token: look at the masks that rollout code of your own makes, and at "
        "samples.jsonl, policy.eos_token and policy.chat_template."
    )


def _negative_kl(seen: Memory) -> str | None:
    kl = seen.last("ppo/kl", NEGATIVE_KL_UPDATES)
    if not kl:
        return None
    mean, error = statistics.fmean(kl), statistics.stdev(kl) / math.sqrt(len(kl))
    if mean >= NEGATIVE_KL or mean + STANDARD_ERRORS * error >= 0:
        return None
    return (
        f"the KL from the reference is {mean:.3g} nats a response in the mean of {len(kl)} updates, and a KL "
        "cannot be negative: responses are not drawn from the distribution that their log-probabilities are "
        "computed from. Sample at sampling.temperature and nothing else: no top_k, top_p, min_p, repetition "
        "penalty or forced token left over in a generation config, and no other copy of the weights."
    )


def _equal_scores(seen: Memory) -> str | None:
    spread = seen.last("ppo/score_std", EQUAL_UPDATES)
    if not spread or max(spread) > EQUAL_SCORES:
        return None
    return (
        f"all responses of each of the last {len(spread)} updates got the same score, so that there is "
        "nothing to prefer. Look at the scores in samples.jsonl: a function in `scores` that is constant, a "
        "ppo.score_clip that all scores exceed, or a ppo.missing_eos_score that replaces all of them."
    )


RULES = (
    Rule(
        "kl_at_start",
        ("evaluation/kl",),
        _kl_at_start("evaluation/kl", "evaluation/response_tokens", 0),
        ("evaluation/response_tokens",),
    ),
    Rule(
        "kl_at_start",
        ("ppo/kl",),
        _kl_at_start("ppo/kl", "ppo/response_tokens", 1),
        ("ppo/response_tokens",),
    ),
    Rule("first_ratio", ("ppo/first_ratio_error",), _first_ratio),
    Rule("no_response_ends", ("ppo/ended_fraction",), _no_response_ends, ("ppo/response_tokens",)),
    Rule("cut_pays", ("ppo/cut_score_lead",), _cut_pays),
    Rule("nothing_counts", ("ppo/num_tokens",), _nothing_counts),
    Rule("negative_kl", ("ppo/kl",), _negative_kl),
    Rule("equal_scores", ("ppo/score_std",), _equal_scores),
)
