"""Which columns of a row a mapping reads."""

from __future__ import annotations

import re
from collections.abc import Collection

from rlhf.feedback.detection.found import Kind
from rlhf.feedback.mapping import Source
from rlhf.feedback.strengths import CANONICAL, strength_columns

__all__ = ["columns_read"]

_BRACES = re.compile(r"\{([^{}]+)\}")
_STEP = re.compile(r"[.\[]")
_OWN = ("id", "group", "annotator")  # read by their own names where nothing is said


def columns_read(
    source: Source, kind: Kind, names: Collection[str], talks: Collection[str] = ()
) -> list[str]:
    """Return the columns (of these names, or missing ones) that a source of a certain format reads.

    `talks` are the columns that hold conversations: prompts beside such are read from these.
    """
    paths: list[str] = []
    for spec in _specs(source, kind, talks):
        for path in (spec,) if isinstance(spec, str) else spec or ():
            if path == CANONICAL and path not in names:  # which rows of our own form may have
                continue
            inner = [path] if path in names or "{" not in path else _BRACES.findall(path)
            paths += [name if name in names else _STEP.split(name)[0] for name in inner]
    paths += [name for name in _OWN if name in names]
    return list(dict.fromkeys(paths))


def _specs(source: Source, kind: Kind, talks: Collection[str]) -> list[str | tuple[str, ...] | None]:
    more = [source.id, source.group, source.annotator]
    if source.format == "tree":
        return [*more, "prompt", "replies"]
    if source.format == "transcript":
        alone = kind in ("demonstrations", "texts")
        return (
            [*more, source.chosen]
            if alone
            else [*more, source.chosen, source.rejected, strength_columns(source)]
        )
    if source.format == "text" or kind == "texts":
        return [*more, source.text]
    return [*more, source.prompt, source.system, *_answers(source, kind, talks)]


def _answers(source: Source, kind: Kind, talks: Collection[str]) -> list[str | tuple[str, ...]]:
    told: list[str | tuple[str, ...]]
    if kind == "prompts" and source.prompt is not None:  # turns in lists stand between those of the answers
        told = [source.chosen, source.rejected] if source.format == "pair" else [source.response]
        told = [name for name in told if name in talks]
        return told if source.responses == "responses" else [source.responses]
    if kind == "demonstrations":
        return [source.response]
    strengths = [strength_columns(source)] if kind == "rankings" else []
    if source.format == "pair":
        return [source.chosen, source.rejected, *strengths]
    if kind == "prompts":
        return [source.response if source.responses == "responses" else source.responses]
    judged = {"canonical": source.ranks, "pairwise": source.labels, "scored": source.scores}
    return [source.responses, judged[source.format], *strengths]
