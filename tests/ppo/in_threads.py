"""The processes of a run as threads: what accelerate does for each, without starting any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from rlhf.maths.masked import Reduce
from tests.maths.ranks import Ranks

Result = TypeVar("Result")


class RankAccelerator:
    """What a rank's verbs ask of accelerate; gradients follow the rule of DistributedDataParallel.

    Outside `no_sync` a backward pass leaves the mean over ranks of all that has been added up.
    """

    scaler = None
    device = torch.device("cpu")

    def __init__(self, rank: int, num_processes: int, reduce: Reduce) -> None:
        self.process_index, self.num_processes = rank, num_processes
        self._reduce = reduce
        self._alone = False
        self.learner: Any = None
        self.num_synchronised = 0

    def prepare(self, learner: Any, *optimizers: Any) -> tuple[Any, ...]:
        self.learner = learner
        return learner, *optimizers

    def prepare_model(self, model: Any, *, evaluation_mode: bool) -> Any:
        return model

    @contextmanager
    def autocast(self) -> Iterator[None]:
        yield

    @contextmanager
    def no_sync(self, model: Any) -> Iterator[None]:
        assert model is self.learner
        self._alone = True
        try:
            yield
        finally:
            self._alone = False

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()
        if self._alone:
            return
        self.num_synchronised += 1
        trained = [p for p in self.learner.parameters() if p.requires_grad]
        assert all(p.grad is not None for p in trained), "DistributedDataParallel waits for every gradient"
        flat = self._reduce(torch.cat([p.grad.flatten() for p in trained])) / self.num_processes
        for parameter, mean in zip(trained, flat.split([p.numel() for p in trained]), strict=True):
            parameter.grad.copy_(mean.reshape(parameter.shape))

    def reduce(self, tensor: torch.Tensor, how: str) -> torch.Tensor:
        assert how == "sum"
        return self._reduce(tensor)

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        every = tensor.new_zeros(self.num_processes, *tensor.shape)
        every[self.process_index] = tensor
        return self._reduce(every).flatten(0, 1)

    def unscale_gradients(self) -> None:
        pass


def on_ranks(num_processes: int, work: Callable[[RankAccelerator], Result]) -> list[Result]:
    """Do `work` on every rank at the same time; returns what each gave."""

    def one(rank: int, reduce: Reduce) -> Result:
        return work(RankAccelerator(rank, num_processes, reduce))

    return Ranks(num_processes).run(one)
