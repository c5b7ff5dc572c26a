from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rlhf.runs.provenance import data_fingerprints, git_state, now, provenance


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def test_git_state(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    git(tmp_path, "init", "-b", "main")
    assert git_state(tmp_path) is None  # no commit yet
    (tmp_path / "a.txt").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    state = git_state(tmp_path)
    assert state is not None
    assert (len(state["commit"]), state["branch"], state["changed_files"]) == (40, "main", [])
    (tmp_path / "a.txt").write_text("2")
    (tmp_path / "untracked.txt").write_text("2")
    state = git_state(tmp_path)
    assert state is not None
    assert state["changed_files"] == ["a.txt"]


def test_a_machine_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) is None


def test_provenance_repeats_the_command() -> None:
    facts = provenance(["python", "-m", "stages.ppo", "run.name=two words"], seed=3, num_processes=2)
    assert facts["command"] == "python -m stages.ppo 'run.name=two words'"
    assert (facts["seed"], facts["num_processes"]) == (3, 2)
    assert {"python", "torch", "transformers", "numpy"} <= set(facts["versions"])


def test_fingerprints_of_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.txt").write_bytes(b"abc")
    (tmp_path / "a.txt").write_bytes(b"")
    found = data_fingerprints([tmp_path])
    assert list(found) == [str(tmp_path / "a.txt"), str(tmp_path / "deep" / "b.txt")]
    assert found[str(tmp_path / "deep" / "b.txt")]["bytes"] == 3
    assert found[str(tmp_path / "deep" / "b.txt")]["sha256"].startswith("ba7816bf")
    assert data_fingerprints([tmp_path / "a.txt"]).keys() == {str(tmp_path / "a.txt")}


def test_now_is_utc_to_the_second() -> None:
    assert len(now()) == len("2026-11-22T10:30:00Z")
    assert now().endswith("Z")
