"""Parts of the page: which policy is better, and how far their answers moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlhf.evaluation.report.answers import Answer
from rlhf.evaluation.report.figures import histogram_figure
from rlhf.evaluation.report.markup import Html, intervals, table, tag
from rlhf.evaluation.report.summary import NAMES, POLICIES, families_table, policies_table

__all__ = ["measures_section", "movement_section"]

Rate = tuple[str, float, float | None, float | None, str]  # title, value, bounds, colour


def measures_section(summary: Mapping[str, Any]) -> Html | None:
    """Compare the policies: win rates, then every measure with its interval, then by family."""
    rows, headers = policies_table(summary)
    if not rows:
        return None
    rates = _win_rates(summary)
    greedy_rows, greedy_headers = policies_table(summary, greedy=True)
    family_rows, family_headers = families_table(summary)
    families = [
        [name, *(f"{cell:.3f}" if isinstance(cell, float) else cell for cell in rest)]
        for name, *rest in family_rows
    ]
    caption = (
        f"{summary['num_prompts']:,} prompts, one answer of each model at temperature "
        f"{summary['temperature']:g}; 95 % intervals over prompts in brackets"
    )
    return tag(
        "section",
        tag("h2", "Is it better?"),
        tag("p", _how_compared(summary), class_="lead"),
        tag("div", *(_rates_card(title, rows) for title, rows in rates.items()), class_="pair"),
        table(headers, rows, caption=caption),
        table(greedy_headers, greedy_rows, caption="The likeliest answers (temperature 0)")
        if greedy_rows
        else None,
        table(family_headers, families, caption="By family of prompts: mean score, and PPO's win rate")
        if families
        else None,
        id="better",
    )


def _how_compared(summary: Mapping[str, Any]) -> str:
    if summary["compared_by"] == "judge":
        return "Win rates by the judge, which no training has seen. The line at one half is a coin."
    if summary["compared_by"] == "reward_model":
        return (
            "No judge was given: answers are compared by the reward model, the very thing that PPO was "
            "trained against. These win rates show that PPO works, not that people would agree."
        )
    return "Neither a judge nor a reward model was given, so nothing says which answer is better."


def _rates_card(title: str, rows: Sequence[Rate]) -> Html:
    return tag("div", tag("b", title), intervals(rows, label=title, mark=0.5), class_="card")


def _win_rates(summary: Mapping[str, Any]) -> dict[str, list[Rate]]:
    """Collect PPO's win rates under their headings; where PPO is not there, SFT's against base."""
    policy, other = ("ppo", "sft") if "win_rate_vs_sft" in summary.get("ppo", {}) else ("sft", "base")
    numbers, key = summary.get(policy, {}), f"win_rate_vs_{other}"
    if key not in numbers:
        return {}
    rows = [_rate("overall", numbers, key, policy)]
    for criterion, value in numbers.get(f"criteria_{key}", {}).items():
        low, high = (numbers[f"criteria_{key}{side}"][criterion] for side in ("_low", "_high"))
        rows.append((criterion, value, low, high, "alt"))
    if f"reward_{key}" in numbers and summary["compared_by"] == "judge":
        rows.append(_rate("reward model", numbers, f"reward_{key}", "reward"))
    if key in numbers.get("greedy", {}):
        rows.append(_rate("likeliest answers", numbers["greedy"], key, policy))
    if policy == "ppo" and "win_rate_vs_base" in numbers:
        rows.append(_rate("against base", numbers, "win_rate_vs_base", "base"))
    found = {f"{NAMES[policy]} against {NAMES[other]}": rows}
    families = {name: one for name, one in summary["families"].items() if "win_rate_vs_sft" in one}
    if policy == "ppo" and families:
        found["PPO against SFT, by family of prompts"] = [
            _rate(name, one, "win_rate_vs_sft", "ppo") for name, one in families.items()
        ]
    return found


def _rate(title: str, where: Mapping[str, Any], name: str, colour: str) -> Rate:
    return (title, where[name], where[f"{name}_low"], where[f"{name}_high"], colour)


def movement_section(summary: Mapping[str, Any], answers: Mapping[str, Sequence[Answer]]) -> Html | None:
    """Show how far the answers moved: lengths, scores, KL."""
    present = {name: answers[name] for name in POLICIES if answers.get(name)}
    if not present:
        return None
    lengths = {name: [float(a.tokens) for a in some] for name, some in present.items()}
    figures = [
        histogram_figure(
            "Answer length", "tokens", lengths, "End token included; the right end is the limit."
        )
    ]
    scored = {
        name: [a.reward_score for a in some if a.reward_score is not None and a.ended]
        for name, some in present.items()
    }
    if all(scored.values()):
        caption = "Of answers that ended; 0 is what SFT samples get on average."
        figures.append(histogram_figure("Reward model's score", "score", scored, caption))
    kl = [answer.kl for answer in present.get("ppo", []) if answer.kl is not None]
    words = "Lengths and scores of the sampled answers."
    if kl:
        figures.append(
            histogram_figure(
                "Log-ratio to SFT",
                "nats a response",
                {"ppo": kl},
                f"Its mean is the KL: {summary['ppo']['kl']:.2f}.",
            )
        )
        ppo = summary["ppo"]
        words = (
            f"PPO's answers diverge from the SFT policy by {ppo['kl']:.2f} nats a response "
            f"[{ppo['kl_low']:.2f}, {ppo['kl_high']:.2f}] (KL, the mean of log-ratios over sampled answers)."
        )
    return tag(
        "section",
        tag("h2", "How far did it move?"),
        tag("p", words, class_="lead"),
        tag("div", *figures, class_="grid"),
        id="moved",
    )
