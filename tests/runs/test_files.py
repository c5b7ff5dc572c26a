from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from rlhf.runs import files
from rlhf.runs.files import file_sha256, plain, read_json, write_folder, write_json, write_text


def test_text_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "new" / "a.txt"
    write_text(file, "first")
    write_text(file, "zweite ä")
    assert file.read_text(encoding="utf-8") == "zweite ä"
    assert os.listdir(file.parent) == ["a.txt"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(file, "new")
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_bytes_are_on_disk_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd)))
    monkeypatch.setattr(files.os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    write_text(tmp_path / "a.txt", "x")
    assert calls == ["fsync", "replace", "fsync"]  # the file, the rename, the folder


def test_a_folder_appears_complete(tmp_path: Path) -> None:
    goal = tmp_path / "checkpoints" / "step_1"
    with write_folder(goal) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "a").write_text("1")
        assert not goal.exists()
    assert (goal / "deep" / "a").read_text() == "1"
    assert os.listdir(goal.parent) == ["step_1"]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    goal = tmp_path / "step_1"
    with write_folder(goal) as folder:
        (folder / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), write_folder(goal) as folder:
        (folder / "a").write_text("new")
        raise KeyboardInterrupt
    assert (goal / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["step_1"]


def test_a_folder_is_replaced_and_leftovers_of_a_crash_go(tmp_path: Path) -> None:
    goal = tmp_path / "step_1"
    for leftover in (".step_1.partial", ".step_1.old"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "torn").write_text("x")
    for text in ("old", "new"):
        with write_folder(goal) as folder:
            assert os.listdir(folder) == []
            (folder / text).write_text(text)
    assert os.listdir(goal) == ["new"]
    assert os.listdir(tmp_path) == ["step_1"]


def test_plain_values() -> None:
    assert plain(
        {
            "a": torch.tensor(1.5),
            2: np.float32(0.5),
            "c": (np.int64(3), True),
            "d": Path("x"),
            "e": {"b": None},
        }
    ) == {"a": 1.5, "2": 0.5, "c": [3, True], "d": "x", "e": {"b": None}}
    assert plain([float("nan"), float("inf"), np.float64("nan"), torch.tensor(float("-inf"))]) == [None] * 4
    with pytest.raises(TypeError, match="object cannot be written as JSON"):
        plain(object())


def test_json_round_trip(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ä": 1, "nan": float("nan")})
    assert read_json(tmp_path / "a.json") == {"ä": 1, "nan": None}
    assert "ä" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)


def test_sha256_of_abc(tmp_path: Path) -> None:
    # FIPS 180-2, appendix B.1
    (tmp_path / "a").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(tmp_path / "a") == expected
