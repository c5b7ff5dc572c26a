"""What a detection ends with: a `Detection`, or a `ShapeError` that says what is not certain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rlhf.errors import DataError
from rlhf.feedback.mapping import Source

__all__ = ["Detection", "Found", "Kind", "ShapeError"]

Kind = Literal["prompts", "demonstrations", "rankings", "texts"]


class ShapeError(DataError):
    """A source whose shape or direction is not certain.

    Args:
        message: what was recognised, what is not certain, and the mapping to paste and fill in.
        where: ``file:line`` of the first row.
        code: label_direction_missing, score_direction_missing, several_shapes or shape_unknown.
    """

    def __init__(self, message: str, where: str | None = None, code: str = "shape_unknown") -> None:
        super().__init__(message, where)
        self.code = code

    def __reduce__(self) -> tuple[type[ShapeError], tuple[str, str | None, str]]:  # type: ignore[override]
        return type(self), (self.message, self.where, self.code)


@dataclass(frozen=True)
class Found:
    """A shape that the first rows have: its name for people, the evidence, and the settings that read it."""

    shape: str
    because: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = None


@dataclass(frozen=True)
class Detection:
    """What was found out about a source.

    Args:
        source: complete: its format is never "auto".
        shape: for people: "a pair of transcripts", "two responses and a label" ...
        because: the evidence, with counts, and which columns are not read.
        settings: what was found, as settings of a source that differ from the defaults.
        preset: where it is exactly the shape of a known set.
    """

    source: Source
    shape: str
    because: tuple[str, ...]
    settings: Mapping[str, Any]
    preset: str | None

    def line(self) -> str:
        """Return one line for people."""
        return f"{self.source.path} read as {self.shape}, because {'; '.join(self.because)}"
