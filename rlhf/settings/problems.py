"""The words for what is wrong with a setting: where it stands, what was found, what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from rlhf.settings import schema

__all__ = ["describe", "unknown_key"]

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "none_required": "null",
    "tuple_type": "a list",
    "dict_type": "a section with key: value lines",
    "mapping_type": "a section with key: value lines",
    "model_type": "a section with key: value lines",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "literal_error": "{expected}",
    "string_too_short": "text of at least {min_length} character{s}",
    "too_short": "at least {min_length} item{s}",
    "too_long": "at most {max_length} item{s}",
}

_OWN_CHECKS = ("value_error", "assertion_error")  # of several settings together


def unknown_key(settings_type: type[BaseModel], path: schema.KeyPath, where: str) -> str:
    """Say that a key is not a setting, the nearest one that is, and what its section has."""
    parent, section = schema.section_at(settings_type, path[:-1])
    nearest = schema.nearest_key(settings_type, path)
    suggestion = f"; did you mean {nearest}?" if nearest else ""
    owner = schema.format_path(parent) or "the top level"
    has = ", ".join(sorted(schema.fields_of(section)))
    return f"{where}: {schema.format_path(path)} is not a setting{suggestion} ({owner} has: {has})"


def describe(
    error: ValidationError,
    annotation: Any,
    where: Callable[[schema.KeyPath], str],
    prefix: schema.KeyPath = (),
    unlaid: Mapping[schema.KeyPath, str | None] | None = None,
) -> list[str]:
    """Turn pydantic's findings into one line a setting.

    Args:
        error: what pydantic found.
        annotation: the schema or field that the value was checked against.
        where: the layer or layers that a path's value comes from.
        prefix: the path at which the checked value stands.
        unlaid: what was given but could not be used, and is reported already, with the key it meant: what
            only follows from its absence is left out.
    """
    lines: dict[schema.KeyPath, str] = {}
    expected: dict[schema.KeyPath, list[str]] = {}
    items = error.errors(include_url=False)
    for item in items:
        if item["type"] == "too_short" and any(_inside(other["loc"], item["loc"]) for other in items):
            continue  # pydantic does not count the items of a list that are wrong themselves
        path = (*prefix, *_place(item["loc"], annotation))
        if _follows(item["type"], path, unlaid or {}):
            continue
        if item["type"] == "missing":
            lines[path] = f"{where(path[:-1])}: {schema.format_path(path)} is not set and has no default"
        elif item["type"] in _OWN_CHECKS:
            lines[path] = f"{where(path)}: {_own_words(item, path)}"
        else:
            expected.setdefault(path, []).append(_expectation(item))
            options = " or ".join(dict.fromkeys(expected[path]))
            found = f"{schema.format_path(path)} is {_show(item['input'])}"
            lines[path] = f"{where(path)}: {found}; {options} is expected{_hint(item)}"
    return list(lines.values())


def _follows(kind: str, path: schema.KeyPath, unlaid: Mapping[schema.KeyPath, str | None]) -> bool:
    """Whether a finding may be there only because a value was given under a wrong name, say."""
    if kind == "missing":
        return path in unlaid or schema.format_path(path) in unlaid.values()
    return kind in _OWN_CHECKS and any(_inside(other, path) or other == path for other in unlaid)


def _inside(loc: tuple[int | str, ...], whole: tuple[int | str, ...]) -> bool:
    return len(loc) > len(whole) and loc[: len(whole)] == whole


def _place(loc: tuple[int | str, ...], annotation: Any) -> schema.KeyPath:
    """The keys of a pydantic location, without the tags it adds for the alternatives of a union."""
    path: schema.KeyPath = ()
    for step in loc:
        if schema.annotation_at(annotation, (*path, step)) is not None:
            path = (*path, step)
    return path


def _own_words(item: Any, path: schema.KeyPath) -> str:
    """The message of a check of ours, which names its dotted key itself when it is about several settings."""
    message = str(item.get("ctx", {}).get("error", item["msg"]))
    names_a_key = "." in message.split(" ", 1)[0]
    return message if names_a_key or not path else f"{schema.format_path(path)}: {message}"


def _expectation(item: Any) -> str:
    template = _EXPECTED.get(item["type"])
    if template is None:
        return str(item["msg"])
    limits = {name: f"{v:g}" if isinstance(v, float) else v for name, v in item.get("ctx", {}).items()}
    count = limits.get("min_length", limits.get("max_length"))
    return template.format(**limits, s="" if count == 1 else "s")


def _hint(item: Any) -> str:
    if item["input"] is None:
        return " (null means not set, and this has to be set)"
    if item["type"] == "string_type" and isinstance(item["input"], (int, float)):
        return f"; quote it: '{item['input']}'"
    if item["type"] == "tuple_type":
        return "; write [a, b] or one '- ' line an item"
    return ""


def _show(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, tuple, list)):
        if isinstance(value, dict):
            return "a section"
        return f"a list of {len(value)}" if value else "an empty list"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
