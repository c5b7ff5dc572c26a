"""The report: base, SFT and PPO side by side -> runs/summary.json, runs/report.html.

python -m stages.report --config configs/report.yaml [--dry-run] [key=value ...]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf.runs import console
from rlhf.runs.folder import RunFolder
from rlhf.settings.report import ReportSettings
from stages import _inputs
from stages._command import run_stage
from stages._limits import limits_of

if TYPE_CHECKING:
    from rlhf.evaluation.report.answers import Answer
    from rlhf.evaluation.report.stage_runs import StageRun
    from rlhf.feedback.records import Prompt
    from rlhf.settings.shared import ModelSettings

STAGES = ("sft", "reward", "ppo")
SAMPLED, GREEDY = "sampled", "greedy"
Answers = dict[str, dict[str, list["Answer"]]]  # sampled or greedy -> policy -> its answers


def check(settings: ReportSettings) -> Sequence[Prompt]:
    """Look at the runs, load the judge, read the prompts and return them; none where no model answers."""
    from rlhf.feedback.reading import read_prompts
    from rlhf.functions import load_function
    from stages._model_checks import check_language_model, check_reward_model

    runs = _read_runs(settings)
    if settings.evaluation.judge is not None:
        load_function(settings.evaluation.judge, "evaluation.judge", num_arguments=2)
    policies = _policies(settings, runs)
    for name, model in policies.items():
        limits = limits_of(settings.evaluation, "evaluation")
        check_language_model(model, "base.path" if name == "base" else f"stages.{name}", limits)
    if settings.stages.reward is not None:
        check_reward_model(settings.stages.reward, "stages.reward")
    if not policies:
        return []
    sources = _inputs.build_sources(settings.data.test)
    reading = read_prompts(sources)
    _inputs.say_reading("data.test", sources, reading)
    _inputs.check_counts_once("data.test", reading.records)
    return reading.records


def train(settings: ReportSettings, run: RunFolder, test_prompts: Sequence[Prompt]) -> None:
    """Read what the stages left, let their models answer, judge, count, draw."""
    from rlhf.evaluation.report.page import build_page
    from rlhf.evaluation.report.stage_runs import find_stale_runs
    from rlhf.evaluation.report.summary import build_summary
    from rlhf.runs.files import plain, read_json, write_json, write_text

    # 1. What the stages left.
    runs = _read_runs(settings)
    notes = find_stale_runs(runs)
    policies = _policies(settings, runs)

    # 2. Answers of every model to the same prompts, drawn with the same random numbers.
    prompts = _choose(settings, run, test_prompts) if policies else []
    answers = _answer(settings, policies, prompts, notes)
    if not run.is_main:
        return
    _write_samples(run, prompts, answers)

    # 3. Numbers.
    families = [_family(prompt, settings.report.family) for prompt in prompts]
    provenance = read_json(run.path / "provenance.json")
    summary = build_summary(
        runs,
        answers[SAMPLED],
        answers[GREEDY],
        families,
        seed=settings.run.seed,
        temperature=settings.evaluation.temperature,
        judge=settings.evaluation.judge,
        versions=provenance["versions"],
        notes=notes,
    )

    # 4. The page, then the numbers (which say how long all of it took), then the table.
    page = build_page(
        summary,
        runs,
        prompts,
        answers[SAMPLED],
        families=families,
        title=settings.run.name,
        num_examples=settings.report.num_examples,
    )
    write_text(settings.report.page, page)
    summary["seconds"]["report"] = run.seconds
    write_json(settings.report.summary, plain(summary))
    run.write_summary({"num_prompts": len(prompts), "policies": list(policies), "notes": notes})
    _say_summary(settings, summary)


def _read_runs(settings: ReportSettings) -> dict[str, StageRun]:
    from rlhf.evaluation.report.stage_runs import read_stage_run

    paths = {stage: getattr(settings.stages, stage) for stage in STAGES}
    return {stage: read_stage_run(path, stage) for stage, path in paths.items() if path is not None}


def _policies(settings: ReportSettings, runs: Mapping[str, StageRun]) -> dict[str, ModelSettings]:
    """Return the models that answer; the base model is by default what the SFT run says it started from."""
    from rlhf.settings.shared import ModelSettings

    started_from = runs["sft"].config.get("model") if "sft" in runs else None
    base = settings.base or (ModelSettings(**started_from) if started_from else None)
    found = {"base": base} if base is not None else {}
    for stage in ("sft", "ppo"):
        if stage in runs:
            told = dict(runs[stage].config.get("model" if stage == "sft" else "policy") or {})
            kept = {key: told[key] for key in ("dtype", "trust_remote_code") if key in told}
            found[stage] = ModelSettings(path=str(runs[stage].path), **kept)
    return found


def _choose(settings: ReportSettings, run: RunFolder, prompts: Sequence[Prompt]) -> list[Prompt]:
    """Return as many test prompts as are asked for, from everywhere in the data."""
    from rlhf.evaluation.report.answers import spread_evenly

    _inputs.fingerprint_sources(run, settings.data.test)
    wanted = settings.evaluation.num_prompts
    if len(prompts) < wanted:
        console.say(
            f"evaluation.num_prompts is {wanted:,}, but there are {len(prompts):,} test prompts: all are used"
        )
    return [prompts[row] for row in spread_evenly(len(prompts), wanted)]


def _family(prompt: Prompt, column: str | None) -> str | None:
    value = prompt.columns.get(column) if column is not None else None
    return None if value is None else str(value)


def _answer(
    settings: ReportSettings,
    policies: Mapping[str, ModelSettings],
    prompts: Sequence[Prompt],
    notes: list[str],
) -> Answers:
    """Let every model answer this process's share of the prompts; all processes get all answers."""
    from accelerate import PartialState
    from accelerate.utils import gather_object

    from rlhf.functions import load_function
    from stages._desk import Desk

    state = PartialState()
    rows = list(range(len(prompts)))[state.process_index :: state.num_processes]
    name = settings.evaluation.judge
    judge = load_function(name) if name is not None else None
    temperatures = {SAMPLED: settings.evaluation.temperature}
    if settings.evaluation.greedy:
        temperatures[GREEDY] = 0.0
    mine: Answers = {SAMPLED: {}, GREEDY: {}}
    desk = Desk(settings, policies, judge, state.device)
    with console.progress(len(policies) * len(temperatures), "report", "rounds of answers") as bar:
        for policy in policies:
            for kind, temperature in temperatures.items():
                mine[kind][policy] = desk.answer(policy, [prompts[row] for row in rows], rows, temperature)
                bar.update(1, of=f"{policy}, {kind}")
    notes += desk.notes
    gathered = gather_object([mine])
    return {
        kind: {
            policy: sorted((a for one in gathered for a in one[kind][policy]), key=lambda answer: answer.row)
            for policy in mine[kind]
        }
        for kind in mine
    }


def _write_samples(run: RunFolder, prompts: Sequence[Prompt], answers: Answers) -> None:
    for kind, of_kind in answers.items():
        for policy, of_policy in of_kind.items():
            for answer in of_policy:
                prompt = prompts[answer.row]
                row = {"kind": kind, "policy": policy, "id": prompt.id, "prompt": prompt.as_dicts()}
                run.samples.append({**row, **asdict(answer)})


def _say_summary(settings: ReportSettings, summary: Mapping[str, Any]) -> None:
    """Print the numbers: what `make all` ends with."""
    from rlhf.evaluation.report.summary import families_table, policies_table, reward_table, win_line
    from rlhf.runs.clock import format_seconds

    tables = [policies_table(summary), policies_table(summary, greedy=True), reward_table(summary)]
    for rows, headers in [*tables, families_table(summary)]:
        if rows:
            console.say()
            console.table(rows, headers)
    console.say()
    spent = {stage: seconds for stage, seconds in summary["seconds"].items() if seconds is not None}
    times = ", ".join(f"{stage} {format_seconds(seconds)}" for stage, seconds in spent.items())
    console.say(f"time: {times}; together {format_seconds(sum(spent.values()))}")
    for warning in summary["warnings"]:
        console.say(f"warning: {warning['stage']}, step {warning['step']}: {warning['text']}")
    for note in summary["notes"]:
        console.say(f"note: {note}")
    console.say(f"numbers: {Path(settings.report.summary)}   page: {Path(settings.report.page)}")
    line = win_line(summary)
    if line is not None:
        console.say(line)


if __name__ == "__main__":
    run_stage("report", ReportSettings, train, check=check)
