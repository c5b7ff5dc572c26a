"""Run under torchrun: train the tiny run and leave each process's weights, gradients' norms and metrics.

python -m torch.distributed.run --nproc_per_node 2 -m tests.ppo.two_processes FOLDER [stop]
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import Accelerator

from rlhf.models.saving import unwrap_model
from rlhf.ppo.evaluation import evaluate
from rlhf.ppo.loop import Habits, train
from rlhf.runs.folder import RunFolder
from tests.ppo.tiny import tiny_parts, tiny_prompts, tiny_recipe, weights

RECIPE = {
    "num_updates": 3,
    "rollout_batch_size": 8,
    "minibatch_size": 4,
    "microbatch_size": 1,
    "ppo_epochs": 2,
    "max_response_tokens": 12,
    "kl_controller": "adaptive",
    "kl_target": 1.0,
    "kl_horizon": 50,
    "learning_rate": 1e-3,
    "critic_learning_rate": 1e-3,
}


def main(folder: Path, stop_on: int | None) -> None:
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    recipe = tiny_recipe(**RECIPE)
    parts = tiny_parts(recipe, accelerator=accelerator)
    prompts = tiny_prompts(parts.renderer)
    run = RunFolder.open(
        folder / "ppo",
        {"run": {"seed": 1}},
        stage="ppo",
        is_main=accelerator.is_main_process,
        num_processes=accelerator.num_processes,
        wait=accelerator.wait_for_everyone,
    )
    # only one process is asked to stop: all have to
    run.stop_requested = stop_on == accelerator.process_index
    habits = Habits(evaluate_every=2, checkpoint_every=1, num_samples=1)
    measure = lambda: evaluate(parts, recipe, prompts[:5])  # noqa: E731
    stopped = False
    try:
        train(parts, recipe, prompts, run=run, evaluate=measure, habits=habits)
    except KeyboardInterrupt:
        stopped = True
    run.finish("interrupted" if stopped else "finished")
    left = {
        "weights": weights(unwrap_model(parts.learner)),
        "kl_coef": parts.kl_controller.kl_coef,
        "wrapper": type(parts.learner).__name__,
        "stopped": stopped,
    }
    torch.save(left, folder / f"left_{accelerator.process_index}.pt")
    accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
