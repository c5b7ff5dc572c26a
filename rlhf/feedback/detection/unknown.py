"""What is said of rows whose shape is not known: what is there, the nearest shape, and what it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from rlhf.feedback.detection.found import Kind, ShapeError
from rlhf.feedback.detection.looks import Look
from rlhf.feedback.detection.refusals import listed

__all__ = ["shape_unknown"]

# Our own form first: of two that lack as much, the first is named.
_NEEDED: Mapping[Kind, Mapping[str, tuple[str, ...]]] = {
    "rankings": {
        "our own form of rankings": ("prompt", "responses", "ranks"),
        "a prompt, a better and a worse response": ("prompt", "chosen", "rejected"),
    },
    "demonstrations": {"our own form of demonstrations": ("prompt", "response")},
    "prompts": {"our own form of prompts": ("prompt",)},
    "texts": {"texts": ("text",)},
}
_SETTING = {
    "rankings": "format, prompt, and responses with ranks, labels or scores, or chosen and rejected",
    "demonstrations": "prompt: and response: (for messages, prompt: null and response: their column)",
    "prompts": "prompt: (for messages that end with an answer, prompt: null and response: their column)",
    "texts": "text: a column, or a template such as '{title} {body}'",
}
_MOST_COLUMNS = 20


def shape_unknown(look: Look) -> ShapeError:
    """Return the error for rows of no shape that is known."""
    needed, shape = _nearest(look)
    lacking = [name for name in needed if name not in look.names]
    near = {name: get_close_matches(name, look.names, n=1, cutoff=0.5) for name in lacking}
    kinds = [f"{name} ({look.column(name).kind()})" for name in look.names[:_MOST_COLUMNS]]
    more = f" and {len(look.names) - _MOST_COLUMNS} more" if len(look.names) > _MOST_COLUMNS else ""
    there = f"(there are: {', '.join(kinds) or 'none'}{more})"
    if lacking and (len(lacking) < len(needed) or near[lacking[0]]):
        hints = [f"did you mean {match[0]!r}?" for match in near.values() if match]
        hint = f"; {hints[0]}" if hints else ""
        present = [name for name in needed if name in look.names]
        told = f"looks like {shape}: {listed(present)} found, {listed(lacking)} missing" if present else ""
        message = f"no column {lacking[0]!r}{hint} {there}" + (f"; {told}" if told else "")
    else:
        message = f"the columns are those of no shape that is known for {look.kind} {there}"
    message += f"; say where things stand with {_SETTING[look.kind]}, or read the rows by an adapter"
    return ShapeError(message, look.where, "shape_unknown")


def _nearest(look: Look) -> tuple[tuple[str, ...], str]:
    """Return the columns and the name of the shape of which most is there."""
    prompt = look.source.prompt
    best, most = None, -1
    for shape, columns in _NEEDED[look.kind].items():
        given = {"prompt": prompt, "response": look.source.response, "responses": look.source.responses}
        given |= {"ranks": look.source.ranks, "chosen": look.source.chosen, "rejected": look.source.rejected}
        given |= {"text": look.source.text}
        paths = tuple(str(given[name]) for name in columns if isinstance(given[name], str))
        found = sum(name in look.names for name in paths)
        if found > most:
            best, most = (paths, shape), found
    assert best is not None
    return best
