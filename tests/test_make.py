"""The Makefile: what it prints, what it starts, and that it stops when something fails."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
TARGETS = [
    "help",
    "install",
    "all",
    "smoke",
    "base",
    "sft",
    "reward",
    "ppo",
    "report",
    "check-data",
    "check",
    "lint",
    "format",
    "test",
    "invariants",
    "mutants",
    "clean",
]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

# Stands for .venv/bin/python: notes its words, one a line, and fails where it is told to.
PYTHON = """#!/bin/bash
[[ "$*" != *stages.sft* ]] || sleep 0.3  # so that a stage that does not wait for this one overtakes it
printf '%s\\n' "--call--" "$@" >> "$CALLS"
[[ -z "${FAIL_ON:-}" || "$*" != *"$FAIL_ON"* ]]
"""


def make(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "ARGS"
    }
    return subprocess.run(
        ["make", *words],
        cwd=REPOSITORY,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


class Environment:
    """A made-up .venv, and the calls of its python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "venv"
        self.calls_file = folder / "calls"
        (self.folder / "bin").mkdir(parents=True)
        (self.folder / "bin" / "python").write_text(PYTHON)
        (self.folder / "bin" / "python").chmod(0o755)
        installed = self.folder / ".installed"
        installed.touch()
        os.utime(installed, (4_000_000_000, 4_000_000_000))

    def make(self, *words: str, fail_on: str = "") -> subprocess.CompletedProcess[str]:
        self.calls_file.write_text("")
        return make(*words, f"VENV={self.folder}", CALLS=str(self.calls_file), FAIL_ON=fail_on)

    @property
    def calls(self) -> list[list[str]]:
        texts = self.calls_file.read_text().split("--call--\n")[1:]
        return [text.splitlines() for text in texts]

    @property
    def stages(self) -> list[list[str]]:
        """The words after ``-m stages.<stage>`` of each launched stage, the stage first."""
        launched = [call for call in self.calls if call[1] == "stages._launch"]
        return [[call[5].removeprefix("stages."), *call[6:]] for call in launched]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def test_make_alone_explains_every_target() -> None:
    done = make()
    assert done.returncode == 0
    explained = re.findall(r"^  ([a-z-]+) +\S", done.stdout, flags=re.MULTILINE)
    assert [name for name in explained if name != "make"] == TARGETS


def test_every_target_is_phony() -> None:
    text = (REPOSITORY / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, flags=re.MULTILINE)
    assert phony is not None
    assert set(phony.group(1).replace("$(STAGES)", "sft reward ppo report").split()) == set(TARGETS)


def test_make_all_runs_the_stages_in_order(environment: Environment) -> None:
    done = environment.make("all", "ARGS=run.seed=3 ppo.kl_coef=0.1")
    assert done.returncode == 0, done.stderr
    assert environment.calls[0][:2] == ["-m", "stages._settings"]
    assert environment.calls[0][-2:] == ["run.seed=3", "ppo.kl_coef=0.1"]
    assert environment.stages == [
        [stage, "--config", f"configs/{stage}.yaml", "--ignore-other-stages", "run.seed=3", "ppo.kl_coef=0.1"]
        for stage in ("sft", "reward", "ppo", "report")
    ]


def test_the_first_stage_that_fails_stops_the_rest(environment: Environment) -> None:
    done = environment.make("all", fail_on="stages.reward")
    assert done.returncode != 0
    assert [stage[0] for stage in environment.stages] == ["sft", "reward"]


def test_wrong_settings_stop_before_the_first_stage(environment: Environment) -> None:
    assert environment.make("all", fail_on="stages._settings").returncode != 0
    assert environment.stages == []


def test_parallel_make_keeps_the_order(environment: Environment) -> None:
    assert environment.make("-j4", "sft", "reward", "ppo").returncode == 0
    assert [stage[0] for stage in environment.stages] == ["sft", "reward", "ppo"]


@pytest.mark.parametrize("stage", ["base", "sft", "reward", "ppo", "report"])
def test_a_stage_alone(environment: Environment, stage: str) -> None:
    assert environment.make(stage, "CONFIG=mine/x.yaml", "ARGS=--dry-run run.seed=3").returncode == 0
    assert environment.stages == [[stage, "--config", "mine/x.yaml", "--dry-run", "run.seed=3"]]
    assert environment.make(stage, "CONFIG=mine/").returncode == 0
    assert environment.stages == [[stage, "--config", f"mine/{stage}.yaml"]]


def test_values_with_spaces_reach_the_stage_as_one_word(environment: Environment) -> None:
    assert (
        environment.make("sft", "ARGS='lora={rank: 8}' \"run.name=my first\"", "RUNS=runs/a b").returncode
        == 0
    )
    assert environment.stages[0][3:] == ["run.root=runs/a b", "lora={rank: 8}", "run.name=my first"]


def test_runs_moves_every_stage(environment: Environment) -> None:
    assert environment.make("all", "RUNS=runs/seed3").returncode == 0
    assert all("run.root=runs/seed3" in call for call in environment.calls)
    assert len(environment.calls) == 5


def test_smoke_is_all_on_its_own_configs(environment: Environment) -> None:
    assert environment.make("smoke").returncode == 0
    assert [stage[2] for stage in environment.stages] == [
        f"configs/smoke/{stage}.yaml" for stage in ("sft", "reward", "ppo", "report")
    ]


def test_accelerate_config(environment: Environment) -> None:
    assert environment.make("ppo").returncode == 0
    assert environment.calls[0][2:4] == ["--config_file", "configs/accelerate/one_process.yaml"]
    assert environment.make("ppo", "ACCELERATE_CONFIG=configs/accelerate/several_gpus.yaml").returncode == 0
    assert environment.calls[0][2:4] == ["--config_file", "configs/accelerate/several_gpus.yaml"]


def test_one_file_is_no_config_for_all(environment: Environment) -> None:
    done = environment.make("all", "CONFIG=configs/ppo.yaml")
    assert done.returncode != 0
    assert "CONFIG=configs/ppo.yaml is one file; make all takes a folder that holds sft.yaml" in done.stderr
    assert environment.calls == []


def test_tests_take_args(environment: Environment) -> None:
    assert environment.make("test", "ARGS=-k ppo").returncode == 0
    assert environment.calls == [["-m", "pytest", "-k", "ppo"]]


def test_check_data(environment: Environment) -> None:
    assert environment.make("check-data", "CONFIG=mine/reward.yaml", "ARGS=--json run.seed=3").returncode == 0
    assert environment.make("check-data", fail_on="stages._cli").returncode != 0
    assert environment.calls == [["-m", "stages._cli", "check", "configs"]]
    environment.make("check-data", "CONFIG=mine/reward.yaml", "ARGS=--json run.seed=3")
    assert environment.calls == [["-m", "stages._cli", "check", "mine/reward.yaml", "--json", "run.seed=3"]]


def test_invariants(environment: Environment) -> None:
    assert environment.make("invariants").returncode == 0
    assert environment.make("invariants", "ARGS=--write", fail_on="tests.invariants").returncode != 0
    assert environment.calls == [["-m", "tests.invariants", "--write"]]


def test_a_failing_test_fails_make(environment: Environment) -> None:
    assert environment.make("test", fail_on="pytest").returncode != 0


def test_the_environment_is_made_once_and_again_when_the_pins_change(tmp_path: Path) -> None:
    nothing = f"VENV={tmp_path / 'venv'}"
    first = make("-n", "sft", nothing).stdout
    assert first.index("-m venv") < first.index("--constraint constraints.txt") < first.index("stages.sft")
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / ".installed").touch()
    assert "-m venv" not in make("-n", "sft", nothing).stdout
    os.utime(tmp_path / "venv" / ".installed", (0, 0))
    assert "--constraint constraints.txt" in make("-n", "sft", nothing).stdout


def test_a_python_that_is_missing_or_too_old_is_named(tmp_path: Path) -> None:
    done = make("install", f"VENV={tmp_path / 'venv'}", "PYTHON=no-such-python")
    assert done.returncode != 0
    assert done.stderr.startswith("no-such-python is not found; give a Python 3.10 or newer")
    old = tmp_path / "old-python"
    old.write_text('#!/bin/bash\necho "it is Python 3.8; Python 3.10 or newer is needed" >&2; exit 1\n')
    old.chmod(0o755)
    done = make("install", f"VENV={tmp_path / 'venv'}", f"PYTHON={old}")
    assert done.returncode != 0
    assert "Python 3.10 or newer is needed" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_clean_keeps_runs(tmp_path: Path) -> None:
    printed = make("-n", "clean", f"VENV={tmp_path / 'venv'}").stdout
    assert "rm -rf" in printed
    assert not re.search(r"rm -rf.*\bruns\b", printed)


def test_ci_runs_the_tests_and_the_smoke_chain() -> None:
    script = REPOSITORY / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text().splitlines()
    assert lines.index("make test") < lines.index("make smoke")
    assert "set -euo pipefail" in lines
