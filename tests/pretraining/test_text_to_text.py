from __future__ import annotations

import pytest
import torch

from rlhf.pretraining.models import build_t5
from rlhf.pretraining.text_to_text import TextToText, collate_text_to_text
from rlhf.pretraining.tokenizers import train_tokenizer
from rlhf.training.order import LengthBatchSampler
from tests.pretraining.texts import TEXTS


@pytest.fixture(scope="module")
def examples() -> TextToText:
    return TextToText(TEXTS, train_tokenizer(TEXTS, 300, 64), context_tokens=64, seed=1)


def test_beginning_and_rest_are_the_document_with_its_end(examples: TextToText) -> None:
    for index in range(len(examples)):
        one = examples[index]
        assert one["prompt"] + one["response"] == examples.documents[index]
        assert one["prompt"]
        assert one["response"][-1] == 1


def test_each_epoch_splits_elsewhere(examples: TextToText) -> None:
    first = [examples[index] for index in range(20)]
    examples.epoch = 1
    second = [examples[index] for index in range(20)]
    examples.epoch = 0
    assert first != second
    assert first == [examples[index] for index in range(20)]


def test_batch_by_hand() -> None:
    """The decoder starts with the padding token and is one behind; the end is trained; padding is not."""
    batch = collate_text_to_text(
        [{"prompt": [5, 6, 7], "response": [8, 9, 1]}, {"prompt": [5], "response": [6]}], 0
    )
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "input_ids": [[5, 6, 7], [5, 0, 0]],
        "attention_mask": [[1, 1, 1], [1, 0, 0]],
        "decoder_input_ids": [[0, 8, 9], [0, 0, 0]],
        "labels": [[8, 9, 1], [6, -100, -100]],
    }


def test_the_decoder_reads_what_the_library_would_give_it() -> None:
    """T5 shifts labels itself where it is given no decoder ids."""
    model = build_t5(train_tokenizer(TEXTS, 300, 32), layers=1, width=16, heads=2, context_tokens=32)
    batch = collate_text_to_text(
        [{"prompt": [5, 6], "response": [8, 9, 1]}, {"prompt": [5], "response": [6]}], 0
    )
    shifted = model.prepare_decoder_input_ids_from_labels(batch["labels"])
    counts = batch["labels"] != -100
    assert torch.equal(shifted[counts], batch["decoder_input_ids"][counts])


def test_batches_are_of_similar_beginnings_and_rests(examples: TextToText) -> None:
    """Sorted, less than half is padding on either side; in any order it is more than half."""

    def filled(order: list[int]) -> tuple[float, float]:
        batches = [[examples[i] for i in order[start : start + 8]] for start in range(0, len(order), 8)]
        shares = []
        for part in ("prompt", "response"):
            real = sum(len(one[part]) for batch in batches for one in batch)
            shares.append(real / sum(len(batch) * max(len(one[part]) for one in batch) for batch in batches))
        return shares[0], shares[1]

    sorted_order = list(LengthBatchSampler(examples.sizes, 8, 1))
    assert sorted(sorted_order) == list(range(len(examples)))
    assert min(filled(sorted_order)) > 0.75 > 0.65 > max(filled(list(range(len(examples)))))
