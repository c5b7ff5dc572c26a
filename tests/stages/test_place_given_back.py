"""A run that fails before it has anything to show does not cost the run that was in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlhf.errors import ModelError
from rlhf.runs.files import read_json
from stages._command import run_stage
from tests.stages.probe import ProbeSettings, train


def run(trained, *words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        run_stage("probe", ProbeSettings, trained, argv=["--config", "probe.yaml", *words])
    return caught.value.code


def fails_at_once(settings, folder):
    raise ModelError("'runs/sft' is not a reward model", where="scores[0].model")


def is_stopped_at_once(settings, folder):
    raise KeyboardInterrupt


@pytest.mark.parametrize("trained", [fails_at_once, is_stopped_at_once])
def test_the_older_run_is_back_where_it_was(tmp_path, monkeypatch, capsys, trained):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    Path("probe.yaml").write_text("probe:\n  num_steps: 2\n")
    assert run(train) == 0
    before = Path("runs/probe/provenance.json").read_text()
    assert run(trained, "run.seed=5") != 0
    assert capsys.readouterr().err.endswith("\nthe older run is back in runs/probe\n")
    assert Path("runs/probe/provenance.json").read_text() == before
    assert [path.name for path in Path("runs").iterdir()] == ["probe"]
    assert run(train, "run.seed=5") == 0
    assert read_json("runs/probe.previous/provenance.json")["seed"] == 1
