"""People's own Python functions, named in YAML: scores, judges, generators of text.

What they raise or wrongly give is the user's to mend, so it becomes a message that names the function and the
line; the cause stays attached for who calls this from a notebook.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import math
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf.errors import RunError, SettingsError

if TYPE_CHECKING:
    from rlhf.feedback.records import Prompt

__all__ = [
    "call_with_columns",
    "cannot_take",
    "failures_named",
    "generated_texts",
    "is_finite_number",
    "judge_responses",
    "load_function",
    "prompt_columns",
]


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


def call_with_columns(
    function: Callable[..., Any],
    prompts: Sequence[Prompt],
    texts: Sequence[str],
    name: str,
    **more: Sequence[Any],
) -> list[Any]:
    """Call `function(prompts, responses, **columns)` and check that it returns one value for each response.

    The columns are the prompts' own and `more`. A function without `**columns` is given those that it names.
    Raises RunError, with the place, for whatever the function raises, and where it gives no list or one of
    another length.
    """
    messages = [prompt.as_dicts() for prompt in prompts]
    columns = {**prompt_columns(prompts), **{key: list(values) for key, values in more.items()}}
    parameters = inspect.signature(function).parameters.values()
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        columns = {key: values for key, values in columns.items() if key in {p.name for p in parameters}}
    mistake = cannot_take(function, [messages, texts], columns)
    if mistake is not None:
        given = ", ".join(["prompts", "responses", *(f"{key}=..." for key in columns)])
        hint = "; `tokens` are given where per_token is true" if "'tokens'" in mistake else ""
        raise RunError(f"{name} is called as f({given}), but cannot be: {mistake}{hint}")
    with failures_named(name):
        values = function(messages, list(texts), **columns)
    if hasattr(values, "tolist"):  # a tensor or an array
        values = values.tolist()
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise RunError(
            f"{name} gave {_shown(values)} for {len(prompts)} responses; "
            "it must give a list with one value for each"
        )
    values = list(values)
    if len(values) != len(prompts):
        raise RunError(
            f"{name} gave {len(values)} values for {len(prompts)} responses; it must give one for each"
        )
    return values


def prompt_columns(prompts: Sequence[Prompt]) -> dict[str, list[Any]]:
    """Return the prompts' extra columns as lists in the prompts' order; None where a prompt lacks one."""
    names = {name for prompt in prompts for name in prompt.columns} - {"prompts", "responses"}
    return {name: [prompt.columns.get(name) for prompt in prompts] for name in sorted(names)}


def judge_responses(
    judge: Callable[..., Any], prompts: Sequence[Prompt], texts: Sequence[str], name: str
) -> list[dict[str, float]]:
    """Return a judge's verdict on each response: "score" and any further criteria, each a finite number.

    Args:
        judge: ``f(prompts, responses, **columns)``, giving a dictionary a response.
        prompts: B of them.
        texts: their responses.
        name: what errors call it, ``file.py:name``.

    Raises:
        RunError: it fails, or does not give what a judge gives.
    """
    checked: list[dict[str, float]] = []
    for verdict, prompt in zip(call_with_columns(judge, prompts, texts, name), prompts, strict=True):
        if not isinstance(verdict, Mapping) or "score" not in verdict:
            raise RunError(
                f"{name} gave {_shown(verdict)} for prompt {prompt.id!r}; a judge gives a dictionary with "
                "'score' and any further criteria",
                where="evaluation.judge",
            )
        numbers = {str(criterion): value for criterion, value in verdict.items()}
        same_criteria = not checked or numbers.keys() == checked[0].keys()
        if not same_criteria or not all(map(is_finite_number, numbers.values())):
            raise RunError(
                f"{name} gave {_shown(verdict)} for prompt {prompt.id!r}; "
                "every value is a finite number, and the criteria are the same for all responses",
                where="evaluation.judge",
            )
        checked.append({criterion: float(value) for criterion, value in numbers.items()})
    return checked


def generated_texts(name: str, seed: int, limit: int | None) -> list[str]:
    """Load the generator `name`, call it with `seed`, and take its first `limit` texts (None: all).

    Raises:
        SettingsError: there is no such function.
        RunError: it fails, or gives something else than texts.
    """
    generator = load_function(name)
    with failures_named(name):
        texts = list(islice(generator(seed), limit))
    if not texts:
        raise RunError(f"{name} gave no text")
    wrong = next((place for place, text in enumerate(texts) if not isinstance(text, str)), None)
    if wrong is not None:
        raise RunError(f"{name} gave {_shown(texts[wrong])} as document {wrong + 1}; a document is text")
    return texts


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


def is_finite_number(value: Any) -> bool:
    """Say whether a value that a user's function gave is a number, and neither nan nor infinite."""
    value = value.item() if hasattr(value, "item") and getattr(value, "size", None) is not None else value
    return isinstance(value, (int, float)) and math.isfinite(value)


def _shown(value: Any) -> str:
    """The value as code, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
