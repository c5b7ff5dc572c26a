"""Write files and folders so that a crash leaves the old one or the new one, never a half.

Everything is written beside its goal, flushed to the disk and renamed into place, which POSIX does at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["file_sha256", "plain", "read_json", "write_folder", "write_json", "write_text", "write_whole"]


@contextlib.contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Fill a file that appears complete or not at all; its folder is made if need be.

    The path given is ``.<name>.partial`` beside the goal.

    Raises:
        OSError: the disk is full or the place cannot be written; an older file is still whole.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically, as `write_whole`."""
    with write_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, values: Any) -> None:
    """Write a JSON file atomically: indented, UTF-8, tensors of one element and numpy numbers as numbers.

    JSON has no nan and no infinity: they become null (`plain`), because most readers refuse Python's ``NaN``.
    """
    write_text(path, json.dumps(plain(values), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON.
    """
    return json.loads(Path(path).read_text(encoding="utf-8"))


@contextlib.contextmanager
def write_folder(path: str | Path) -> Iterator[Path]:
    """Fill a folder that appears complete or not at all::

        with write_folder("runs/ppo/checkpoints/step_000040") as folder:
            torch.save(state, folder / "state.pt")

    The folder given is ``.<name>.partial`` beside the goal; an older folder at the goal is replaced. What an
    earlier crash left behind is removed first.
    """
    path = Path(path)
    partial, old = path.with_name(f".{path.name}.partial"), path.with_name(f".{path.name}.old")
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        finish_folder(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def finish_folder(partial: Path, path: Path) -> None:
    """Flush a filled folder to the disk and rename it into place."""
    for folder, _, names in os.walk(partial):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(folder))
    old = path.with_name(f".{path.name}.old")
    if path.exists():
        os.replace(path, old)  # a folder cannot be renamed onto a filled one
    os.replace(partial, path)
    _sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename inside a folder survive a power cut; some file systems cannot, which is no error."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def plain(value: Any) -> Any:
    """Turn a value into what JSON can say.

    Tensors and numpy numbers of one element become numbers, paths text, tuples lists; nan and infinity become
    None.

    Raises:
        TypeError: for anything else, named by its type.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, (bytes, bytearray)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "size", None) is not None:
        return plain(value.item())
    raise TypeError(f"{type(value).__name__} cannot be written as JSON: {value!r}")


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, as hexadecimal text."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
