"""A check as one JSON document; its names are those of `rlhf.checking.results`, and stay."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from rlhf.checking.results import CheckReport, SourceReport, Spread

__all__ = ["to_document"]


def to_document(report: CheckReport) -> dict[str, Any]:
    """Return plain values for JSON.

    Keys: ``verdict``, ``exit_code``, ``num_errors``, ``num_skipped``, ``num_warnings``, ``notes``, ``across``
    (problems between rows and sources) and ``sources``. A source has ``name``, ``part``, ``kind``, ``path``,
    and the fields of `SourceReport`; a problem those of `Problem`.
    """
    return {
        "verdict": report.verdict,
        "exit_code": report.exit_code,
        "num_errors": report.count("error"),
        "num_skipped": report.count("skipped"),
        "num_warnings": report.count("warning"),
        "notes": list(report.notes),
        "across": [_plain(problem) for problem in report.across],
        "sources": [_source(source) for source in report.sources],
    }


def _source(report: SourceReport) -> dict[str, Any]:
    subject = report.subject
    found: dict[str, Any] = {
        "name": subject.name,
        "part": subject.part,
        "kind": subject.kind,
        "path": subject.source.path,
    }
    for field in fields(report):
        if field.name != "subject":
            found[field.name] = _plain(getattr(report, field.name))
    for example in found["examples"]:
        example["prompt"] = [{"role": role, "content": content} for role, content in example["prompt"]]
    if report.lengths is not None:
        found["lengths"]["prompts"] |= _over(report.lengths.prompts)
        if report.lengths.responses is not None:
            found["lengths"]["responses"] |= _over(report.lengths.responses)
    return found


def _over(spread: Spread) -> dict[str, Any]:
    longest = [{"num_tokens": length, "where": where} for length, where in spread.longest]
    return {"share_over": spread.share_over, "longest": longest}


def _plain(value: Any) -> Any:
    """Return dataclasses as mappings, tuples as lists, keys as text."""
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
