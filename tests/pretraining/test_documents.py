from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.errors import DataError
from rlhf.pretraining.documents import Documents, cut_documents, draw, split_place
from rlhf.pretraining.tokenizers import train_tokenizer
from tests.pretraining.texts import TEXTS

LENGTHS = st.integers(2, 300)


@given(LENGTHS, st.integers(0, 2**31), st.integers(0, 50), st.integers(0, 10**6))
def test_neither_part_is_empty_and_the_place_depends_on_nothing_else(
    length: int, seed: int, epoch: int, index: int
) -> None:
    place = split_place(length, draw(seed, epoch, index))
    assert 1 <= place <= length - 1
    assert place == split_place(length, draw(seed, epoch, index))


def test_every_place_is_drawn_about_equally_often() -> None:
    """4000 draws of 4 places: 1000 each, standard deviation 27."""
    found = Counter(split_place(5, draw(1, 0, index)) for index in range(4000))
    assert sorted(found) == [1, 2, 3, 4]
    assert all(abs(count - 1000) < 150 for count in found.values())


def test_another_seed_epoch_or_document_is_split_elsewhere() -> None:
    def places(seed: int, epoch: int, first: int) -> list[int]:
        return [split_place(100, draw(seed, epoch, index)) for index in range(first, first + 20)]

    assert len({tuple(places(*key)) for key in [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 20)]}) == 4


@given(st.lists(st.lists(st.integers(5, 90), max_size=12), max_size=8))
def test_pieces_come_back_as_they_were_and_single_tokens_are_counted(pieces: list[list[int]]) -> None:
    documents = Documents(len(pieces))
    for ids in pieces:
        documents.add(ids)
    kept = [ids for ids in pieces if len(ids) >= 2]
    assert [documents[index] for index in range(len(documents))] == kept
    assert [documents.length(index) for index in range(len(documents))] == [len(ids) for ids in kept]
    assert documents.num_tokens == sum(map(len, pieces))
    assert documents.num_dropped_tokens == sum(len(ids) for ids in pieces if len(ids) < 2)


def test_long_documents_are_cut_and_markers_are_text() -> None:
    tokenizer = train_tokenizer(TEXTS, 300, 32)
    texts = ["<|end|>", TEXTS[0], " ".join(TEXTS[:3])]
    documents = cut_documents(texts, tokenizer, 16, tokenizer.eos_token_id)
    whole = [[*tokenizer(text, split_special_tokens=True)["input_ids"], 1] for text in texts]
    wanted = [ids[start : start + 16] for ids in whole for start in range(0, len(ids), 16)]
    wanted = [ids for ids in wanted if len(ids) > 1]
    assert [documents[index] for index in range(len(documents))] == wanted
    assert (documents[0].count(1), documents[0][-1]) == (1, 1)
    assert documents.num_documents == 3
    assert documents.num_tokens == sum(map(len, whole))
    bare = cut_documents(texts, tokenizer, 16)
    assert sum(documents[index].count(1) for index in range(len(documents))) == 3
    assert not any(1 in bare[index] for index in range(len(bare)))


def test_text_that_cannot_be_split_is_refused() -> None:
    tokenizer = train_tokenizer(TEXTS, 300, 32)
    with pytest.raises(DataError, match="none of 2 documents has two tokens"):
        cut_documents(["a", "b"], tokenizer, 16)
