"""Every shape is detected and read as its mapping reads it, or refused with a code, and never anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlhf.errors import DataError
from rlhf.feedback import (
    Ranking,
    Source,
    build_sources,
    read_demonstrations,
    read_prompts,
    read_rankings,
    read_texts,
)
from rlhf.feedback.detection import ShapeError, detect_source, mapping_yaml
from rlhf.feedback.detection.known import COLUMNS
from rlhf.feedback.preset_table import PRESETS
from rlhf.settings.yaml_file import parse_yaml
from tests.feedback.detection.more_shapes import MORE
from tests.feedback.real_shapes import DEMONSTRATIONS, RANKINGS
from tests.feedback.shapes import write_rows
from tests.feedback.test_shapes import dialogue, said

LABEL, SCORE, SEVERAL, UNKNOWN = (
    "label_direction_missing",
    "score_direction_missing",
    "several_shapes",
    "shape_unknown",
)
# What detection says of rows of rankings: the shape's name (and the preset), or the code of its refusal.
SAID: dict[str, str | tuple[str, str | None]] = {
    "hh-rlhf": ("a pair of transcripts", "hh-rlhf"),
    "summarize_from_feedback": ("openai/summarize_from_feedback", "summarize_from_feedback"),
    "webgpt": ("openai/webgpt_comparisons", "webgpt"),
    "shp": ("stanfordnlp/SHP", "shp"),
    "shp by its votes": SCORE,
    "ultrafeedback": ("openbmb/UltraFeedback", "ultrafeedback"),
    "ultrafeedback by one aspect, ratings are text": SCORE,
    "ultrafeedback_binarized": ("HuggingFaceH4/ultrafeedback_binarized", "ultrafeedback_binarized"),
    "ultrafeedback_binarized with its prompt column": ("a better and a worse conversation", "trl-preference"),
    "trl-lib-ultrafeedback_binarized": ("trl-lib/ultrafeedback_binarized", "trl-lib-ultrafeedback_binarized"),
    "pku-saferlhf-helpful": SEVERAL,
    "pku-saferlhf-safe": SEVERAL,
    "helpsteer2-preference": ("nvidia/HelpSteer2", "helpsteer2-preference"),
    "helpsteer3": ("nvidia/HelpSteer3", "helpsteer3"),
    "helpsteer3-annotators": SEVERAL,  # the opinions of its annotators, or what they sum up to
    "PandaLM: a column for each annotator": LABEL,
    "votes of named annotators in a list": UNKNOWN,
    "nectar": ("berkeley-nest/Nectar", "nectar"),
    "oasst": ("message trees", "oasst"),
    "oasst siblings in a row, rank 0 is best": SCORE,
    "oasst means of labels, ties within a distance": SCORE,
    "stack-exchange-paired": ("lvwerra/stack-exchange-paired", "stack-exchange-paired"),
    "rm-static": ("a prompt, a better and a worse response", "rm-static"),
    "skywork": ("a better and a worse conversation", None),
    "argilla-dpo-mix": ("argilla/dpo-mix-7k", "argilla-dpo-mix"),
    "arena-33k": ("lmsys/chatbot_arena_conversations", "arena-33k"),
    "arena-55k": ("lmarena-ai/arena-human-preference-55k", "arena-55k"),
    "arena-55k, turns that agree up to the last": LABEL,  # not all of the set's columns
    "arena-100k": ("lmarena-ai/arena-human-preference-100k", "arena-100k"),
    "arena-140k": ("lmarena-ai/arena-human-preference-140k", "arena-140k"),
    "alpaca_farm": ("tatsu-lab/alpaca_farm", "alpaca_farm"),
    "llama-factory-pairs": ("a prompt, a better and a worse response", "llama-factory-pairs"),
    "llama-factory-sharegpt-pairs": (
        "a prompt, a better and a worse response",
        "llama-factory-sharegpt-pairs",
    ),
    "trl-preference": ("a prompt, a better and a worse response", "trl-preference"),
    "trl-preference-implicit": ("a better and a worse conversation", None),
}
NO_PROMPT = {"shp by its votes"}  # `history` is no name for a prompt, and the set's other columns are gone
READERS: dict[str, Any] = {
    "rankings": read_rankings,
    "demonstrations": read_demonstrations,
    "prompts": read_prompts,
    "texts": read_texts,
}


def test_the_table_holds_every_shape() -> None:
    assert set(SAID) == set(RANKINGS)


def judged(ranking: Ranking) -> tuple[str, list[str], str | None]:
    return dialogue(ranking.prompt), said(ranking), ranking.annotator


@pytest.mark.parametrize("name", SAID)
def test_rankings_are_detected_as_their_mapping_reads_them_or_refused(tmp_path: Path, name: str) -> None:
    shape, expected = RANKINGS[name], SAID[name]
    path = write_rows(tmp_path / "x.jsonl", shape.rows)
    if isinstance(expected, str):
        with pytest.raises(ShapeError) as caught:
            read_rankings([{"path": path}])
        assert caught.value.code == expected
        assert "x.jsonl" in str(caught.value)
        return
    reading = read_rankings([{"path": path}])
    (detection,) = reading.detections
    assert (detection.shape.startswith(expected[0]), detection.preset) == (True, expected[1])
    assert detection.source.format != "auto"
    mapped = read_rankings([{"path": path, **shape.settings}])
    assert list(map(judged, reading)) == list(map(judged, mapped))
    assert detection.because
    check_yaml(detection.source)


def check_yaml(source: Source) -> None:
    """What is printed to be pasted is the mapping that was found."""
    assert build_sources(parse_yaml(mapping_yaml(source), "x.yaml")) == [source]


@pytest.mark.parametrize("name", RANKINGS)
def test_prompts_of_rankings_need_no_direction(tmp_path: Path, name: str) -> None:
    path = write_rows(tmp_path / "x.jsonl", RANKINGS[name].rows)
    if name in NO_PROMPT:
        with pytest.raises(ShapeError, match="those of no shape that is known for prompts"):
            read_prompts([{"path": path}])
        return
    reading = read_prompts([{"path": path}])
    assert [dialogue(prompt) for prompt in reading] == list(dict.fromkeys(RANKINGS[name].prompts))
    check_yaml(reading.detections[0].source)


@pytest.mark.parametrize("name", DEMONSTRATIONS)
def test_demonstrations_of_known_sets(tmp_path: Path, name: str) -> None:
    shape = DEMONSTRATIONS[name]
    path = write_rows(tmp_path / "x.jsonl", shape.rows)
    reading = read_demonstrations([{"path": path}])
    assert [(dialogue(one.prompt), one.response) for one in reading] == list(
        zip(shape.prompts, shape.says, strict=True)
    )
    assert reading.detections[0].preset == shape.settings["preset"]
    check_yaml(reading.detections[0].source)


@pytest.mark.parametrize("name", MORE)
def test_more_shapes(tmp_path: Path, name: str) -> None:
    one = MORE[name]
    path = write_rows(tmp_path / "x.jsonl", one.rows)
    if isinstance(one.found, str):
        with pytest.raises(ShapeError) as caught:
            READERS[one.kind]([{"path": path}])
        assert caught.value.code == one.found
        return
    reading = READERS[one.kind]([{"path": path}])
    assert list(map(shown, reading)) == one.found
    (detection,) = reading.detections
    assert {key: value for key, value in detection.settings.items() if key != "format"} == one.settings
    check_yaml(detection.source)


def shown(record: Any) -> str:
    if hasattr(record, "text"):
        return str(record.text)
    if hasattr(record, "response"):
        return f"{dialogue(record.prompt)} -> {record.response}"
    return dialogue(record)


# Columns of known sets that no preset reads: without one, the rest may be another set's.
SPARE = {
    "summarize_from_feedback": "batch",
    "webgpt": "quotes_0",
    "shp": "score_ratio",
    "ultrafeedback": "models",
    "helpsteer2-preference": "preference_statement",
    "helpsteer3": "domain",
    "nectar": "turns",
    "arena-33k": "tstamp",
    "arena-55k": "model_a",
    "arena-100k": "model_b",
    "arena-140k": "category_tag",
    "alpaca_farm": "raw_preference",
}


@pytest.mark.parametrize("name", SPARE)
def test_known_set_without_one_of_its_columns_is_refused_and_named(tmp_path: Path, name: str) -> None:
    rows = [{key: row[key] for key in row if key != SPARE[name]} for row in RANKINGS[name].rows]
    path = write_rows(tmp_path / "x.jsonl", rows)
    with pytest.raises(ShapeError, match=rf"if this is .*: preset: .*{name}") as caught:
        read_rankings([{"path": path}])
    assert caught.value.code in (LABEL, SCORE)


def test_every_known_set_with_a_direction_of_its_own_is_told_by_more_than_what_is_read() -> None:
    directed = {name for name in COLUMNS if {"label_values", "best"} & PRESETS[name].settings.keys()}
    # Of these the columns' own names say it (chosen, rejected), or two presets read them and none is chosen.
    named = {name for name in directed if PRESETS[name].settings["responses"] == ("chosen", "rejected")}
    several = {"pku-saferlhf-helpful", "pku-saferlhf-safe", "helpsteer3-annotators"}
    assert directed - named - several == set(SPARE)


def test_format_that_is_given_is_not_looked_at(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", RANKINGS["hh-rlhf"].rows)
    with pytest.raises(DataError, match="no column 'prompt'"):
        read_rankings([{"path": path, "format": "pair"}])
    source = Source(path=path, format="pair")
    detection = detect_source(source, "rankings")
    assert (detection.source, detection.settings) == (source, {})
    assert read_rankings([{"path": path, "format": "transcript"}]).detections == []
