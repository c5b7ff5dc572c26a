"""The list of settings is whole: no setting without an entry, no entry without a setting or a test."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from rlhf.settings import schema
from stages._command import STAGES, load_schema
from tests.settings.effects import listing
from tests.settings.effects.effect import Shown
from tests.settings.effects.listing import ENTRIES, dangling, missing, settings_of, source_keys

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("stage", STAGES)
def test_every_setting_has_an_entry(stage: str) -> None:
    assert missing(stage) == [], f"say in tests/settings/effects/of_{stage}.py how their effect is shown"


@pytest.mark.parametrize("stage", STAGES)
def test_every_entry_is_of_a_setting_that_exists(stage: str) -> None:
    assert dangling(stage) == []


@pytest.mark.parametrize("stage", STAGES)
def test_the_list_is_generated_from_the_schema(stage: str) -> None:
    """Leaves, sections that may be null and lists of sections; a section that is always there has no value."""
    keys = settings_of(load_schema(stage))
    assert len(set(keys)) == len(keys)
    always = set(schema.known_keys(load_schema(stage))) - set(keys)
    assert all(any(key.startswith(f"{section}.") for key in keys) for section in always)
    assert "run.seed" in keys
    assert "run" not in keys
    assert [key for key in keys if key.endswith("[].path")] == [
        key for key, field in source_keys(stage).items() if field == "path"
    ]


def test_optional_sections_and_lists_of_sections_are_settings_too() -> None:
    assert {"lora", "lora.rank", "centring", "data.test"} <= set(settings_of(load_schema("reward")))
    assert {"scores", "scores[].weight", "reference"} <= set(settings_of(load_schema("ppo")))


def test_every_linked_test_exists_and_names_the_setting() -> None:
    links = [entry for stage in STAGES for entry in ENTRIES[stage] if isinstance(entry, Shown)]
    assert [found for entry in links if (found := listing.broken_link(entry, ROOT)) is not None] == []


def test_a_link_that_is_broken_is_found(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\ndef test_one(x):\n    assert x('ppo.kl_coef=1')\n\n"
        "@pytest.mark.skip\ndef test_two():\n    assert 'kl_coef'\n"
    )
    found = [
        listing.broken_link(Shown(key, f"test_it.py::{test}", "moves"), tmp_path)
        for key, test in (
            ("ppo.kl_coef", "test_one"),
            ("ppo.kl_coeff", "test_one"),
            ("ppo.kl_coef", "test_two"),
            ("ppo.kl_coef", "test_three"),
        )
    ]
    assert found == [
        None,
        "test_it.py::test_one does not name kl_coeff",
        "test_it.py::test_two is skipped",
        "test_it.py has no test_three",
    ]
    assert listing.broken_link(Shown("a", "gone.py::test", ""), tmp_path) == "gone.py does not exist"


def test_a_missing_and_a_dangling_entry_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [entry for entry in ENTRIES["sft"] if entry.key != "sft.warmup_fraction"]
    renamed = Shown("sft.warmup_share", "a.py::test", "")
    monkeypatch.setitem(listing.ENTRIES, "sft", (*kept, renamed))
    assert missing("sft") == ["sft.warmup_fraction"]
    assert dangling("sft") == ["sft.warmup_share"]


def test_the_list_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_module("tests.settings.effects", run_name="__main__")
    *printed, last = capsys.readouterr().out.splitlines()
    for stage in STAGES:
        start = next(number for number, line in enumerate(printed) if line.startswith(f"{stage}: "))
        for key in settings_of(load_schema(stage)):
            assert any(line.startswith(f"  {key} ") for line in printed[start:]), key
    count = sum(len(settings_of(load_schema(stage))) for stage in STAGES)
    assert last == f"{count} of {count} settings shown"
