"""Run under torchrun: train the tiny reward model and leave each process's weights.

python -m torch.distributed.run --nproc_per_node 2 -m tests.ranking.two_processes FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import PartialState

from rlhf.models import disable_dropout
from rlhf.ranking.strengths import measured
from rlhf.ranking.training import train_reward_model
from rlhf.runs.folder import RunFolder
from tests.helpers import tiny_reward_model, tiny_tokenizer
from tests.launching import leave
from tests.ranking.test_strengths import strong_rankings
from tests.ranking.test_training import plan

# Without centring, a shift of all scores has no gradient but rounding, which Adam would blow up to whole steps.
CASES = {
    "pairwise": {"loss": "pairwise", "centring_coef": 0.01},
    "shared": {"loss": "pairwise", "centring_coef": 0.01, "share_prompts": True},
    "margin": {"loss": "pairwise", "centring_coef": 0.01, "strength": "margin"},
    "weight": {"loss": "pairwise", "centring_coef": 0.01, "strength": "weight"},
    "plackett_luce": {"loss": "plackett_luce", "centring_coef": 0.01},
}
NUM_RANKINGS = 24  # of 2 to 4 responses each; three batches of 8 an epoch
BATCH = {"batch_size": 8, "microbatch_size": 2}  # 4 micro-batches in one process, 2 in each of two


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    state = PartialState(cpu=True)
    left: dict[str, dict[str, torch.Tensor]] = {}
    for name, options in CASES.items():
        model = tiny_reward_model(tiny_tokenizer())
        disable_dropout(model)
        run = RunFolder.open(
            folder / name,
            {"run": {"seed": 1}},
            stage="reward",
            is_main=state.is_main_process,
            num_processes=state.num_processes,
            wait=state.wait_for_everyone,
        )
        items = measured(strong_rankings(NUM_RANKINGS), options.get("strength"))
        train_reward_model(model, items, plan(**BATCH), run=run, **options)
        run.finish()
        left[name] = {key: value.detach() for key, value in model.state_dict().items()}
    torch.save(left, folder / f"left_{state.process_index}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    leave()
