"""Whatever stands in a file, and whatever the source says of it: records, or one error that is the user's.

With `on_bad_row: skip` every row is accounted for: it gives a record, or a note says that it was left out.
"""

from __future__ import annotations

import gzip
import json
import random
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlhf.errors import DataError
from rlhf.feedback import Reading, Source, find_oddities, read_rows
from rlhf.feedback.codes import CODES
from tests.feedback.fuzz import (
    ADAPTER,
    BYTES,
    FORMATS,
    LETTERS,
    ODD,
    READERS,
    ROWS,
    SETTINGS,
    SHAPES,
    SPOILED,
    mappings,
    spoil,
)

SECONDS = 20.0  # of the processor, for one example: more is a reader that does not end
# Rows of rows take long to draw where the machine is busy.
BUSY = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
LONG = settings(BUSY, max_examples=3000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def read_all(path: Path | str, kind: str, source: dict[str, Any]) -> Reading[Any] | None:
    """Read, or return None where that ends in the user's error; anything else fails."""
    start = time.process_time()
    reading: Reading[Any] | None = None
    failure: DataError | None = None
    try:
        reading = READERS[kind]([{"path": str(path), **source}])
    except DataError as error:
        failure = error
    assert failure is None or (failure.code in CODES and str(path) in str(failure)), repr(failure)
    if reading is not None:
        assert {note.code for note in reading.notes} <= set(CODES)
        assert {note.code for note in find_oddities({"train": reading, "test": reading})} <= set(CODES)
    assert time.process_time() - start < SECONDS
    return reading


def lines_told(reading: Reading[Any]) -> set[int]:
    """The lines that gave a record or have a note that they were left out."""
    wheres = [getattr(one, "prompt", one).where for one in reading]
    wheres += [note.where for note in reading.notes if note.skipped]
    # file:line, and behind it a column or the part of a row
    return {int(where.rpartition("x.jsonl:")[2].partition("#")[0].partition(":")[0]) for where in wheres}


def check_bytes(folder: Path, content: bytes, name: str, packing: str, kind: str, form: str) -> None:
    packed = content
    if packing != "as it is":
        packed = gzip.compress(content, mtime=0)
        packed = packed[: len(packed) // 2] if packing == "cut off" else packed
    path = folder / name
    path.write_bytes(packed)
    skip = {"on_bad_row": "skip", "max_bad": 1.0, "format": form, "text": "prompt"}
    skip |= FORMATS[form]
    read_all(path, kind, skip)
    failure = None
    try:
        for row in read_rows(str(path)):
            assert all(isinstance(key, str) for key in row.values)
    except DataError as error:
        failure = error
    assert failure is None or str(failure).startswith(str(path))


@BUSY
@given(**BYTES)
def test_any_bytes(folder: Path, **example: Any) -> None:
    check_bytes(folder, **example)


@pytest.mark.slow
@LONG
@given(**BYTES)
def test_any_bytes_for_long(folder: Path, **example: Any) -> None:
    check_bytes(folder, **example)


@BUSY
@given(st.lists(st.binary(max_size=12) | LETTERS | st.just(b'{"text": "a"}'), max_size=12).map(b"\n".join))
def test_every_line_is_accounted_for(folder: Path, content: bytes) -> None:
    def blank(line: bytes) -> bool:
        try:
            return not line.decode("utf-8").strip()
        except UnicodeDecodeError:
            return False

    path = folder / "x.jsonl"
    content = b'{"text": "first"}\n' + content
    path.write_bytes(content)
    reading = read_all(path, "texts", {"format": "text", "on_bad_row": "skip", "max_bad": 1.0})
    assert reading is not None
    lines = {number for number, line in enumerate(content.split(b"\n"), 1) if not blank(line)}
    assert lines_told(reading) == lines
    assert reading.num_rows == len(lines) == len(reading) + sum(note.skipped for note in reading.notes)


def check_rows(folder: Path, rows: list[Any], source: dict[str, Any], kind: str) -> None:
    path = folder / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reading = read_all(path, kind, source)
    whole = source.get("split") is None and source.get("limit") is None
    if reading is None or not whole:
        return
    assert reading.num_rows == len(rows), "the bad ones too"
    if kind != "prompts" and "loader" not in source:  # of which equal ones are read once
        assert lines_told(reading) == set(range(1, len(rows) + 1))


@BUSY
@given(rows=ROWS, source=mappings(), kind=st.sampled_from(list(READERS)))
def test_any_rows_by_any_mapping(folder: Path, rows: list[Any], source: dict[str, Any], kind: str) -> None:
    check_rows(folder, rows, source, kind)


@pytest.mark.slow
@LONG
@given(rows=ROWS, source=mappings(), kind=st.sampled_from(list(READERS)))
def test_any_rows_by_any_mapping_for_long(
    folder: Path, rows: list[Any], source: dict[str, Any], kind: str
) -> None:
    check_rows(folder, rows, source, kind)


def test_every_setting_of_a_source_is_tried() -> None:
    # What other functions do is theirs (tests/feedback/test_adapters.py); the path is tried by itself.
    assert {entry.name for entry in fields(Source)} - {"path", "format", "adapter", "loader"} <= set(SETTINGS)


@BUSY
@given(
    given=st.lists(ODD, min_size=1, max_size=4),
    source=mappings(),
    kind=st.sampled_from(list(READERS)),
    setting=st.sampled_from(["adapter", "loader"]),
)
def test_anything_an_adapter_or_a_loader_gives(
    folder: Path, given: list[Any], source: dict[str, Any], kind: str, setting: str
) -> None:
    (folder / "mine.py").write_text(ADAPTER)
    name = {"adapter": "give", "loader": "load"}[setting]
    rows = [{"give": json.dumps(values)} for values in given]
    check_rows(folder, rows, {**source, setting: f"{folder}/mine.py:{name}"}, kind)


def check_shape(folder: Path, name: str, seed: int, times: int) -> None:
    chance, shape = random.Random(seed), SHAPES[name]
    rows: list[Any] = [dict(row) for row in shape.rows]
    for _ in range(times):
        place = chance.randrange(len(rows))
        rows[place] = spoil(rows[place], chance) if isinstance(rows[place], dict) else rows[place]
    kind = name.rpartition(", ")[2] if times % 3 else chance.choice(list(READERS))
    skip = {"on_bad_row": "skip", "max_bad": 1.0}
    check_rows(folder, rows, shape.settings, kind)
    check_rows(folder, rows, {**shape.settings, **skip}, kind)


@settings(BUSY, max_examples=300)
@given(**SPOILED)
def test_spoiled_rows_of_real_shapes(folder: Path, **example: Any) -> None:
    check_shape(folder, **example)


@pytest.mark.slow
@settings(BUSY, max_examples=10_000)
@given(**SPOILED)
def test_spoiled_rows_of_real_shapes_for_long(folder: Path, **example: Any) -> None:
    check_shape(folder, **example)


def test_there_are_as_many_shapes_as_there_are_rows_of_them() -> None:
    assert len(SHAPES) >= 41


# --- paths


@BUSY
@given(st.text(alphabet="/~.*?[]!{}a-\0\n \ud83d\u00e9", max_size=12))
def test_any_path(folder: Path, text: str) -> None:
    for path in (f"{folder}/{text}", f"{folder}/nowhere/{text}", f"~nobody{text}"):
        if ".." in path or "//" in path:
            continue  # the whole disk
        failure = None
        try:
            list(read_rows(path))
        except DataError as error:
            failure = error
        assert failure is None or failure.code in CODES
