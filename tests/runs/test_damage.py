"""Checkpoints that were damaged after they were written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rlhf.errors import RunError
from rlhf.runs.existing import find_checkpoints
from tests.runs.opening import kill, save, start


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "no manifest"])
def test_a_damaged_checkpoint_is_deleted_and_the_one_before_is_used(
    path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    run = start(path)
    save(run, 1)
    save(run, 2)
    kill(run)
    spoil(find_checkpoints(path)[-1], damage)
    assert start(path).resume_from == path / "checkpoints" / "step_000001"
    assert "step_000002 is damaged" in capsys.readouterr().out
    assert [folder.name for folder in find_checkpoints(path)] == ["step_000001"]


def test_no_whole_checkpoint_is_an_error_and_none_is_deleted(path: Path) -> None:
    run = start(path)
    save(run, 1)
    kill(run)
    spoil(find_checkpoints(path)[-1], "cut")
    with pytest.raises(
        RunError, match=r"step_000001: state has 0 bytes, not 1.*run\.resume=false starts anew"
    ):
        start(path)
    assert len(find_checkpoints(path)) == 1
    assert start(path, resume=False).resume_from is None


def test_a_run_with_damaged_provenance_goes_on(path: Path) -> None:
    run = start(path)
    save(run, 1)
    kill(run)
    (path / "provenance.json").write_text("{")
    assert start(path).resume_from is not None


def spoil(checkpoint: Path, damage: str) -> None:
    file = checkpoint / ("manifest.json" if damage == "no manifest" else "state")
    if damage == "cut":
        os.truncate(file, 0)
    elif damage == "changed":
        file.write_text("x")
    else:
        file.unlink()
