"""An entry of the table, and how it is held to its word."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest

from rlhf.errors import SettingsError

if TYPE_CHECKING:
    from tests.settings.effects.lab import Lab
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


def check(effect: Effect, lab: Lab) -> tuple[Any, Any]:
    """Run the stage with and without the other value; return what was seen of both.

    Raises AssertionError where the entry does not hold, saying which setting and what was seen.
    """
    _check_along(effect, lab)
    first, again = (lab.baseline(effect.given, effect.after, repeat) for repeat in (0, 1))
    changed = lab.run((*effect.given, effect.pair, *effect.along), effect.given, effect.after)
    told = [effect.key, *(pair.split("=")[0] for pair in effect.along)]
    differences = _differences(first.config, changed.config, lab)
    assert all(_is_below(key, told) for key in differences), f"{effect.pair} changes {differences} together"
    assert any(_is_below(key, [effect.key]) for key in differences), f"{effect.pair} is the baseline's value"
    before, noise, after = effect.see(first), effect.see(again), effect.see(changed)
    name = getattr(effect.see, "__name__", "what is looked at")
    assert before == noise, (
        f"{name} is noise: {_short(before)} and {_short(noise)} in two runs of the same settings"
    )
    assert before != after, f"{effect.pair} changes nothing: {name} is {_short(before)} with and without it"
    assert effect.expect(before, after), (
        f"{effect.pair} ({effect.says}): {name} is {_short(before)} before and {_short(after)} after"
    )
    return before, after


def _check_along(effect: Effect, lab: Lab) -> None:
    """Refuse companions that are not needed: they might have the effect."""
    if effect.along:
        with pytest.raises(SettingsError):
            lab.resolve((*effect.given, effect.pair))


def check_refused(entry: Refused, lab: Lab) -> None:
    """Resolve the settings with the refused value, and without it."""
    lab.resolve(entry.given)
    with pytest.raises(SettingsError) as caught:
        lab.resolve((*entry.given, entry.pair))
    assert entry.says in str(caught.value)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], lab: Lab) -> list[str]:
    """The dotted keys whose values differ, but for the folder that `run.root` stands for."""
    old, new = _flat(before, before["run"]["root"]), _flat(after, after["run"]["root"])
    found = [key for key in {**old, **new} if old.get(key, "absent") != new.get(key, "absent")]
    return found + ["run.root"] * (before["run"]["root"] != after["run"]["root"])


def _flat(value: Any, root: str, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        items = [(f"{prefix}.{name}" if prefix else str(name), item) for name, item in value.items()]
    elif isinstance(value, list) and value:
        items = [(f"{prefix}[{number}]", item) for number, item in enumerate(value)]
    else:
        return {} if prefix == "run.root" else {prefix: _without(value, root)}
    return {key: leaf for name, item in items for key, leaf in _flat(item, root, name).items()}


def _without(value: Any, root: str) -> Any:
    return value.replace(root, "{run.root}") if isinstance(value, str) else value


def _is_below(key: str, told: list[str]) -> bool:
    names = [name.replace("[]", "[0]") for name in told]
    return any(key == name or key.startswith((f"{name}.", f"{name}[")) for name in names)


def _short(value: Any) -> str:
    return reprlib.repr(value)


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
