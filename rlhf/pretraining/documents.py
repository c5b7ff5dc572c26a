"""Documents split in two, a beginning and the rest: what a T5 and a BERT learn from.

A document, not a block of joined ones: that is the form of a prompt with its response, the first of two texts
for the encoder and the second for what answers it, and both are short.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from rlhf.encoding import encode_each
from rlhf.errors import DataError
from rlhf.feedback.shelf import Shelf

__all__ = ["Documents", "cut_documents", "draw", "split_place"]


class Documents:
    """Pieces of documents as ids, which need not fit into memory.

    Args:
        num_documents: how many texts there were.
        num_tokens: of all of them, end tokens included.
    """

    def __init__(self, num_documents: int = 0) -> None:
        self.num_documents = num_documents
        self.num_tokens = 0
        self.num_dropped_tokens = 0  # pieces of one token, which cannot be split
        self._pieces: Shelf[array[int]] = Shelf()
        self._lengths = array("i")

    def add(self, ids: Sequence[int]) -> None:
        """Take a piece, or count it where nothing of it can be split off."""
        self.num_tokens += len(ids)
        if len(ids) < 2:
            self.num_dropped_tokens += len(ids)
            return
        self._pieces.append(array("i", ids))
        self._lengths.append(len(ids))

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, index: int) -> list[int]:
        return self._pieces[index].tolist()

    def length(self, index: int) -> int:
        """Return the number of ids of a piece."""
        return self._lengths[index]


def cut_documents(
    texts: Sequence[str], tokenizer: Any, longest: int, end_token_id: int | None = None
) -> Documents:
    """Encode documents; what is longer than `longest` tokens is cut into pieces of that length.

    Markers such as "<|user|>" inside a text are read as text, never as special tokens.

    Args:
        texts: the documents.
        tokenizer: encodes them.
        longest: most ids of a piece, at least 2.
        end_token_id: put behind each document; None: nothing.

    Raises:
        DataError: no piece has two tokens.

    """
    end = [] if end_token_id is None else [end_token_id]
    documents = Documents(len(texts))
    for ids in encode_each(texts, tokenizer):
        whole = [*ids, *end]
        for start in range(0, len(whole), longest):
            documents.add(whole[start : start + longest])
    if not len(documents):
        raise DataError(f"none of {len(texts)} documents has two tokens, a beginning and a rest; add text")
    return documents


def draw(seed: int, epoch: int, index: int) -> random.Random:
    """Return the generator of one example in one epoch.

    It depends on nothing else: not on the batch, the process or what was drawn before, so a resumed run and
    one of two processes see the same examples.
    """
    return random.Random(f"{seed}/{epoch}/{index}")


def split_place(length: int, generator: random.Random) -> int:
    """Draw where the rest begins: each of 1 to length - 1 equally often, so that no part is empty."""
    return generator.randrange(1, length)


class Sizes(Sequence[Any]):
    """By what examples of similar size are found; asked anew in each epoch, in which they are split anew."""

    def __init__(self, length: int, size: Callable[[int], Any]) -> None:
        self._length = length
        self._size = size

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        return self._size(index)
