"""Each entry of the tables, one test; its name is the setting and the other value."""

from __future__ import annotations

import pytest

from stages._command import STAGES
from tests.settings.effects.checking import check
from tests.settings.effects.effect import Effect
from tests.settings.effects.lab import Lab
from tests.settings.effects.listing import ENTRIES

CASES = [
    pytest.param(stage, entry, id=f"{stage}:{entry.key}={entry.to}")
    for stage in STAGES
    for entry in ENTRIES[stage]
    if isinstance(entry, Effect)
]


@pytest.mark.parametrize(("stage", "effect"), CASES)
def test_setting_has_its_effect(labs: dict[str, Lab], stage: str, effect: Effect) -> None:
    check(effect, labs[stage])
