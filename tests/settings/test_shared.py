from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from rlhf.feedback.mapping import Source
from rlhf.settings.shared import ModelSettings, RunSettings, SourceSettings, check_divides


def test_source_settings_are_the_fields_of_source() -> None:
    assert list(SourceSettings.model_fields) == [field.name for field in fields(Source)]
    settings = SourceSettings(path="a.jsonl", responses=["x", "y"], label_values={0: "first"}, limit=3)
    assert settings.build() == Source(
        path="a.jsonl", responses=("x", "y"), label_values={0: "first"}, limit=3
    )
    assert SourceSettings(path="a.jsonl").build() == Source(path="a.jsonl")


def test_home_folder_in_a_path() -> None:
    assert ModelSettings(path="~/models/base").path == str(Path.home() / "models/base")
    assert ModelSettings(path="org/name").path == "org/name"
    assert RunSettings(output="runs/~x").output == "runs/~x"


def test_check_divides() -> None:
    assert check_divides(96, "a", 32, "b") == 3
    with pytest.raises(ValueError, match="a 100 is not a multiple of b 32; 96 or 128 would be"):
        check_divides(100, "a", 32, "b")
    with pytest.raises(ValueError, match="a 10 is not a multiple of b 32; 32 would be"):
        check_divides(10, "a", 32, "b")
