"""Files of rows appear whole or not at all, and never over another one unasked."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlhf.checking.files import check_free, write_rows
from rlhf.errors import DataError

ROWS = [{"prompt": "Wo?", "n": 1}, {"prompt": "你好\u2028", "n": None}]


def test_lines(tmp_path: Path) -> None:
    assert write_rows(tmp_path / "a" / "x.jsonl", ROWS) == 2
    text = (tmp_path / "a" / "x.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line) for line in text.split("\n")[:-1]] == ROWS
    assert "你好" in text
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["x.jsonl"]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("x.jsonl.gz", "y.jsonl.gz"):
        write_rows(tmp_path / name, ROWS)
    assert (tmp_path / "x.jsonl.gz").read_bytes() == (tmp_path / "y.jsonl.gz").read_bytes()
    assert gzip.decompress((tmp_path / "x.jsonl.gz").read_bytes()).count(b"\n") == 2


def test_parquet(tmp_path: Path) -> None:
    from pyarrow import parquet

    turns = [{"role": "user", "content": "Q"}]
    rows = [
        {"prompt": turns, "chosen": turns, "note": "a"},
        {"prompt": [*turns, *turns], "chosen": turns, "note": "b"},
    ]
    assert write_rows(tmp_path / "x.parquet", rows) == 2
    assert parquet.read_table(tmp_path / "x.parquet").to_pylist() == rows
    with pytest.raises(DataError, match="no rows"):
        write_rows(tmp_path / "y.parquet", [])
    with pytest.raises(DataError, match="one table"):
        write_rows(tmp_path / "z.parquet", [{"a": "x"}, {"a": 3}])
    assert {file.name for file in tmp_path.iterdir()} == {"x.parquet"}


def test_a_failure_on_the_way_leaves_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("older\n")

    def broken() -> Iterator[dict[str, Any]]:
        yield ROWS[0]
        raise DataError("a bad row")

    with pytest.raises(DataError, match="a bad row"):
        write_rows(path, broken(), force=True)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("x.jsonl", "older\n")]


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_what_json_cannot_say(tmp_path: Path, value: Any) -> None:
    with pytest.raises(DataError, match=r"x\.jsonl:2: cannot be written as JSON"):
        write_rows(tmp_path / "x.jsonl", [ROWS[0], {"n": value}])
    assert list(tmp_path.iterdir()) == []


def test_half_a_letter_is_written_as_an_escape(tmp_path: Path) -> None:
    write_rows(tmp_path / "x.jsonl", [{"n": "a\ud83d"}])
    assert json.loads((tmp_path / "x.jsonl").read_text()) == {"n": "a\ud83d"}


def test_names(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ends in \.jsonl"):
        check_free(tmp_path / "x.csv")
    (tmp_path / "x.jsonl").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        check_free(tmp_path / "x.jsonl", force=True)
    check_free(tmp_path / "y.jsonl.gz")
