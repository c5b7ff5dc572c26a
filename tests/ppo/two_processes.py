"""Run under torchrun: train tiny runs in several modes and leave each process's weights and KL coefficient.

python -m torch.distributed.run --nproc_per_node 2 -m tests.ppo.two_processes FOLDER STOP MODE [MODE ...]

STOP is the number of the process that is asked to stop, "none" for no one; each MODE is one of MODES or "one_base".
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from rlhf.models.adapters import LoraSpec, add_lora
from rlhf.models.learner import SeparateLearner
from rlhf.models.one_base import load_one_base
from rlhf.models.saving import unwrap_model
from rlhf.ppo.evaluation import evaluate
from rlhf.ppo.loop import Habits, train
from rlhf.ppo.parts import Parts
from rlhf.ppo.ptx import PtxText
from rlhf.ppo.recipe import Recipe
from rlhf.runs.folder import RunFolder
from rlhf.scoring import RewardModelScorer
from tests.helpers import tiny_gpt2, tiny_tokenizer
from tests.launching import leave
from tests.models.adapters import SPEC, write_reward_adapter, write_sft, write_sft_adapter
from tests.ppo.seq2seq import seq2seq_parts
from tests.ppo.texts import uneven_rows
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
GROUPS = {"samples_per_prompt": 4, "loss_average": "responses"}

MODES: dict[str, dict[str, Any]] = {
    "full": {},  # responses end at different lengths
    "equal": {},  # all responses are cut at the same length
    "lora": {},
    "trunk": {  # and everything else that is added up over processes or kept beside the weights
        "score_normalisation": "running",
        "missing_eos_score": -1.0,
        "whiten_rewards": True,
        "ema_decay": 0.9,
        "critic_warmup_updates": 1,
        "entropy_coef": 0.01,
        "early_stop_kl": 1e-3,
        "value_coef": 0.1,
    },
    "leave_one_out": {"advantages": "leave_one_out", **GROUPS},
    "group_normalised": {"advantages": "group_normalised", "kl_in": "loss", "kl_loss": "k3", **GROUPS},
    "one_base": {},
    "seq2seq": {},  # an encoder-decoder with adapters and a critic of its own
    "seq2seq_trunk": {"value_coef": 0.1, "kl_in": "loss", "kl_loss": "k3"},
}


def parts_of(mode: str, folder: Path, recipe: Recipe, accelerator: Accelerator) -> Parts:
    """The tiny run in a mode."""
    if mode == "one_base":
        return parts_on_one_base(folder / "models", recipe, accelerator)
    options: dict[str, Any] = {"accelerator": accelerator}
    if mode.startswith("seq2seq"):
        lora, critic = mode == "seq2seq", "trunk" if mode == "seq2seq_trunk" else "own"
        return seq2seq_parts(recipe, "bart" if lora else "t5", lora=lora, critic=critic, **options)
    if mode == "lora":
        torch.manual_seed(0)  # adapters start at random, on every process alike
        options["policy"] = add_lora(tiny_gpt2(tiny_tokenizer(), seed=0), LoraSpec(4, 8.0))
        options["reference"] = tiny_gpt2(tiny_tokenizer(), seed=0)
    if recipe.advantages != "gae":
        options["critic"] = None
    if mode == "trunk":
        options["critic"] = "trunk"
        options["ptx"] = PtxText(
            uneven_rows(20), coef=0.1, batch_size=8, microbatch_size=2, seed=1, pad_token_id=0,
            process_index=accelerator.process_index, num_processes=accelerator.num_processes,
        )  # fmt: skip
    parts = tiny_parts(recipe, **options)
    if mode == "equal":
        parts.renderer.stop_token_ids = (10**6,)  # nothing that is ever sampled
    return parts


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


def main(folder: Path, stop_on: int | None, *modes: str) -> None:
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    left = {mode: train_in(mode, folder / mode, stop_on, accelerator) for mode in modes}
    torch.save(left, folder / f"left_{accelerator.process_index}.pt")


def train_in(mode: str, folder: Path, stop_on: int | None, accelerator: Accelerator) -> dict[str, Any]:
    recipe = tiny_recipe(**{**RECIPE, **MODES[mode]})
    parts = parts_of(mode, folder, recipe, accelerator)
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
    return {
        "weights": weights(unwrap_model(parts.learner)),
        "average": parts.average or {},
        "kl_coef": parts.kl_controller.kl_coef,
        "moments": parts.moments.state_dict() if parts.moments is not None else {},
        "wrapper": type(parts.learner).__name__,
        "stopped": stopped,
    }


if __name__ == "__main__":
    place, stop, *chosen = sys.argv[1:]
    main(Path(place), None if stop == "none" else int(stop), *chosen)
    leave()
