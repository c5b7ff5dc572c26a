"""Recognise a checkpoint that was cut or changed after it was written, before anything is loaded from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlhf.runs.files import file_sha256, read_json, write_json

__all__ = ["MANIFEST", "find_damage", "write_manifest"]

MANIFEST = "manifest.json"


def write_manifest(folder: Path) -> None:
    """List the files of a folder with size and SHA-256; the last thing that is written into it."""
    files = {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    write_json(folder / MANIFEST, files)


def find_damage(folder: Path) -> str | None:
    """Return what is wrong with a folder, or None where every file is what it was when it was written."""
    try:
        files: dict[str, dict[str, Any]] = read_json(folder / MANIFEST)
    except (OSError, ValueError) as error:
        return f"{MANIFEST} cannot be read ({type(error).__name__})"
    for name, facts in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != facts["size"]:
            return f"{name} has {path.stat().st_size} bytes, not {facts['size']}"
        if file_sha256(path) != facts["sha256"]:
            return f"{name} has changed since it was written"
    return None
