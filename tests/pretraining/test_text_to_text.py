from __future__ import annotations

import pytest
import torch

from rlhf.pretraining.models import build_t5
from rlhf.pretraining.text_to_text import TextToText, collate_text_to_text
from rlhf.pretraining.tokenizers import train_tokenizer
from rlhf.seq2seq import seq2seq_template
from rlhf.training.order import LengthBatchSampler
from tests.pretraining.texts import TEXTS

END = 1


def made(copied_fraction: float) -> TextToText:
    tokenizer = train_tokenizer(TEXTS, 300, 64)
    return TextToText(TEXTS, tokenizer, context_tokens=64, seed=1, copied_fraction=copied_fraction)


@pytest.fixture(scope="module")
def examples() -> TextToText:
    return made(0.5)


def num_copied(examples: TextToText, index: int) -> int:
    """Return how many tokens of the beginning the rest says again; both have to be of the document."""
    one, document = examples[index], examples.documents[index]
    beginning, rest = one["prompt"][:-1], one["response"]
    assert beginning == document[: len(beginning)]
    assert rest == document[len(document) - len(rest) :]
    return len(beginning) + len(rest) - len(document)


def test_beginning_and_rest_are_the_document_each_with_its_end() -> None:
    examples = made(0.0)
    for index in range(len(examples)):
        one = examples[index]
        assert one["prompt"][:-1] + one["response"] == examples.documents[index]
        assert len(one["prompt"]) > 1
        assert one["prompt"][-1] == one["response"][-1] == END


def test_half_of_the_rests_start_in_the_beginning_anywhere(examples: TextToText) -> None:
    """At each place of the beginning equally often, its first token included."""
    copied = [num_copied(examples, index) for index in range(len(examples))]
    assert min(copied) == 0
    assert sum(map(bool, copied)) / len(copied) == pytest.approx(0.5, abs=0.1)
    lengths = [len(examples[index]["prompt"]) - 1 for index in range(len(examples))]
    shares = [number / length for number, length in zip(copied, lengths, strict=True) if number]
    assert max(shares) == 1.0
    # Of 1 to n tokens each number is as likely: their mean share of n is (n + 1) / 2n.
    expected = [(n + 1) / (2 * n) for number, n in zip(copied, lengths, strict=True) if number]
    assert sum(shares) / len(shares) == pytest.approx(sum(expected) / len(expected), abs=0.08)


def test_all_or_none_may_start_there() -> None:
    every, none = made(1.0), made(0.0)
    assert all(num_copied(every, index) >= 1 for index in range(len(every)))
    assert all(num_copied(none, index) == 0 for index in range(len(none)))
    assert every[3]["prompt"] == none[3]["prompt"]  # the place itself is the same


def test_the_other_stages_end_prompts_as_here() -> None:
    """Only its tokenizer tells them; without it the encoder reads other prompts than it has learnt from."""
    _, around, start = seq2seq_template(train_tokenizer(TEXTS, 300, 64, ends_texts=True), 0)
    assert (around, start) == (((), (END,)), (0,))


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
    """Sorted, less than a quarter is padding on either side; in any order it is about half of a side."""

    def filled(order: list[int]) -> tuple[float, float]:
        batches = [[examples[i] for i in order[start : start + 8]] for start in range(0, len(order), 8)]
        shares = []
        for part in ("prompt", "response"):
            real = sum(len(one[part]) for batch in batches for one in batch)
            shares.append(real / sum(len(batch) * max(len(one[part]) for one in batch) for batch in batches))
        return shares[0], shares[1]

    sorted_order = list(LengthBatchSampler(examples.sizes, 8, 1))
    assert sorted(sorted_order) == list(range(len(examples)))
    assert min(filled(sorted_order)) > 0.75 > 0.6 > min(filled(list(range(len(examples)))))
