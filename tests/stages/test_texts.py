"""Raw text of a stage: files, generators and demonstrations become rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator

from rlhf.errors import DataError, SettingsError
from rlhf.feedback import shelf
from rlhf.rendering import Renderer
from rlhf.settings.ptx import HeldOutTextSettings, PtxSettings
from stages._texts import build_texts, check_ptx, check_texts, read_documents
from tests.helpers import tiny_tokenizer
from tests.stage_data import demonstrations, write_jsonl

GENERATOR = """
def documents(seed):
    number = seed
    while True:
        yield f"The cat number {number} sleeps near the door."
        number += 1
"""


@pytest.fixture
def values(tmp_path: Path) -> dict[str, Any]:
    """Two texts in a file, six from a generator and four demonstrations, one of them long."""
    (tmp_path / "texts.txt").write_text("A first text.\n\nA second text.")
    (tmp_path / "generator.py").write_text(GENERATOR)
    rows = demonstrations(4)
    rows[1]["response"] = "very long " * 40
    return {
        "text": [{"path": str(tmp_path / "texts.txt"), "format": "text", "separator": "\n\n"}],
        "generator": f"{tmp_path}/generator.py:documents",
        "num_documents": 6,
        "demonstrations": [{"path": write_jsonl(tmp_path / "demonstrations.jsonl", rows)}],
        "max_tokens": 64,
        "batch_size": 2,
    }


def held_out(values: dict[str, Any], **changes: Any) -> HeldOutTextSettings:
    names = ("generator", "num_documents", "max_tokens")
    return HeldOutTextSettings(**{**{name: values[name] for name in names}, **changes})


def build(ptx: PtxSettings | None, text: HeldOutTextSettings | None, **limits: Any) -> Any:
    renderer = Renderer(tiny_tokenizer(), **limits)
    return build_texts(ptx, text, renderer, Accelerator(cpu=True), microbatch_size=2, seed=1)


def test_texts_and_demonstrations_are_rows_side_by_side_and_what_is_dropped_is_said(values, capsys):
    text, none = build(PtxSettings(**values), None, context_tokens=128)
    assert none == []
    tokenizer = tiny_tokenizer()
    documents = ["A first text.", "A second text."]
    documents += [f"The cat number {number} sleeps near the door." for number in range(6)]
    stream = [token for one in documents for token in (*tokenizer(one)["input_ids"], tokenizer.eos_token_id)]
    raw = [row for row in text.rows if row.num_given == 1]
    assert [token for row in raw for token in row.ids] == stream
    others = [row for row in text.rows if row.num_given > 1]
    assert len(others) == 3
    assert tokenizer.decode(others[0].ids[others[0].num_given :]).endswith("is here.<|end|>")
    assert (text.batch_size, text.microbatch_size, text.pad_token_id) == (2, 2, tokenizer.pad_token_id)
    said = capsys.readouterr().out
    assert f"ptx: 8 documents, {len(stream) - len(raw)} tokens to predict, {len(raw)} rows" in said
    assert "ptx.demonstrations: 3 rows" in said
    assert "ptx.demonstrations: responses dropped (longer than max_response_tokens or the context): 1" in said


def test_demonstrations_alone_are_enough(values):
    alone = {name: values[name] for name in ("demonstrations", "max_tokens", "batch_size")}
    text, _ = build(PtxSettings(**alone), None)
    assert len(text.rows) == 3


def test_held_out_text_is_drawn_from_another_seed_and_what_is_known_of_it_is_said(values, capsys):
    """Seed 4 writes on cats 4 to 9, of which the learnt texts have 4 and 5."""
    _, rows = build(PtxSettings(**values), held_out(values, generator_seed=4))
    said = capsys.readouterr().out
    assert "evaluation.text: 2 of 6 documents also stand in the text of ptx" in said
    ids = [token for row in rows for token in row.ids]
    assert (
        tiny_tokenizer()
        .decode(ids)
        .startswith("The cat number 4 sleeps near the door.<|end|>The cat number 5")
    )
    nothing, same = build(None, held_out(values, generator_seed=4))
    assert nothing is None
    assert [list(row.ids) for row in same] == [list(row.ids) for row in rows]


def test_rows_longer_than_the_context_are_refused_by_name(values):
    with pytest.raises(
        SettingsError, match=r"ptx.max_tokens: 64 is more than the policy's context of 32 tokens"
    ):
        build(PtxSettings(**values), None, context_tokens=32)
    with pytest.raises(SettingsError, match=r"evaluation.text.max_tokens: 64 is more than"):
        build(None, held_out(values), context_tokens=32)


def test_too_few_rows_are_refused_by_name(values):
    with pytest.raises(DataError, match=r"ptx.batch_size: .* rows of text are fewer than one batch of 64"):
        build(PtxSettings(**{**values, "batch_size": 64}), None)


def test_check_reads_everything_and_finds_what_is_missing(values, capsys):
    check_ptx(PtxSettings(**values))
    said = capsys.readouterr().out
    assert "ptx.text: 2 rows read, 2 records" in said
    assert "ptx.demonstrations: 4 rows read, 4 records" in said
    with pytest.raises(SettingsError, match="does not exist"):
        check_ptx(PtxSettings(**{**values, "generator": "nowhere.py:documents"}))
    with pytest.raises(DataError, match=r"nowhere\.jsonl"):
        check_ptx(PtxSettings(**{**values, "demonstrations": [{"path": "nowhere.jsonl"}]}))
    with pytest.raises(SettingsError, match="has no function"):
        check_texts("evaluation.text", (), values["generator"] + "s")


def test_a_text_has_the_group_of_its_words_wherever_it_comes_from(tmp_path: Path, values):
    (tmp_path / "same.txt").write_text("The cat  number 0 sleeps near the DOOR.")
    sources = PtxSettings(text=[{"path": str(tmp_path / "same.txt"), "format": "text"}]).text
    found = list(read_documents(sources, values["generator"], 0, 2))
    assert found[0].group == found[1].group != found[2].group


def test_rows_that_do_not_fit_into_memory_are_the_same_rows(values, monkeypatch: pytest.MonkeyPatch, capsys):
    ptx, text = PtxSettings(**values), held_out(values)
    kept, kept_back = build(ptx, text, context_tokens=128)
    said = capsys.readouterr().out
    monkeypatch.setattr(shelf, "KEPT_IN_MEMORY", 1)
    monkeypatch.setattr(shelf, "_BUFFER_BYTES", 100)
    found, found_back = build(ptx, text, context_tokens=128)
    assert capsys.readouterr().out == said
    assert "6 of 6 documents also stand in the text of ptx" in said
    assert list(found.rows) == list(kept.rows)
    assert list(found_back) == kept_back
    assert not isinstance(found_back, list)
    assert all(isinstance(part, shelf.Shelf) for part in found.rows._parts)
    for step in range(4):
        for one, other in zip(found.batch(step).microbatches, kept.batch(step).microbatches, strict=True):
            assert one.ids.tolist() == other.ids.tolist()
