"""An entry of the table: a setting, another value, and what is different with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.settings.effects.seen import Seen

Before = Literal["finished", "interrupted"]


@dataclass(frozen=True)
class Effect:
    """A setting, another value for it, and what is different then.

    Args:
        key: as `known_keys` writes it; of a list's items the first is set.
        to: the other value, as on the command line; ``{inputs}`` is the folder of models and data.
        says: what is shown, in words, for the list.
        see: what is looked at in a run.
        expect: how it has to be (value of the baseline, with the other value); that it differs at all and
            is no noise is asked of every entry.
        given: settings of both runs.
        along: more settings of the changed run, without which the schema refuses the value.
        after: an earlier run in the same place, of the same settings but this one.
    """

    key: str
    to: str
    says: str
    see: Callable[[Seen], Any]
    expect: Callable[[Any, Any], bool] = lambda before, after: True
    given: tuple[str, ...] = ()
    along: tuple[str, ...] = ()
    after: Before | None = None

    @property
    def pair(self) -> str:
        return f"{self.key.replace('[]', '[0]')}={self.to}"


@dataclass(frozen=True)
class Refused:
    """A setting whose other value a stage refuses, with a message that says why."""

    key: str
    to: str
    says: str  # a part of the message
    given: tuple[str, ...] = ()

    @property
    def pair(self) -> str:
        return f"{self.key.replace('[]', '[0]')}={self.to}"


@dataclass(frozen=True)
class Shown:
    """A setting whose effect a test elsewhere shows; that test has to name the setting.

    Args:
        key: as in `Effect`.
        by: ``tests/ppo/test_update.py::test_name``.
        says: what it shows, in words.
    """

    key: str
    by: str
    says: str


Entry = Effect | Refused | Shown


def becomes(before: Any, after: Any) -> Callable[[Any, Any], bool]:
    """What is seen is exactly this with the baseline's value, and that with the other one."""
    return lambda old, new: bool(old == before and new == after)


def times(factor: float) -> Callable[[Any, Any], bool]:
    """The number is so many times the baseline's."""
    return lambda before, after: math.isclose(after, factor * before, rel_tol=1e-6)


def rises(before: Any, after: Any) -> bool:
    return bool(after > before)


def falls(before: Any, after: Any) -> bool:
    return bool(after < before)
