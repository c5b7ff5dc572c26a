"""Load Python functions from people's own files, named `file.py:function`, and name them where they fail.

It stands below all that calls such functions: adapters of data, scores, judges, generators of text.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rlhf.errors import RunError, SettingsError

__all__ = ["cannot_take", "failures_named", "file_of", "load_function"]


def load_function(name: str, setting: str | None = None, *, num_arguments: int = 0) -> Callable[..., Any]:
    """Load a Python function (or class) named `file.py:function`.

    A file of a package (an `__init__.py` beside it) is imported as part of that package; a lone file under a
    name of its own, with its folder importable while it loads, so that it may have helpers beside it. Raises
    SettingsError saying what is wrong, after the dotted key `setting`: the form of the name, a missing file,
    a file that fails to import, a missing function (with what is there), one that does not take the
    `num_arguments` that it will be called with.
    """
    try:
        return _load(name, num_arguments)
    except SettingsError as error:
        raise SettingsError(error.message, where=setting) from error


def _load(name: str, num_arguments: int) -> Callable[..., Any]:
    file, separator, function_name = name.rpartition(":")
    if not separator or not file.endswith(".py") or not function_name.isidentifier():
        raise SettingsError(
            f"'{name}' does not name a function; write file.py:function, e.g. rewards.py:score"
        )
    path = Path(file)
    if not path.is_file():
        raise SettingsError(f"'{name}': file '{path}' does not exist (looked in {Path.cwd()})")
    module = _import_file(path.resolve(), name)
    function = getattr(module, function_name, None)
    if not callable(function):
        found = sorted(
            key
            for key, value in vars(module).items()
            if (inspect.isfunction(value) or inspect.isclass(value))
            and value.__module__ == module.__name__
            and key[0] != "_"
        )
        near = difflib.get_close_matches(function_name, found, n=1)
        raise SettingsError(
            f"'{name}': {path} has no function '{function_name}' (it has: {', '.join(found) or 'none'})"
            + (f"; did you mean {near[0]}?" if near else "")
        )
    mistake = cannot_take(function, [None] * num_arguments)
    if mistake is not None:
        raise SettingsError(
            f"'{name}' is called with {num_arguments} arguments by position, but cannot be: {mistake}"
        )
    return function


def cannot_take(
    function: Callable[..., Any], values: Sequence[Any], named: Mapping[str, Any] | None = None
) -> str | None:
    """Say why a function cannot be called so; None where it can, or says nothing about itself.

    `named` None: what it will be given by name is not known yet. A decorated function is asked itself, not
    what it wraps, which it may call otherwise.
    """
    try:
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):  # written in C
        return None
    try:
        if named is None:
            signature.bind_partial(*values)
        else:
            signature.bind(*values, **named)
    except TypeError as error:
        return str(error)
    return None


def _import_file(path: Path, name: str) -> Any:
    root, dotted = path.parent, path.stem
    while (root / "__init__.py").is_file():
        root, dotted = root.parent, f"{root.name}.{dotted}"
    sys.path.insert(0, str(root))
    try:
        return importlib.import_module(dotted) if "." in dotted else _import_alone(path)
    except (Exception, SystemExit) as error:  # a script may end itself
        raise SettingsError(
            f"'{name}': importing {path} failed with {type(error).__name__}: {error}"
        ) from error
    finally:
        sys.path.remove(str(root))


def _import_alone(path: Path) -> Any:
    """Import a file under a name that cannot be confused with an installed module's."""
    module_name = f"_rlhf_user_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses and pickling in the file look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def file_of(name: str) -> str:
    """Return the file of a function named `file.py:function`, for provenance."""
    return name.rpartition(":")[0]


@contextmanager
def failures_named(name: str) -> Iterator[None]:
    """Turn whatever the user's function `name` raises inside into a RunError with the file and line."""
    try:
        yield
    except (Exception, SystemExit) as error:  # who ends the process there would end it without a word
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise RunError(
            f"{name} failed with {type(error).__name__}: {error} ({last.filename}:{last.lineno})"
        ) from error
