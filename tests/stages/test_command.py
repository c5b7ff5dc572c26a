from __future__ import annotations

import logging
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from rlhf.runs import console
from rlhf.runs.files import read_json
from rlhf.runs.folder import RunFolder
from rlhf.settings.layers import Settings
from rlhf.settings.yaml_file import parse_yaml
from stages import _command, _settings
from stages._command import STAGES, load_schema, pairs_for, run_stage
from tests.stages.probe import ProbeSettings, check, train

REPOSITORY = Path(__file__).parents[2]
DISK_IS_FULL = (
    "the disk of runs/probe is full; free some space, then give the same command again, which goes on from "
    "runs/probe/checkpoints/step_000002"
)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    (tmp_path / "probe.yaml").write_text("probe:\n  num_steps: 2\n")
    yield
    console.silence(False)
    console.send_to(None)


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        run_stage("probe", ProbeSettings, train, check=check, argv=["--config", "probe.yaml", *words])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_only_our_lines_are_printed_where_a_library_has_advice(caplog: pytest.LogCaptureFixture) -> None:
    name = "bitsandbytes.backends.cpu.ops"
    level = logging.getLogger(name).level
    try:
        assert run() == 0
        logging.getLogger(name).warning("install faster kernels")
        logging.getLogger(name).error("it is broken")
        assert caplog.messages == ["it is broken"]
    finally:
        logging.getLogger(name).setLevel(level)


def test_a_run_says_its_settings_and_leaves_its_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run.seed=7") == 0
    out = capsys.readouterr().out
    assert "probe: settings (defaults < probe.yaml < command line)" in out
    assert re.search(r"probe\.num_steps +2 +probe\.yaml", out)
    assert "command line (default: 1)" in out
    assert sorted(os.listdir("runs/probe")) == [
        *(".lock", "checkpoints", "config.yaml", "metrics.jsonl", "provenance.json", "summary.json"),
    ]
    facts = read_json("runs/probe/provenance.json")
    assert (facts["status"], facts["seed"]) == ("finished", 7)
    assert facts["command"] == "python -m stages.probe --config probe.yaml run.seed=7"


def test_the_config_of_a_run_repeats_it() -> None:
    assert run("run.root=first", "probe.num_steps=3") == 0
    config = Path("first/probe/config.yaml").read_text()
    Path("probe.yaml").write_text(config)
    assert run() == 0
    assert Path("first/probe/config.yaml").read_text() == config
    assert Path("first/probe.previous/config.yaml").read_text() == config


def test_inv16_every_generator_starts_at_the_seed() -> None:
    drawn = []

    def draw(settings: ProbeSettings, folder: RunFolder) -> None:
        drawn.append((random.random(), float(np.random.rand()), float(torch.rand(1))))

    for seed in (1, 1, 2):
        with pytest.raises(SystemExit):
            run_stage("probe", ProbeSettings, draw, argv=["--config", "probe.yaml", f"run.seed={seed}"])
    assert drawn[0] == drawn[1]
    assert all(first != other for first, other in zip(drawn[0], drawn[2], strict=True))


def test_dry_run_prints_the_yaml_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--dry-run", "run.seed=7") == 0
    captured = capsys.readouterr()
    values = parse_yaml(captured.out, "stdout")
    assert (values["run"]["seed"], values["run"]["output"]) == (7, "runs/probe")
    assert "defaults < probe.yaml" in captured.err
    assert not Path("runs").exists()


def test_dry_run_checks_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("probe.fail=data", "--dry-run") == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("fail", "message"),
    [
        ("data", "data/mine.jsonl:17: 'responses' holds 1 response; a ranking needs at least 2"),
        ("model", "model.path 'runs/sft' does not exist; run `make sft` or set model.path"),
        (
            "user",
            "step 214: policy loss is nan (kl 38.2, clip fraction 0.91); lower ppo.learning_rate\n"
            "once that is mended, the same command goes on from runs/probe/checkpoints/step_000002 "
            "(with other settings: only with run.resume=true)",
        ),
        ("disk", DISK_IS_FULL),
        ("checkpoint", DISK_IS_FULL),
        ("weights", DISK_IS_FULL),
    ],
)
def test_a_mistake_of_the_user_is_one_message_on_stderr(
    capsys: pytest.CaptureFixture[str], fail: str, message: str
) -> None:
    assert run(f"probe.fail={fail}") == 2
    assert capsys.readouterr().err == f"{message}\n"
    if Path("runs").exists():
        assert read_json("runs/probe/provenance.json")["status"] == "failed"


def test_wrong_settings_come_before_anything_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("probe.num_step=3", "probe.num_steps=x") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "command line: probe.num_step is not a setting; did you mean probe.num_steps? "
        "(probe has: fail, num_steps, step_seconds)",
        "command line: probe.num_steps is 'x'; a whole number is expected",
    ]
    assert not Path("runs").exists()


def test_a_bug_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(KeyError, match="a bug of ours"):
        run_stage("probe", ProbeSettings, train, argv=["--config", "probe.yaml", "probe.fail=bug"])
    assert read_json("runs/probe/provenance.json")["status"] == "failed"


def test_only_the_main_process_speaks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert run("--dry-run") == 0
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_another_process_speaks_only_if_the_main_one_did_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(_command.time, "sleep", waited.append)
    assert run("probe.fail=data") == 2
    assert waited == [_command.MAIN_SPEAKS_FIRST_SECONDS]
    assert capsys.readouterr().err.startswith("process 1: data/mine.jsonl:17:")


# --- stopped from outside


# What a shell starts with & ignores Ctrl-C, and so would all that the tests start.
PROBE = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('tests.stages.probe', run_name='__main__', alter_sys=True)"
)


def start_process(*words: str, until: str) -> tuple[subprocess.Popen[str], list[str]]:
    """A probe in its own process and what it said until a line that starts with `until`."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", PROBE, "--config", "probe.yaml", *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith(until):
            break
    return process, said


@pytest.mark.slow
def test_ctrl_c_then_kill_then_sigterm_and_each_time_it_goes_on() -> None:
    long = ("probe.num_steps=2000", "probe.step_seconds=0.02")
    process, said = start_process(*long, until="step 3")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert err.startswith(
        "probe: stopped; the same command again goes on from runs/probe/checkpoints/step_000"
    )
    assert len(err.splitlines()) == 1
    assert read_json("runs/probe/provenance.json")["status"] == "interrupted"

    process, said = start_process(*long, until="step ")
    assert any(line.startswith("going on with the run in runs/probe from step_000") for line in said)
    process.kill()
    process.communicate(timeout=300)
    assert read_json("runs/probe/provenance.json")["status"] == "running"

    process, said = start_process(*long, until="step ")
    assert any(line.startswith("going on with the run in runs/probe from step_000") for line in said)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    assert (process.returncode, len(err.splitlines())) == (143, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "handles", "status"),
    [(signal.SIGTERM, "handles stop", 143), (signal.SIGINT, "handles ctrl-c", 130)],
)
def test_inv75_a_stage_that_handles_stop_chooses_where_to_stop(
    number: int, handles: str, status: int
) -> None:
    process, _ = start_process(
        "probe.num_steps=2000", "probe.step_seconds=0.02", f"probe.fail={handles}", until="step 3"
    )
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    assert "stopping where it suits" in out
    assert "goes on from" in err
    assert process.returncode == status


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_its_schema(stage: str) -> None:
    schema = load_schema(stage)
    assert issubclass(schema, Settings)
    assert stage in schema.model_fields
    assert schema.model_fields["run"].default.output.startswith("{run.root}")


ALL = ("--stages", "sft", "reward", "ppo", "report", "--")


@pytest.fixture
def _at_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


@pytest.mark.usefixtures("_at_the_top")
def test_settings_of_all_stages_are_checked_before_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert _settings.main([*ALL, "run.seed=3", "ppo.kl_coef=0.1", "--dry-run"]) == 0
    assert _settings.main([*ALL, "ppo.kl_coeff=0.1", "ppo.gamma=x", "sft:sft.epochs=y"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(set(lines))
    assert "command line: ppo.gamma is 'x'; a number is expected" in lines
    assert "command line: sft.epochs is 'y'; a number is expected" in lines


@pytest.mark.usefixtures("_at_the_top")
def test_a_pair_that_would_mean_different_things_is_asked_about(capsys: pytest.CaptureFixture[str]) -> None:
    assert _settings.main([*ALL, "model.path=my/base"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "command line: model.path is a setting of several stages, which differ in it (sft: "
    )
    assert line.endswith("; say which one is meant, as in sft:model.path=my/base")
    assert _settings.main([*ALL, "run.output=here"]) == 2
    assert _settings.main([*ALL, "sft:model.path=my/base", "run.root=elsewhere", "checkpoint.keep=2"]) == 0


def test_a_pair_for_one_stage_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = ["run.seed=1", "sft:model.path=a:b", "ppo:run.name=x", "run.name=C:x"]
    assert pairs_for("sft", pairs) == (["run.seed=1", "model.path=a:b", "run.name=C:x"], ["ppo:run.name=x"])
    assert run("--dry-run", "--ignore-other-stages", "sft:run.seed=9", "run.name=x") == 0
    captured = capsys.readouterr()
    assert "seed: 1" in captured.out
    assert "sft:run.seed=9  (skipped: a setting of another stage)" in captured.err
    assert run("--dry-run", "sft:run.seed=9") == 2
    assert "sft:run.seed is not a setting" in capsys.readouterr().err
