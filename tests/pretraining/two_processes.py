"""Run under torchrun: train the tiny T5 and BERT and leave each process's weights.

python -m torch.distributed.run --nproc_per_node 2 -m tests.pretraining.two_processes FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import PartialState

from rlhf.pretraining.training import pretrain
from rlhf.runs.folder import RunFolder
from tests.launching import leave
from tests.pretraining.test_training import KINDS, examples_of, model_of, plan

BATCH = {"batch_size": 24, "microbatch_size": 6}  # 4 micro-batches in one process, 2 in each of two


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    state = PartialState(cpu=True)
    left: dict[str, dict[str, torch.Tensor]] = {}
    for kind in KINDS:
        model = model_of(kind)
        run = RunFolder.open(
            folder / kind,
            {"run": {"seed": 1}},
            stage="base",
            is_main=state.is_main_process,
            num_processes=state.num_processes,
            wait=state.wait_for_everyone,
        )
        pretrain(model, examples_of(kind), plan(**BATCH), run=run)
        run.finish()
        left[kind] = {key: value.detach() for key, value in model.state_dict().items()}
    torch.save(left, folder / f"left_{state.process_index}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    leave()
