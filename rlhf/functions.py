"""People's own Python functions, named in YAML: scores, judges, generators of text.

What they raise or wrongly give is the user's to mend, so it becomes a message that names the function and the
line; the cause stays attached for who calls this from a notebook.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from rlhf.errors import RunError
from rlhf.user_code import cannot_take, failures_named, load_function

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

_ENDED = object()


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
    columns = _columns_taken(function, columns)
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


def _columns_taken(function: Callable[..., Any], columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the columns that a function takes: those that it names, or all where it has ``**columns``."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return columns
    return {key: values for key, values in columns.items() if key in {p.name for p in parameters}}


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
    mistake = cannot_take(judge, [[], []], _columns_taken(judge, prompt_columns(prompts)))
    if mistake is not None:
        raise RunError(
            f"{name} cannot judge these prompts: {mistake} (it is called with the other columns of their "
            f"rows: {', '.join(prompt_columns(prompts)) or 'none'}); name a judge of your own, or set "
            "evaluation.judge: null",
            where="evaluation.judge",
        )
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


def generated_texts(name: str, seed: int, limit: int | None) -> Iterator[str]:
    """Load the generator `name`, call it with `seed`, and give its first `limit` texts (None: all).

    Raises:
        SettingsError: there is no such function.
        RunError: it fails, or gives something else than texts.
    """
    generator = load_function(name)
    number = 0
    with failures_named(name):
        found = generator(seed)
    if not isinstance(found, Iterable):
        said = f"returned {_shown(found)}; a generator of texts yields them, or returns a list"
        raise RunError(f"{name} {said}")
    with failures_named(name):
        texts = islice(found, limit)
    while True:
        with failures_named(name):
            text = next(texts, _ENDED)
        if text is _ENDED:
            break
        number += 1
        if not isinstance(text, str):
            raise RunError(f"{name} gave {_shown(text)} as document {number}; a document is text")
        yield text
    if not number:
        raise RunError(f"{name} gave no text")


def is_finite_number(value: Any) -> bool:
    """Say whether a value that a user's function gave is a number, and neither nan nor infinite."""
    value = value.item() if hasattr(value, "item") and getattr(value, "size", None) is not None else value
    return isinstance(value, (int, float)) and math.isfinite(value)


def _shown(value: Any) -> str:
    """The value as code, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
