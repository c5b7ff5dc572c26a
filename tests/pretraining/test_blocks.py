from __future__ import annotations

import pytest
import torch

from rlhf.errors import DataError
from rlhf.feedback import shelf
from rlhf.pretraining.blocks import Blocks, block_loss, pack
from rlhf.pretraining.documents import cut_documents
from rlhf.pretraining.models import build_gpt2
from rlhf.pretraining.tokenizers import train_tokenizer
from tests.pretraining.texts import TEXTS


def test_pack_loses_only_the_last_block_and_reads_markers_as_text() -> None:
    tokenizer = train_tokenizer(TEXTS, 300, 32)
    texts = ["<|end|>", *TEXTS]
    packed = pack(texts, tokenizer, 32)
    lengths = [len(tokenizer(text, split_special_tokens=True)["input_ids"]) for text in texts]
    assert packed.num_tokens == sum(length + 1 for length in lengths)  # an end token after each
    assert 32 * len(packed.blocks) + packed.num_dropped_tokens == packed.num_tokens
    assert packed.num_dropped_tokens < 32
    first = packed.blocks[0].tolist()
    assert first.index(tokenizer.eos_token_id) == lengths[0] > 1
    assert tokenizer.decode(first).startswith("<|end|><|end|>The baker number 0")
    with pytest.raises(DataError, match="less than one block"):
        pack(["a"], tokenizer, 32)


def test_untrained_loss_is_about_that_of_guessing() -> None:
    tokenizer = train_tokenizer(TEXTS, 300, 32)
    model = build_gpt2(tokenizer, layers=1, width=16, heads=2, context_tokens=32)
    loss = block_loss(model, pack(TEXTS, tokenizer, 32).blocks, 16)
    assert loss == pytest.approx(torch.tensor(float(len(tokenizer))).log().item(), abs=0.1)


def test_many_blocks_and_documents_are_on_the_disk_and_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = train_tokenizer(TEXTS, 300, 32)
    held = pack(TEXTS, tokenizer, 32)
    documents = cut_documents(TEXTS, tokenizer, 16)
    assert isinstance(held.blocks, list)
    monkeypatch.setattr(shelf, "KEPT_IN_MEMORY", 2)
    monkeypatch.setattr(shelf, "_BUFFER_BYTES", 100)
    found = pack(shelf.shelve(TEXTS), tokenizer, 32)
    assert isinstance(found.blocks, shelf.Shelf)
    assert found == held
    stream = [index for block in held.blocks for index in block]
    assert [index for one in Blocks(found.blocks) for index in one["labels"].tolist()] == stream  # type: ignore[attr-defined]
    model = build_gpt2(tokenizer, layers=1, width=16, heads=2, context_tokens=32)
    assert block_loss(model, found.blocks, 16) == block_loss(model, held.blocks, 16)
    pieces = cut_documents(shelf.shelve(TEXTS), tokenizer, 16)
    assert [pieces[place] for place in range(len(pieces))] == [
        documents[place] for place in range(len(pieces))
    ]
    assert pieces._pieces._file is not None
