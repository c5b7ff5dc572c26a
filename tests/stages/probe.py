"""A stage that does nothing but what the tests of the shared entry ask of it; runs as ``python -m tests.stages.probe``."""

from __future__ import annotations

import time
from contextlib import nullcontext

import torch

from rlhf.errors import DataError, ModelError, RunError
from rlhf.ppo.interruption import stops_gracefully
from rlhf.runs import console
from rlhf.runs.folder import RunFolder
from rlhf.settings.layers import Settings
from rlhf.settings.shared import ModelSettings, RunSettings
from stages._command import run_stage


class ProbeSection(Settings):
    num_steps: int = 2
    step_seconds: float = 0.0
    fail: str | None = None


class ProbeSettings(Settings):
    run: RunSettings = RunSettings(output="{run.root}/probe")
    model: ModelSettings = ModelSettings(path="{run.root}/sft")
    probe: ProbeSection = ProbeSection()


def check(settings: ProbeSettings) -> None:
    if settings.probe.fail == "data":
        raise DataError(
            "'responses' holds 1 response; a ranking needs at least 2", where="data/mine.jsonl:17"
        )
    if settings.probe.fail == "model":
        raise ModelError(
            f"model.path '{settings.model.path}' does not exist; run `make sft` or set model.path"
        )


def train(settings: ProbeSettings, run: RunFolder) -> None:
    handles_ctrl_c = settings.probe.fail == "handles ctrl-c"
    with stops_gracefully(run) if handles_ctrl_c else nullcontext():
        take_steps(settings, run)
    fail(settings)
    run.write_summary({"num_steps": settings.probe.num_steps})


def take_steps(settings: ProbeSettings, run: RunFolder) -> None:
    start = int(run.resume_from.name.removeprefix("step_")) if run.resume_from else 0
    run.handles_stop = str(settings.probe.fail).startswith("handles")
    for step in range(start + 1, settings.probe.num_steps + 1):
        with run.checkpoint(step) as folder:
            (folder / f"main-{run.is_main}").write_text(str(step))
        run.metrics.append({"step": step})
        console.say(f"step {step}")
        time.sleep(settings.probe.step_seconds)
        if run.stop_requested:
            console.say("stopping where it suits")
            raise KeyboardInterrupt


def fail(settings: ProbeSettings) -> None:
    if settings.probe.fail == "user":
        raise RunError("step 214: policy loss is nan (kl 38.2, clip fraction 0.91); lower ppo.learning_rate")
    if settings.probe.fail == "bug":
        raise KeyError("a bug of ours")
    if settings.probe.fail == "disk":
        with open("/dev/full", "w") as file:
            file.write("x" * 100_000)
    if settings.probe.fail == "checkpoint":
        torch.save({"weights": torch.zeros(100_000)}, "/dev/full")
    if settings.probe.fail == "weights":
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")


if __name__ == "__main__":
    run_stage("probe", ProbeSettings, train, check=check)
