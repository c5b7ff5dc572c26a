"""Files of one JSON object a line that grow while a run goes (metrics, samples) and survive a kill.

A line is flushed as it is written, so that a killed run keeps all but the line it was writing; that torn line
is cut off when the file is opened again.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from rlhf.errors import RunError
from rlhf.runs.files import plain, write_text

__all__ = ["JsonlFile", "read_jsonl"]


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """Read the rows that `JsonlFile` wrote, but for a torn last line; a missing file has none.

    Raises:
        ValueError: a line before the last is no JSON object; names the file and the line.
    """
    path = Path(path)
    if not path.exists():
        return []
    *lines, _ = path.read_bytes().split(
        b"\n"
    )  # a whole line ends in a newline: what follows the last is torn
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: is not a JSON object ({error})") from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}:{number}: is not a JSON object")
        rows.append(row)
    return rows


class JsonlFile:
    """A growing file of JSON objects.

    Args:
        path: the file; made, with its folder, at the first row.
        enabled: False makes every call do nothing: processes other than the main one.
    """

    def __init__(self, path: str | Path, *, enabled: bool = True) -> None:
        self.path = Path(path)
        self.enabled = enabled
        self._file: TextIO | None = None

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row and flush it.

        Tensors of one element are numbers; a number that is nan or infinite is written as null and named with
        its value under the key ``nonfinite``.

        Raises:
            OSError: the disk is full.
        """
        if not self.enabled:
            return
        nonfinite = {key: str(value) for key, value in map(_number, row.items()) if value is not None}
        values = plain(row) | ({"nonfinite": nonfinite} if nonfinite else {})
        file = self._open()
        file.write(json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n")
        file.flush()

    def cut(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        """Drop the rows that `keep` does not want: on resume, those written after the checkpoint.

        Raises:
            RunError: the file was damaged since; says where.
        """
        if not self.enabled or not self.path.exists():
            return
        self.close()
        try:
            rows = [row for row in read_jsonl(self.path) if keep(row)]
        except ValueError as error:
            raise RunError(f"{error}; mend or delete that line, or run.resume=false starts anew") from None
        write_text(self.path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def close(self) -> None:
        """Close the file; the next `append` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> TextIO:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _cut_torn_line(self.path)
            self._file = self.path.open("a", encoding="utf-8")
        return self._file


def _number(item: tuple[str, Any]) -> tuple[str, float | None]:
    """The key and, if it is a number that JSON cannot say, its value."""
    key, value = item
    if hasattr(value, "item") and getattr(value, "size", None) is not None:
        value = value.item()
    return key, value if isinstance(value, float) and not math.isfinite(value) else None


def _cut_torn_line(path: Path) -> None:
    """Cut off what follows the last newline: the line that a killed process was writing."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
