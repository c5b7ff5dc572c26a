"""Rows of Parquet and Arrow (IPC, Feather) files and tables, a thousand at a time, through pyarrow.

Values are what the file says: text is text, a timestamp is no text. Nothing is cast.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rlhf.errors import DataError
from rlhf.feedback.notes import BadRow

__all__ = ["ARROW_EXTENSIONS", "read_values", "saved_files", "values_of"]

ARROW_EXTENSIONS = (".parquet", ".arrow", ".feather")

_ROWS_AT_ONCE = 1000
_MARK = b"\xff\xff\xff\xff"  # before each message; streams of before Arrow 0.15 have none
_END_OF_STREAM = b"\0\0\0\0"


def read_values(file: Path) -> Iterator[dict[str, Any] | BadRow]:
    """Yield the rows of a file by columns, or what is wrong with a row.

    Raises:
        BadRow: empty_file, broken_file (cut off, not what its name says), bad_columns (two of one name).
    """
    try:
        import pyarrow
    except ImportError as error:
        raise DataError(
            f"{file.suffix} is read by pyarrow, which is not installed", str(file), "unreadable"
        ) from error
    try:
        if file.stat().st_size == 0:
            raise BadRow("file is empty", str(file), "empty_file")
        yield from values_of(_batches(file), str(file))
    except (pyarrow.ArrowException, OSError) as error:
        message = " ".join(str(error).split())
        kind = file.suffix.lower().lstrip(".")
        raise BadRow(
            f"is not a sound {kind} file, or was cut off ({message}); fetch or write it again",
            str(file),
            "broken_file",
        ) from error


def _batches(file: Path) -> Iterator[Any]:
    if file.suffix.lower() == ".parquet":
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(file) as parquet:
            _check_columns(parquet.schema_arrow.names, file)
            yield from parquet.iter_batches(_ROWS_AT_ONCE)
        return
    yield from _ipc_batches(file)


def _ipc_batches(file: Path) -> Iterator[Any]:
    """Yield the batches of an IPC file or stream; which it is stands at its beginning, not in its name."""
    import pyarrow

    with file.open("rb") as stream:
        start = stream.read(6)
        stream.seek(max(0, file.stat().st_size - len(_MARK + _END_OF_STREAM)))
        end = stream.read()
    if start.startswith(b"FEA1"):
        raise BadRow("is a Feather file of version 1; write it again as version 2", str(file), "broken_file")
    with pyarrow.memory_map(str(file)) as source:
        if start == b"ARROW1":
            reader = pyarrow.ipc.open_file(source)
            _check_columns(reader.schema.names, file)
            yield from map(reader.get_batch, range(reader.num_record_batches))
            return
        with pyarrow.ipc.open_stream(source) as reader:
            _check_columns(reader.schema.names, file)
            yield from reader
        mark = _MARK if start.startswith(_MARK) else b""
        # pyarrow takes a stream that stops between two batches for a whole one
        if not end.endswith(mark + _END_OF_STREAM):
            raise BadRow(
                "the stream has no end mark (cut off while copying?); fetch it again",
                str(file),
                "broken_file",
            )


def _check_columns(names: list[str], file: Path) -> None:
    twice = sorted(name for name in set(names) if names.count(name) > 1)
    if twice:
        raise BadRow(f"column {twice[0]!r} is named twice", str(file), "bad_columns")


def values_of(batches: Iterable[Any], name: str) -> Iterator[dict[str, Any] | BadRow]:
    """Yield the rows of record batches as Python values; a BadRow where a value cannot be one."""
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            some = batch.slice(start, _ROWS_AT_ONCE)
            yield from _plain_rows(some, name, number)
            number += some.num_rows


def _plain_rows(batch: Any, name: str, before: int) -> Iterable[dict[str, Any] | BadRow]:
    try:
        rows: list[dict[str, Any]] = batch.to_pylist(maps_as_pydicts="strict")
        return rows
    except (ValueError, ArithmeticError, KeyError) as error:
        if batch.num_rows > 1:
            return (
                row
                for place in range(batch.num_rows)
                for row in _plain_rows(batch.slice(place, 1), name, before + place)
            )
        return [_bad(error, f"{name}:{before + 1}")]


def _bad(error: Exception, where: str) -> BadRow:
    if isinstance(error, UnicodeDecodeError):
        byte = error.object[error.start]
        message = (
            f"byte 0x{byte:02x} at position {error.start + 1} of a text is not UTF-8; write the file again"
        )
        return BadRow(message, where, "bad_utf8")
    return BadRow(f"holds a value that Python has no type for: {error}", where, "bad_value")


def saved_files(folder: Path) -> list[Path] | None:
    """Return the files of a folder that `save_to_disk` of datasets wrote, in their order; None for others.

    Raises:
        DataError: the folder holds several splits, or lacks a file.
    """
    if (folder / "dataset_dict.json").is_file():
        splits = sorted(entry.name for entry in folder.iterdir() if (entry / "state.json").is_file())
        shown = ", ".join(str(folder / split) for split in splits) or "there is none"
        raise DataError(
            f"holds the splits that save_to_disk wrote; name one of them: {shown}", str(folder), "bad_source"
        )
    state = folder / "state.json"
    if not (state.is_file() and (folder / "dataset_info.json").is_file()):
        return None
    try:
        files = [folder / entry["filename"] for entry in json.loads(state.read_bytes())["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            "does not say which files save_to_disk wrote; save the data again", str(state), "broken_file"
        ) from error
    gone = [file for file in files if not file.is_file()]
    if gone or not files:
        name = gone[0].name if gone else "no file"
        raise DataError(f"names {name}, which is not there", os.fspath(state), "file_not_found")
    return files
