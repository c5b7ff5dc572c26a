"""Where the responses of a ranking stand: columns side by side, a list of texts, objects with a text."""

from __future__ import annotations

from dataclasses import dataclass

from rlhf.feedback.detection.looks import Look
from rlhf.feedback.detection.names import responses_side_by_side
from rlhf.feedback.detection.prompts import Part
from rlhf.feedback.detection.refusals import listed, several_shapes
from rlhf.feedback.detection.yaml_text import FILL_IN

__all__ = ["Responses", "implicit_prompt", "number_lists", "responses_in"]

_TEXT_KEYS = ("answer", "response", "text", "content", "completion", "output", "summary", "generation")


@dataclass(frozen=True)
class Responses:
    """Where the responses of a row stand: K paths, or the one path of a list."""

    paths: tuple[str, ...] | str
    because: str

    @property
    def shown(self) -> tuple[str, ...]:
        """Return the paths, for people."""
        return (self.paths,) if isinstance(self.paths, str) else self.paths


def responses_in(look: Look) -> Responses | None:
    """Return where the responses stand.

    Raises:
        ShapeError: several_shapes, where two sets of columns can be them.
    """
    if look.given("responses"):
        return Responses(look.source.responses, "the responses are given")
    if "responses" in look.names and look.column("responses").mostly("texts"):
        return Responses(
            "responses", f"responses is a list of texts {look.count(len(look.column('responses').found))}"
        )
    found = responses_side_by_side(look)
    if len(found) > 1:
        each = " or ".join(f"[{', '.join(names)}]" for names in found)
        raise several_shapes(
            look, f"{each} could be the responses", {"responses": FILL_IN}, responses=f"one of {each}"
        )
    if found:
        kind = look.column(found[0][0]).kind()
        return Responses(
            found[0],
            f"columns {listed(found[0])} are {kind} {look.count(len(look.column(found[0][0]).found))}",
        )
    return _list_of_responses(look)


def _list_of_responses(look: Look) -> Responses | None:
    """Return a list of texts, or of objects with a text in each, that is no conversation."""
    for name in look.names:
        column = look.column(name)
        if column.values and column.mostly("objects"):
            for key in _TEXT_KEYS:
                inner = look.column(f"{name}[].{key}")
                if inner.values and inner.mostly("texts"):
                    return Responses(inner.path, f"{inner.path} are texts {look.count(len(inner.found))}")
    for name in look.names:
        column = look.column(name)
        if column.values and column.mostly("texts") and name.lower() != "prompt" and number_lists(look, name):
            return Responses(name, f"{name} is a list of texts {look.count(len(column.found))}")
    return None


def number_lists(look: Look, responses: str) -> list[str]:
    """Return the columns that hold as many numbers as there are responses."""
    sizes = {row.where: len(value) for row, value in look.column(responses).found if isinstance(value, list)}
    found = []
    for name in look.names:
        column = look.column(name)
        if not column.values or not column.mostly("numbers"):
            continue
        if all(len(value) == sizes.get(row.where) for row, value in column.found if isinstance(value, list)):
            found.append(name)
    return found


def implicit_prompt(look: Look, responses: Responses) -> Part:
    """Return the prompt of responses that are conversations: their beginning; else leave it to the reader."""
    if all(look.column(path).mostly("messages") for path in responses.shown):
        return Part({"prompt": None}, ("they begin with the prompt",))
    return Part()
