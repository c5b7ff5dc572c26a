"""Prompts with the answers of base, SFT and PPO side by side: a fixed choice, the worst falls included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from rlhf.evaluation.report.answers import Answer
from rlhf.evaluation.report.markup import Html, signed, tag
from rlhf.evaluation.report.numbers import judged_by, scores_side_by_side
from rlhf.evaluation.report.summary import NAMES, POLICIES

if TYPE_CHECKING:
    from rlhf.feedback.records import Prompt

__all__ = ["choose_examples", "examples_section"]

WORST_SHARE = 4  # one example in so many is one where PPO fell furthest
SAME = 1e-9


def choose_examples(
    answers: Mapping[str, Sequence[Answer]], families: Sequence[str | None], count: int
) -> tuple[list[int], int]:
    """Choose prompts to show: a quarter where PPO fell furthest below SFT, the rest in turn from each family.

    Args:
        answers: of each policy, in the order of the prompts.
        families: of each prompt.
        count: how many.

    Returns:
        Their numbers in order of family and prompt, and how many of them are falls.
    """
    changes = _changes(answers)
    falls = sorted((change, row) for row, change in changes.items() if change < -SAME)
    worst = [row for _, row in falls[: count // WORST_SHARE]]
    by_family: dict[str, list[int]] = {}
    for row, family in enumerate(families):
        if row not in worst:
            by_family.setdefault(family or "", []).append(row)
    in_turn = [row for rows in zip_longest(*(by_family[name] for name in sorted(by_family))) for row in rows]
    even = [row for row in in_turn if row is not None][: count - len(worst)]
    return sorted({*worst, *even}, key=lambda row: (families[row] or "", row)), len(worst)


def _changes(answers: Mapping[str, Sequence[Answer]]) -> dict[int, float]:
    """How much better PPO's answer is than SFT's, by prompt; empty where they were not compared."""
    by = judged_by(answers)
    if by is None or "ppo" not in answers or "sft" not in answers:
        return {}
    pairs = zip(*scores_side_by_side(answers["ppo"], answers["sft"], by), strict=True)
    return {row: ours - theirs for row, (ours, theirs) in enumerate(pairs)}


def examples_section(
    prompts: Sequence[Prompt],
    answers: Mapping[str, Sequence[Answer]],
    families: Sequence[str | None],
    count: int,
) -> Html | None:
    """Show prompts with all answers; without script all of them, with it filtered."""
    if not count or not prompts:
        return None
    rows, num_falls = choose_examples(answers, families, count)
    changes = _changes(answers)
    shown = [
        _example(
            prompts[row], {name: answers[name][row] for name in answers}, families[row], changes.get(row)
        )
        for row in rows
    ]
    words = (
        f"{len(rows)} of {len(prompts):,} test prompts with the answers that were measured above: "
        f"{len(rows) - num_falls} in turn from each family"
    )
    if num_falls:
        words += f", and the {num_falls} where PPO fell furthest below SFT (so this is no fair sample)"
    return tag(
        "section",
        tag("h2", "Answers side by side"),
        tag("p", words + ".", class_="lead"),
        _filters({families[row] for row in rows} - {None}, bool(changes)),
        *shown,
        id="answers",
    )


def _filters(families: set[str | None], has_outcome: bool) -> Html:
    def choice(name: str, title: str, options: Sequence[tuple[str, str]]) -> Html:
        return tag(
            "label",
            f"{title} ",
            tag("select", *(tag("option", text, value=value) for value, text in options), name=name),
        )

    names = [(str(name), str(name)) for name in sorted(map(str, families))]
    outcomes = [("", "all"), ("better", "better than SFT"), ("same", "as good"), ("worse", "worse than SFT")]
    return tag(
        "form",
        choice("family", "Family", [("", "all"), *names]) if names else None,
        choice("outcome", "PPO is", outcomes) if has_outcome else None,
        tag("label", "Containing ", tag("input", type="search", name="words", size="14")),
        tag("span", "", id="shown", role="status"),
        class_="filters",
        id="filters",
        hidden=True,
    )


def _example(prompt: Prompt, answers: Mapping[str, Answer], family: str | None, change: float | None) -> Html:
    outcome = None
    if change is not None:
        outcome = "same" if abs(change) <= SAME else "better" if change > 0 else "worse"
    words = {"same": "PPO as good as SFT", "better": "PPO better", "worse": "PPO worse"}
    tags = [tag("span", family) if family else None, tag("span", prompt.id)]
    if outcome is not None and change is not None:
        amount = f" {signed(change)}" if outcome != "same" else ""
        tags.append(tag("span", words[outcome] + amount, class_=outcome))
    *before, last = prompt.messages
    turns = [tag("p", tag("b", one.role), one.content, class_="turn") for one in before]
    return tag(
        "article",
        tag("div", *tags, class_="tags"),
        *turns,
        tag("p", last.content, class_="turn last"),
        tag("div", *(_answer(name, answers[name]) for name in POLICIES if name in answers), class_="answers"),
        class_="example",
        data_family=family,
        data_outcome=outcome,
    )


def _answer(policy: str, answer: Answer) -> Html:
    facts = []
    if "score" in answer.verdict:
        rest = [f"{name} {value:.2f}" for name, value in answer.verdict.items() if name != "score"]
        facts.append(f"judge {answer.verdict['score']:.2f}" + (f" ({', '.join(rest)})" if rest else ""))
    if answer.reward_score is not None:
        facts.append(f"reward {signed(answer.reward_score)}")
    if answer.kl is not None:
        facts.append(f"log-ratio {signed(answer.kl)}")
    facts.append(f"{answer.tokens} tokens")
    cut = None if answer.ended else tag("span", " · cut at the limit", class_="cut")
    text = answer.response if answer.response.strip() else tag("small", "(empty)")
    return tag(
        "div",
        tag("h4", NAMES[policy]),
        tag("p", text),
        tag("small", " · ".join(facts), cut),
        class_=f"answer {policy}",
    )
