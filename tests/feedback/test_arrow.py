"""Parquet and Arrow files: values as they are, places, and one message for each way in which a file is broken."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from rlhf.errors import DataError
from rlhf.feedback.files import find_files, fingerprint_files
from rlhf.feedback.mapping import Source
from rlhf.feedback.notes import BadRow
from rlhf.feedback.reading import read_rankings, read_texts
from rlhf.feedback.rows import read_rows

ROWS = [
    {
        "prompt": "2023-01-01",
        "chosen": "NA",
        "rejected": "007",
        "tags": ["a", None],
        "meta": {"n": 1, "x": None},
    },
    {"prompt": "Why? é 🙂", "chosen": "1e5", "rejected": "", "tags": [], "meta": {"n": 2, "x": 0.5}},
]
TABLE = pa.Table.from_pylist(ROWS)


def write_stream(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)


def write_file(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, row_group_size=1)


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "a.parquet": write_parquet,
    "a.arrow": write_file,
    "stream.arrow": write_stream,
    "a.feather": lambda table, path: pyarrow.feather.write_feather(table, str(path)),
}
EACH = pytest.mark.parametrize("name", WRITERS)


@EACH
def test_rows_come_as_they_were_written(tmp_path: Path, name: str) -> None:
    WRITERS[name](TABLE, tmp_path / name)
    rows = list(read_rows(str(tmp_path / name)))
    assert [row.values for row in rows] == ROWS
    assert [row.where for row in rows] == [f"{tmp_path / name}:1", f"{tmp_path / name}:2"]


@EACH
def test_many_rows_keep_their_order_and_numbers(tmp_path: Path, name: str) -> None:
    WRITERS[name](pa.table({"n": list(range(2500))}), tmp_path / name)
    assert [(row.values["n"], row.line) for row in read_rows(str(tmp_path / name))] == [
        (n, n + 1) for n in range(2500)
    ]


TYPED: dict[str, tuple[Any, pa.DataType, str]] = {
    "timestamp": (datetime.datetime(2023, 1, 1), pa.timestamp("s"), "a timestamp"),
    "nanoseconds": (1_672_531_200_000_000_001, pa.timestamp("ns"), "a timestamp"),
    "date": (datetime.date(2023, 1, 1), pa.date32(), "a date"),
    "time": (datetime.time(1, 2), pa.time32("s"), "a time of day"),
    "duration": (datetime.timedelta(1), pa.duration("s"), "a duration"),
    "decimal": (decimal.Decimal("1.50"), pa.decimal128(5, 2), "a decimal number"),
    "bytes": (b"text", pa.binary(), "bytes"),
    "whole": (3, pa.int64(), "a number"),
    "half": (0.5, pa.float16(), "a number"),
    "boolean": (True, pa.bool_(), "a boolean"),
    "null": (None, pa.string(), "null"),
    "list": (["a"], pa.list_(pa.string()), "a list"),
    "struct": ({"a": "b"}, pa.struct([("a", pa.string())]), "an object"),
    "map": ([("a", "b")], pa.map_(pa.string(), pa.string()), "an object"),
}


@pytest.mark.parametrize("kind", TYPED)
@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_what_is_no_text_is_refused_by_its_type_where_text_is_asked(
    tmp_path: Path, name: str, kind: str
) -> None:
    value, column, words = TYPED[kind]
    table = pa.table({"answer": pa.array([value, value], column)})
    WRITERS[name](table, tmp_path / name)
    with pytest.raises(BadRow) as caught:
        read_texts([Source(path=str(tmp_path / name), format="text", text="answer")])
    assert caught.value.code == "not_text"
    assert caught.value.where == f"{tmp_path / name}:1"
    assert f"'answer' must be text, but is {words}" in str(caught.value)


def test_text_of_a_category_is_text(tmp_path: Path) -> None:
    column = pa.array(["a", "b", "a"]).dictionary_encode()
    write_parquet(pa.table({"x": column}), tmp_path / "a.parquet")
    assert [row.values["x"] for row in read_rows(str(tmp_path / "a.parquet"))] == ["a", "b", "a"]


@EACH
def test_a_text_that_is_not_utf8_is_one_bad_row(tmp_path: Path, name: str) -> None:
    bad = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\2\0\0\0\4\0\0\0"), pa.py_buffer(b"ok\xffx"))
    WRITERS[name](pa.table({"text": bad}), tmp_path / name)
    found: list[BadRow] = []
    rows = list(read_rows(str(tmp_path / name), on_bad=found.append))
    assert [row.values for row in rows] == [{"text": "ok"}]
    assert [(one.code, one.where) for one in found] == [("bad_utf8", f"{tmp_path / name}:2")]
    assert "byte 0xff at position 1" in str(found[0])


def test_a_bad_row_far_behind_has_its_place(tmp_path: Path) -> None:
    data = pa.array([b"ok"] * 1500 + [b"\xff", b"ok"])
    text = pa.StringArray.from_buffers(len(data), *data.buffers()[1:])
    write_parquet(pa.table({"text": text}), tmp_path / "a.parquet")
    with pytest.raises(BadRow, match=":1501: byte 0xff"):
        list(read_rows(str(tmp_path / "a.parquet")))


@EACH
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.98])
def test_a_file_that_was_cut_off_is_one_message(tmp_path: Path, name: str, share: float) -> None:
    whole = tmp_path / name
    WRITERS[name](pa.table({"text": [f"text {n}" for n in range(3000)]}), whole)
    data = whole.read_bytes()
    whole.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BadRow) as caught:
        list(read_rows(str(whole)))
    assert caught.value.code == ("broken_file" if share else "empty_file")
    assert caught.value.where == str(whole)
    assert "\n" not in str(caught.value)


def test_a_stream_cut_between_two_batches_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    write_stream(TABLE, path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(BadRow, match="no end mark"):
        list(read_rows(str(path)))


@EACH
def test_text_under_the_name_of_a_table_is_one_message(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"prompt": "a"}\n')
    with pytest.raises(BadRow, match="is not a sound"):
        list(read_rows(str(tmp_path / name)))


def test_feather_of_version_1_and_gz_and_equal_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "old.feather").write_bytes(b"FEA1 and so on")
    with pytest.raises(BadRow, match="version 1"):
        list(read_rows(str(tmp_path / "old.feather")))
    (tmp_path / "a.parquet.gz").write_bytes(b"")
    with pytest.raises(DataError, match="unpack it"):
        list(read_rows(str(tmp_path / "a.parquet.gz")))
    write_file(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), tmp_path / "a.arrow")
    with pytest.raises(BadRow, match="column 'a' is named twice"):
        list(read_rows(str(tmp_path / "a.arrow")))


def test_a_table_without_rows_holds_no_rows(tmp_path: Path) -> None:
    write_parquet(TABLE.slice(0, 0), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="holds no rows"):
        read_rankings([Source(path=str(tmp_path / "a.parquet"), format="pair")])


def test_folders_and_globs_and_fingerprints_know_them(tmp_path: Path) -> None:
    write_parquet(TABLE, tmp_path / "b.parquet")
    write_stream(TABLE, tmp_path / "a.arrow")
    (tmp_path / "c.jsonl").write_text('{"prompt": "x"}\n')
    (tmp_path / "notes.md").write_text("no data")
    assert [file.name for file in find_files(str(tmp_path))] == ["a.arrow", "b.parquet", "c.jsonl"]
    assert [file.name for file in find_files(str(tmp_path / "*.parquet"))] == ["b.parquet"]
    assert len(set(fingerprint_files(str(tmp_path)).values())) == 3
    assert [row.values.get("prompt") for row in read_rows(str(tmp_path))][-1] == "x"


def test_skip_counts_bad_rows_of_tables(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{n}", "chosen": "yes", "rejected": "no" if n else "yes"} for n in range(20)]
    write_parquet(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    source = Source(path=str(tmp_path / "a.parquet"), format="pair", on_bad_row="skip", max_bad=0.1)
    reading = read_rankings([source])
    assert (len(reading), reading.counts()) == (19, {"same_responses": 1})


# --- what datasets wrote


def test_a_folder_that_save_to_disk_wrote_is_read_by_its_own_list_of_files(tmp_path: Path) -> None:
    from datasets import Dataset

    folder = tmp_path / "saved"
    Dataset.from_list(ROWS).save_to_disk(folder, num_shards=2)
    (folder / "stale.arrow").write_bytes(b"of an older save")
    assert [file.suffix for file in find_files(str(folder))] == [".arrow", ".arrow"]
    assert [row.values for row in read_rows(str(folder))] == ROWS
    # Seen from above it is data files among others, without the notes about them.
    (folder / "stale.arrow").unlink()
    assert [row.values for row in read_rows(str(tmp_path))] == ROWS


def test_a_saved_set_of_several_splits_says_which_to_name(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    one = Dataset.from_list(ROWS)
    DatasetDict({"train": one, "test": one}).save_to_disk(tmp_path)
    with pytest.raises(DataError) as caught:
        find_files(str(tmp_path))
    assert f"name one of them: {tmp_path / 'test'}, {tmp_path / 'train'}" in str(caught.value)
    assert len(list(read_rows(str(tmp_path / "train")))) == 2


@pytest.mark.parametrize(("state", "words"), [("{}", "does not say"), ("no json", "does not say")])
def test_a_saved_folder_that_is_damaged_is_one_message(tmp_path: Path, state: str, words: str) -> None:
    from datasets import Dataset

    Dataset.from_list(ROWS).save_to_disk(tmp_path)
    whole = (tmp_path / "state.json").read_text()
    (tmp_path / "state.json").write_text(state)
    with pytest.raises(DataError, match=words):
        find_files(str(tmp_path))
    (tmp_path / "state.json").write_text(whole)
    next(tmp_path.glob("*.arrow")).unlink()
    with pytest.raises(DataError, match="which is not there"):
        find_files(str(tmp_path))
