"""Which prompt comes when, and which rows share a forward pass.

Both follow from the seed and from counters alone, so a checkpoint need not hold more than a position, and the
global batch is the same for any number of processes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rlhf.errors import DataError, SettingsError
from rlhf.ppo.types import Minibatches
from rlhf.sampling import derive_seed


class PromptOrder:
    """An endless order of prompts: one permutation after the other, each from the seed and its number.

    Raises DataError where there are fewer prompts than one rollout takes (a prompt would come twice in it).
    """

    def __init__(self, num_prompts: int, seed: int, rollout_batch_size: int) -> None:
        if num_prompts < rollout_batch_size:
            raise DataError(
                f"{num_prompts} training prompts are fewer than ppo.rollout_batch_size "
                f"({rollout_batch_size}); add prompts or lower it"
            )
        self.num_prompts = num_prompts
        self.seed = seed
        self._epoch = -1
        self._order: list[int] = []

    def take(self, position: int, count: int) -> list[int]:
        """Return the numbers of the prompts at `position` and after, counted from the start of training."""
        return [self._at(position + i) for i in range(count)]

    def _at(self, position: int) -> int:
        epoch, place = divmod(position, self.num_prompts)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "prompt order", epoch))
            self._order = torch.randperm(self.num_prompts, generator=generator).tolist()
            self._epoch = epoch
        return self._order[place]


def own_rows(num_rows: int, process_index: int, num_processes: int) -> list[int]:
    """Return the numbers of the global batch's rows that belong to a process: every `num_processes`-th.

    A run of global rows is thus spread evenly, so the global minibatches do not depend on the number of
    processes.
    """
    return list(range(process_index, num_rows, num_processes))


def exact_div(whole: int, part: int, what: str) -> int:
    """Return whole / part; raise SettingsError naming the sizes where it is not a whole number."""
    if part < 1 or whole % part:
        raise SettingsError(f"{what}: {whole} is not a multiple of {part}")
    return whole // part


def split_minibatches(lengths: Sequence[int], minibatch_size: int, microbatch_size: int) -> Minibatches:
    """Divide this process's rows into minibatches and these into microbatches.

    `lengths` (tokens, one a row) only say which rows of a minibatch share a forward pass: the similar ones,
    so that little is padded. Minibatches are runs of rows as they came (prompts come shuffled), so their
    content does not depend on what was sampled. Sizes are those of one process and divide exactly.
    """
    exact_div(len(lengths), minibatch_size, "rollout rows of a process / minibatch rows of a process")
    exact_div(minibatch_size, microbatch_size, "minibatch rows of a process / ppo.microbatch_size")
    minibatches = []
    for start in range(0, len(lengths), minibatch_size):
        rows = sorted(range(start, start + minibatch_size), key=lambda row: lengths[row])
        parts = [rows[i : i + microbatch_size] for i in range(0, minibatch_size, microbatch_size)]
        minibatches.append(tuple(torch.tensor(part) for part in parts))
    return tuple(minibatches)


def minibatch_order(num_minibatches: int, seed: int, update: int, epoch: int) -> list[int]:
    """Return the order in which an epoch takes the minibatches; the first epoch takes them as they came."""
    if epoch == 0:
        return list(range(num_minibatches))
    generator = torch.Generator().manual_seed(derive_seed(seed, "minibatch order", update, epoch))
    order: Tensor = torch.randperm(num_minibatches, generator=generator)
    return order.tolist()


def check_sizes(
    rollout_batch_size: int, minibatch_size: int, microbatch_size: int, num_processes: int
) -> tuple[int, int, int]:
    """Return (rollout rows, minibatch rows, microbatch rows) of one process.

    Rollout and minibatch size count the rows of all processes together, the microbatch size those that fit
    into one forward pass on one process; one whose part of the minibatch is smaller takes that. Raises
    SettingsError where one does not divide the other.
    """
    exact_div(rollout_batch_size, minibatch_size, "ppo.rollout_batch_size / ppo.minibatch_size")
    own_minibatch = exact_div(minibatch_size, num_processes, "ppo.minibatch_size / number of processes")
    own_microbatch = min(microbatch_size, own_minibatch)
    exact_div(own_minibatch, own_microbatch, "minibatch rows of a process / ppo.microbatch_size")
    return rollout_batch_size // num_processes, own_minibatch, own_microbatch
