"""What to do with the run that is already in a folder: go on with it, move it away, or leave it alone."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from rlhf.errors import RunError
from rlhf.runs import console
from rlhf.runs.files import plain, read_json
from rlhf.runs.manifest import find_damage
from rlhf.settings.yaml_file import read_yaml

fcntl: Any = None
with contextlib.suppress(ImportError):  # not on Windows: there, two runs in one folder are not noticed
    fcntl = importlib.import_module("fcntl")

__all__ = ["clear", "decide", "find_checkpoints", "read_facts", "take_lock"]

# Settings that change how a run is kept and not what it computes.
_HOW_IT_IS_KEPT = ("run.resume", "run.keep_previous", "run.trackers", "run.name")


def find_checkpoints(path: str | Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    return sorted((Path(path) / "checkpoints").glob("step_[0-9]*"), key=lambda folder: int(folder.name[5:]))


def decide(
    path: Path, config: Mapping[str, Any], stage: str, resume: bool | str
) -> tuple[TextIO | None, Path | None]:
    """Look at a folder before a run opens it.

    Returns:
        The lock on the folder, and the checkpoint to go on from (None: start anew).

    Raises:
        RunError: the folder is not a run's, or another stage's, or in use, or there is nothing (whole) to
            resume.
    """
    if path.exists():
        _check_is_a_run(path, stage)
    checkpoints = find_checkpoints(path)
    if resume is True and not checkpoints:
        raise RunError(f"run.resume is true, but {path} has no checkpoint; run.resume=auto starts anew")
    lock = take_lock(path)
    if not checkpoints or resume is False:
        return lock, None
    differences = _differences(path, config)
    unfinished = read_facts(path).get("status") != "finished"
    if resume is True or (unfinished and not differences):
        try:
            checkpoint = _newest_whole(path, checkpoints)
        except RunError:
            if lock is not None:
                lock.close()
            raise
        console.say(f"going on with the run in {path} from {checkpoint.name}")
        for difference in differences:
            console.say(f"  changed since it began: {difference}")
        return lock, checkpoint
    if unfinished:
        console.say(f"{path} holds an unfinished run of other settings, so this one starts anew; changed:")
        for difference in differences:
            console.say(f"  {difference}")
    return lock, None


def _newest_whole(path: Path, checkpoints: list[Path]) -> Path:
    """The newest checkpoint that is as it was written; damaged ones that are newer are named and deleted."""
    damaged: dict[Path, str] = {}
    for folder in reversed(checkpoints):
        damage = find_damage(folder)
        if damage is None:
            break
        damaged[folder] = damage
    else:
        found = "; ".join(f"{folder.name}: {damage}" for folder, damage in damaged.items())
        raise RunError(
            f"no checkpoint in {path / 'checkpoints'} is whole ({found}); run.resume=false starts anew"
        )
    for newer, damage in damaged.items():
        console.say(f"checkpoint {newer} is damaged: {damage}; it is deleted and the one before is used")
        shutil.rmtree(newer)
    return folder


def _check_is_a_run(path: Path, stage: str) -> None:
    """Keep us from moving away what is not ours: a home folder, a data folder, another stage's model."""
    if not path.is_dir():
        raise RunError(f"run.output '{path}' is a file; give a folder")
    names = sorted(entry.name for entry in path.iterdir() if entry.name != ".lock")
    if names and "provenance.json" not in names:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise RunError(
            f"run.output '{path}' holds other things than a run ({shown}); set run.output to a new folder"
        )
    found = read_facts(path).get("stage", stage)
    if found != stage:
        raise RunError(
            f"run.output '{path}' holds a run of the stage '{found}'; set run.output to another folder"
        )


def read_facts(path: Path) -> dict[str, Any]:
    """What ``provenance.json`` says; nothing where it is missing or damaged."""
    with contextlib.suppress(OSError, ValueError):
        return dict(read_json(path / "provenance.json"))
    return {}


def _differences(path: Path, config: Mapping[str, Any]) -> list[str]:
    """The settings in which the run in `path` was told something else: ``ppo.kl_coef 0.1 -> 0.2``."""
    try:
        before = _flat(read_yaml(path / "config.yaml"))
    except ValueError:
        return ["config.yaml cannot be read"]
    after = _flat(plain(config))
    missing = object()
    keys = [key for key in {**before, **after} if before.get(key, missing) != after.get(key, missing)]
    return [f"{key} {before.get(key)} -> {after.get(key)}" for key in keys if key not in _HOW_IT_IS_KEPT]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, item in value.items():
        flat.update(_flat(item, f"{prefix}.{name}" if prefix else str(name)))
    return flat


def clear(path: Path, keep_previous: bool) -> Path | None:
    """Make an empty folder for a run, keeping what an older run there took long to make.

    A finished run goes to ``<path>.previous``, an unfinished one that has checkpoints to
    ``<path>.unfinished``; where there is one already, to ``<path>.previous2`` and so on: nothing that took
    long is lost. Anything else is deleted. Returns where the older run went.
    """
    goal = None
    if path.exists() and any(entry.name != ".lock" for entry in path.iterdir()):
        finished = read_facts(path).get("status") == "finished"
        worth_keeping = finished or bool(find_checkpoints(path))
        if keep_previous and worth_keeping:
            goal = _free(path.with_name(f"{path.name}.{'previous' if finished else 'unfinished'}"))
            os.replace(path, goal)
            console.say(f"the older run in {path} is now in {goal}")
        else:
            shutil.rmtree(path)
            if worth_keeping:
                console.say(f"the older run in {path} is deleted (run.keep_previous is false)")
    path.mkdir(parents=True, exist_ok=True)
    return goal


def _free(path: Path) -> Path:
    """Return `path`, or the first of path2, path3, ... that is not there yet."""
    number = 1
    while (free := path if number == 1 else path.with_name(f"{path.name}{number}")).exists():
        number += 1
    return free


def take_lock(path: Path) -> TextIO | None:
    """Keep other processes out of the folder until this one ends, however it ends.

    Raises:
        RunError: another process has it.
    """
    if fcntl is None:
        return None
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # in a place like /proc, where nothing can be made
        raise RunError(f"run.output '{path}' cannot be made ({error.strerror}); set run.output") from None
    file = (path / ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise RunError(f"another process is writing to {path}; wait for it, or set run.output") from None
    except OSError:  # a file system without locks
        file.close()
        return None
    return file
