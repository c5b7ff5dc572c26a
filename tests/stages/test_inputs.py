"""What several stages do with their settings before the library takes over."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlhf.errors import DataError, ModelError
from rlhf.feedback.mapping import Source
from rlhf.feedback.reading import read_rankings
from rlhf.feedback.records import Message, Prompt, Reading
from rlhf.settings.shared import ModelSettings
from stages._inputs import build_renderer, check_held_out, open_tokenizer, say_reading
from stages._limits import Limits
from tests.helpers import tiny_gpt2, tiny_tokenizer
from tests.stage_data import write_base, write_jsonl


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"policy\.chat_template: '.*mine\.jinja' does not exist"),
        (b"\xff\xfe{", r"policy\.chat_template: '.*mine\.jinja' is not UTF-8 text \(invalid start byte\)"),
    ],
)
def test_template_that_cannot_be_read(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "mine.jinja"
    if content is not None:
        file.write_bytes(content)
    settings = ModelSettings(path=write_base(tmp_path / "base"), chat_template=str(file))
    with pytest.raises(ModelError, match=message):
        open_tokenizer(settings, "policy.path")


def test_what_was_found_out_about_a_source_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"question": "Q", "a": "x", "b": "y", "winner": "b", "judge": "ann"}]
    write_jsonl(tmp_path / "mine.jsonl", rows)
    auto = [Source(path=str(tmp_path / "mine.jsonl"))]
    say_reading("data.train", auto, read_rankings(auto))
    said = capsys.readouterr().out
    assert (
        f"{tmp_path}/mine.jsonl read as two responses and a label, because columns a and b are text "
        "in 1 of 1 row; winner a: a is better, b: b is better; question is text in 1 of 1 row; not read: judge"
    ) in said
    assert "BEST" in said
    given = [Source(path=str(tmp_path / "mine.jsonl"), **GIVEN)]
    say_reading("data.train", given, read_rankings(given))
    assert "because" not in capsys.readouterr().out, "a given format has no evidence"


GIVEN = {
    "format": "pairwise",
    "prompt": "question",
    "responses": ["a", "b"],
    "labels": "winner",
    "label_values": {"b": "second"},
}


def reading_of(*groups: str) -> Reading[Prompt]:
    return Reading([Prompt(group, (Message("user", group),), group, "x.jsonl:1") for group in groups])


def test_inv81_held_out_records_that_are_trained_on_are_counted_and_a_split_of_them_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train = reading_of("a", "b")
    check_held_out({"train": train, "validation": reading_of("c")})
    assert capsys.readouterr().out == ""
    check_held_out({"train": train, "validation": reading_of("c"), "test": reading_of("a", "d", "a")})
    assert "data.test: 2 of 3 records have prompts of data.train: left out" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"data\.validation: 2 of 2 records have .* nothing is held out"):
        check_held_out({"train": train, "validation": reading_of("a", "b")})


def test_tokenizer_of_another_model() -> None:
    tokenizer = tiny_tokenizer()
    with pytest.raises(ModelError, match="has 400 tokens, but the model has embeddings for 100"):
        build_renderer(tokenizer, tiny_gpt2(tokenizer, vocab_size=100), Limits(48, 8))
