"""All numbers together: what goes to summary.json, and the table that a run of all stages ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlhf.evaluation.report.answers import Answer
from rlhf.evaluation.report.numbers import compare, describe_answers, describe_families, judged_by
from rlhf.evaluation.report.stage_runs import StageRun

__all__ = ["POLICIES", "build_summary", "families_table", "policies_table", "reward_table", "win_line"]

POLICIES = ("base", "sft", "ppo")
NAMES = {"base": "base", "sft": "SFT", "ppo": "PPO"}
COMPARED_BY = {"judge": "the judge", "reward_model": "the reward model"}


def build_summary(
    runs: Mapping[str, StageRun],
    sampled: Mapping[str, Sequence[Answer]],
    greedy: Mapping[str, Sequence[Answer]],
    families: Sequence[str | None],
    *,
    seed: int,
    temperature: float,
    judge: str | None = None,
    versions: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Put everything together as nested objects of numbers.

    Args:
        runs: the stages that have run.
        sampled: answers of base, sft and ppo (those that are there) drawn at `temperature`.
        greedy: their likeliest answers; may be empty.
        families: of each prompt, None where it has none.
        seed: of answers and intervals.
        temperature: of `sampled`.
        judge: its name.
        versions: of the libraries.
        notes: what a reader has to know.

    Returns:
        ``base``, ``sft``, ``ppo``: what `describe_answers` and `compare` give, with ``greedy`` (the same of
        the likeliest answers) and ``training`` (the stage's own numbers); ``reward``: the stage's own
        numbers; ``families``, ``seconds``, ``num_prompts``, ``compared_by``, ``judge``, ``seed``,
        ``temperature``, ``versions``, ``warnings`` (of the runs, each with its ``stage``), ``notes``.
    """
    found: dict[str, Any] = {
        "num_prompts": len(families),
        "compared_by": judged_by(sampled),
        "judge": judge,
        "temperature": temperature,
        "seed": seed,
    }
    for policy in POLICIES:
        numbers = _policy(policy, sampled, seed)
        if policy in greedy:
            numbers["greedy"] = _policy(policy, greedy, seed)
        if policy in runs:
            numbers["training"] = _own(runs[policy])
        if numbers:
            found[policy] = numbers
    if "reward" in runs:
        found["reward"] = _own(runs["reward"])
    found["families"] = describe_families(sampled, families, seed=seed)
    found["seconds"] = {stage: run.seconds for stage, run in runs.items()}
    found["versions"] = dict(versions or {})
    found["warnings"] = [
        {"stage": stage, **warning} for stage, run in runs.items() for warning in run.warnings
    ]
    found["notes"] = list(notes)
    return found


def _policy(policy: str, answers: Mapping[str, Sequence[Answer]], seed: int) -> dict[str, Any]:
    if not answers.get(policy):
        return {}
    found = describe_answers(answers[policy], seed=seed)
    for other in POLICIES[: POLICIES.index(policy)][::-1]:
        if answers.get(other):
            found |= compare(answers[policy], answers[other], other, seed=seed)
    return found


def _own(run: StageRun) -> dict[str, Any]:
    """Return a stage's own numbers without what the summary says elsewhere."""
    return {name: value for name, value in run.summary.items() if name not in ("stage", "seconds")}


def policies_table(summary: Mapping[str, Any], *, greedy: bool = False) -> tuple[list[list[str]], list[str]]:
    """Return rows and headers: one measure a row, one policy a column, intervals in brackets."""
    columns = {name: summary[name] for name in POLICIES if "response_tokens" in summary.get(name, {})}
    if greedy:
        columns = {name: numbers["greedy"] for name, numbers in columns.items() if "greedy" in numbers}
    if not columns:
        return [], []
    measures = [("judge score", "judge_score"), *_criteria(columns)]
    measures += [("reward model's score, of those that ended", "reward_score"), ("KL from SFT (nats)", "kl")]
    measures += [("answer length (tokens)", "response_tokens"), ("ended by itself", "ended_fraction")]
    for other in ("sft", "base"):
        measures.append((f"win rate against {NAMES[other]}", f"win_rate_vs_{other}"))
    rows = [
        [title, *(_with_interval(numbers, key) for numbers in columns.values())] for title, key in measures
    ]
    return [row for row in rows if any(cell != "-" for cell in row[1:])], [
        "likeliest answers" if greedy else "sampled answers",
        *(NAMES[name] for name in columns),
    ]


def _criteria(columns: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    names = dict.fromkeys(name for numbers in columns.values() for name in numbers.get("criteria", {}))
    return [(f"  {name}", f"criteria.{name}") for name in names]


def _with_interval(numbers: Mapping[str, Any], key: str) -> str:
    section, _, name = key.rpartition(".")
    values = [
        numbers.get(f"{section}{suffix}", {}).get(name) if section else numbers.get(f"{key}{suffix}")
        for suffix in ("", "_low", "_high")
    ]
    if values[0] is None:
        return "-"
    text = f"{values[0]:.3f}"
    return text if None in values else f"{text} [{values[1]:.3f}, {values[2]:.3f}]"


REWARD_ROWS = (
    ("agrees with the judge", "pair_accuracy_judge"),
    ("agrees with the labels", "pair_accuracy_labels"),
    ("judge agrees with the labels (the ceiling)", "judge_accuracy_labels"),
    ("two labelers agree", "labeler_agreement"),
    ("the longer response wins", "longer_wins"),
    ("the first response wins", "first_wins"),
)


def reward_table(summary: Mapping[str, Any]) -> tuple[list[list[Any]], list[str]]:
    """Return rows and headers: the reward model's accuracy beside its ceiling and its baselines."""
    numbers = summary.get("reward", {})
    rows = [
        [title, *(numbers.get(f"{key}{suffix}") for suffix in ("", "_low", "_high"))]
        for title, key in REWARD_ROWS
        if numbers.get(key) is not None
    ]
    return rows, ["reward model, held-out pairs", "share", "low", "high"]


def families_table(summary: Mapping[str, Any]) -> tuple[list[list[Any]], list[str]]:
    """Return rows and headers: one family of prompts a row."""
    families = summary["families"]
    policies = [name for name in POLICIES if any(name in one["score"] for one in families.values())]
    rows = [
        [
            name,
            one["num_prompts"],
            *(one["score"].get(policy) for policy in policies),
            *(one.get(f"win_rate_vs_sft{suffix}") for suffix in ("", "_low", "_high")),
        ]
        for name, one in families.items()
    ]
    headers = ["family", "prompts", *(NAMES[name] for name in policies), "PPO beats SFT", "low", "high"]
    if all(row[-1] is None for row in rows):
        return [row[:-3] for row in rows], headers[:-3]
    return rows, headers


def win_line(summary: Mapping[str, Any]) -> str | None:
    """Say the result in one sentence; None where PPO and SFT were not compared."""
    numbers = summary.get("ppo", {})
    if "win_rate_vs_sft" not in numbers:
        return None
    rate, low, high = (numbers[f"win_rate_vs_sft{suffix}"] for suffix in ("", "_low", "_high"))
    by = COMPARED_BY[summary["compared_by"]]
    return (
        f"PPO beats SFT on {rate:.1%} [{low:.1%}, {high:.1%}] of {summary['num_prompts']:,} unseen prompts, "
        f"by {by}; ties count half"
    )
