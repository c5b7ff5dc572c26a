"""In which order the training data is seen."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import Sampler

__all__ = ["LengthBatchSampler"]


class LengthBatchSampler(Sampler[int]):
    """Draw a random order in which every `batch_size` consecutive elements are of similar length.

    Padding costs as much as text: batches of mixed lengths waste about half of the work. Elements are
    shuffled, sorted by length within pools of many batches, cut into batches, and the batches are shuffled,
    so that neither a pool nor the end of an epoch is of one length. The order depends on the seed and the
    epoch alone (not on any global state), which is what makes a resumed run go on exactly.
    """

    def __init__(self, lengths: Sequence[Any], batch_size: int, seed: int, batches_in_pool: int = 16) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.pool_size = batch_size * batches_in_pool
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose which epoch's order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = random.Random(f"{self.seed}/{self.epoch}")
        order = list(range(len(self.lengths)))
        generator.shuffle(order)
        batches: list[list[int]] = []
        for start in range(0, len(order), self.pool_size):
            pool = sorted(order[start : start + self.pool_size], key=lambda i: self.lengths[i])
            batches.extend(pool[at : at + self.batch_size] for at in range(0, len(pool), self.batch_size))
        ragged = batches.pop() if len(batches[-1]) < self.batch_size else []
        generator.shuffle(batches)
        return iter([i for batch in batches for i in batch] + ragged)
