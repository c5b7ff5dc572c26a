"""Open runs as a stage does, and end them as a kill does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlhf.runs.folder import RunFolder

CONFIG: dict[str, Any] = {
    "run": {"seed": 3, "resume": "auto", "trackers": ()},
    "ppo": {"kl_coef": 0.1, "empty": {}},
}
OTHER: dict[str, Any] = {**CONFIG, "ppo": {"kl_coef": 0.2, "empty": {}}}


OPEN: list[RunFolder] = []


def start(path: Path, config: dict[str, Any] = CONFIG, **options: Any) -> RunFolder:
    run = RunFolder.open(path, config, **{"stage": "ppo", **options})
    OPEN.append(run)
    return run


def save(run: RunFolder, step: int) -> None:
    with run.checkpoint(step) as folder:
        (folder / "state").write_text(str(step))


def kill(run: RunFolder) -> None:
    """What a kill -9 leaves: the files as they are, closed, and no lock."""
    run.metrics.close()
    run.samples.close()
    run.warnings.close()
    if run._lock is not None:
        run._lock.close()
