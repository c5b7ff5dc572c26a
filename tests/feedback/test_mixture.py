"""The weights of sources: how often an epoch reads a record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.errors import DataError
from rlhf.feedback.mapping import Source
from rlhf.feedback.mixture import epoch_of, repeats_of_group
from rlhf.feedback.reading import read_demonstrations, read_prompts, read_rankings, read_texts
from rlhf.ranking.opinions import merge_opinions
from rlhf.rendering import RenderedPrompt, Renderer, render_rankings
from tests.helpers import tiny_tokenizer
from tests.stage_data import write_jsonl


def row(number: int, annotator: str = "a") -> dict[str, Any]:
    texts = {name: f"{name} {number}" for name in ("prompt", "response", "text")}
    return {
        "id": f"r{number}{annotator}",
        "responses": ["yes", "no"],
        "ranks": [1, 2],
        "annotator": annotator,
    } | texts


@pytest.fixture
def file(tmp_path: Path) -> str:
    write_jsonl(tmp_path / "a.jsonl", [row(number) for number in range(400)])
    return str(tmp_path / "a.jsonl")


READERS = pytest.mark.parametrize("read", [read_prompts, read_demonstrations, read_rankings, read_texts])


@READERS
def test_half_keeps_a_half_that_the_seed_draws(file: str, read: Any) -> None:
    def kept(**more: Any) -> list[Any]:
        return list(read([Source(path=file, **more)]).records)

    whole, half = kept(), kept(weight=0.5)
    assert 160 < len(half) < 240
    assert half == [record for record in whole if record in half]
    assert kept(weight=0.5) == half
    assert kept(weight=0.5, split_seed=1) != half
    # A larger weight keeps what a smaller one does.
    more = kept(weight=0.7)
    assert all(record in more for record in half)


@READERS
def test_an_epoch_reads_every_record_as_often_as_the_weight_says(file: str, read: Any) -> None:
    whole = list(read([Source(path=file)]).records)
    twice = read([Source(path=file, weight=2)]).records
    assert len(twice) == len(whole)  # no id comes twice
    assert len(epoch_of(twice)) == 2 * len(whole)
    more = epoch_of(read([Source(path=file, weight=1.5)]).records)
    assert 400 + 160 < len(more) < 400 + 240
    assert epoch_of(whole) is whole


@given(st.text(max_size=5), st.floats(0.01, 5), st.integers(0, 3))
def test_repeats_are_the_weight_rounded_down_or_up(group: str, weight: float, seed: int) -> None:
    repeats = repeats_of_group(group, weight, seed)
    assert int(weight) <= repeats <= int(weight) + 1
    if weight == int(weight):
        assert repeats == weight


def test_the_mean_number_of_repeats_is_the_weight() -> None:
    for weight in (0.1, 0.75, 1.3, 2.0):
        repeats = [repeats_of_group(f"group {number}", weight, 0) for number in range(20_000)]
        assert sum(repeats) / len(repeats) == pytest.approx(weight, abs=0.015)


def test_the_draw_is_none_of_the_split_s(file: str) -> None:
    split = {"split": "train", "validation_fraction": 0.5}
    part = read_prompts([Source(path=file, **split)]).records
    half = read_prompts([Source(path=file, **split, weight=0.5)]).records
    assert 0.35 < len(half) / len(part) < 0.65


def test_the_annotators_of_a_prompt_stay_together_and_are_merged_in_each_repeat(tmp_path: Path) -> None:
    rows = [row(number, annotator) for number in range(50) for annotator in "ab"]
    write_jsonl(tmp_path / "a.jsonl", rows)
    records = read_rankings([Source(path=str(tmp_path / "a.jsonl"), weight=1.5)]).records
    rendered = render_rankings(records, Renderer(tiny_tokenizer()))
    merged = merge_opinions(rendered)
    assert len(merged) == 50
    twice = sum(one.prompt.repeats == 2 for one in merged)
    assert 10 < twice < 40
    assert len(epoch_of(merged)) == 50 + twice
    # Of both annotators of a prompt, or of none.
    assert sum(one.prompt.repeats == 2 for one in records) == 2 * twice


def test_what_was_rendered_is_repeated_as_its_prompt_is(file: str) -> None:
    prompts = read_prompts([Source(path=file, weight=3)]).records
    assert [one.prompt.id for one in epoch_of([RenderedPrompt(prompts[0], [1])])] == ["r0a"] * 3


def test_weights_are_counted_and_told(file: str, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "b.jsonl", [row(number) for number in range(1000, 1010)])
    other = str(tmp_path / "b.jsonl")
    sources = [Source(path=file, weight=0.5), Source(path=other, weight=2), Source(path=file, id="text")]
    reading = read_rankings(sources)
    (note,) = [note for note in reading.notes if note.code == "weight"]
    kept = sum(record.prompt.where.startswith(file) for record in reading) - 400
    told = f"weight 0.5 of {file}: {kept} of 400 kept; weight 2 of {other}: 10 read 20 times an epoch"
    assert note.message == told
    assert any(told in line for line in reading.summary())


def test_limit_comes_before_the_weight(file: str) -> None:
    reading = read_rankings([Source(path=file, limit=100, weight=0.5)])
    assert 30 < len(reading) < 70
    assert "of 100 kept" in reading.notes[-1].message


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused(file: str, weight: float) -> None:
    with pytest.raises(DataError, match="it is how many times an epoch reads the source, above 0"):
        Source(path=file, weight=weight)


def test_a_weight_that_keeps_nothing_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(row(0)))
    with pytest.raises(DataError, match=r"weight 0.0001 keeps none of 1 records"):
        read_prompts([Source(path=str(tmp_path / "a.jsonl"), weight=0.0001)])
