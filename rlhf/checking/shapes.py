"""What shape the rows of a source have, why, and the mapping as YAML to paste."""

from __future__ import annotations

from typing import NamedTuple

from rlhf.checking.results import Kind
from rlhf.feedback.detection import detect_source, mapping_yaml
from rlhf.feedback.mapping import Source
from rlhf.feedback.notes import BadRow

__all__ = ["Shape", "shape_of"]


class Shape(NamedTuple):
    """The source as it is read, its shape in a few words, what tells it, and its mapping as YAML."""

    source: Source
    shape: str
    because: tuple[str, ...]
    mapping: str


def shape_of(source: Source, kind: Kind) -> Shape:
    """Return what a source is read as.

    Raises:
        DataError: the shape or a direction is not certain, and nothing is guessed; a file cannot be read.
    """
    try:
        found = detect_source(source, kind)
    except BadRow:  # not a single row can be read: the reading says so of each
        return Shape(source, "unknown", ("no row can be read",), mapping_yaml(source))
    return Shape(found.source, found.shape, found.because, mapping_yaml(found))
