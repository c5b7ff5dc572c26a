"""The launcher: exit status, devices, cores, several processes."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
from pathlib import Path

import accelerate.utils.launch
import pytest

from rlhf.runs.files import read_json
from stages import _launch
from stages._command import run_stage
from tests.stage_data import run_main
from tests.stages import probe

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    (tmp_path / "probe.yaml").write_text("probe:\n  num_steps: 2\n")


@pytest.mark.slow
def test_the_launcher_gives_back_the_status_and_no_traceback_of_its_own() -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    launch = [sys.executable, "-m", "stages._launch", "--config_file"]
    words = ["-m", "tests.stages.probe", "--config", "probe.yaml"]
    one = str(REPOSITORY / "configs/accelerate/one_process.yaml")
    done = subprocess.run(
        [*launch, one, *words, "probe.fail=data"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "data/mine.jsonl:17: 'responses' holds 1 response; a ranking needs at least 2\n"


def test_several_processes_are_kept_off_the_gpus_if_the_config_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str | None] = []
    monkeypatch.setattr(
        "accelerate.commands.launch.launch_command",
        lambda words: seen.append(os.environ.get("ACCELERATE_USE_CPU")),
    )
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    for name in ("several_gpus", "cpu_two_processes"):
        monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
        config = str(REPOSITORY / f"configs/accelerate/{name}.yaml")
        assert _launch.main(["--config_file", config, "-m", "stages.sft"]) == 0
    assert seen == [None, "true"]


@pytest.mark.parametrize(
    ("name", "cores", "set_already", "threads"),
    [
        ("one_process", 4, None, 4),
        ("cpu_two_processes", 4, None, 2),
        ("cpu_two_processes", 1, None, 1),
        ("one_process", 4, "3", None),  # OMP_NUM_THREADS is the person's word; accelerate reads it itself
    ],
)
def test_a_process_gets_its_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch, name: str, cores: int, set_already: str | None, threads: int | None
) -> None:
    seen: list[int | None] = []
    monkeypatch.setattr(
        "accelerate.commands.launch.launch_command",
        lambda words: seen.append(words.num_cpu_threads_per_process),
    )
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setattr("psutil.cpu_count", lambda logical=True: cores * (2 if logical else 1))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(2 * cores)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if set_already is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", set_already)
    config = str(REPOSITORY / f"configs/accelerate/{name}.yaml")
    assert _launch.main(["--config_file", config, "-m", "stages.sft"]) == 0
    assert seen == [threads]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("ACCELERATE_USE_FSDP", "FSDP"),
        ("ACCELERATE_USE_DEEPSPEED", "DeepSpeed"),
        ("ACCELERATE_USE_MEGATRON_LM", "Megatron-LM"),
    ],
)
def test_models_that_are_cut_into_parts_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, what: str
) -> None:
    """Why invariant 70 does not apply. The name is what accelerate's launcher sets."""
    assert f'current_env["{name}"] = "true"' in inspect.getsource(accelerate.utils.launch)
    monkeypatch.setenv(name, "true")
    assert (
        run_main(
            lambda words: run_stage("probe", probe.ProbeSettings, probe.train, argv=words),
            ["--config=probe.yaml"],
        )
        == 2
    )
    assert f"the accelerate config asks for {what}, which cuts models into parts" in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.slow
def test_two_processes_on_the_cpu() -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment.pop("ACCELERATE_USE_CPU")
    launch = [sys.executable, "-m", "stages._launch", "--config_file"]
    two = str(REPOSITORY / "configs/accelerate/cpu_two_processes.yaml")
    words = ["-m", "tests.stages.probe", "--config", "probe.yaml"]
    done = subprocess.run(
        [*launch, two, *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step 2\n") == 1
    assert read_json("runs/probe/provenance.json")["num_processes"] == 2
    assert sorted(os.listdir("runs/probe/checkpoints/step_000002")) == [
        "main-False",
        "main-True",
        "manifest.json",
    ]
