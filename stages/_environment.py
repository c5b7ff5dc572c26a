"""What the machine, not the code, is to blame for: a full disk, a place without rights, too little memory."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from rlhf.runs.existing import find_checkpoints
from rlhf.runs.folder import RunFolder
from rlhf.settings.layers import Resolved

__all__ = ["environment_mistake", "how_it_goes_on"]

_CANNOT_BE_WRITTEN = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EIO)

# What safetensors and torch report as text.
_DISK_IS_FULL = (
    "No space left on device",
    "Disk quota exceeded",
    "PytorchStreamWriter failed",
    "unexpected pos",
    "iostream error",
)


def environment_mistake(
    error: BaseException, folder: RunFolder | None, resolved: Resolved[Any] | None
) -> str | None:
    """The message for it; None for everything else.

    Args:
        error: what ended the stage.
        folder: its run, where that was open already.
        resolved: its settings, where they were read already.
    """
    if _disk_is_full(error):
        goes_on = "" if folder is None else f", which {how_it_goes_on(folder, resolved)}"
        place = "." if folder is None else folder.path
        return f"the disk of {place} is full; free some space, then give the same command again{goes_on}"
    if isinstance(error, OSError) and error.errno in _CANNOT_BE_WRITTEN:
        return f"{_place(error, folder)}: {error.strerror}; {_remedy(error, folder, resolved)}"
    if type(error).__name__ == "OutOfMemoryError":
        return f"the accelerator's memory is full ({error}); lower microbatch_size or the lengths in tokens"
    return None


def how_it_goes_on(folder: RunFolder, resolved: Resolved[Any] | None) -> str:
    """What the same command does next: ``goes on from runs/ppo/checkpoints/step_000040``."""
    if resolved is not None and resolved.settings.run.resume is False:
        return "starts anew"
    checkpoints = find_checkpoints(folder.path)
    return f"goes on from {checkpoints[-1]}" if checkpoints else "starts anew, as there is no checkpoint yet"


def _place(error: OSError, folder: RunFolder | None) -> str:
    return str(error.filename or (folder.path if folder is not None else "."))


def _remedy(error: OSError, folder: RunFolder | None, resolved: Resolved[Any] | None) -> str:
    """What to do about a place that cannot be written, or one of somebody else's that cannot be read."""
    output = _output(folder, resolved)
    if output is not None and error.filename and not _belongs_to(Path(str(error.filename)), output):
        return "give a place that can be read"
    if folder is not None:
        goes_on = how_it_goes_on(folder, resolved)
        return f"see that it can be written, then give the same command again, which {goes_on}"
    return f"give a {_setting(resolved)} that can be written to"


def _output(folder: RunFolder | None, resolved: Resolved[Any] | None) -> Path | None:
    if folder is not None:
        return folder.path
    return None if resolved is None else Path(resolved.settings.run.output)


def _belongs_to(file: Path, output: Path) -> bool:
    """Whether a place is the run's folder, in it, on the way to it, or an older run beside it."""
    file, output = file.absolute(), output.absolute()
    if output.is_relative_to(file) or file.is_relative_to(output):
        return True
    beside = file.relative_to(output.parent).parts if file.is_relative_to(output.parent) else ("",)
    return beside[0].startswith(f"{output.name}.")


def _setting(resolved: Resolved[Any] | None) -> str:
    """Which setting moves the run's folder: its root, unless its output was set by itself."""
    if resolved is None or resolved.origin("run.output") == "default":
        return "run.root"
    run = resolved.settings.run
    below_root = Path(run.output).is_relative_to(run.root)
    return "run.root or run.output" if below_root else "run.output"


def _disk_is_full(error: BaseException | None) -> bool:
    """Look at the error and at those during which it came: torch fails again while it closes the file."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(words in str(error) for words in _DISK_IS_FULL):
            return True
        error = error.__cause__ or error.__context__
    return False
