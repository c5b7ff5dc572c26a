"""Prompts and responses as rows hold them: texts, messages, lists of turns; and which prompt they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlhf.feedback.columns import build_prompt
from rlhf.feedback.mapping import Source
from rlhf.feedback.notes import BadRow
from rlhf.feedback.paths import anything_at, check_text, kind_of, text_at, values_at
from rlhf.feedback.records import Message, Prompt
from rlhf.feedback.rows import Row
from rlhf.feedback.stated import says_otherwise, says_the_same, short
from rlhf.feedback.strengths import strength_columns
from rlhf.feedback.turns import ends_open, split_prompt

__all__ = ["prompt_and_responses", "prompt_of"]

_ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "player"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "chatgpt", "model", "ai"), "assistant"),
    "system": "system",
}
_KEYS = (("role", "content"), ("from", "value"))
_PART_KEYS = ("text", "value")

Named = Sequence[tuple[str, Any]]  # (what messages call it, what stands there)
Texts = list[str]  # of one side's turns


def prompt_of(row: Row, source: Source) -> Prompt:
    """Return the prompt of a row of a table.

    Raises:
        BadRow: missing_column, not_text, bad_roles, empty_prompt, prompt_mismatch or bad_transcript.
    """
    if source.prompt is None or _are_talks(_first_answer(row, source)):
        return prompt_and_responses(row, source, _answers(row, source))[0]
    stated = _stated(row, source)
    if isinstance(stated, tuple):
        return build_prompt(stated, row, source, columns=_other_columns(row, source))
    # The prompt is only known together with what answers it.
    return prompt_and_responses(row, source, _answers(row, source))[0]


def prompt_and_responses(row: Row, source: Source, answers: Named) -> tuple[Prompt, list[str]]:
    """Return the prompt of a row and the texts of some responses to it.

    Where all responses are whole conversations, the prompt is what these begin with, and a prompt that the
    row states beside them must say the same, see `_says_the_same`.

    Args:
        row: the row.
        source: where the prompt stands, if it does.
        answers: texts, messages that end with the response, or (where the prompt is a list of texts, the
            user's turns) lists of as many texts, the assistant's.

    Raises:
        BadRow: as `prompt_of`; prompt_mismatch where messages begin otherwise than the prompt or each other.
    """
    talks = _are_talks(answers)
    stated = None if talks and _states_nothing(row, source) else _stated(row, source)
    turns = stated if isinstance(stated, list) else None
    ends = [_end(name, value, turns, source, row.where) for name, value in answers]
    prompt = stated if isinstance(stated, tuple) else None
    if talks and prompt is not None:
        name, before = answers[0][0], ends[0][0]
        if not says_the_same(prompt, before):
            raise BadRow(says_otherwise(name, before, prompt, source), row.where, "prompt_mismatch")
        prompt = None
    for (name, _), (before, _) in zip(answers, ends, strict=True):
        if prompt is None and not before:
            message = (
                f"prompt: null takes the prompt from messages, but {name!r} has none before the response"
            )
            raise BadRow(message + "; name the prompt's column", row.where, "prompt_mismatch")
        if prompt is not None and before and before != prompt:
            other = "the prompt" if isinstance(stated, tuple) and not talks else repr(answers[0][0])
            raise BadRow(_mismatch(name, before, other, prompt, source), row.where, "prompt_mismatch")
        prompt = before if prompt is None else prompt
    lead = _lead(row, source)
    built = build_prompt(prompt or (), row, source, columns=_other_columns(row, source))
    return built, [text if before else text.removeprefix(lead) for before, text in ends]


def _are_talks(answers: Named) -> bool:
    """Say whether answers are conversations, which hold more than the response."""
    return bool(answers) and all(
        isinstance(value, list) and len(value) > 1 and isinstance(value[0], dict) for _, value in answers
    )


def _states_nothing(row: Row, source: Source) -> bool:
    """Say whether the place of the prompt is there and empty."""
    if not isinstance(source.prompt, str):
        return False
    found = anything_at(row, source.prompt)
    return found is None or (isinstance(found, str) and not found.strip())


def _lead(row: Row, source: Source) -> str:
    """Return what parts a response from the marker at the end of its prompt.

    Of a transcript that is cut into columns behind "Assistant:" the space after that stands in the response;
    it is taken off as it is from whole transcripts. Where `markers` does not say so, nothing is known to part
    them, and a response is what the row holds.
    """
    if source.markers is None or not isinstance(source.prompt, str):
        return ""
    text = anything_at(row, source.prompt)
    return " " if isinstance(text, str) and ends_open(text, source.markers) else ""


def _stated(row: Row, source: Source) -> tuple[Message, ...] | Texts | None:
    """Return the prompt that the row states: messages, or the texts of the user's turns; None: neither."""
    if source.prompt is None:
        return None
    if isinstance(source.prompt, tuple):
        parts = [text_at(row, part) for part in source.prompt]
        found: Any = "\n\n".join(part for part in parts if part.strip())
    else:
        found = anything_at(row, source.prompt)
    if isinstance(found, list) and source.markers is None:
        if found and all(isinstance(item, str) for item in found):
            return found
        return tuple(_message(item, source.roles, row.where) for item in found)
    text = check_text(found, str(source.prompt), row.where)
    return (
        (Message("user", text),)
        if source.markers is None
        else tuple(split_prompt(text, source.markers, row.where))
    )


def _answers(row: Row, source: Source) -> Named:
    """Return the columns that tell the prompt where no column states it."""
    if source.format == "pair":
        return [(path, anything_at(row, path)) for path in (source.chosen, source.rejected)]
    if source.format == "canonical":  # rows of demonstrations, or rows of rankings
        try:
            return [(source.response, anything_at(row, source.response))]
        except BadRow:
            return values_at(row, source.responses)
    return values_at(row, source.responses)


def _first_answer(row: Row, source: Source) -> Named:
    """Return the first column of those that hold a response each."""
    names = {"pair": source.chosen, "canonical": source.response}
    name = names.get(source.format) or source.responses[0]
    return [(name, row.values.get(name))]


def _other_columns(row: Row, source: Source) -> Mapping[str, Any]:
    """Return the columns that the source does not name, for judges."""
    several = [source.prompt, source.responses, source.labels]
    several += [source.scores] if source.format == "scored" else []
    several += [strength_columns(source)]
    spent = {source.response, source.ranks, source.chosen, source.rejected}
    for names in several:
        spent.update((names,) if isinstance(names, str) else names or ())
    return {key: value for key, value in row.values.items() if key not in spent}


def _end(
    name: str, value: Any, turns: Texts | None, source: Source, where: str
) -> tuple[tuple[Message, ...], str]:
    """Return the messages before a response, if it comes with any, and its text."""
    if turns is not None:
        return _interleaved(name, value, turns, source, where)
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list) or not value:
        return (), check_text(value, name, where)
    messages = tuple(_message(item, source.roles, where) for item in value)
    if messages[-1].role != "assistant":
        message = f"{name!r} must be text or end with the assistant's turn, not the {messages[-1].role}'s"
        raise BadRow(message, where, "bad_roles")
    if value[-1].get("weight", 1) == 0:
        message = (
            f"the last message of {name!r} has weight 0: it is not to be trained on; leave such rows out"
        )
        raise BadRow(message, where, "not_trained_on")
    return messages[:-1], messages[-1].content


def _interleaved(
    name: str, value: Any, turns: Texts, source: Source, where: str
) -> tuple[tuple[Message, ...], str]:
    if not isinstance(value, list) or len(value) != len(turns):
        found = f"a list of {len(value)}" if isinstance(value, list) else kind_of(value)
        message = (
            f"{source.prompt!r} is a list of {len(turns)} texts, so {name!r} must be one too, but is {found}"
        )
        raise BadRow(message, where, "prompt_mismatch")
    texts = [check_text(item, f"{name}[{number}]", where) for number, item in enumerate(value)]
    said = [
        Message(role, text)
        for asked, answered in zip(turns, texts, strict=True)
        for role, text in (("user", asked), ("assistant", answered))
    ]
    return tuple(said[:-1]), texts[-1]


def _mismatch(
    name: str, before: tuple[Message, ...], other: str, prompt: tuple[Message, ...], source: Source
) -> str:
    place = next((i for i, pair in enumerate(zip(before, prompt, strict=False)) if pair[0] != pair[1]), None)
    if place is None:
        found = f"{len(before)} messages before the response, {other} has {len(prompt)}"
    else:
        found = f"message {place + 1} is {short(before[place])}, of {other} {short(prompt[place])}"
    remedy = ""
    if source.prompt is not None and other == "the prompt":
        remedy = "; prompt: null takes the prompt from the messages alone"
    return f"{name!r} does not begin with {other}: {found}{remedy}"


def _message(item: Any, roles: Mapping[str, str], where: str) -> Message:
    keys = [pair for pair in _KEYS if isinstance(item, dict) and set(pair) <= item.keys()]
    if len(keys) != 1:
        shown = str(item)[:60]
        message = f"a message is an object with role and content (or from and value), not {shown!r}"
        raise BadRow(message, where, "bad_roles")
    role_key, content_key = keys[0]
    role = check_text(item[role_key], role_key, where)
    known = {**_ROLES, **roles}
    if role not in known and role.lower() not in known:
        hint = f"unknown role {role!r}; known: {', '.join(known)}; name it under roles:"
        raise BadRow(hint, where, "bad_roles")
    return Message(known.get(role) or known[role.lower()], _content(item[content_key], content_key, where))


def _content(value: Any, name: str, where: str) -> str:
    """Return a message's text, or its text parts one after the other."""
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        return check_text(value, name, where)
    texts = []
    for part in value:
        keys = [key for key in _PART_KEYS if isinstance(part.get(key), str)]
        if part.get("type") != "text" or len(keys) != 1:
            message = f"{name!r} has a part of type {part.get('type')!r}; only text is read"
            raise BadRow(message, where, "not_text")
        texts.append(part[keys[0]])
    return "".join(texts)
