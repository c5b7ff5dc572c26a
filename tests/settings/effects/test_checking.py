"""The machinery itself: an entry that shows nothing, or something else, does not pass."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rlhf.settings.layers import resolve_settings
from rlhf.settings.sft import SftSettings
from tests.settings.effects.checking import check, check_refused
from tests.settings.effects.effect import Effect, Refused, rises, times
from tests.settings.effects.look import every_load_gets, named


class Pretended:
    """A lab whose runs see what a function makes of their settings."""

    def __init__(self, see: Any) -> None:
        self.see = see
        self.num_runs = 0
        self.dropped: list[Any] = []

    def resolve(self, pairs: Any = ()) -> SftSettings:
        return resolve_settings(SftSettings, None, list(pairs)).settings

    def run(self, pairs: Any, earlier: Any = (), after: Any = None) -> Any:
        self.num_runs += 1
        return SimpleNamespace(seen=self.see(self.resolve(pairs), self.num_runs), desk=Path("nowhere"))

    def baseline(self, given: Any, after: Any, repeat: int) -> Any:
        return self.run(given)

    def drop(self, seen: Any) -> None:
        self.dropped.append(seen)


def entry(key: str = "sft.epochs", to: str = "4.0", **more: Any) -> Effect:
    return Effect(key, to, "twice the steps", named("steps", lambda seen: seen.seen), **more)


def checked(effect: Effect, see: Any) -> Pretended:
    lab: Any = Pretended(see)
    check(effect, lab)
    found: Pretended = lab
    return found


def test_an_effect_passes_and_its_run_is_deleted() -> None:
    lab = checked(entry(expect=times(2)), lambda settings, number: settings.sft.epochs)
    assert lab.num_runs == 3
    assert [seen.seen for seen in lab.dropped] == [4.0]


@pytest.mark.parametrize(
    ("effect", "see", "message"),
    [
        (entry(), lambda settings, number: 7, r"sft\.epochs=4\.0 changes nothing: steps is 7"),
        (entry(), lambda settings, number: number, "steps is noise: 1 and 2 of equal runs"),
        (
            entry(expect=rises),
            lambda settings, number: -settings.sft.epochs,
            r"\(twice the steps\): steps is -2\.0 before, -4\.0 after",
        ),
        (
            entry(to="2.0"),
            lambda settings, number: settings.sft.epochs,
            "is the value of the baseline",
        ),
        (
            entry("run.seed", "2", along=("sft.epochs=4.0",)),
            lambda settings, number: settings.sft.epochs,
            "DID NOT RAISE",
        ),
    ],
    ids=["ignored", "noise", "another way", "same value", "companion that is not needed"],
)
def test_an_effect_that_is_not_shown_fails(effect: Effect, see: Any, message: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception), match=message):
        checked(effect, see)


class Leaky(Pretended):
    """A lab where one setting moves another."""

    def resolve(self, pairs: Any = ()) -> SftSettings:
        return super().resolve([*pairs, *(["sft.epochs=4.0"] if "run.seed=2" in pairs else [])])


def test_a_value_that_changes_other_settings_too_fails() -> None:
    lab: Any = Leaky(lambda settings, number: settings.sft.epochs)
    with pytest.raises(AssertionError, match=r"run\.seed=2 changes sft\.epochs too"):
        check(entry("run.seed", "2"), lab)


def test_folders_below_the_root_move_with_it() -> None:
    checked(entry("run.root", "elsewhere"), lambda settings, number: settings.run.output)


def test_a_refusal_needs_its_words() -> None:
    lab: Any = Pretended(None)
    check_refused(Refused("sft.epochs", "0.0", "sft.epochs"), lab)
    with pytest.raises(AssertionError):
        check_refused(Refused("sft.epochs", "0.0", "is not a word of it"), lab)
    with pytest.raises(pytest.fail.Exception):
        check_refused(Refused("sft.epochs", "4.0", ""), lab)


@pytest.mark.parametrize(
    ("before", "after", "passes"),
    [
        ([("AutoTokenizer", None), ("AutoConfig", None)], [("AutoTokenizer", True), ("AutoConfig", True)], True),
        ([("AutoTokenizer", True)], [("AutoTokenizer", True)], False),  # so it was before
        ([("AutoTokenizer", None), ("AutoConfig", True)], [("AutoTokenizer", True), ("AutoConfig", True)], False),
        ([("AutoTokenizer", None), ("AutoConfig", None)], [("AutoTokenizer", True), ("AutoConfig", None)], False),
        ([("AutoTokenizer", None), ("AutoConfig", None)], [("AutoTokenizer", True)], False),
        ([], [], False),
    ],
)  # fmt: skip
def test_every_load_is_told_and_none_was_before(before: list, after: list, passes: bool) -> None:
    assert every_load_gets(True)(before, after) is passes
