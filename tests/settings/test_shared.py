from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from rlhf.errors import SettingsError
from rlhf.feedback.mapping import Source
from rlhf.settings.layers import resolve_settings, settings_to_yaml
from rlhf.settings.shared import ModelSettings, RunSettings, SourceSettings, check_divides
from stages._command import load_schema


def test_source_settings_are_the_fields_of_source() -> None:
    assert list(SourceSettings.model_fields) == [field.name for field in fields(Source)]
    given = {"path": "a.jsonl", "format": "pairwise", "label_values": {0: "first"}, "limit": 3}
    settings = SourceSettings(**given, responses=["x", "y"])
    assert settings.build() == Source(**given, responses=("x", "y"))
    assert SourceSettings(path="a.jsonl").build() == Source(path="a.jsonl")


def test_preset_in_a_file_lies_below_what_is_given_and_the_written_settings_repeat_it(tmp_path: Path) -> None:
    schema = load_schema("reward")
    (tmp_path / "mine.yaml").write_text(
        "data:\n  train:\n    - {path: a.jsonl, preset: shp, labels: other}\n  validation: []\n  test: []\n"
    )
    settings = resolve_settings(schema, tmp_path / "mine.yaml", ["data.train[0].group=null"]).settings
    source = settings.data.train[0].build()
    assert (source.labels, source.label_values, source.group) == ("other", {1: "first", 0: "second"}, None)
    (tmp_path / "again.yaml").write_text(settings_to_yaml(settings))
    assert resolve_settings(schema, tmp_path / "again.yaml").settings == settings


def test_unknown_preset_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("data:\n  train:\n    - {path: a.jsonl, preset: shpp}\n")
    expected = r"mine\.yaml: data\.train\[0\]: there is no preset 'shpp'; did you mean shp or .*\(there are: alpaca, "
    with pytest.raises(SettingsError, match=expected):
        resolve_settings(load_schema("reward"), tmp_path / "mine.yaml")


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
