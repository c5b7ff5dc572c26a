"""What a finished stage left in its folder, as plain values."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, groupby
from pathlib import Path
from typing import Any

from rlhf.errors import RunError
from rlhf.evaluation.calibration import calibration
from rlhf.runs.files import read_json
from rlhf.runs.jsonl import read_jsonl
from rlhf.settings.yaml_file import read_yaml

__all__ = ["StageRun", "calibration_bins", "find_stale_runs", "read_stage_run"]

STARTS_FROM = {"sft": (), "reward": ("sft",), "ppo": ("sft", "reward")}


@dataclass(frozen=True)
class StageRun:
    """A finished run: its numbers and metrics, what it was told and warned of, and where it comes from."""

    stage: str
    path: Path
    summary: Mapping[str, Any]
    metrics: list[dict[str, Any]] = field(default_factory=list)
    config: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[dict[str, Any]] = field(default_factory=list)  # "code", "step", "text" of each

    @property
    def seconds(self) -> float | None:
        """Wall-clock seconds of the run, if it says so."""
        found = self.summary.get("seconds", self.provenance.get("seconds"))
        return float(found) if found is not None else None


def read_stage_run(path: str | Path, stage: str) -> StageRun:
    """Read the run of a stage.

    Metrics, warnings, settings and provenance may be missing (somebody copied the model and its summary
    only); the report then does without.

    Args:
        path: the run's folder.
        stage: sft, reward or ppo; errors name its setting and its make target.

    Raises:
        RunError: there is no run, it has not finished, it is of another stage, or a file is broken.
    """
    path, where, remedy = Path(path), f"stages.{stage}", f"run `make {stage}`, or set stages.{stage}"
    if not path.is_dir():
        raise RunError(f"{str(path)!r} does not exist; {remedy} (null leaves the stage out)", where=where)
    if not (path / "summary.json").is_file():
        status = _status(path)
        raise RunError(
            f"the run in {str(path)!r} has not finished{status}; {remedy} (null leaves the stage out)",
            where=where,
        )
    try:
        run = StageRun(
            stage,
            path,
            summary=_mapping(read_json(path / "summary.json"), path / "summary.json"),
            metrics=read_jsonl(path / "metrics.jsonl"),
            config=read_yaml(path / "config.yaml") if (path / "config.yaml").is_file() else {},
            provenance=_provenance(path),
            warnings=read_jsonl(path / "warnings.jsonl"),
        )
    except ValueError as error:
        raise RunError(f"the run in {str(path)!r} cannot be read ({error}); {remedy}", where=where) from None
    found = run.summary.get("stage", stage)
    if found != stage:
        raise RunError(f"{str(path)!r} holds a run of the stage {found!r}; {remedy}", where=where)
    return run


def find_stale_runs(runs: Mapping[str, StageRun]) -> list[str]:
    """Say which runs began before a run they start from had ended: they used an older version of it.

    A run whose settings do not name the other's folder does not start from it (a reward model of another
    base).
    """
    notes = []
    for stage, run in runs.items():
        for source in STARTS_FROM.get(stage, ()):
            starts_there = source in runs and _names(run, runs[source])
            ended = runs[source].provenance.get("ended") if starts_there else None
            started = run.provenance.get("started")
            # Both are UTC in the same form, so text sorts as time does.
            if ended and started and started < ended:
                notes.append(
                    f"{run.path} was made before {runs[source].path} was, so from an older one; "
                    f"run `make {stage}` again"
                )
    return notes


def _names(run: StageRun, source: StageRun) -> bool:
    """Say whether a run's settings name another's folder, where it is or was made; one without may have."""
    if not run.config:
        return True
    places = {os.path.abspath(source.path), os.path.realpath(source.path)}
    made_in = _mapping_in(source.config, "run").get("output")
    if isinstance(made_in, str):
        places.add(_place(source, made_in))
    return any(_place(run, text) in places for text in _texts(run.config))


def _place(run: StageRun, path: str) -> str:
    """Return a path of a run's settings as one that starts at the root; relative ones start where it ran."""
    return os.path.abspath(os.path.join(run.provenance.get("folder", ""), path))


def _mapping_in(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)


def calibration_bins(run: StageRun, num_bins: int = 5) -> list[dict[str, float]]:
    """Bin the pairs of the ranked responses in the reward run's samples.jsonl by the model's confidence.

    Args:
        run: of the reward stage; consecutive samples of one id are one ranking.
        num_bins: between confidence 1/2 and 1.

    Returns:
        `rlhf.evaluation.calibration.Bin` as dictionaries; empty without samples.
    """
    samples = read_jsonl(run.path / "samples.jsonl")
    scores, comparisons = [], []
    for _, rows in groupby(samples, key=lambda row: row.get("id")):
        ranked = [row for row in rows if row.get("rank") is not None and row.get("score") is not None]
        scores.append([row["score"] for row in ranked])
        ranks = [row["rank"] for row in ranked]
        pairs = combinations(range(len(ranks)), 2)
        comparisons.append(
            [(i, j, 0.5 + 0.5 * ((ranks[j] > ranks[i]) - (ranks[j] < ranks[i]))) for i, j in pairs]
        )
    if not any(comparisons):
        return []
    return [one._asdict() for one in calibration(scores, comparisons, num_bins=num_bins).bins]


def _provenance(path: Path) -> Mapping[str, Any]:
    file = path / "provenance.json"
    return _mapping(read_json(file), file) if file.is_file() else {}


def _mapping(values: Any, file: Path) -> Mapping[str, Any]:
    if not isinstance(values, dict):
        raise ValueError(f"{file} holds no JSON object")
    return values


def _status(path: Path) -> str:
    try:
        return f" (status: {_provenance(path)['status']})"
    except (OSError, ValueError, KeyError):
        return " (it has no summary.json)"
