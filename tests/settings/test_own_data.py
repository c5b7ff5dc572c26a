"""Training on own data is not measured on the small world without a word."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from rlhf.settings.layers import Settings
from rlhf.settings.ppo import PpoSettings
from rlhf.settings.reward import RewardSettings
from rlhf.settings.sft import SftSettings

STAGES: list[type[Any]] = [SftSettings, RewardSettings, PpoSettings]
OWN = [{"path": "mine.jsonl"}]
EACH = pytest.mark.parametrize("stage", STAGES)


@EACH
def test_held_out_data_of_the_small_world_is_refused_with_what_to_write(stage: type[Settings]) -> None:
    with pytest.raises(
        ValidationError, match=r"data.validation is data/pocket_world/.*judge: null"
    ) as caught:
        stage(data={"train": OWN})
    said = str(caught.value).partition("as in data: ")[2].partition(" (with what else")[0]
    written = yaml.safe_load(said)
    assert written["validation"] == [
        {"path": "mine.jsonl", "split": "validation", "validation_fraction": 0.1}
    ]
    stage(data=written)  # what the message says to write is allowed


@EACH
def test_what_is_meant_stays_allowed(stage: type[Settings]) -> None:
    usual = stage().data  # type: ignore[attr-defined]
    more = {"test": []} if hasattr(usual, "test") else {}
    stage(data={"train": OWN, "validation": OWN, **more})
    stage(data={"train": [*OWN, {"path": usual.train[0].path}]})  # own data beside the world's
    stage(data={"train": OWN, "validation": [], **more})
    world = [{"path": usual.validation[0].path}]
    stage(data={"train": OWN, "validation": [*OWN, *world], **more})  # asked for


def test_the_final_numbers_are_told_apart() -> None:
    with pytest.raises(ValidationError, match=r"data.test is data/pocket_world/"):
        RewardSettings(data={"train": OWN, "validation": OWN})
