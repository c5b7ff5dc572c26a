"""Which metrics of a run are drawn, in which order, and what they mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Panel", "Series", "panels_of"]

STARRED = ("sft", "reward", "alt", "muted")


@dataclass(frozen=True)
class Series:
    """One curve; `sparse` ones (evaluations) are never averaged."""

    name: str
    steps: list[float]
    values: list[float]
    colour: str
    sparse: bool = False


@dataclass(frozen=True)
class Panel:
    """One small figure of curves over steps."""

    title: str
    caption: str
    series: list[Series]
    x_label: str = "step"
    share: bool = False  # the scale is 0 to 1
    lines: tuple[tuple[float, str], ...] = ()  # level, name


class Plan(NamedTuple):
    """A panel to be: its curves as (metric, name in the legend, colour).

    A metric that ends in ``*`` stands for all that begin so and are not named before; their names are what
    the star stands for.
    """

    title: str
    caption: str
    curves: tuple[tuple[str, str, str], ...]
    share: bool = False


def _one(title: str, metric: str, caption: str, colour: str, share: bool = False) -> Plan:
    return Plan(title, caption, ((metric, title, colour),), share)


PLANS: dict[str, tuple[Plan, ...]] = {
    "sft": (
        Plan(
            "Loss",
            "nats a response token",
            (("sft/loss", "training", "sft"), ("sft/validation_loss", "held out", "alt")),
        ),
        _one("Perplexity", "sft/validation_perplexity", "held-out demonstrations", "sft"),
        _one("Learning rate", "sft/learning_rate", "of AdamW", "sft"),
        _one("Gradient norm", "sft/gradient_norm", "before it is clipped", "sft"),
    ),
    "reward": (
        Plan(
            "Loss",
            "nats a pair; a coin has 0.69",
            (("reward/loss", "training", "reward"), ("reward/log_loss", "held out", "alt")),
        ),
        _one("Accuracy", "reward/pair_accuracy_labels", "held-out pairs ordered as labelled", "reward"),
        _one("Calibration error", "reward/calibration_error", "0 knows how sure it can be", "reward"),
        _one("Spread of scores", "reward/score_std", "standard deviation", "reward"),
        _one("Learning rate", "reward/learning_rate", "of AdamW", "reward"),
        _one("Gradient norm", "reward/gradient_norm", "before it is clipped", "reward"),
    ),
    "ppo": (
        Plan(
            "Score",
            "by the reward model; 0 is the SFT policy",
            (("ppo/score", "rollouts", "ppo"), ("evaluation/final_score", "held out", "alt")),
        ),
        Plan(
            "KL",
            "from the SFT policy, nats a response",
            (("ppo/kl", "rollouts", "ppo"), ("evaluation/kl", "held out", "alt")),
        ),
        Plan(
            "Judge",
            "held-out prompts; training never sees it",
            (("evaluation/judge_score", "score", "ppo"), ("evaluation/judge_*", "", "")),
        ),
        Plan(
            "Response length",
            "tokens, end token included",
            (
                ("ppo/response_tokens", "rollouts", "ppo"),
                ("evaluation/response_tokens", "held out", "alt"),
            ),
        ),
        _one("Entropy", "ppo/entropy", "nats a token; falls as the policy makes up its mind", "ppo"),
        _one("Clip fraction", "ppo/clip_fraction", "share of tokens whose update was clipped", "ppo"),
        _one(
            "Explained variance", "ppo/explained_variance", "of the returns, by the critic; 1 is all", "ppo"
        ),
        _one("Ended by itself", "ppo/ended_fraction", "share of responses with an end token", "ppo"),
        _one("Policy loss", "ppo/policy_loss", "clipped surrogate", "ppo"),
        _one("Value loss", "ppo/value_loss", "of the critic", "ppo"),
        _one("KL coefficient", "ppo/kl_coef", "score units a nat", "ppo"),
        Plan(
            "Gradient norms",
            "before they are clipped",
            (
                ("ppo/policy_grad_norm", "policy", "ppo"),
                ("ppo/critic_grad_norm", "critic", "alt"),
            ),
        ),
    ),
}


def panels_of(
    stage: str, metrics: Sequence[Mapping[str, Any]], lines: Mapping[str, tuple[float, str]] | None = None
) -> tuple[list[Panel], list[Panel]]:
    """Make the panels of a run's metrics.

    Args:
        stage: sft, reward or ppo.
        metrics: rows of metrics.jsonl, each with "step".
        lines: levels to draw, by the title of the panel: (level, name).

    Returns:
        The panels planned here as far as their metrics were recorded, and one for each other metric that
        has at least two values.
    """
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in metrics:
        for name, value in row.items():
            if "/" in name and isinstance(value, (int, float)) and not isinstance(value, bool):
                steps, values = found.setdefault(name, ([], []))
                if steps and steps[-1] == row["step"]:  # measured again at the same step, after a resume
                    values[-1] = float(value)
                else:
                    steps.append(float(row["step"]))
                    values.append(float(value))
    unit = "update" if stage == "ppo" else "step"
    plans = [plan._replace(curves=tuple(_expand(plan.curves, found))) for plan in PLANS[stage]]
    panels = [
        _panel(plan, found, unit, (lines or {}).get(plan.title))
        for plan in plans
        if any(len(found[metric][0]) > 1 for metric, _, _ in plan.curves)
    ]
    planned = {metric for plan in plans for metric, _, _ in plan.curves}
    others = [
        Panel(name, "", [Series(name, steps, values, "muted")], unit)
        for name, (steps, values) in sorted(found.items())
        if name not in planned and len(set(values)) > 1
    ]
    return panels, others


def _expand(
    curves: Sequence[tuple[str, str, str]], found: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    """Yield the curves that were recorded, stars replaced."""
    named = {metric for metric, _, _ in curves}
    for metric, name, colour in curves:
        if not metric.endswith("*"):
            if metric in found:
                yield metric, name, colour
            continue
        start = metric[:-1]
        others = [one for one in found if one.startswith(start) and one not in named]
        for number, one in enumerate(others):
            yield one, one.removeprefix(start), STARRED[number % len(STARRED)]


def _panel(
    plan: Plan,
    found: Mapping[str, tuple[list[float], list[float]]],
    unit: str,
    line: tuple[float, str] | None,
) -> Panel:
    series = [
        Series(name, *found[metric], colour, sparse=metric.startswith("evaluation/"))
        for metric, name, colour in plan.curves
    ]
    return Panel(plan.title, plan.caption, series, unit, plan.share, (line,) if line else ())
