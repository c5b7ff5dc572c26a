"""How long prompts and responses may be, and where that stands."""

from __future__ import annotations

from typing import NamedTuple, Protocol

__all__ = ["Limits", "limits_of"]


class Limits(NamedTuple):
    """In tokens; None: what the model's context leaves.

    `section`: of the settings, in which they stand; messages name it.
    """

    prompt: int | None = None
    response: int | None = None
    section: str | None = None


class _Section(Protocol):
    @property
    def max_prompt_tokens(self) -> int: ...

    @property
    def max_response_tokens(self) -> int: ...


def limits_of(settings: _Section, section: str) -> Limits:
    """Return the limits that stand in a section of the settings."""
    return Limits(settings.max_prompt_tokens, settings.max_response_tokens, section)
