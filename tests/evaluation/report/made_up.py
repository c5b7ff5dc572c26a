"""Made-up runs and answers for tests of the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rlhf.evaluation.report.answers import Answer
from rlhf.feedback.records import Message, Prompt


def write_run(folder: Path, stage: str, summary: dict[str, Any] | None = None, /, **facts: Any) -> Path:
    """The folder of a finished run without a model."""
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps({"stage": stage, "seconds": 60.0, **(summary or {})}))
    provenance = {"stage": stage, "status": "finished", "seed": 1, "num_processes": 1, **facts}
    (folder / "provenance.json").write_text(json.dumps(provenance))
    rows = [{"step": step, f"{stage}/loss": 1.0 / (step + 1)} for step in range(50)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "config.yaml").write_text("run:\n  seed: 1\n")
    return folder


def warn(folder: Path, step: int, text: str) -> None:
    """Add a warning to a run."""
    with (folder / "warnings.jsonl").open("a") as file:
        file.write(json.dumps({"code": "made_up", "step": step, "text": text}) + "\n")


def answer(row: int, score: float, *, text: str = "Yes.", reward: float | None = 0.5, **more: Any) -> Answer:
    verdict = {"score": score, "helpful": score, "harmless": 1.0}
    return Answer(row, text, more.pop("tokens", 3), True, reward, more.pop("kl", None), verdict)


def prompt(number: int, text: str = "Is it?", family: str | None = None) -> Prompt:
    columns = {} if family is None else {"family": family}
    return Prompt(f"p{number}", (Message("user", text),), f"g{number}", "made up", columns)
