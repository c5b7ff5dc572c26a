"""Read rows from files, with the file and line of each; nothing is coerced, nothing is dropped in silence.

Ours and not `datasets`: that one turns date-like text into timestamps and "NA" into null, reads a dict of
columns as one row, and names neither file nor line where a file is broken.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from rlhf.errors import DataError
from rlhf.feedback.arrow import ARROW_EXTENSIONS, read_values
from rlhf.feedback.files import decode, extension_of, find_files, read_lines
from rlhf.feedback.jsontext import JSONText, decode_line, decode_values
from rlhf.feedback.notes import BadRow

__all__ = ["OnBad", "Row", "read_rows"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: its columns, and where it stands.

    Args:
        values: by the names of the columns.
        file: its file.
        line: its first line (its row in a file without lines), counted from 1; 0 where it is a loader's,
            which says no line.
        part: its number, counted from 1, among those that a loader, or an adapter for one line, made.
    """

    values: dict[str, Any]
    file: str
    line: int
    part: int | None = None

    @property
    def where(self) -> str:
        """Return ``file:line``; ``file:line#part`` or ``file#part`` where there is a part."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return place if self.part is None else f"{place}#{self.part}"


OnBad = Callable[[BadRow], None]


def _raise(error: BadRow) -> NoReturn:
    raise error


def read_rows(path: str, *, on_bad: OnBad = _raise, separator: str | None = None) -> Iterator[Row]:
    """Read the rows of a file, a folder or a glob, in order.

    A .txt file gives rows with the one column "text": one a file, or one between each `separator`.

    Args:
        path: see `find_files`.
        on_bad: what to do with a row that cannot be read (broken JSON line, bad UTF-8, not an object, wrong
            number of cells); by default it is raised. A file that cannot be read on always raises.
        separator: of the documents in a .txt file.

    Raises:
        DataError: with file:line; missing, empty, truncated or unreadable file, or a bad row (see `on_bad`).
    """
    files = find_files(path)
    if separator is not None and not any(extension_of(file) == ".txt" for file in files):
        raise DataError("separator parts the documents of a .txt file, and there is none", path, "bad_source")
    for file in files:
        extension = extension_of(file)
        if extension in (".jsonl", ".ndjson"):
            rows = _read_jsonl(file, on_bad)
        elif extension == ".json":
            rows = _read_json(file, on_bad)
        elif extension in ARROW_EXTENSIONS:
            rows = _read_arrow(file, on_bad)
        elif extension == ".txt":
            rows = _read_text(file, separator)
        else:
            rows = _read_table(file, "\t" if extension == ".tsv" else ",", on_bad)
        yield from rows


def _decode_all(file: Path) -> str:
    return "".join(decode(line, f"{file}:{number}") for number, line in read_lines(file))


def _read_jsonl(file: Path, on_bad: OnBad) -> Iterator[Row]:
    for number, line in read_lines(file):
        where = f"{file}:{number}"
        try:
            text = decode(line, where)
            if not text.strip():
                continue
            values = _checked(decode_line(text, where), where)
        except JSONText as error:
            on_bad(BadRow(error.message, error.where, "bad_json"))
        except BadRow as error:
            on_bad(error)
        else:
            yield Row(values, str(file), number)


def _read_json(file: Path, on_bad: OnBad) -> Iterator[Row]:
    try:
        text = _decode_all(file)
        items = decode_values(text, str(file))
    except JSONText as error:  # nothing after the broken place can be trusted, so `on_bad` is not asked
        raise BadRow(error.message, error.where, error.code) from error
    if not text.lstrip().startswith("["):  # a list of one row is a list of rows
        _check_is_rows([value for _, value in items], file)
    for line, value in items:
        try:
            yield Row(_checked(value, f"{file}:{line}"), str(file), line)
        except BadRow as error:
            on_bad(error)


def _checked(value: object, where: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    kind = {str: "text", list: "list", type(None): "null", bool: "boolean"}.get(type(value), "number")
    raise BadRow(
        f"a row must be an object with named columns, not a {kind}: {str(value)[:60]!r}",
        where,
        "not_an_object",
    )


def _check_is_rows(values: list[Any], file: Path) -> None:
    """Refuse the two layouts that would pass as one row: rows under a key, and a dict of columns."""
    if len(values) != 1 or not isinstance(values[0], dict):
        return
    for key, value in values[0].items():
        if (
            len(values[0]) <= 3
            and isinstance(value, list)
            and value
            and all(isinstance(entry, dict) and not _is_message(entry) for entry in value)
        ):
            raise DataError(
                f"holds one object with rows under {key!r}, not a list of rows; save that list alone, or one "
                "row a line",
                str(file),
                "not_rows",
            )
    columns = list(values[0].values())
    lengths = {len(value) if isinstance(value, list) else -1 for value in columns}
    listed = len(columns) > 1 and len(lengths) == 1 and lengths.pop() > 1
    # What pandas writes by default: each column an object of its values by number.
    numbered = all(isinstance(value, dict) and value and all(map(str.isdecimal, value)) for value in columns)
    if listed or (columns and numbered):
        remedy = "save the rows, one row a line (pandas: to_json(path, orient='records', lines=True))"
        raise DataError(f"holds one object of columns, not a list of rows; {remedy}", str(file), "not_rows")


def _is_message(entry: dict[str, Any]) -> bool:
    return {"role", "content"} <= entry.keys() or {"from", "value"} <= entry.keys()


def _read_arrow(file: Path, on_bad: OnBad) -> Iterator[Row]:
    for number, values in enumerate(read_values(file), 1):
        if isinstance(values, BadRow):
            on_bad(values)
        else:
            yield Row(values, str(file), number)


def _read_table(file: Path, delimiter: str, on_bad: OnBad) -> Iterator[Row]:
    """Every cell stays text: "007", "NA" and dates are what they were."""
    if csv.field_size_limit() < 2**31 - 1:
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the default refuses cells over 128 KiB
    lines = (decode(line, f"{file}:{number}") for number, line in read_lines(file))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    start = 1
    try:
        for cells in reader:
            where, line, start = f"{file}:{start}", start, reader.line_num + 1
            if not cells:
                continue
            if header is None:
                header = _check_header(cells, delimiter, where)
            elif len(cells) != len(header):
                on_bad(BadRow(_wrong_cells(cells, header), where, "bad_cells"))
            elif cells == header and len(header) > 1:
                message = "the header again; were files put together? Take the line out"
                on_bad(BadRow(message, where, "bad_header"))
            else:
                yield Row(dict(zip(header, cells, strict=True)), str(file), line)
    except csv.Error as error:
        raise DataError(
            f"{error}; a quote is not closed, or stands inside a cell that is not quoted",
            f"{file}:{start}",
            "bad_csv",
        ) from error


def _wrong_cells(cells: list[str], header: list[str]) -> str:
    number = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
    shown = ", ".join(repr(cell[:20]) for cell in cells[:4])
    remedy = "put cells with separators or line ends in them into double quotes"
    return f"{number} where the header has {len(header)}: {shown}; {remedy}"


def _check_header(cells: list[str], delimiter: str, where: str) -> list[str]:
    known = {",": ".csv", "\t": ".tsv"}
    for other in (",", ";", "\t", "|", *([" "] if delimiter == "\t" else [])):
        if len(cells) == 1 and other != delimiter and other in cells[0].strip():
            found = "spaces" if other == " " else repr(other)
            name = f", or name it {known[other]}" if other in known else ""
            raise DataError(
                f"one column named {cells[0]!r}; its cells are separated by {found}, not "
                f"{'tabs' if delimiter == chr(9) else repr(delimiter)}; save it with these{name}",
                where,
                "bad_header",
            )
    nameless = sum(not cell.strip() for cell in cells)
    if nameless > 1 or nameless == len(cells):
        raise DataError(
            f"{nameless} column{'s' * (nameless > 1)} have no name; the first line names the columns",
            where,
            "bad_header",
        )
    twice = {cell for cell in cells if cells.count(cell) > 1}
    if twice:
        raise DataError(f"column {sorted(twice)[0]!r} is named twice", where, "bad_header")
    return cells


def _read_text(file: Path, separator: str | None) -> Iterator[Row]:
    text = _decode_all(file).replace("\r\n", "\n")
    if separator == "":
        raise DataError("separator is empty; use null for one document a file", str(file), "bad_source")
    line = 1
    for document in text.split(separator) if separator else [text]:
        lead = len(document) - len(document.lstrip())
        if document.strip():
            yield Row({"text": document}, str(file), line + document.count("\n", 0, lead))
        line += document.count("\n") + (separator.count("\n") if separator else 0)
