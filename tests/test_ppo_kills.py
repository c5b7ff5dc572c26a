"""kill -9 at twenty random moments: resumed each time, the run ends with the weights of the unbroken one."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from rlhf.runs.jsonl import read_jsonl
from tests.ppo_stage import lay_over, main
from tests.stage_data import run_main, weights_of

KILLS = 20
UPDATES = 60


def start(words: list[str], log: Path) -> int:
    """Run the stage in a fork of this process, which has the libraries already; returns its process id."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        with log.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            status = run_main(main, words)
    finally:
        os._exit(status)


def has_ended(child: int) -> int | None:
    """The wait status of a child that has ended, None while it runs."""
    found, status = os.waitpid(child, os.WNOHANG)
    return status if found else None


def update_of(metrics: Path) -> int:
    """The last update on record."""
    return max((row["step"] for row in read_jsonl(metrics)), default=0) if metrics.exists() else 0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_inv73_twenty_kills_at_random_moments_end_with_the_weights_of_the_unbroken_run(tmp_path, words):
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
    whole = start(lay_over(words, "run.output={run.root}/whole"), log)
    begun = time.monotonic()
    assert os.waitpid(whole, 0)[1] == 0, log.read_text()
    seconds = time.monotonic() - begun

    draw = random.Random(20)
    metrics = tmp_path / "ppo" / "metrics.jsonl"
    reached = [0]
    for _ in range(KILLS):
        child = start(words, log)
        # anywhere from the start to some updates, but not so late that the run ends before the last kill
        moment = time.monotonic() + draw.uniform(0.0, seconds / 15)
        while time.monotonic() < moment and update_of(metrics) < min(reached[-1] + 3, UPDATES - 4):
            time.sleep(0.005)
        assert has_ended(child) is None, f"the run ended before {KILLS} kills: {log.read_text()[-2000:]}"
        os.kill(child, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        reached.append(update_of(metrics))
    assert len(set(reached)) > 5, f"the kills came at different updates: {reached}"
    last = start(words, log)
    assert os.waitpid(last, 0)[1] == 0, log.read_text()[-2000:]

    unbroken, broken = weights_of(tmp_path / "whole"), weights_of(tmp_path / "ppo")
    assert unbroken.keys() == broken.keys()
    assert all(torch.equal(unbroken[name], broken[name]) for name in unbroken)
    rows = [
        [{key: value for key, value in row.items() if "seconds" not in key} for row in read_jsonl(path)]
        for path in (tmp_path / "whole" / "metrics.jsonl", tmp_path / "ppo" / "metrics.jsonl")
    ]
    assert rows[0] == rows[1], "no update is missing from the record, none is there twice"
