"""Where a run comes from: code, versions, machine, command, seed, data."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from rlhf.runs.files import file_sha256

__all__ = ["data_fingerprints", "git_state", "now", "provenance"]

_PACKAGES = (
    *("rlhf", "torch", "transformers", "trl", "peft", "accelerate", "datasets"),
    *("tokenizers", "safetensors", "numpy", "pydantic", "pyyaml"),
)


def provenance(command: Sequence[str], seed: int | None, num_processes: int = 1) -> dict[str, Any]:
    """Everything but the data that decides what a run gives.

    Args:
        command: the words of the command line.
        seed: the run's seed.
        num_processes: over how many processes it runs.
    """
    return {
        "command": shlex.join(command),
        "seed": seed,
        "num_processes": num_processes,
        "folder": os.getcwd(),
        "git": git_state(Path(__file__).parent),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": {"platform": platform.platform(), "num_cpus": os.cpu_count(), "devices": _devices()},
    }


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _devices() -> list[str]:
    """Names of the accelerators, if torch is in use at all; it is not imported for this."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def git_state(folder: str | Path) -> dict[str, Any] | None:
    """Commit, branch and the tracked files that differ from it; None where there is no git or no commit."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {
        "commit": commit,
        "branch": _git(folder, "rev-parse", "--abbrev-ref", "HEAD"),
        "changed_files": [line[2:].strip() for line in (changes or "").splitlines()],
    }


def _git(folder: str | Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.rstrip("\n")


def data_fingerprints(paths: Iterable[str | Path]) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of every file; of a folder, of the files below it.

    Raises:
        OSError: a file cannot be read.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        files += sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return {str(file): {"bytes": file.stat().st_size, "sha256": file_sha256(file)} for file in files}


def now() -> str:
    """The time in UTC to the second: ``2026-11-22T10:30:00Z``."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
