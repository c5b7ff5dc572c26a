"""Run under torchrun: learn from text alone in a few steps and leave each process's weights and numbers.

python -m torch.distributed.run --nproc_per_node 2 -m tests.ppo.two_processes_ptx FOLDER
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator

from rlhf.errors import SettingsError
from rlhf.ppo.batching import own_rows
from rlhf.ppo.ptx import PtxText, TextRow, ptx_loss, text_loss
from stages._texts import _check_same_everywhere
from tests.helpers import tiny_gpt2, tiny_tokenizer
from tests.launching import leave
from tests.ppo.texts import forward_of, uneven_rows
from tests.ppo.tiny import weights


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    index, count = accelerator.process_index, accelerator.num_processes
    model = tiny_gpt2(tiny_tokenizer())
    policy, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    text = PtxText(
        uneven_rows(20), coef=1.0, batch_size=8, microbatch_size=2, seed=1, pad_token_id=0,
        process_index=index, num_processes=count, device=accelerator.device,
    )  # fmt: skip
    for step in range(3):
        batch = text.batch(step)
        for number, part in enumerate(batch.microbatches):
            last = number + 1 == len(batch.microbatches)
            with nullcontext() if last else accelerator.no_sync(policy):
                accelerator.backward(ptx_loss(forward_of(policy), part, batch.num_tokens) * count)
        optimizer.step()
        optimizer.zero_grad()
    held_out = uneven_rows(5, seed=9)  # five rows: the processes make different numbers of forward passes
    found = text_loss(
        forward_of(model),
        [held_out[row] for row in own_rows(len(held_out), index, count)],
        batch_size=1,
        pad_token_id=0,
        reduce=lambda tensor: accelerator.reduce(tensor, "sum"),
    )
    _check_same_everywhere(held_out, "ptx", accelerator)
    refused = ""
    try:
        _check_same_everywhere([TextRow([1, 2, index])], "ptx", accelerator)
    except SettingsError as error:
        refused = str(error)
    left = {"weights": weights(model), "loss": found.loss, "num_tokens": found.num_tokens, "refused": refused}
    torch.save(left, folder / f"left_{index}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    leave()
