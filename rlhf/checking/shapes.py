"""What shape the rows of a source have, why, and the mapping as YAML to paste."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from rlhf.checking.results import Kind
from rlhf.feedback.mapping import Source
from rlhf.settings.yaml_file import dump_yaml

__all__ = ["Shape", "mapping_of", "shape_of"]


class Shape(NamedTuple):
    """The source as it is read, its shape in a word or two, and what tells it."""

    source: Source
    shape: str
    because: str
    mapping: str


def shape_of(source: Source, kind: Kind) -> Shape:
    """Return what a source is read as.

    Raises:
        DataError: it says too little, and nothing is guessed.
    """
    said = "preset" if source.preset else "format"
    return Shape(
        source,
        source.format,
        f"the settings say {said}: {source.preset or source.format}",
        mapping_of(source),
    )


def mapping_of(source: Source) -> str:
    """Return the settings that differ from their defaults as YAML, as one source of a list."""
    plain = Source(path=source.path)
    given: dict[str, Any] = {"path": source.path}
    for field in fields(source):
        value = getattr(source, field.name)
        if field.name == "format" or value != getattr(plain, field.name):
            given[field.name] = dict(value) if isinstance(value, Mapping) else value
    return dump_yaml([given])
