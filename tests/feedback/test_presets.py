"""Presets are settings and nothing else: they lie below what is given, and their page is up to date."""

from __future__ import annotations

from typing import Any

import pytest

from rlhf.errors import DataError
from rlhf.feedback import Source, build_sources
from rlhf.feedback.preset_table import PRESETS
from rlhf.settings.shared import SourceSettings
from tests.feedback.preset_page import PAGE, page

DEFAULT = Source(path="a")


@pytest.mark.parametrize("name", PRESETS)
def test_preset_is_settings_that_differ_from_the_defaults(name: str) -> None:
    settings = PRESETS[name].settings
    assert {key for key, value in settings.items() if getattr(DEFAULT, key) == value} == set()
    (source,) = build_sources([{"path": "a", "preset": name}])
    assert source == Source(path="a", preset=name, **settings)
    assert SourceSettings(path="a", preset=name).build() == source, "YAML takes it too"


@pytest.mark.parametrize("name", PRESETS)
def test_direction_of_a_preset_is_said_where_its_settings_choose_one(name: str) -> None:
    preset = PRESETS[name]
    chooses = {"best", "label_values", "chosen"} & preset.settings.keys() or preset.settings.get(
        "format"
    ) == "tree"
    assert bool(preset.direction) == bool(chooses)
    assert preset.documented


def test_given_settings_win_over_the_preset() -> None:
    given: dict[str, Any] = {"path": "a", "preset": "shp", "labels": "other", "group": None}
    for source in (build_sources([given])[0], SourceSettings(**given).build()):
        assert (source.labels, source.group, source.prompt) == ("other", None, "history")


def test_resolved_settings_are_read_again_as_they_are() -> None:
    """The preset lies below settings that are all written out, so a run's config.yaml repeats the run."""
    first = SourceSettings(path="a", preset="shp", labels="other", prompt="prompt")
    assert SourceSettings(**first.model_dump()) == first
    assert first.prompt == "prompt", "a default that is given is given"


def test_unknown_preset_names_the_nearest() -> None:
    expected = r"there is no preset 'hh_rlhf'; did you mean hh-rlhf.*\(there are: alpaca, "
    with pytest.raises(DataError, match=expected):
        build_sources([{"path": "a", "preset": "hh_rlhf"}])
    with pytest.raises(ValueError, match=expected):
        SourceSettings(path="a", preset="hh_rlhf")


def test_preset_of_which_nothing_is_left_is_refused() -> None:
    expected = r"a: preset 'hh-rlhf' has no effect: every setting of it \(format\) is another one here"
    with pytest.raises(DataError, match=expected):
        build_sources([{"path": "a", "preset": "hh-rlhf", "format": "pair"}])
    with pytest.raises(DataError, match="build_sources lays a mapping over its preset"):
        Source(path="a", preset="hh-rlhf")


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.feedback.preset_page writes it"
