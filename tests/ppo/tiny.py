"""A whole PPO run in memory: two-layer models, a few prompts, scores by a reward model or a function."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from rlhf.feedback.records import Message, Prompt
from rlhf.models.learner import SeparateLearner, TrunkLearner
from rlhf.models.values import Critic
from rlhf.ppo.parts import Parts, build_parts
from rlhf.ppo.recipe import Recipe
from rlhf.rendering import RenderedPrompt, Renderer, render_prompts
from rlhf.runs.folder import RunFolder
from rlhf.scoring import FunctionScorer, RewardModelScorer, Scorer
from tests.helpers import tiny_gpt2, tiny_reward_model, tiny_tokenizer

TEXTS = (
    "Please list three fruits.",
    "Where does the baker live?",
    "Write a short story with a cat and a lantern, and a house near the river.",
    "Thank you.",
    "Who keeps the key?",
)


def tiny_prompts(renderer: Renderer, count: int = 32) -> list[RenderedPrompt]:
    """`count` prompts of different lengths; column `number` is the prompt's place."""
    prompts = [
        Prompt(f"p{i}", (Message("user", f"{TEXTS[i % 5]} {i}"),), f"g{i}", f"tiny:{i}", {"number": i})
        for i in range(count)
    ]
    return render_prompts(prompts, renderer)


def tiny_recipe(**changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "seed": 1,
        "temperature": 1.0,
        "max_response_tokens": 8,
        "num_updates": 4,
        "rollout_batch_size": 8,
        "minibatch_size": 4,
        "microbatch_size": 2,
        "learning_rate": 1e-2,
        "critic_learning_rate": 1e-2,
        "schedule": "constant",
        # an untrained policy seldom ends: most of its scores would be the same
        "missing_eos_score": None,
    }
    return Recipe(**{**values, **changes})


def reward_scorer(tokenizer: Any, seed: int = 3) -> RewardModelScorer:
    model = tiny_reward_model(tokenizer, seed=seed).requires_grad_(False)
    return RewardModelScorer("reward", model, None, 4)


def function_scorer(function: Any) -> FunctionScorer:
    return FunctionScorer("function", function)


def tiny_parts(recipe: Recipe, scorer: Scorer | None = None, **options: Any) -> Parts:
    """Policy and reference with equal weights; `options` go to `build_parts`.

    `critic`: "reward" (from the reward model), "trunk" (a head on the policy) or None; `learner` and
    `reference` are taken as they are.
    """
    tokenizer = tiny_tokenizer()
    policy = options.pop("policy", None) or tiny_gpt2(tokenizer, seed=0)
    renderer = Renderer(tokenizer, max_prompt_tokens=64, max_response_tokens=recipe.max_response_tokens)
    # an untrained policy ends once in 400 tokens: with sixty more stop tokens responses differ in length
    renderer.stop_token_ids = (*renderer.stop_token_ids, *range(100, 160))
    reference = options.pop("reference", None) or copy.deepcopy(policy)
    critic = options.pop("critic", "reward")
    if critic == "reward":
        critic = Critic(tiny_reward_model(tokenizer, seed=3))
    made = TrunkLearner(policy) if critic == "trunk" else SeparateLearner(policy, critic)
    return build_parts(
        options.pop("accelerator", None) or Accelerator(cpu=True),
        recipe,
        learner=options.pop("learner", made),
        reference=reference,
        scorer=scorer or reward_scorer(tokenizer),
        renderer=renderer,
        **options,
    )


def open_run(path: Path, resume: bool | str = "auto") -> RunFolder:
    return RunFolder.open(path, {"run": {"seed": 1}}, stage="ppo", resume=resume)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
