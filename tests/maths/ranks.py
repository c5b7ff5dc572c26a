"""Threads that stand for processes: a `reduce` that gives each of them the sum of what all bring."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import torch

from rlhf.maths.masked import Reduce

Result = TypeVar("Result")


class Ranks:
    """So many ranks; each must call `reduce` as often as the others, or the barrier breaks."""

    def __init__(self, number: int = 2) -> None:
        self.number = number
        self.barrier = threading.Barrier(number, timeout=60)
        self.brought: dict[int, torch.Tensor] = {}

    def reduce(self, rank: int, tensor: torch.Tensor) -> torch.Tensor:
        """Return the sum over all ranks, the same bits on each."""
        self.brought[rank] = tensor
        self.barrier.wait()
        total = torch.stack([self.brought[other] for other in range(self.number)]).sum(dim=0)
        self.barrier.wait()
        return total

    def run(self, function: Callable[[int, Reduce], Result]) -> list[Result]:
        """Call `function(rank, reduce)` on every rank at the same time and return what each returned."""
        results: dict[int, Result] = {}

        def work(rank: int) -> None:
            results[rank] = function(rank, lambda tensor: self.reduce(rank, tensor))

        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(self.number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [results[rank] for rank in range(self.number)]
