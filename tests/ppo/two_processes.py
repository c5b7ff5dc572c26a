"""Run under torchrun: train the tiny run and leave each process's weights, gradients' norms and metrics.

python -m torch.distributed.run --nproc_per_node 2 -m tests.ppo.two_processes FOLDER [stop [mode]]

`stop` is the number of the process that is asked to stop, "none" for no one; `mode` is "full", where all weights
are trained, or "one_base", where all models are adapters on one frozen base.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import Accelerator

from rlhf.models.learner import SeparateLearner
from rlhf.models.one_base import load_one_base
from rlhf.models.saving import unwrap_model
from rlhf.ppo.evaluation import evaluate
from rlhf.ppo.loop import Habits, train
from rlhf.ppo.parts import Parts
from rlhf.ppo.recipe import Recipe
from rlhf.runs.folder import RunFolder
from rlhf.scoring import RewardModelScorer
from tests.models.adapters import SPEC, write_reward_adapter, write_sft, write_sft_adapter
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


def parts_on_one_base(folder: Path, recipe: Recipe, accelerator: Accelerator) -> Parts:
    """The tiny run with adapters, from an SFT adapter and a reward adapter."""
    sft, reward = str(folder / "sft"), str(folder / "reward")
    if accelerator.is_main_process:
        torch.manual_seed(0)
        write_sft(folder / "base")
        write_sft_adapter(folder / "sft", str(folder / "base"))
        write_reward_adapter(folder / "reward", str(folder / "base"))
    accelerator.wait_for_everyone()
    base = load_one_base(sft)
    return tiny_parts(
        recipe,
        RewardModelScorer("reward", base.reward_model(reward), None, 4),
        learner=SeparateLearner(base.policy(SPEC), base.critic(reward)),
        reference=base.reference(),
        accelerator=accelerator,
    )


def main(folder: Path, stop_on: int | None, mode: str = "full") -> None:
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    recipe = tiny_recipe(**RECIPE)
    if mode == "one_base":
        parts = parts_on_one_base(folder / "models", recipe, accelerator)
    else:
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
    place, stop, mode, *_ = [*sys.argv[1:], *("none", "full")[len(sys.argv) - 2 :]]
    main(Path(place), None if stop == "none" else int(stop), mode)
