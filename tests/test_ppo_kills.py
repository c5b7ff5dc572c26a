"""kill -9 at twenty random moments: resumed each time, the run ends with the weights of the unbroken one."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import torch

from rlhf.runs.jsonl import read_jsonl
from tests.mutants.forks import HEAVY
from tests.ppo_stage import lay_over, main
from tests.stage_data import run_main, weights_of

KILLS = 20
UPDATES = 60
SECONDS_AT_MOST = 600.0  # of a run of a second or two: hours on a machine where it hangs help nobody

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([*HEAVY, "stages.ppo", "tests.ppo_stage"])


def run_ppo(words: list[str], log: str) -> None:
    """Be the process of a run: all that it prints goes into `log`."""
    os.fsync = lambda descriptor: None  # as in the tests' own process: what is killed here is no machine
    with open(log, "a") as file, redirect_stdout(file), redirect_stderr(file):
        status = run_main(main, words)
    os._exit(status)


def start(words: list[str], log: Path) -> ForkServerProcess:
    """Run the stage in a process of its own, which has the heavy libraries already.

    It is a fork of a server that has one thread. A fork of the tests' own process, with the threads that other
    tests left in it, may wait for ever for a lock that none of its threads holds.
    """
    process = PROCESSES.Process(target=run_ppo, args=(words, str(log)), daemon=True)
    process.start()
    return process


def status_of(process: ForkServerProcess) -> int | None:
    """Wait for the end of a process and return its exit status; None if it never comes."""
    process.join(timeout=SECONDS_AT_MOST)
    if process.exitcode is None:
        process.kill()
    return process.exitcode


def update_of(metrics: Path) -> int:
    """The last update on record."""
    return max((row["step"] for row in read_jsonl(metrics)), default=0) if metrics.exists() else 0


def wait(child: ForkServerProcess, metrics: Path, draw: random.Random, reached: int, seconds: float) -> None:
    """Wait for a random moment: while the stage starts, or somewhere in one of the next updates.

    The update is drawn, not the time to it, so that kills come at many updates however slow the machine is.
    """
    update = reached + draw.choice((0, 0, 1, 2, 3))
    moment = draw.uniform(0.0, seconds / 15)
    begun = time.monotonic()
    while update > reached and update_of(metrics) < min(update, UPDATES - 4) and child.is_alive():
        assert time.monotonic() < begun + SECONDS_AT_MOST, "no update comes"
        time.sleep(0.005)
    time.sleep(moment if update == reached else moment / 4)


@pytest.mark.slow
def test_inv73_twenty_kills_at_random_moments_end_with_the_weights_of_the_unbroken_run(
    tmp_path, words, monkeypatch
):
    words = lay_over(
        words,
        f"ppo.num_updates={UPDATES}",
        "ppo.score_normalisation=running",
        "ppo.ema_decay=0.9",
        "checkpoint.weights=average",
        "checkpoint.export=last",
        "evaluation.every_updates=7",
        "evaluation.num_prompts=2",
    )
    log = tmp_path / "log.txt"
    monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", "system")  # the others start a thread
    ready = PROCESSES.Process(target=os.getpid)  # the server is there
    ready.start()
    assert status_of(ready) == 0
    begun = time.monotonic()
    assert status_of(start(lay_over(words, "run.output={run.root}/whole"), log)) == 0, log.read_text()
    seconds = time.monotonic() - begun

    draw = random.Random(20)
    metrics = tmp_path / "ppo" / "metrics.jsonl"
    reached = [0]
    for _ in range(KILLS):
        child = start(words, log)
        wait(child, metrics, draw, reached[-1], seconds)
        assert child.is_alive(), f"the run ended before {KILLS} kills: {log.read_text()[-2000:]}"
        child.kill()
        assert status_of(child) == -signal.SIGKILL
        reached.append(update_of(metrics))
    assert len(set(reached)) > 5, f"the kills came at different updates: {reached}"
    assert status_of(start(words, log)) == 0, log.read_text()[-2000:]

    unbroken, broken = weights_of(tmp_path / "whole"), weights_of(tmp_path / "ppo")
    assert unbroken.keys() == broken.keys()
    assert all(torch.equal(unbroken[name], broken[name]) for name in unbroken)
    rows = [
        [{key: value for key, value in row.items() if "seconds" not in key} for row in read_jsonl(path)]
        for path in (tmp_path / "whole" / "metrics.jsonl", tmp_path / "ppo" / "metrics.jsonl")
    ]
    assert rows[0] == rows[1], "no update is missing from the record, none is there twice"
