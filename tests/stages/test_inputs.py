"""What several stages do with their settings before the library takes over."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlhf.errors import ModelError
from rlhf.settings.shared import ModelSettings
from stages._inputs import build_renderer, open_tokenizer
from tests.helpers import tiny_gpt2, tiny_tokenizer
from tests.stage_data import write_base


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


def test_tokenizer_of_another_model() -> None:
    tokenizer = tiny_tokenizer()
    with pytest.raises(ModelError, match="has 400 tokens, but the model has embeddings for 100"):
        build_renderer(tokenizer, tiny_gpt2(tokenizer, vocab_size=100), 48, 8)
