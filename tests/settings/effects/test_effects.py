"""Each entry of the tables, one test; its name is the setting and the other value."""

from __future__ import annotations

import pytest

from stages._command import STAGES
from tests.settings.effects.checking import check, check_refused
from tests.settings.effects.effect import Effect, Refused
from tests.settings.effects.lab import Lab
from tests.settings.effects.listing import ENTRIES


def cases(kind: type[Effect] | type[Refused]) -> list[object]:
    """Parameters (stage, entry), named by setting and value."""
    return [
        pytest.param(stage, entry, id=f"{stage}:{entry.key}={entry.to}")
        for stage in STAGES
        for entry in ENTRIES[stage]
        if isinstance(entry, kind)
    ]


@pytest.mark.parametrize(("stage", "effect"), cases(Effect))
def test_setting_has_its_effect(labs: dict[str, Lab], stage: str, effect: Effect) -> None:
    check(effect, labs[stage])


@pytest.mark.parametrize(("stage", "entry"), cases(Refused))
def test_value_is_refused(labs: dict[str, Lab], stage: str, entry: Refused) -> None:
    check_refused(entry, labs[stage])
