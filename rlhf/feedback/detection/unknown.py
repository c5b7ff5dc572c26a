"""What is said of rows whose shape is not known: what is there, the nearest shape, and what it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from rlhf.feedback.detection.found import Kind, ShapeError
from rlhf.feedback.detection.looks import Look
from rlhf.feedback.detection.nearly import nearly_read
from rlhf.feedback.detection.refusals import listed
from rlhf.feedback.detection.responses import responses_in

__all__ = ["shape_unknown"]

# Our own form first: of two of which as much is there, the first is named.
_NEEDED: Mapping[Kind, Mapping[str, tuple[str, ...]]] = {
    "rankings": {
        "our own form of rankings": ("prompt", "responses", "ranks"),
        "a prompt, a better and a worse response": ("prompt", "chosen", "rejected"),
    },
    "demonstrations": {"our own form of demonstrations": ("prompt", "response")},
    "prompts": {"our own form of prompts": ("prompt",)},
    "texts": {"texts": ("text",)},
}
_SETTING: Mapping[Kind, str] = {
    "rankings": "prompt, responses with ranks, labels or scores (or chosen and rejected), and format",
    "demonstrations": "prompt and response (for messages, prompt: null and response: their column)",
    "prompts": "prompt (for messages that end with an answer, prompt: null and response: their column)",
    "texts": "text: a column, or a template such as '{title} {body}'",
}
_MOST_COLUMNS = 20


def shape_unknown(look: Look) -> ShapeError:
    """Return the error for rows of no shape that is known, or of one that no format reads."""
    told = nearly_read(look)
    if told is not None:
        return ShapeError(told, look.where, "shape_unknown")
    remedy = f"; say where things stand with {_SETTING[look.kind]}, or read the rows by an adapter"
    return ShapeError(f"{_what_is_missing(look)}{remedy}", look.where, "shape_unknown")


def _what_is_missing(look: Look) -> str:
    shape, needed = _nearest(look)
    present = [name for name in needed if name in look.names]
    lacking = [name for name in needed if name not in look.names]
    near = [match for name in lacking for match in get_close_matches(name, look.names, n=1, cutoff=0.5)]
    there = _columns(look)
    responses = responses_in(look) if look.kind == "rankings" and len(present) < 2 else None
    if responses is not None:
        return f"the responses may be {listed(responses.shown)}, but no column says which is better {there}"
    if not lacking or not (present or near):
        return f"the columns are those of no shape that is known for {look.kind} {there}"
    hint = f"; did you mean {near[0]!r}?" if near else ""
    told = f"; looks like {shape}: {listed(present)} found, {listed(lacking)} missing" if present else ""
    return f"no column {lacking[0]!r}{hint} {there}{told}"


def _columns(look: Look) -> str:
    """Return the columns there are with their kinds."""
    kinds = [f"{name} ({look.column(name).kind()})" for name in look.names[:_MOST_COLUMNS]]
    more = f" and {len(look.names) - _MOST_COLUMNS} more" if len(look.names) > _MOST_COLUMNS else ""
    return f"(there are: {', '.join(kinds) or 'none'}{more})"


def _nearest(look: Look) -> tuple[str, tuple[str, ...]]:
    """Return the name and the columns of the shape of which most is there."""
    found = {}
    for shape, names in _NEEDED[look.kind].items():
        specs = [getattr(look.source, name) for name in names]  # another column where one is given
        found[shape] = tuple(spec for spec in specs if isinstance(spec, str))
    shape = max(found, key=lambda shape: sum(name in look.names for name in found[shape]))
    return shape, found[shape]
