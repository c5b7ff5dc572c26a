from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rlhf.errors import RunError
from rlhf.runs.jsonl import JsonlFile, read_jsonl


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run" / "metrics.jsonl"


def test_rows_are_there_at_once(file: Path) -> None:
    metrics = JsonlFile(file)
    metrics.append({"step": 1, "ppo/kl": torch.tensor(0.5), "n": np.int64(3), "text": "ä"})
    assert read_jsonl(file) == [{"step": 1, "ppo/kl": 0.5, "n": 3, "text": "ä"}]
    metrics.append({"step": 2})
    assert len(read_jsonl(file)) == 2
    metrics.close()


def test_numbers_that_json_cannot_say_are_null_and_named(file: Path) -> None:
    metrics = JsonlFile(file)
    metrics.append({"step": 1, "a": float("nan"), "b": torch.tensor(float("-inf")), "c": 2.0})
    metrics.close()
    assert json.loads(file.read_text(), parse_constant=pytest.fail) == {
        "step": 1,
        "a": None,
        "b": None,
        "c": 2.0,
        "nonfinite": {"a": "nan", "b": "-inf"},
    }


def test_a_torn_last_line_is_left_out_and_cut_off(file: Path) -> None:
    metrics = JsonlFile(file)
    metrics.append({"step": 1})
    metrics.close()
    with file.open("a") as raw:
        raw.write('{"step": 2, "ppo/k')
    assert read_jsonl(file) == [{"step": 1}]
    again = JsonlFile(file)
    again.append({"step": 2})
    again.close()
    assert read_jsonl(file) == [{"step": 1}, {"step": 2}]


def test_a_file_that_is_one_torn_line(file: Path) -> None:
    file.parent.mkdir()
    file.write_text('{"st')
    metrics = JsonlFile(file)
    metrics.append({"step": 1})
    metrics.close()
    assert file.read_text() == '{"step": 1}\n'


def test_a_broken_line_in_the_middle_is_an_error(file: Path) -> None:
    file.parent.mkdir()
    file.write_text('{"step": 1}\nnonsense\n{"step": 2}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl:2: is not a JSON object"):
        read_jsonl(file)
    file.write_text("[1]\n")
    with pytest.raises(ValueError, match=r"metrics\.jsonl:1: is not a JSON object"):
        read_jsonl(file)


def test_cut_drops_what_came_after_a_checkpoint(file: Path) -> None:
    metrics = JsonlFile(file)
    for step in range(5):
        metrics.append({"step": step, "text": "ä"})
    metrics.cut(lambda row: row["step"] <= 2)
    metrics.append({"step": 3})
    metrics.close()
    assert [row["step"] for row in read_jsonl(file)] == [0, 1, 2, 3]


def test_a_missing_file_has_no_rows(file: Path) -> None:
    assert read_jsonl(file) == []
    JsonlFile(file).cut(lambda row: False)
    assert not file.exists()


def test_other_processes_write_nothing(file: Path) -> None:
    metrics = JsonlFile(file, enabled=False)
    metrics.append({"step": 1})
    metrics.close()
    assert not file.exists()


def test_cutting_a_damaged_file_says_where(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nnothing\n{"step": 2}\n')
    with pytest.raises(RunError, match=r"metrics\.jsonl:2: .*run\.resume=false starts anew"):
        JsonlFile(tmp_path / "metrics.jsonl").cut(lambda row: True)
