"""Parts of the page: the headline, what was trained on what, the reward model, the curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlhf.evaluation.report.curves import panels_of
from rlhf.evaluation.report.figures import calibration_figure, panel_figure
from rlhf.evaluation.report.markup import Html, breakable, intervals, number, percent, tag
from rlhf.evaluation.report.stage_runs import StageRun, calibration_bins
from rlhf.evaluation.report.summary import COMPARED_BY, NAMES, POLICIES, REWARD_ROWS
from rlhf.runs.clock import format_seconds

__all__ = [
    "curves_section",
    "headline",
    "reward_section",
    "training_section",
]

STAGE_NAMES = {"sft": "Supervised fine-tuning", "reward": "Reward model", "ppo": "PPO"}
# What a reader asks about first, by stage: settings (dotted) and numbers of the stage's summary.
SETTINGS = {
    "sft": ("sft.epochs", "sft.learning_rate", "sft.batch_size", "lora.rank"),
    "reward": ("reward.epochs", "reward.learning_rate", "reward.batch_size", "reward.loss", "lora.rank"),
    "ppo": (
        *("ppo.num_updates", "ppo.rollout_batch_size", "ppo.ppo_epochs", "ppo.learning_rate"),
        *("ppo.kl_controller", "ppo.kl_coef", "ppo.clip_range", "sampling.temperature", "lora.rank"),
    ),
}
NUMBERS = {
    "sft": (
        ("num_demonstrations", "demonstrations"),
        ("num_steps", "steps"),
        ("num_parameters", "parameters"),
    ),
    "reward": (("num_rankings", "rankings"), ("num_steps", "steps"), ("num_parameters", "parameters")),
    "ppo": (
        ("num_episodes", "responses learnt from"),
        ("exported_update", "saved after update"),
        ("num_parameters", "parameters"),
    ),
}


def headline(summary: Mapping[str, Any], title: str) -> Html:
    """Say the result first: one big number, and the scores of base, SFT and PPO beside each other."""
    numbers = summary.get("ppo", {})
    cards = []
    if "win_rate_vs_sft" in numbers:
        low, high = numbers["win_rate_vs_sft_low"], numbers["win_rate_vs_sft_high"]
        words = (
            f"of {summary['num_prompts']:,} unseen prompts are answered better by PPO than by SFT, "
            f"as {COMPARED_BY[summary['compared_by']]} sees it; ties count half. "
            f"95 % interval {100 * low:.1f} to {100 * high:.1f} %."
        )
        big = tag("div", percent(numbers["win_rate_vs_sft"]), tag("small", words), class_="big")
        cards.append(tag("div", big, class_="card"))
    key = "judge_score" if summary["compared_by"] == "judge" else "reward_score"
    rows = [
        (NAMES[name], *(summary[name].get(f"{key}{suffix}") for suffix in ("", "_low", "_high")), name)
        for name in POLICIES
        if key in summary.get(name, {})
    ]
    if rows and key == "judge_score":
        ladder = intervals(rows, label="Judge score of each policy", show="{:.3f}".format)
        cards.append(tag("div", tag("b", "Judge score, mean over prompts"), ladder, class_="card"))
    notes = summary["notes"]
    warning = tag("div", tag("b", "Note"), tag("ul", *(tag("li", n) for n in notes)), class_="card warn")
    return tag(
        "header",
        tag("p", "RLHF report", class_="kicker"),
        tag("h1", title),
        warning if notes else None,
        tag("div", *cards, class_="hero") if cards else None,
    )


def training_section(runs: Mapping[str, StageRun]) -> Html:
    """Say what was trained on what, how large, how long."""
    cards = [_stage_card(run) for run in runs.values()]
    return tag(
        "section",
        tag("h2", "What was trained on what"),
        tag("p", "Each stage starts from what the one before has left.", class_="lead"),
        tag("div", *cards, class_="grid"),
        *(_warnings_card(run) for run in runs.values() if run.warnings),
        id="training",
    )


def _stage_card(run: StageRun) -> Html:
    start = run.config.get("policy" if run.stage == "ppo" else "model") or {}
    facts: list[tuple[str, Any]] = [("starts from", start.get("path"))]
    scores = [one.get("model") or one.get("function") for one in run.config.get("scores") or []]
    facts.append(("scored by", ", ".join(map(str, scores)) if scores else None))
    sources = (run.config.get("data") or {}).get("train") or []
    facts.append(("data", ", ".join(str(source.get("path")) for source in sources) or None))
    facts += [(title, run.summary.get(name)) for name, title in NUMBERS[run.stage]]
    facts += [
        (key.partition(".")[2].replace("_", " "), _setting(run.config, key)) for key in SETTINGS[run.stage]
    ]
    shown = [(title, breakable(number(value))) for title, value in facts if value is not None]
    spent = format_seconds(run.seconds) if run.seconds is not None else ""
    return tag(
        "div",
        tag("div", tag("b", STAGE_NAMES[run.stage]), tag("small", spent), class_="step"),
        tag("dl", *(piece for title, value in shown for piece in (tag("dt", title), tag("dd", value)))),
        class_=f"card {run.stage}",
    )


def _warnings_card(run: StageRun) -> Html:
    """Show what the run's numbers gave away while it trained, in the order in which it did."""
    unit = "update" if run.stage == "ppo" else "step"
    items = [tag("li", tag("b", f"{unit} {warning['step']}: "), warning["text"]) for warning in run.warnings]
    return tag("div", tag("b", f"{STAGE_NAMES[run.stage]}: warnings"), tag("ul", *items), class_="card warn")


def _setting(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for step in key.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def reward_section(summary: Mapping[str, Any], run: StageRun | None) -> Html | None:
    """Show how good the reward model is, beside its ceiling and what anybody gets without one."""
    if run is None:
        return None
    numbers = summary["reward"]
    colours = {"pair_accuracy_judge": "reward", "pair_accuracy_labels": "reward"}
    rows = [
        (
            title,
            numbers[key],
            numbers.get(f"{key}_low"),
            numbers.get(f"{key}_high"),
            colours.get(key, "alt" if key == "judge_accuracy_labels" else "base"),
        )
        for title, key in REWARD_ROWS
        if numbers.get(key) is not None
    ]
    bins = calibration_bins(run)
    facts = [
        (title, number(numbers[key]))
        for key, title in (
            ("num_pairs", "held-out pairs"),
            ("num_prompts", "of so many prompts"),
            ("log_loss", "log loss, nats a pair (a coin: 0.693)"),
            ("calibration_error", "calibration error"),
            ("score_std", "spread of its scores"),
            ("score_length_correlation", "correlation of score and length"),
            ("sft_score_mean", "mean score of SFT samples"),
        )
        if numbers.get(key) is not None
    ]
    listed = tag("dl", *(piece for t, v in facts for piece in (tag("dt", t), tag("dd", v))))
    return tag(
        "section",
        tag("h2", "Does the reward model know?"),
        tag(
            "p",
            "Share of held-out pairs put in the right order, ties half. Labels are noisy: what the judge "
            "itself gets on them is the ceiling. The line at one half is a coin.",
            class_="lead",
        ),
        intervals(rows, label="Accuracy of the reward model beside its baselines", mark=0.5)
        if rows
        else None,
        tag(
            "div",
            calibration_figure(bins) if bins else None,
            tag("div", tag("b", "In numbers"), listed, class_="card"),
            class_="grid",
        ),
        id="reward",
    )


def curves_section(summary: Mapping[str, Any], runs: Mapping[str, StageRun]) -> Html | None:
    """Draw what was recorded while the stages trained."""
    ceiling = summary.get("reward", {}).get("judge_accuracy_labels")
    lines = {"reward": {"Accuracy": (ceiling, "ceiling: the judge")}} if ceiling is not None else {}
    parts: list[Html] = []
    for stage, run in runs.items():
        panels, others = panels_of(stage, run.metrics, lines.get(stage))
        if not panels and not others:
            continue
        parts.append(tag("h3", STAGE_NAMES[stage]))
        parts.append(tag("div", *(panel_figure(panel) for panel in panels), class_="grid"))
        if others:
            rest = tag("div", *(panel_figure(panel) for panel in others), class_="grid")
            parts.append(tag("details", tag("summary", f"more measurements ({len(others)})"), rest))
    return tag("section", tag("h2", "Curves of the stages"), *parts, id="curves") if parts else None
