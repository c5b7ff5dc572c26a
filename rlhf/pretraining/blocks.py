"""Next-token prediction: documents joined and cut into blocks of equal length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import cross_entropy

from rlhf.encoding import encode_documents
from rlhf.errors import DataError

__all__ = ["Blocks", "Packed", "block_loss", "pack"]


class Packed(NamedTuple):
    """Text as blocks of equal length."""

    blocks: torch.Tensor  # (N, T) int64
    num_documents: int
    num_tokens: int  # of all documents, end tokens included
    num_dropped_tokens: int  # the last, unfilled block


def pack(texts: Sequence[str], tokenizer: Any, context_tokens: int) -> Packed:
    """Join documents with end tokens and cut the stream into blocks: no position is wasted on padding.

    Markers such as "<|user|>" inside a text are read as text, never as special tokens.

    Raises:
        DataError: all texts together do not fill one block.

    """
    stream = encode_documents(texts, tokenizer)
    num_blocks = len(stream) // context_tokens
    if num_blocks == 0:
        raise DataError(
            f"{len(texts)} documents make {len(stream)} tokens, less than one block of {context_tokens}; "
            "add text or lower model.context_tokens"
        )
    blocks = torch.frombuffer(stream, dtype=torch.int32)[: num_blocks * context_tokens]
    blocks = blocks.long().view(num_blocks, context_tokens)
    return Packed(blocks, len(texts), len(stream), len(stream) - blocks.numel())


class Blocks(torch.utils.data.Dataset):
    """Rows of a tensor in the form that the library's collator takes."""

    def __init__(self, blocks: torch.Tensor) -> None:
        self.blocks = blocks
        self.sizes = [blocks.shape[1]] * len(blocks)

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.blocks[index], "labels": self.blocks[index]}


@torch.no_grad()
def block_loss(model: Any, blocks: torch.Tensor, batch_size: int) -> float:
    """Return the mean negative log-likelihood of the tokens of (N, T) blocks, in nats a token."""
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    total, num_tokens = 0.0, 0
    for start in range(0, len(blocks), batch_size):
        ids = blocks[start : start + batch_size].to(device)
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
        total += float(
            cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1), reduction="sum")
        )
        num_tokens += ids[:, 1:].numel()
    model.train(was_training)
    return total / num_tokens
