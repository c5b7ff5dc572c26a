"""The shapes of demonstrations, prompts and texts, each a function from the first rows to what reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rlhf.feedback.detection.found import Found, ShapeError
from rlhf.feedback.detection.looks import READABLE, Look
from rlhf.feedback.detection.names import yes_or_no
from rlhf.feedback.detection.nearly import RESPONSES
from rlhf.feedback.detection.prompts import Part, named, prompt_beside, prompt_in, talk_in
from rlhf.feedback.detection.rankings import pair, pair_of_talks, pair_of_transcripts, tree
from rlhf.feedback.detection.refusals import listed, several_shapes, to_fill_in
from rlhf.feedback.detection.responses import responses_in
from rlhf.feedback.detection.yaml_text import FILL_IN

__all__ = ["DEMONSTRATIONS", "PROMPTS", "TEXTS"]

Shape = Callable[[Look], Found | None]

_CANONICAL = {"format": "canonical"}


def prompt_and_response(look: Look) -> Found | None:
    """A prompt and a response to imitate, whatever they are called."""
    if look.given("chosen", "rejected"):
        return None
    response = _response_in(look)
    part = None if response is None else prompt_in(look, {**_CANONICAL, **response.settings})
    if response is None or part is None:
        return None
    _check_not_judged(look, {**_CANONICAL, **part.settings, **response.settings})
    own = not response.settings and not part.settings
    shape = "our own form of demonstrations" if own else "a prompt and a response"
    return Found(
        shape, (*part.because, *response.because), {**_CANONICAL, **part.settings, **response.settings}
    )


def _check_not_judged(look: Look, settings: Mapping[str, Any]) -> None:
    """Refuse responses beside a yes or no: those that are called bad would be imitated as well.

    Raises:
        ShapeError: label_direction_missing.
    """
    judged = yes_or_no(look)
    if judged is not None:
        name, num_good = judged
        if look.given("adapter") and num_good == len(look.rows):
            return  # it has left the others out
        message = (
            f"each response has a yes or no ({name}: yes {look.count(num_good)}), so some may be bad ones, "
            "not to be imitated: leave those out by an adapter (return None), or say "
            f"format: canonical to imitate all:\n{to_fill_in(look, settings)}"
        )
        raise ShapeError(message, look.where, "label_direction_missing")


def _response_in(look: Look) -> Part | None:
    if look.given("response"):
        return Part({}, ("the response is given",))
    if "response" in look.names:
        return Part({}, (f"response is {look.column('response').kind()} {_count(look, 'response')}",))
    found = named(look, *RESPONSES, kinds=READABLE)
    if len(found) > 1:
        message = f"{listed(found)} could each be the response to imitate"
        raise several_shapes(
            look, message, {**_CANONICAL, "response": FILL_IN}, response=f"{listed(found, 'or')}"
        )
    if not found:
        return None
    return Part(
        {"response": found[0]}, (f"{found[0]} is {look.column(found[0]).kind()} {_count(look, found[0])}",)
    )


def _count(look: Look, path: str) -> str:
    return look.count(len(look.column(path).found))


def conversation(look: Look) -> Found | None:
    """Messages of which the last, the assistant's, is the response."""
    if look.given("chosen", "rejected") or (look.given("prompt") and look.source.prompt is not None):
        return None
    name = look.source.response if look.given("response") else talk_in(look)
    if name is None or not look.column(name).mostly("messages"):
        return None
    part = prompt_beside(look)
    settings: dict[str, Any] = {"format": "canonical", **part.settings, "response": name}
    if look.kind == "demonstrations":
        _check_not_judged(look, settings)
    because = (f"{name} is messages {_count(look, name)}", *part.because)
    return Found("conversations that end with the response", because, settings)


def one_transcript(look: Look) -> Found | None:
    """A text that is a whole conversation with markers."""
    names = named(look, "text")
    if not names or look.given("chosen", "rejected", "response", "prompt", "markers"):
        return None
    found = [str(value).lstrip() for value in look.column(names[0]).values]
    fit = sum(text.startswith("Human:") and "\n\nAssistant:" in text for text in found)
    if fit < 0.9 * len(look.rows):
        return None
    because = f'{names[0]} is text with "\\n\\nHuman:" and "\\n\\nAssistant:" {look.count(fit)}'
    return Found(
        "transcripts that end with the response", (because,), {"format": "transcript", "chosen": names[0]}
    )


def only_prompt(look: Look) -> Found | None:
    """A prompt, whatever else stands beside it."""
    part = prompt_in(look, _CANONICAL)
    if part is None or (look.given("prompt") and look.source.prompt is None):
        return None
    prompt = part.settings.get("prompt", look.source.prompt)
    if isinstance(prompt, str) and look.column(prompt).mostly("texts"):
        return None  # the user's turns, which need the assistant's between them
    shape = "our own form of prompts" if not part.settings else "prompts"
    return Found(shape, part.because, {**_CANONICAL, **part.settings})


def prompt_of_answers(look: Look) -> Found | None:
    """Responses that are conversations and begin with their prompt, or lists of answers to its turns."""
    try:
        responses = responses_in(look)
    except ShapeError:
        return None
    if responses is None:
        return None
    columns = [look.column(path) for path in responses.shown]
    settings: dict[str, Any] = {**_CANONICAL, "responses": responses.paths}
    if all(column.mostly("messages") for column in columns):
        because = f"{responses.because} that begin with the prompt"
        return Found("conversations that begin with the prompt", (because,), {**settings, "prompt": None})
    if "prompt" in look.names and all(column.mostly("texts") for column in [look.column("prompt"), *columns]):
        because = f"prompt is a list of texts, one a turn, {_count(look, 'prompt')}"
        return Found("prompts of several turns", (because, responses.because), settings)
    return None


def given_prompt_of_none(look: Look) -> Found | None:
    """What begins with the prompt, where that is given: prompt: null."""
    if not (look.given("prompt") and look.source.prompt is None):
        return None
    if look.has("response") or look.has(look.source.response):
        return Found("messages that begin with the prompt", (f"{look.source.response} is there",), _CANONICAL)
    return None


def document(look: Look) -> Found | None:
    """A column with a text."""
    path = look.source.text
    if look.given("chosen") or not (look.given("text") or look.has(path)):
        return None
    return Found("texts", (f"column {path} {_count(look, path)}",), {"format": "text"})


DEMONSTRATIONS: tuple[Shape, ...] = (
    tree, given_prompt_of_none, prompt_and_response, pair_of_transcripts, conversation, pair_of_talks, pair,
    one_transcript,
)  # fmt: skip
PROMPTS: tuple[Shape, ...] = (
    tree, given_prompt_of_none, conversation, pair_of_talks, only_prompt, pair_of_transcripts,
    prompt_of_answers, one_transcript,
)  # fmt: skip
TEXTS: tuple[Shape, ...] = (tree, document, pair_of_transcripts)
