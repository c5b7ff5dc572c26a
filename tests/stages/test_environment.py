"""A place that cannot be written or read: what to do about it depends on whose it is, and on how far the run is."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlhf.runs.folder import RunFolder
from rlhf.settings.layers import resolve_settings
from stages._command import run_stage
from stages._environment import environment_mistake
from tests.stages import probe


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    Path("file").touch()


def before(file: str | None, *pairs: str, text: str = "") -> str | None:
    """What is said of a place without rights before the run is open."""
    Path("probe.yaml").write_text(text)
    resolved = resolve_settings(probe.ProbeSettings, "probe.yaml", pairs)
    return environment_mistake(PermissionError(13, "Permission denied", file), None, resolved)


def test_before_the_run_the_setting_that_moves_it_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("probe.yaml").write_text("")
    with pytest.raises(SystemExit, match="2"):
        run_stage("probe", probe.ProbeSettings, probe.train, argv=["--config=probe.yaml", "run.root=file"])
    assert capsys.readouterr().err == "file/probe: Not a directory; give a run.root that can be written to\n"
    with pytest.raises(SystemExit, match="2"):
        run_stage(
            "probe", probe.ProbeSettings, probe.train, argv=["--config=probe.yaml", "run.output=file/x"]
        )
    assert capsys.readouterr().err == "file/x: Not a directory; give a run.output that can be written to\n"


@pytest.mark.parametrize(
    ("file", "pairs", "setting"),
    [
        ("/top/runs", ["run.root=/top/runs"], "run.root"),
        ("/top/runs", ["run.root=/top/runs", "run.output={run.root}/mine"], "run.root or run.output"),
        ("/top", ["run.output=/top/mine"], "run.output"),
        ("runs/probe.previous", [], "run.root"),
        ("runs/probe/.lock", [], "run.root"),
    ],
)
def test_which_setting_that_is(file: str, pairs: list[str], setting: str) -> None:
    message = f"{file}: Permission denied; give a {setting} that can be written to"
    assert before(file, *pairs) == message


def test_an_output_that_the_yaml_sets() -> None:
    text = 'run: {output: "{run.root}/mine"}\n'
    assert str(before("runs/mine", text=text)).endswith(
        "; give a run.root or run.output that can be written to"
    )


def test_a_place_of_somebody_else_is_not_the_runs() -> None:
    assert (
        before("data/secret.jsonl") == "data/secret.jsonl: Permission denied; give a place that can be read"
    )
    assert str(before("runs/sft/config.json")).endswith("; give a place that can be read")
    assert str(before(None)).startswith(".: Permission denied; give a run.root")


def test_in_the_middle_of_a_run_the_same_command_goes_on() -> None:
    run = RunFolder.open("runs/probe", {}, stage="probe")
    error = PermissionError(13, "Permission denied", "runs/probe/metrics.jsonl")
    again = "see that it can be written, then give the same command again, which"
    assert environment_mistake(error, run, None) == (
        f"runs/probe/metrics.jsonl: Permission denied; {again} starts anew, as there is no checkpoint yet"
    )
    for step in (2, 4):
        with run.checkpoint(step):
            pass
    assert environment_mistake(error, run, None) == (
        f"runs/probe/metrics.jsonl: Permission denied; {again} goes on from runs/probe/checkpoints/step_000004"
    )
    Path("probe.yaml").write_text("run: {resume: false}\n")
    resolved = resolve_settings(probe.ProbeSettings, "probe.yaml")
    anew = "starts anew"
    assert str(environment_mistake(error, run, resolved)).endswith(f"{again} {anew}")
    run.finish("failed")


def test_what_is_no_fault_of_the_machine_is_none() -> None:
    assert environment_mistake(KeyError("a bug of ours"), None, None) is None
    assert environment_mistake(FileNotFoundError(2, "No such file or directory", "x"), None, None) is None
