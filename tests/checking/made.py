"""Small sources to check, and what a check makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlhf.checking.check import check_sources
from rlhf.checking.results import CheckReport, Kind, Subject
from rlhf.feedback.mapping import build_sources
from tests.feedback.shapes import write_rows

NO_RULER = "no model is there"


def subject(
    path: Path, rows: list[Any], kind: Kind = "rankings", part: str = "data.train", **told: Any
) -> Subject:
    """A source of rows written to `path`; its name and list are `part`."""
    (source,) = build_sources([{"path": write_rows(path, rows), **told}])
    return Subject(part, part, kind, source)


def check(*subjects: Subject, num_examples: int = 1) -> CheckReport:
    return check_sources(subjects, lambda subject: NO_RULER, num_examples=num_examples)


def ranking(
    prompt: str = "Why?", *responses: str, ranks: list[Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A canonical row; the first response is the best unless `ranks` says otherwise."""
    responses = responses or ("good", "bad")
    return {
        "prompt": prompt,
        "responses": list(responses),
        "ranks": ranks or [number + 1 for number in range(len(responses))],
        **more,
    }
