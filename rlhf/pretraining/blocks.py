"""Next-token prediction: documents joined and cut into blocks of equal length."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import cross_entropy

from rlhf.encoding import encode_stream
from rlhf.errors import DataError
from rlhf.feedback.shelf import shelve

__all__ = ["Blocks", "Packed", "block_loss", "pack"]


class Packed(NamedTuple):
    """Text as blocks of equal length."""

    blocks: Sequence[array[int]]  # N of T ids each; many are on the disk
    num_documents: int
    num_tokens: int  # of all documents, end tokens included
    num_dropped_tokens: int  # the last, unfilled block


def pack(texts: Sequence[str], tokenizer: Any, context_tokens: int) -> Packed:
    """Join documents with end tokens and cut the stream into blocks: no position is wasted on padding.

    Markers such as "<|user|>" inside a text are read as text, never as special tokens.

    Raises:
        DataError: all texts together do not fill one block.

    """
    num_left = 0

    def filled() -> Iterator[array[int]]:
        nonlocal num_left
        for piece in encode_stream(texts, tokenizer, context_tokens):
            if len(piece) == context_tokens:
                yield piece
            else:
                num_left = len(piece)

    blocks = shelve(filled())
    if not blocks:
        raise DataError(
            f"{len(texts)} documents make {num_left} tokens, less than one block of {context_tokens}; "
            "add text or lower model.context_tokens"
        )
    return Packed(blocks, len(texts), len(blocks) * context_tokens + num_left, num_left)


class Blocks(torch.utils.data.Dataset):
    """Blocks in the form that the library's collator takes."""

    def __init__(self, blocks: Sequence[array[int]]) -> None:
        self.blocks = blocks
        self.sizes = [len(blocks[0])] * len(blocks)

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = _tensor(self.blocks[index])
        return {"input_ids": ids, "labels": ids}


def _tensor(block: array[int]) -> torch.Tensor:
    return torch.frombuffer(block, dtype=torch.int32).long()


@torch.no_grad()
def block_loss(model: Any, blocks: Sequence[array[int]], batch_size: int) -> float:
    """Return the mean negative log-likelihood of the tokens of N blocks of T, in nats a token."""
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    total, num_tokens = 0.0, 0
    for start in range(0, len(blocks), batch_size):
        ids = torch.stack(list(map(_tensor, blocks[start : start + batch_size]))).to(device)
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
        total += float(
            cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1), reduction="sum")
        )
        num_tokens += ids[:, 1:].numel()
    model.train(was_training)
    return total / num_tokens
