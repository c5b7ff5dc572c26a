"""Means, win rates and their 95 % intervals over prompts, from answers to the same prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rlhf.evaluation.intervals import bootstrap_interval
from rlhf.evaluation.report.answers import Answer
from rlhf.evaluation.winrate import WinRate, win_rate

__all__ = [
    "compare",
    "describe_answers",
    "describe_families",
    "judged_by",
    "measured_scores",
    "scores_side_by_side",
]

JUDGE, REWARD_MODEL = "judge", "reward_model"


def judged_by(answers: Mapping[str, Sequence[Answer]]) -> str | None:
    """Say what compares answers: the judge where there is one, else the reward model, else nothing."""
    every = [answer for of_policy in answers.values() for answer in of_policy]
    if not every:
        return None
    if all("score" in answer.verdict for answer in every):
        return JUDGE
    return REWARD_MODEL if all(answer.reward_score is not None for answer in every) else None


def measured_scores(answers: Sequence[Answer], by: str) -> list[float]:
    """Return the judge's score of each answer, one of the judge's criteria, or the reward model's score.

    The reward model's only of the answers that ended, since it has learnt to read complete ones; of all where
    none did.
    """
    if by == REWARD_MODEL:
        scored = [answer for answer in answers if answer.ended] or answers
        return [float(answer.reward_score or 0.0) for answer in scored]
    return [answer.verdict["score" if by == JUDGE else by] for answer in answers]


def scores_side_by_side(
    ours: Sequence[Answer], theirs: Sequence[Answer], by: str
) -> tuple[list[float], list[float]]:
    """Return the scores of both, one an answer, such that the higher of a pair is the better answer.

    What the reward model says of an answer that was cut means nothing, and may be the highest score of all:
    by the reward model such an answer loses against every one that ended, and ties with another that was cut.
    """
    if by != REWARD_MODEL:
        return measured_scores(ours, by), measured_scores(theirs, by)
    lowest = min((float(a.reward_score or 0.0) for a in (*ours, *theirs) if a.ended), default=0.0)

    def stand(answers: Sequence[Answer]) -> list[float]:
        return [float(a.reward_score or 0.0) if a.ended else lowest - 1.0 for a in answers]

    return stand(ours), stand(theirs)


def describe_answers(answers: Sequence[Answer], *, seed: int) -> dict[str, Any]:
    """Describe one policy's answers.

    Returns:
        judge_score and reward_score (of those that ended) with `_low` and `_high`, criteria (and
        criteria_low, criteria_high), response_tokens (mean, end token included), ended_fraction, kl (nats a
        response); what was not measured is missing.
    """
    found: dict[str, Any] = {}
    if "score" in answers[0].verdict:
        found |= _named("judge_score", measured_scores(answers, JUDGE), seed)
        criteria = [name for name in answers[0].verdict if name != "score"]
        intervals = {name: bootstrap_interval(measured_scores(answers, name), seed=seed) for name in criteria}
        if criteria:
            found["criteria"] = {name: interval.value for name, interval in intervals.items()}
            found["criteria_low"] = {name: interval.low for name, interval in intervals.items()}
            found["criteria_high"] = {name: interval.high for name, interval in intervals.items()}
    if answers[0].reward_score is not None:
        found |= _named("reward_score", measured_scores(answers, REWARD_MODEL), seed)
    kl = [answer.kl for answer in answers if answer.kl is not None]
    if kl:
        found |= _named("kl", kl, seed)
    found |= _named("response_tokens", [float(answer.tokens) for answer in answers], seed)
    found["ended_fraction"] = fmean(answer.ended for answer in answers)
    return found


def compare(ours: Sequence[Answer], theirs: Sequence[Answer], other: str, *, seed: int) -> dict[str, Any]:
    """Compare two policies' answers to the same prompts; ties count one half.

    Args:
        ours: answers of the one.
        theirs: answers of the other, in the same order of prompts.
        other: the other's name, part of the keys.
        seed: of the intervals.

    Returns:
        win_rate_vs_<other> with `_low` and `_high`, wins_vs_, ties_vs_, losses_vs_, by the judge (else by
        the reward model), criteria_win_rate_vs_<other> (and `_low`, `_high`) by each of the judge's
        criteria, and reward_win_rate_vs_<other> by the reward model; what was not measured is missing.
    """
    assert [answer.row for answer in ours] == [answer.row for answer in theirs], "not the same prompts"
    both = {"ours": ours, "theirs": theirs}
    by = judged_by(both)
    if by is None:
        return {}
    key = f"win_rate_vs_{other}"
    overall = _win_rate(ours, theirs, by, seed)
    found: dict[str, Any] = {
        key: overall.value,
        f"{key}_low": overall.low,
        f"{key}_high": overall.high,
        f"wins_vs_{other}": overall.num_wins,
        f"ties_vs_{other}": overall.num_ties,
        f"losses_vs_{other}": overall.num_losses,
    }
    criteria = [name for name in ours[0].verdict if name != "score"] if by == JUDGE else []
    rates = {name: _win_rate(ours, theirs, name, seed) for name in criteria}
    if rates:
        found[f"criteria_{key}"] = {name: rate.value for name, rate in rates.items()}
        found[f"criteria_{key}_low"] = {name: rate.low for name, rate in rates.items()}
        found[f"criteria_{key}_high"] = {name: rate.high for name, rate in rates.items()}
    if ours[0].reward_score is not None and theirs[0].reward_score is not None:
        rate = _win_rate(ours, theirs, REWARD_MODEL, seed)
        found |= {
            f"reward_{key}": rate.value,
            f"reward_{key}_low": rate.low,
            f"reward_{key}_high": rate.high,
        }
    return found


def describe_families(
    answers: Mapping[str, Sequence[Answer]], families: Sequence[str | None], *, seed: int
) -> dict[str, Any]:
    """Describe each family of prompts by itself.

    Args:
        answers: of each policy, in the order of the prompts.
        families: of each prompt; None stands in no family.
        seed: of the intervals.

    Returns:
        For each family in alphabetical order num_prompts, score.<policy> (the judge's, else the reward
        model's), tokens.<policy>, and win_rate_vs_sft with `_low` and `_high` where both are there; empty
        with fewer than two families.
    """
    by = judged_by(answers)
    names = sorted({family for family in families if family is not None})
    if by is None or len(names) < 2:
        return {}
    found: dict[str, Any] = {}
    for name in names:
        rows = [row for row, family in enumerate(families) if family == name]
        inside = {policy: [of_policy[row] for row in rows] for policy, of_policy in answers.items()}
        found[name] = {
            "num_prompts": len(rows),
            "score": {policy: fmean(measured_scores(some, by)) for policy, some in inside.items()},
            "response_tokens": {policy: fmean(a.tokens for a in some) for policy, some in inside.items()},
        }
        if "ppo" in inside and "sft" in inside:
            rate = _win_rate(inside["ppo"], inside["sft"], by, seed)
            found[name] |= {
                "win_rate_vs_sft": rate.value,
                "win_rate_vs_sft_low": rate.low,
                "win_rate_vs_sft_high": rate.high,
            }
    return found


def _win_rate(ours: Sequence[Answer], theirs: Sequence[Answer], by: str, seed: int) -> WinRate:
    return win_rate(*scores_side_by_side(ours, theirs, by), seed=seed)


def _named(name: str, values: Sequence[float], seed: int) -> dict[str, float]:
    interval = bootstrap_interval(values, seed=seed)
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
