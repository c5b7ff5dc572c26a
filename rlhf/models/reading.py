"""Call the library's loaders, and turn what users cause into one message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlhf.errors import ModelError
from rlhf.models.quiet import quiet_library

__all__ = ["call_loader", "load_weights"]

# What the library raises for files that are damaged, incomplete or not its own.
_BROKEN_FILES = (OSError, ValueError, LookupError, TypeError, AttributeError, ImportError)


def call_loader(read: Callable[[], Any], path: str, what: str, setting: str) -> Any:
    """Call a loader of the library and turn what users cause into one message."""
    from safetensors import SafetensorError

    try:
        with quiet_library():
            return read()
    except (*_BROKEN_FILES, SafetensorError) as error:
        raise _cannot_load(what, path, error, setting) from error
    except RuntimeError as error:
        if "size" not in str(error):  # tensors that do not fit the config; anything else is ours
            raise
        misfit = ValueError("its weights have other sizes than its config.json says")
        raise _cannot_load(what, path, misfit, setting) from error


def load_weights(
    read: Callable[[], Any], path: str, what: str, setting: str, new: tuple[str, ...] = ()
) -> Any:
    """Load a model and refuse one whose files lack weights, which the library would draw at random.

    `read` gives the model and the library's account of it; `new` names modules that may be missing.
    """
    model, found = call_loader(read, path, what, setting)
    missing = sorted(name for name in found["missing_keys"] if name.split(".")[0] not in new)
    if missing:
        raise ModelError(
            f"the weights in {path!r} are not those of its config.json: {len(missing)} tensors are missing, "
            f"e.g. {missing[0]}; copy the whole folder again, or set {setting} to another model",
            where=setting,
        )
    return model


def _cannot_load(what: str, path: str, error: Exception, setting: str) -> ModelError:
    reason = str(error).strip().splitlines()[0].rstrip(" .:") if str(error).strip() else ""
    if not isinstance(error, (OSError, ValueError, ImportError)):
        reason = f"{type(error).__name__}: {reason}"  # the words alone say little: "'added_tokens'"
    local = Path(path).expanduser().is_dir()
    check = "copy the folder again if a file is damaged or missing" if local else "check name and network"
    return ModelError(
        f"cannot load a {what} from {path!r}: {reason}; {check}, or set {setting} to another model",
        where=setting,
    )
