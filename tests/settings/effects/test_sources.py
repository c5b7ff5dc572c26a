"""What a source's settings change, and that each stage hands them on to what reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlhf.feedback import reading
from rlhf.feedback.mapping import Source
from stages._command import STAGES
from tests.settings.effects import sources
from tests.settings.effects.lab import Lab
from tests.settings.effects.listing import source_keys
from tests.settings.effects.sources import (
    ALL_TOLD,
    CASES,
    KINDS,
    READERS,
    SECTIONS,
    Case,
    SourceSettings,
    read,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.field} of {case.file}")
def test_setting_of_a_source_changes_what_is_read_of_these_kinds_only(
    tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    sources.write_files(tmp_path)
    changed = {
        kind for kind in KINDS if read(kind, tmp_path, case, False) != read(kind, tmp_path, case, True)
    }
    assert changed == set(case.kinds)
    # A value that only breaks the reading would prove nothing.
    assert {read(kind, tmp_path, case, True)[0] for kind in changed} == {"records"}


def test_every_field_of_a_source_has_a_case_and_another_value() -> None:
    assert {case.field for case in CASES} == set(SourceSettings.model_fields)
    sources.check_values_differ()


def test_every_list_of_sources_is_known_with_what_it_is_read_for() -> None:
    found = {(stage, key.partition("[]")[0]) for stage in STAGES for key in source_keys(stage)}
    assert found == set(SECTIONS)


@pytest.mark.parametrize(("stage", "section"), SECTIONS)
def test_stage_hands_all_settings_of_a_source_to_what_reads(
    labs: dict[str, Lab], stage: str, section: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, (kind, given) = labs[stage], SECTIONS[stage, section]
    usual = _source_of(lab, section, given)
    told = [Source(path=usual.path, **more) for more in ALL_TOLD]
    handed: list[Source] = []
    original = getattr(reading, READERS[kind])

    def spy(asked: list[Source]) -> Any:
        """Note the sources under test, and read their file once, by its usual settings."""
        handed.extend(source for source in asked if source in told)
        return original([usual if source in told else source for source in asked if source not in told[1:]])

    monkeypatch.setattr(reading, READERS[kind], spy)
    monkeypatch.setattr("rlhf.feedback.hub.hub_fingerprint", lambda source: {"a set": str(source.hub)})
    values = [{"path": usual.path, **more} for more in ALL_TOLD]
    values[0]["label_values"] = {"1": "first"}
    pair = f"{section}={json.dumps(values)}"
    seen = lab.run((*given, pair.replace('{"1": "first"}', '{1: "first"}')))
    (provenance,) = seen.desk.rglob("provenance.json")
    noted = json.loads(provenance.read_text())["data"]
    assert sources.__file__ in noted, "the functions' file is noted"
    assert noted["a set"] == {"fingerprint": "{'split': 'train'}"}
    lab.drop(seen)
    assert all(source in handed for source in told)


def _source_of(lab: Lab, section: str, given: tuple[str, ...]) -> Source:
    """The one source that stands there in the baseline."""
    value: Any = lab.resolve(given)
    for name in section.split("."):
        value = getattr(value, name)
    (source,) = value
    found: Source = source.build()
    return found
