"""Write rows to a file that appears whole or not at all, and never over another one unasked."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from rlhf.errors import DataError
from rlhf.runs.files import write_whole

__all__ = ["EXTENSIONS", "check_free", "write_rows"]

EXTENSIONS = (".jsonl", ".jsonl.gz", ".parquet")
_ROWS_AT_ONCE = 10_000
_MESSAGES = ("prompt", "chosen", "rejected", "completion")


def check_free(path: str | Path, *, force: bool = False) -> None:
    """Refuse a file that is there already, and a name that says no format we write.

    Raises:
        DataError: with what to do.
    """
    if not str(path).endswith(EXTENSIONS):
        raise DataError(f"a file of rows ends in {', '.join(EXTENSIONS)}", str(path))
    if Path(path).is_dir():
        raise DataError("is a folder; name a file in it", str(path))
    if Path(path).exists() and not force:
        raise DataError("exists already and is left as it is; name another file, or give --force", str(path))


def write_rows(path: str | Path, rows: Iterable[Mapping[str, Any]], *, force: bool = False) -> int:
    """Write rows and return how many; they are never all in memory.

    Args:
        path: .jsonl, .jsonl.gz or .parquet; its folder is made if need be.
        rows: plain values. For .parquet all have the columns of the first.
        force: replace a file that is there.

    Raises:
        DataError: as `check_free`; the place cannot be written; a value that JSON (or the parquet's columns)
            cannot hold.
    """
    path = Path(path)
    check_free(path, force=force)
    write = _write_parquet if path.suffix == ".parquet" else _write_lines
    try:
        with write_whole(path) as partial:
            return write(partial, path, rows)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", str(path)) from error


def _write_lines(partial: Path, path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    num_rows = 0
    with _open(partial, compressed=path.suffix == ".gz") as file:
        for num_rows, row in enumerate(rows, 1):
            file.write(_line(row, path, num_rows))
    return num_rows


@contextmanager
def _open(partial: Path, *, compressed: bool) -> Iterator[Any]:
    with partial.open("wb") as raw:
        # No name and no time in the .gz: the same rows give the same bytes.
        if compressed:
            with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as stream:
                yield stream
        else:
            yield raw


def _line(row: Mapping[str, Any], path: Path, number: int) -> bytes:
    try:
        return (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except UnicodeEncodeError:  # half a letter (a lone surrogate), which an escape can say
        return (json.dumps(row, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise DataError(f"cannot be written as JSON: {error}", f"{path}:{number}") from error


def _write_parquet(partial: Path, path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    import pyarrow
    from pyarrow import parquet

    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        raise DataError("there are no rows to write", str(path))
    schema = _schema(first)
    rows, num_rows = chain([first], rows), 0
    with parquet.ParquetWriter(partial, schema) as writer:
        while batch := list(islice(rows, _ROWS_AT_ONCE)):
            try:
                writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
            except pyarrow.ArrowException as error:
                raise DataError(f"rows do not fit into one table: {error}", str(path)) from error
            num_rows += len(batch)
    return num_rows


def _schema(row: Mapping[str, Any]) -> Any:
    """Return the columns of rows of texts and messages."""
    import pyarrow

    message = pyarrow.list_(pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())]))
    return pyarrow.schema(
        (name, message if isinstance(value, list) and name in _MESSAGES else pyarrow.string())
        for name, value in row.items()
    )
