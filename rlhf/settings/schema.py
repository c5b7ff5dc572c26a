"""Looking into a schema: which keys it knows, what stands at a dotted key, which known key is nearest.

A path is a tuple of names and list positions: ``data.train[0].path`` is ``("data", "train", 0, "path")``.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

__all__ = ["KeyPath", "annotation_at", "format_path", "known_keys", "nearest_key", "parse_path", "section_at"]

KeyPath = tuple[str | int, ...]
Section = type[BaseModel]

_STEP = re.compile(r"([^.\[\]]+)((?:\[\d+\])*)")


def parse_path(dotted: str) -> KeyPath | None:
    """Split ``data.train[0].path`` (or ``data.train.0.path``) into its steps; None if it is no dotted key."""
    steps: list[str | int] = []
    for part in dotted.split("."):
        match = _STEP.fullmatch(part)
        if match is None:
            return None
        name, positions = match.groups()
        steps.append(int(name) if name.isdecimal() else name)
        steps.extend(int(position) for position in re.findall(r"\d+", positions))
    return tuple(steps)


def format_path(path: KeyPath) -> str:
    """Write a path as people type it: ``data.train[0].path``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def fields_of(section: Section) -> dict[str, FieldInfo]:
    """The fields of a section under the names that stand in the YAML."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def _members(annotation: Any) -> Iterator[Any]:
    """The alternatives of an annotation, with ``Annotated`` and ``X | None`` unpacked."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def section_in(annotation: Any) -> Section | None:
    """The section that an annotation allows (``LoraSettings | None`` -> LoraSettings), or None."""
    for member in _members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            return member
    return None


def item_in(annotation: Any) -> Any | None:
    """The annotation of a list's items (``Items[SourceSettings]`` -> SourceSettings), or None."""
    for member in _members(annotation):
        if get_origin(member) in (list, tuple) and get_args(member):
            return get_args(member)[0]
    return None


def annotation_at(schema: Section, path: KeyPath) -> Any | None:
    """What may stand at `path`, with its constraints; None if the schema has no such place.

    A key below a free mapping (``dict[str, str]``) is a place too: it holds what the mapping's values are.
    """
    annotation: Any = schema
    for step in path:
        annotation = _one_step(annotation, step)
        if annotation is None:
            return None
    return annotation


def _one_step(annotation: Any, step: str | int) -> Any | None:
    if isinstance(step, int):
        return item_in(annotation)
    section = section_in(annotation)
    if section is not None:
        field = fields_of(section).get(step)
        return None if field is None else field.rebuild_annotation()
    for member in _members(annotation):
        if get_origin(member) in (dict, Mapping):
            return get_args(member)[1]
    return None


def section_at(schema: Section, path: KeyPath) -> tuple[KeyPath, Section]:
    """The deepest section on the way to `path`, and the part of the path that leads to it."""
    for length in range(len(path), 0, -1):
        section = section_in(annotation_at(schema, path[:length]))
        if section is not None:
            return path[:length], section
    return (), schema


def known_keys(schema: Section) -> list[str]:
    """Every dotted key of a schema, sections included; items of lists as ``data.train[].path``."""
    keys: list[str] = []
    for name, field in fields_of(schema).items():
        keys.append(name)
        section, item = section_in(field.annotation), item_in(field.annotation)
        if section is not None:
            keys += [f"{name}.{key}" for key in known_keys(section)]
        elif item is not None and section_in(item) is not None:
            keys += [f"{name}[].{key}" for key in known_keys(section_in(item))]  # type: ignore[arg-type]
    return keys


def nearest_key(schema: Section, path: KeyPath) -> str | None:
    """The known key that a wrong one most likely meant: by spelling among its siblings, else anywhere."""
    parent, section = section_at(schema, path[:-1])
    wrong = str(path[len(parent)] if len(parent) < len(path) else path[-1])
    siblings = difflib.get_close_matches(wrong, fields_of(section), n=1, cutoff=0.6)
    if siblings:
        return format_path((*parent, siblings[0]))
    keys = [key for key in known_keys(schema) if "[]" not in key]
    same_name = [key for key in keys if key.rsplit(".", 1)[-1] == str(path[-1])]
    if same_name:
        return same_name[0]
    elsewhere = difflib.get_close_matches(format_path(path), keys, n=1, cutoff=0.75)
    return elsewhere[0] if elsewhere else None
