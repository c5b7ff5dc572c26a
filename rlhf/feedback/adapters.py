"""People's own functions that make rows of rows, or of a whole file: settings `adapter` and `loader`.

What they give is read by the other settings of the source, as if it stood in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from rlhf.errors import DataError, RunError, SettingsError
from rlhf.feedback.files import find_files
from rlhf.feedback.hub import hub_rows
from rlhf.feedback.jsontext import JSONText, decode_line
from rlhf.feedback.mapping import Source
from rlhf.feedback.notes import BadRow
from rlhf.feedback.paths import check_text, kind_of, value_at
from rlhf.feedback.rows import OnBad, Row, read_rows
from rlhf.user_code import failures_named, file_of, load_function

__all__ = ["Adapted", "adapt", "decoded", "files_of", "load_adapter", "rows_of"]

Function = Callable[..., Any]
Adapted = Callable[[Row], "list[Row]"]

_LONGEST_DUMP = 200


def files_of(source: Source) -> list[str]:
    """Return the local files that a source is read from, those of its functions included, for provenance."""
    names = [name for name in (source.adapter, source.loader) if name is not None]
    data = [] if source.hub is not None else [str(file) for file in _data_files(source)]
    return data + [file_of(name) for name in names]


def _data_files(source: Source) -> Iterable[Any]:
    # What a loader reads is its own affair: parquet, XML, a data base.
    return find_files(source.path, any_extension=source.loader is not None)


def rows_of(source: Source, on_bad: OnBad) -> Iterator[Row]:
    """Yield the rows of a source: of its files, of the hub, or of its loader.

    Raises:
        DataError: as `read_rows`; a loader that cannot be loaded, fails, or yields something else than rows.
    """
    if source.hub is not None:
        yield from _hub_rows(source, on_bad)
        return
    if source.loader is None:
        yield from read_rows(source.path, on_bad=on_bad, separator=source.separator)
        return
    function = _load(source.loader, "loader", source)
    _data_files(source)  # says clearly that the path does not exist
    for number, values in enumerate(_called(function, source), 1):
        if isinstance(values, Mapping):
            yield Row(_plain(values), source.path, 0, number)
        else:
            message = f"{source.loader} yields rows (mappings), but this one is {kind_of(values)}"
            on_bad(BadRow(message, f"{source.path}#{number}", "not_an_object"))


def _hub_rows(source: Source, on_bad: OnBad) -> Iterator[Row]:
    for name, number, values in hub_rows(source):
        if isinstance(values, BadRow):
            on_bad(values)
        else:
            yield Row(values, name, number)


def _called(function: Function, source: Source) -> Iterator[Any]:
    assert source.loader is not None
    try:
        with failures_named(source.loader):
            found = function(source.path)
            if not isinstance(found, Iterable) or isinstance(found, (str, bytes, Mapping)):
                raise TypeError(f"a loader returns or yields rows, but this is {kind_of(found)}")
            found = iter(found)
        while True:
            with failures_named(source.loader):
                values = next(found, _END)
            if values is _END:
                return
            yield values
    except RunError as error:
        raise DataError(error.message, source.path, "bad_function") from error


_END = object()


def _load(name: str, setting: str, source: Source) -> Function:
    try:
        return load_function(name, setting, num_arguments=1)
    except SettingsError as error:
        raise DataError(str(error), source.path, "bad_function") from error


def load_adapter(source: Source) -> Adapted:
    """Return what makes of each row of a source the rows that are read.

    Its JSON columns are decoded and its adapter is called; without either, a row stays what it is.

    Raises:
        DataError: the adapter cannot be loaded.
    """
    function = None if source.adapter is None else _load(source.adapter, "adapter", source)

    def adapted(row: Row) -> list[Row]:
        row = decoded(row, source)
        return [row] if function is None else adapt(row, function, source)

    return adapted


def decoded(row: Row, source: Source) -> Row:
    """Return a row with the JSON in its `json_columns` decoded.

    Raises:
        BadRow: missing_column, not_text or bad_json.
    """
    if not source.json_columns:
        return row
    values = dict(row.values)
    for name in source.json_columns:
        text = check_text(value_at(row, name), name, row.where)
        try:
            values[name] = decode_line(text, row.where)
        except JSONText as error:
            raise BadRow(
                f"{name!r} of json_columns is not JSON: {error.message}", row.where, "bad_json"
            ) from error
    return Row(values, row.file, row.line, row.part)


def adapt(row: Row, function: Function, source: Source) -> list[Row]:
    """Return the rows that the adapter makes of a row; none where it leaves the row out.

    Raises:
        BadRow: adapter_failed, with the row in short; not_an_object, where it gives something else.
    """
    name = source.adapter or "adapter"
    given = MappingProxyType({**row.values, "_file": row.file, "_line": row.line})
    try:
        with failures_named(name):
            found = function(given)
            made = list(found) if isinstance(found, (list, tuple, Iterator)) else [found]
    except RunError as error:
        raise BadRow(f"{error.message} on {_dump(row)}", row.where, "adapter_failed") from error
    if made == [None]:
        return []
    for values in made:
        if not isinstance(values, Mapping):
            message = f"{name} gives a row (a mapping), a list of rows or None, not {kind_of(values)}"
            raise BadRow(f"{message}, on {_dump(row)}", row.where, "not_an_object")
    several = len(made) > 1
    return [
        Row(_plain(values), row.file, row.line, number if several else None)
        for number, values in enumerate(made, 1)
    ]


def _plain(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row as a reader gives it, without what was added for the function."""
    return {str(key): value for key, value in values.items() if key not in ("_file", "_line")}


def _dump(row: Row) -> str:
    text = repr(row.values)
    return text if len(text) <= _LONGEST_DUMP else f"{text[:_LONGEST_DUMP]}..."
