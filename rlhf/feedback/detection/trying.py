"""Try a mapping on a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rlhf.errors import DataError
from rlhf.feedback import tables, transcripts, trees
from rlhf.feedback.adapters import decoded
from rlhf.feedback.detection.found import Kind
from rlhf.feedback.mapping import Source
from rlhf.feedback.rows import Row

__all__ = ["reads"]

Parse = Callable[..., Iterable[Any]]

_TABLES: Mapping[str, Parse] = {
    "prompts": tables.table_prompts,
    "demonstrations": tables.table_demonstrations,
    "rankings": tables.table_rankings,
}
_OTHERS: Mapping[tuple[str, str], Parse] = {
    ("transcript", "prompts"): transcripts.transcript_prompts,
    ("transcript", "demonstrations"): transcripts.transcript_demonstrations,
    ("transcript", "rankings"): transcripts.transcript_rankings,
    ("tree", "prompts"): trees.tree_prompts,
    ("tree", "demonstrations"): trees.tree_demonstrations,
    ("tree", "rankings"): trees.tree_rankings,
}


def reads(row: Row, source: Source, kind: Kind) -> bool:
    """Return whether a source of a certain format gets a record out of a row; texts are not tried."""
    parse = _OTHERS.get((source.format, kind)) or _TABLES.get(kind)
    if parse is None or source.format == "text":
        return False
    try:
        return bool(list(parse(decoded(row, source), source, lambda *told, **more: None)))
    except DataError:
        return False
