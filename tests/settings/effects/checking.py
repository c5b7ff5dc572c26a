"""Hold an entry to its word."""

from __future__ import annotations

import reprlib
from typing import Any

import pytest

from rlhf.errors import SettingsError
from tests.settings.effects.effect import Effect, Refused
from tests.settings.effects.lab import Lab


def check(effect: Effect, lab: Lab) -> None:
    """Run the stage with and without the other value, and look.

    Raises AssertionError where the entry does not hold, saying which setting and what was seen.
    """
    pairs = (*effect.given, effect.pair, *effect.along)
    check_nothing_else_changes(effect, lab, pairs)
    first, again = (lab.baseline(effect.given, effect.after, repeat) for repeat in (0, 1))
    changed = lab.run(pairs, effect.given, effect.after)
    try:
        before, noise, after = effect.see(first), effect.see(again), effect.see(changed)
    finally:
        lab.drop(changed)
    name, same = effect.see.__name__, f"{reprlib.repr(before)} with and without it"
    assert before == noise, f"{name} is noise: {reprlib.repr(before)} and {reprlib.repr(noise)} of equal runs"
    assert before != after, f"{effect.pair} changes nothing: {name} is {same}"
    assert effect.expect(before, after), (
        f"{effect.pair} ({effect.says}): {name} is {reprlib.repr(before)} before, {reprlib.repr(after)} after"
    )


def check_nothing_else_changes(effect: Effect, lab: Lab, pairs: tuple[str, ...]) -> None:
    """Refuse an entry whose runs differ in more than its setting, or not in it."""
    old, new = (_flat(lab.resolve(some).model_dump(by_alias=True)) for some in (effect.given, pairs))
    found = [key for key in {**old, **new} if old.get(key, "absent") != new.get(key, "absent")]
    told = [pair.partition("=")[0] for pair in (effect.pair, *effect.along)]
    assert any(_is_below(key, told[:1]) for key in found), f"{effect.pair} is the value of the baseline"
    others = [key for key in found if not _is_below(key, told)]
    assert others == [], f"{effect.pair} changes {', '.join(others)} too"
    if effect.along:  # companions that are not needed might have the effect
        with pytest.raises(SettingsError):
            lab.resolve((*effect.given, effect.pair))


def check_refused(entry: Refused, lab: Lab) -> None:
    """Resolve the settings without the refused value, and with it."""
    lab.resolve(entry.given)
    with pytest.raises(SettingsError) as caught:
        lab.resolve((*entry.given, entry.pair))
    assert entry.says in str(caught.value)


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """The leaves by dotted key; a value below `run.root` as if that were one and the same folder."""
    root = str(values["run"]["root"])
    found = {
        key: value.replace(root, "{run.root}") if isinstance(value, str) else value
        for key, value in _leaves(values, "")
    }
    return {**found, "run.root": root}


def _leaves(value: Any, key: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        items = [(f"{key}.{name}" if key else str(name), item) for name, item in value.items()]
    elif isinstance(value, tuple) and value:
        items = [(f"{key}[{number}]", item) for number, item in enumerate(value)]
    else:
        return [(key, value)]
    return [leaf for name, item in items for leaf in _leaves(item, name)]


def _is_below(key: str, told: list[str]) -> bool:
    return any(key == name or key.startswith((f"{name}.", f"{name}[")) for name in told)
