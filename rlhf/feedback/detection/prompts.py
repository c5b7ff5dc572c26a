"""Where the prompt of a row stands: a column, two joined, a conversation, a transcript to split."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlhf.feedback.detection.found import ShapeError
from rlhf.feedback.detection.looks import READABLE, Column, Look
from rlhf.feedback.detection.refusals import listed, several_shapes
from rlhf.feedback.detection.yaml_text import FILL_IN
from rlhf.feedback.turns import HH_MARKERS

__all__ = [
    "PROMPTS",
    "Part",
    "check_context",
    "context_beside",
    "named",
    "prompt_beside",
    "prompt_in",
    "talk_in",
    "talk_prompt",
]

PROMPTS = ("prompt", "question", "query", "instruction", "input", "problem")
_TALKS = ("messages", "conversations", "conversation", "dialogue", "dialog", "chat", "turns", "context")
_SYSTEMS = ("system", "system_prompt")
_CONTEXTS = ("context", "passage", "passages", "document", "article", "background")
_BEGINS = re.compile(r"\s*Human:")
_MIXED = 0.1  # a share of rows between this and 1 minus this is of two minds


@dataclass(frozen=True)
class Part:
    """A part of a mapping with its evidence."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    because: tuple[str, ...] = ()


def named(look: Look, *names: str, kinds: tuple[str, ...] = ("text",)) -> list[str]:
    """Return the columns of these names (in any case) that are mostly of these kinds, in this order."""
    spelt = {name.lower(): name for name in reversed(look.names)}
    found = [spelt[name] for name in names if name in spelt]
    return [name for name in found if look.column(name).values and look.column(name).mostly(*kinds)]


def talk_in(look: Look) -> str | None:
    """Return the column that holds a conversation of which the assistant has the last word."""
    found = [name for name in named(look, *_TALKS, kinds=("messages",)) if _last_word(look.column(name))]
    return found[0] if found else None


def _last_word(column: Column) -> bool:
    """Return whether a conversation mostly ends with an answer."""
    ends = [value[-1] for value in column.values if isinstance(value, list) and value]
    roles = [str(end.get("role", end.get("from"))).lower() for end in ends if isinstance(end, dict)]
    return 2 * sum(role not in ("user", "human", "prompter", "system") for role in roles) > len(roles)


def talk_prompt(look: Look) -> str | None:
    """Return the column that holds a conversation of which the user has the last word."""
    found = [name for name in named(look, *_TALKS, kinds=("messages",)) if not _last_word(look.column(name))]
    return found[0] if found else None


def prompt_in(look: Look, base: Mapping[str, Any]) -> Part | None:
    """Return the settings of the prompt, or None where no column can be it.

    `base` are the settings that are found already, for the mapping to paste.

    Raises:
        ShapeError: several_shapes, where two columns can be it, or only some rows are transcripts.
    """
    if look.given("prompt"):
        return Part({}, ("the prompt is given",))
    found = named(look, "prompt", kinds=("text", "messages", "texts"))
    if found or "prompt" in look.names:
        name = found[0] if found else "prompt"
        return _with_extras(look, base, name, {} if name == "prompt" else {"prompt": name})
    talk = talk_prompt(look)
    if talk is not None:
        return Part({"prompt": talk}, (f"{talk} is messages that end with the user's",))
    found = named(look, *PROMPTS)
    if [name.lower() for name in found] == ["instruction", "input"]:
        joined = tuple(found)
        return _with_extras(look, base, found[0], {"prompt": joined}, " and ".join(joined))
    if len(found) > 1:
        message = f"{listed(found)} are text and could each be the prompt, or be joined to one"
        raise several_shapes(
            look,
            message,
            {**base, "prompt": FILL_IN},
            prompt=f"{found[0]}, or to join them: [{', '.join(found)}]",
        )
    return _with_extras(look, base, found[0], {"prompt": found[0]}) if found else None


def prompt_beside(look: Look) -> Part:
    """Return the settings of the prompt of conversations that begin with it.

    Rows that all have a column `prompt` beside them have it compared: it must say what they begin with.
    """
    column = look.column("prompt")
    if look.given("prompt") or len(column.found) < len(look.rows) or not column.mostly(*READABLE):
        return Part({"prompt": None})
    return Part({}, (f"they are held against prompt, which is {column.kind()}",))


def _with_extras(
    look: Look, base: Mapping[str, Any], name: str, settings: dict[str, Any], shown: str | None = None
) -> Part:
    """Add what stands around a prompt that is a column: markers of turns in it, a system text, a passage."""
    column = look.column(name)
    because = [f"{shown or name} {_is(column)} {look.count(len(column.found))}"]
    if column.mostly("text"):
        because += _markers(look, base, column, settings)
        systems = [] if look.given("system") else named(look, *_SYSTEMS)
        if systems and len(look.column(systems[0]).values) == len(look.rows):
            settings["system"] = systems[0]
            because.append(f"{systems[0]} is text")
    return Part(settings, tuple(because))


def _is(column: Column) -> str:
    return f"is {column.kind()}"


def _markers(look: Look, base: Mapping[str, Any], column: Column, settings: dict[str, Any]) -> list[str]:
    if look.given("markers"):
        return []
    texts = [value for value in column.values if isinstance(value, str)]
    begins = sum(_BEGINS.match(text) is not None for text in texts)
    ends = sum(_BEGINS.match(text) is not None and text.rstrip().endswith("\n\nAssistant:") for text in texts)
    if ends >= (1 - _MIXED) * len(texts):
        settings["markers"] = dict(HH_MARKERS)
        return [f'it begins with "Human:" and ends with "Assistant:" {look.count(ends)}']
    if begins > _MIXED * len(texts) and ends > 0:
        message = (
            f'{column.path} begins with "Human:" {look.count(begins)} and ends with "Assistant:" in '
            f"{ends:,} of them, so some are transcripts and others may be plain texts"
        )
        raise several_shapes(
            look, message, {**base, "markers": FILL_IN}, markers="null, or those of the transcripts"
        )
    return []


def context_beside(look: Look, prompt: object) -> str | None:
    """Return the column of a passage that a question may be about, where the prompt does not hold it."""
    used = (prompt,) if isinstance(prompt, str) else prompt
    if look.given("prompt") or not isinstance(used, tuple) or "prompt" in used or talk_in(look):
        return None
    around = [name for name in named(look, *_CONTEXTS, kinds=("text", "texts", "list")) if name not in used]
    return around[0] if around else None


def check_context(look: Look, settings: Mapping[str, Any]) -> None:
    """Refuse to leave a passage unread that a question may be about.

    Raises:
        ShapeError: several_shapes; shape_unknown, where earlier turns stand in a column of their own.
    """
    _check_no_history(look)
    prompt = settings.get("prompt", look.source.prompt)
    context = context_beside(look, prompt)
    if context is None:
        return
    name = prompt if isinstance(prompt, str) else ", ".join(prompt)
    message = f"{context} stands beside {name}, and whether it belongs to the prompt is not guessed"
    both = f"{name}, or both: {_joined(look, context, name)}"
    raise several_shapes(look, message, {**settings, "prompt": FILL_IN}, prompt=both)


def _check_no_history(look: Look) -> None:
    """Refuse earlier turns in lists of pairs (LLaMA-Factory's `history`): the prompt would lack them."""
    turns = [value for value in look.column("history").values if isinstance(value, list) and value]
    if turns and not look.given("prompt"):
        message = (
            f"history holds earlier turns {look.count(len(turns))}, which no setting joins to the prompt; an "
            "adapter can make messages of them"
        )
        raise ShapeError(message, look.where, "shape_unknown")


def _joined(look: Look, context: str, name: str) -> str:
    plain = look.column(context).mostly("text")
    return f"[{context}, {name}]" if plain else f'"{{{context}}}\\n\\n{{{name}}}"'
