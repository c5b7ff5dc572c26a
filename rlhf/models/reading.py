"""Call the library's loaders, and turn what users cause into one message."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rlhf.errors import ModelError
from rlhf.models.quiet import quiet_library

__all__ = ["call_loader", "load_weights", "or_trust", "weights_options"]

# What the library raises for files that are damaged, incomplete or not its own.
_BROKEN_FILES = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ImportError,
    ArithmeticError,  # sizes of 0
    AssertionError,
)
# In place of torch's own words, which advise to read such a file without its safeguards.
_NOT_PICKLED = ValueError("its weights are not what torch writes, or not all of it")


def call_loader(read: Callable[[], Any], path: str, what: str, setting: str) -> Any:
    """Call a loader of the library and turn what users cause into one message."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    try:
        with quiet_library():
            return read()
    except (
        StrictDataclassError
    ) as error:  # a value of the wrong type in config.json; the second line says which
        said = ValueError(" ".join(line.strip() for line in str(error).splitlines()))
        raise _cannot_load(what, path, said, setting) from error
    except pickle.UnpicklingError as error:
        raise _cannot_load(what, path, _NOT_PICKLED, setting) from error
    except (*_BROKEN_FILES, SafetensorError) as error:
        raise _cannot_load(what, path, error, setting) from error
    except RuntimeError as error:
        if "PytorchStreamReader" in str(error):  # of a file that ends too early
            raise _cannot_load(what, path, _NOT_PICKLED, setting) from error
        if "size" not in str(error):  # tensors that do not fit the config; anything else is ours
            raise
        misfit = ValueError("its weights have other sizes than its config.json says")
        raise _cannot_load(what, path, misfit, setting) from error
    except Exception as error:
        if type(error) is not Exception:  # the tokenizers library raises it bare for all it cannot read
            raise
        raise _cannot_load(what, path, error, setting) from error


def load_weights(
    read: Callable[[], Any],
    path: str,
    what: str,
    setting: str,
    new: Callable[[Any], Sequence[str]] = lambda model: (),
) -> Any:
    """Load a model and refuse one whose files lack weights, which the library would draw at random.

    `read` gives the model and the library's account of it; `new` names the modules in it that may be missing.
    """
    model, found = call_loader(read, path, what, setting)
    may_lack = tuple(f"{name}." for name in new(model))
    missing = sorted(name for name in found["missing_keys"] if not name.startswith(may_lack))
    if missing:
        raise ModelError(
            f"the weights in {path!r} are not those of its config.json: {len(missing)} tensors are missing, "
            f"e.g. {missing[0]}; copy the whole folder again, or set {setting} to another model",
            where=setting,
        )
    return model


def weights_options(
    path: str, revision: str | None, trust_remote_code: bool, setting: str, weights: bool = True
) -> dict[str, Any]:
    """Return what a loader of weights is told: safetensors alone, unless the model's code is trusted too.

    Weights that were pickled (pytorch_model.bin) can run code when they are read. Without `weights` they stay
    on the disk: the loader looks at their names and sizes.

    Raises:
        ModelError: a local folder holds nothing else, and is not trusted.

    """
    folder = Path(path).expanduser()
    pickled = sorted(file.name for file in folder.glob("*.bin")) if folder.is_dir() else []
    if pickled and not trust_remote_code and not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{path!r} holds its weights as {pickled[0]}, which can run code when it is read; save them as "
            f"safetensors{or_trust(setting)}",
            where=setting,
        )
    safe = {} if trust_remote_code else {"use_safetensors": True}
    place = {} if weights else {"device_map": "meta"}
    return {"revision": revision, "trust_remote_code": trust_remote_code, **safe, **place}


def or_trust(setting: str) -> str:
    """Name the setting that allows it, where the section of `setting` has one."""
    section, _, _ = setting.rpartition(".")
    known = section and section != "critic" and ":" not in setting
    return f", or set {section}.trust_remote_code=true if you trust whoever made it" if known else ""


def _cannot_load(what: str, path: str, error: Exception, setting: str) -> ModelError:
    reason = str(error).strip().splitlines()[0].rstrip(" .:") if str(error).strip() else ""
    if not isinstance(error, (OSError, ValueError, ImportError)):
        reason = f"{type(error).__name__}: {reason}"  # the words alone say little: "'added_tokens'"
    wants_trust = "trust_remote_code" in str(error) and or_trust(setting)
    if wants_trust:
        reason = "it needs Python code that comes with the model, and which is not trusted"
    if Path(path).expanduser().is_dir():
        check = "copy the folder again if a file is damaged or missing"
        check = f"read that code{or_trust(setting)}" if wants_trust else check
    else:
        near = _near_folder(path)
        guess = f" (did you mean {near!r}?)" if near else ""
        check = f"there is no folder {path!r} here{guess}, and as a hub id it cannot be read: "
        check += "check name and network"
        if wants_trust or "safetensors" in reason:
            check += or_trust(setting)
    return ModelError(
        f"cannot load a {what} from {path!r}: {reason}; {check}, or set {setting} to another model",
        where=setting,
    )


def _near_folder(path: str) -> str | None:
    """Return the model's folder whose path is spelt nearly like `path`; None where there is none."""
    here = Path()
    for part in Path(path).parts:
        names = [folder.name for folder in here.iterdir() if folder.is_dir()] if here.is_dir() else []
        found = [part] if part in names else get_close_matches(part, names, n=1)
        if not found:
            return None
        here /= found[0]
    holds_model = any((here / name).is_file() for name in ("config.json", "adapter_config.json"))
    return str(here) if holds_model else None
