"""The page: one HTML file with everything inside, the same for the same runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlhf.evaluation.report.answers import Answer
from rlhf.evaluation.report.examples import examples_section
from rlhf.evaluation.report.markup import Html, join, number, table, tag
from rlhf.evaluation.report.measures import measures_section, movement_section
from rlhf.evaluation.report.sections import (
    STAGE_NAMES,
    curves_section,
    headline,
    reward_section,
    training_section,
)
from rlhf.evaluation.report.stage_runs import StageRun
from rlhf.evaluation.report.style import SCRIPT, STYLE
from rlhf.runs.clock import format_seconds
from rlhf.settings.yaml_file import dump_yaml

if TYPE_CHECKING:
    from rlhf.feedback.records import Prompt

__all__ = ["build_page", "build_title"]

LINKS = (
    ("training", "What was trained"),
    ("better", "Is it better?"),
    ("moved", "How far it moved"),
    ("reward", "Reward model"),
    ("curves", "Curves"),
    ("answers", "Answers"),
    ("origin", "Origin"),
)


def build_page(
    summary: Mapping[str, Any],
    runs: Mapping[str, StageRun],
    prompts: Sequence[Prompt],
    answers: Mapping[str, Sequence[Answer]],
    *,
    families: Sequence[str | None],
    title: str | None = None,
    num_examples: int = 120,
) -> str:
    """Write the page.

    Args:
        summary: what `build_summary` gives.
        runs: the stages that have run.
        prompts: the test prompts.
        answers: sampled answers of each policy, in the order of the prompts.
        families: of each prompt.
        title: heading; None says what was done.
        num_examples: prompts whose answers are shown.

    Returns:
        A whole HTML document, without a link to anything outside it.
    """
    heading = title or build_title(summary, runs)
    sections = [
        training_section(runs),
        measures_section(summary),
        movement_section(summary, answers),
        reward_section(summary, runs.get("reward")),
        curves_section(summary, runs),
        examples_section(prompts, answers, families, num_examples),
        _origin_section(summary, runs),
    ]
    present = [section for section in sections if section is not None]
    links = [
        tag("a", text, href=f"#{name}")
        for name, text in LINKS
        if any(f' id="{name}">' in part for part in present)
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", heading),
        tag("style", Html(STYLE)),
    )
    body = tag(
        "body",
        headline(summary, heading),
        tag("main", tag("nav", *links, aria_label="Sections"), *present),
        tag(
            "footer",
            "Written by ",
            tag("code", "make report"),
            ". The numbers are in summary.json beside this page.",
        ),
        tag("script", Html(SCRIPT)),
    )
    return join([Html("<!doctype html>\n"), tag("html", head, body, lang="en"), Html("\n")])


def build_title(summary: Mapping[str, Any], runs: Mapping[str, StageRun]) -> str:
    """Say in a sentence what was trained on what."""
    own = {stage: run.summary for stage, run in runs.items()}
    size = next((one["num_parameters"] for one in own.values() if one.get("num_parameters")), None)
    model = f"A model of {_millions(size)} parameters" if size else "A model"
    parts = []
    if "sft" in own:
        parts.append(f"{number(own['sft'].get('num_demonstrations', 'some'))} demonstrations")
    if "reward" in own:
        parts.append(f"{number(own['reward'].get('num_rankings', 'some'))} rankings")
    if "ppo" in own:
        parts.append(f"{number(own['ppo'].get('num_episodes', 'some'))} responses of PPO")
    *first, last = parts
    data = f"{', '.join(first)} and {last}" if first else last
    seconds = [run.seconds for run in runs.values() if run.seconds is not None]
    return f"{model}, taught by {data} in {format_seconds(sum(seconds))}"


def _millions(count: int) -> str:
    return (
        f"{count / 1e9:.1f} billion"
        if count >= 1e9
        else f"{count / 1e6:.1f} million"
        if count >= 1e6
        else f"{count:,}"
    )


def _origin_section(summary: Mapping[str, Any], runs: Mapping[str, StageRun]) -> Html:
    """Say where everything comes from, so that it can be done again."""
    rows = [
        [
            STAGE_NAMES[stage],
            tag("code", run.path),
            run.provenance.get("ended") or run.provenance.get("started"),
            _commit(run.provenance),
            run.provenance.get("seed"),
            run.provenance.get("num_processes"),
        ]
        for stage, run in runs.items()
    ]
    parts: list[Html] = []
    for stage, run in runs.items():
        inside: list[Html] = []
        if run.provenance.get("command"):
            inside.append(tag("pre", run.provenance["command"]))
        files = run.provenance.get("data") or {}
        if files:
            data = [[name, f"{facts['bytes']:,}", facts["sha256"][:16]] for name, facts in files.items()]
            inside.append(table(["data", "bytes", "SHA-256 (beginning)"], data))
        if run.config:
            inside.append(tag("pre", dump_yaml(dict(run.config))))
        if inside:
            parts.append(
                tag("details", tag("summary", f"{STAGE_NAMES[stage]}: command, data, settings"), *inside)
            )
    versions = ", ".join(f"{name} {version}" for name, version in summary["versions"].items())
    return tag(
        "section",
        tag("h2", "Where it comes from"),
        table(["stage", "folder", "ended (UTC)", "commit", "seed", "processes"], rows),
        tag("p", f"Seed of this report {summary['seed']}; judge: {summary['judge'] or 'none'}."),
        tag("p", versions) if versions else None,
        *parts,
        id="origin",
    )


def _commit(provenance: Mapping[str, Any]) -> str:
    git = provenance.get("git") or {}
    if not git.get("commit"):
        return "-"
    changed = " + changes" if git.get("changed_files") else ""
    return f"{git['commit'][:10]}{changed}"
