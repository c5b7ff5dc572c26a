"""A whole PPO run whose models are adapters on one frozen base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rlhf.models.adapters import LoraSpec
from rlhf.models.learner import SeparateLearner, TrunkLearner
from rlhf.models.loading import load_policy
from rlhf.models.one_base import OneBase, load_one_base, num_distinct_parameters
from rlhf.models.saving import unwrap_model
from rlhf.models.values import sequence_scores
from rlhf.ppo import loop
from rlhf.ppo.checkpoint import MODELS, trained_weights
from rlhf.ppo.loop import Habits, train
from rlhf.ppo.parts import Parts, is_checkpointing
from rlhf.ppo.recipe import Recipe
from rlhf.rollout import build_generation, response_logprobs
from rlhf.runs.jsonl import read_jsonl
from rlhf.scoring import EnsembleScorer, RewardModelScorer, models_of
from tests.models.adapters import IDS, MASK, SPEC, digest, write_reward_adapter, write_sft, write_sft_adapter
from tests.ppo.tiny import (
    function_scorer,
    open_run,
    same_weights,
    tiny_parts,
    tiny_prompts,
    tiny_recipe,
    weights,
)

PROMPTS, RESPONSES = [[9, 8, 7], [5, 4, 3, 2]], [[30, 31, 1], [40, 41]]


def one_base_parts(
    base: OneBase, rewards: list[str], recipe: Recipe, critic: str | None, **options: Any
) -> Parts:
    """Policy, reference, critic and judges on `base`."""
    policy = base.policy(SPEC)
    if critic == "trunk":
        learner: Any = TrunkLearner(policy)
    else:
        made = {"reward": lambda: base.critic(rewards[0]), "policy": lambda: base.new_critic(SPEC)}
        learner = SeparateLearner(policy, made[critic]() if critic is not None else None)
    judges = [RewardModelScorer(path, base.reward_model(path), None, 4) for path in rewards]
    scorer = options.pop("scorer", None) or EnsembleScorer("judges", tuple(judges), "mean")
    return tiny_parts(recipe, scorer, learner=learner, reference=base.reference(), **options)


def reference_logprobs(model: torch.nn.Module) -> torch.Tensor:
    return response_logprobs(model, build_generation(PROMPTS, RESPONSES, [1], 0), 1.0)


def run_training(
    path: Path, parts: Parts, recipe: Recipe, habits: Habits | None = None
) -> list[dict[str, Any]]:
    """Train, or go on; returns the metrics of the updates."""
    run = open_run(path)
    try:
        train(parts, recipe, tiny_prompts(parts.renderer), run=run, habits=habits)
    except BaseException:
        run.finish("interrupted")
        raise
    run.finish()
    return [row for row in read_jsonl(path / "metrics.jsonl") if "ppo/kl" in row]


@pytest.fixture(params=["whole", "adapter"])
def sft(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """What SFT left: a whole model, or an adapter on one."""
    whole = write_sft(tmp_path / "whole")
    return whole if request.param == "whole" else write_sft_adapter(tmp_path / "adapter", whole)


@pytest.fixture
def rewards(tmp_path: Path, sft: str) -> list[str]:
    return [write_reward_adapter(tmp_path / f"reward{n}", str(tmp_path / "whole"), seed=n) for n in (1, 2)]


@pytest.mark.parametrize("critic", ["reward", "policy", "trunk", None])
def test_inv01_inv33_inv64_inv65_ratio_one_kl_zero_and_the_base_stays(
    tmp_path: Path, sft: str, rewards: list[str], critic: str | None
) -> None:
    base = load_one_base(sft)
    untouched = digest(base.model)
    method = {"advantages": "leave_one_out", "samples_per_prompt": 2} if critic is None else {}
    recipe = tiny_recipe(num_updates=2, **method)
    parts = one_base_parts(base, rewards, recipe, critic)
    initial = reference_logprobs(parts.policy)
    assert torch.equal(initial, reference_logprobs(load_one_base(sft).policy(SPEC)))
    rows = run_training(tmp_path / "run", parts, recipe)
    assert rows[0]["ppo/kl"] == 0.0
    assert rows[1]["ppo/kl"] != 0.0
    assert all(row["ppo/first_ratio_error"] == 0.0 for row in rows)
    assert torch.equal(reference_logprobs(parts.reference), initial)  # the SFT policy, still
    assert not torch.equal(reference_logprobs(parts.policy), initial)
    assert digest(base.model) == untouched == digest(load_policy(str(tmp_path / "whole")))


def test_inv39_inv67_judges_stay_and_the_critic_moves(tmp_path: Path, sft: str, rewards: list[str]) -> None:
    base = load_one_base(sft)
    recipe = tiny_recipe(num_updates=2)
    parts = one_base_parts(base, rewards, recipe, "reward")
    judges = models_of(parts.scorer)
    before = [sequence_scores(judge, IDS, MASK) for judge in judges]
    assert not torch.equal(before[0], before[1])  # two adapters on one base are two judges
    critic = unwrap_model(parts.learner).critic
    assert torch.equal(critic(IDS, MASK)[torch.arange(2), MASK.sum(1) - 1], before[0])
    run_training(tmp_path / "run", parts, recipe)
    assert all(torch.equal(sequence_scores(j, IDS, MASK), b) for j, b in zip(judges, before, strict=True))
    assert not torch.equal(critic(IDS, MASK)[torch.arange(2), MASK.sum(1) - 1], before[0])


@pytest.mark.parametrize("from_adapter", [False, True])
def test_it_learns_what_is_rewarded(tmp_path: Path, from_adapter: bool) -> None:
    """Reward for the letter e: the score rises by more than three standard errors in 12 updates.

    Adapters turn hidden states only: with GPT-2's own start the output layer is too small to show it.
    """
    sft = write_sft(tmp_path / "sft", initializer_range=0.3)
    sft = write_sft_adapter(tmp_path / "adapter", sft) if from_adapter else sft

    def letters(prompts: Any, responses: list[str]) -> list[float]:
        return [float(sum(letter in "e " for letter in text)) / 4 for text in responses]

    recipe = tiny_recipe(
        num_updates=12, rollout_batch_size=32, minibatch_size=8, microbatch_size=8, ppo_epochs=2,
        learning_rate=1e-2, critic_learning_rate=1e-2, kl_coef=0.0,
    )  # fmt: skip
    parts = one_base_parts(load_one_base(sft), [], recipe, "policy", scorer=function_scorer(letters))
    rows = run_training(tmp_path / "run", parts, recipe)
    assert rows[-1]["ppo/score"] > rows[0]["ppo/score"] + 3 * rows[0]["ppo/score_std"] / 32**0.5


@pytest.mark.parametrize("critic", ["reward", "trunk"])
def test_inv73_resume_is_bitwise_and_a_checkpoint_holds_what_is_trained(
    tmp_path: Path, sft: str, rewards: list[str], critic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, habits = tiny_recipe(num_updates=3, ema_decay=0.9), Habits(checkpoint_every=1)
    original = loop.one_update

    def killed(parts: Parts, recipe_: Recipe, prompts: Any, progress: Any) -> Any:
        if progress.update == 1:
            raise RuntimeError("killed")
        return original(parts, recipe_, prompts, progress)

    def parts_again() -> Parts:
        torch.manual_seed(0)
        return one_base_parts(load_one_base(sft), rewards, recipe, critic)

    whole, first, second = parts_again(), parts_again(), parts_again()
    run_training(tmp_path / "whole_run", whole, recipe, habits)
    monkeypatch.setattr(loop, "one_update", killed)
    with pytest.raises(RuntimeError, match="killed"):
        run_training(tmp_path / "run", first, recipe, habits)
    monkeypatch.undo()
    saved = torch.load(tmp_path / "run/checkpoints/step_000001" / MODELS, weights_only=True)
    assert saved["learner"].keys() == trained_weights(whole.learner).keys()
    assert all("lora_" in name or "score" in name or "value_head" in name for name in saved["learner"])
    run_training(tmp_path / "run", second, recipe, habits)
    assert same_weights(weights(second.learner), weights(whole.learner))
    assert not same_weights(weights(first.learner), weights(whole.learner))
    assert second.average is not None
    assert all(torch.equal(second.average[name], value) for name, value in (whole.average or {}).items())


def test_inv71_checkpointing_is_on_and_trains_the_same_weights(
    tmp_path: Path, sft: str, rewards: list[str]
) -> None:
    found = []
    recipe = tiny_recipe(num_updates=2)
    for checkpointing in (False, True):
        torch.manual_seed(0)
        parts = one_base_parts(
            load_one_base(sft), rewards, recipe, "reward", gradient_checkpointing=checkpointing
        )
        transformers = unwrap_model(parts.learner).transformers()
        assert [is_checkpointing(transformer) for transformer in transformers] == [checkpointing] * 2
        assert not any(is_checkpointing(model) for model in (parts.reference, *models_of(parts.scorer)))
        run_training(tmp_path / f"run{checkpointing}", parts, recipe)
        found.append(weights(parts.learner))
    assert same_weights(*found)


def test_inv63_two_forwards_in_training_mode_are_equal(sft: str, rewards: list[str], tmp_path: Path) -> None:
    """The tiny SFT model has a dropout of 0.1, and so has every model on it."""
    parts = one_base_parts(load_one_base(sft), rewards, tiny_recipe(), "reward")
    assert parts.learner.training
    for look in (reference_logprobs, lambda learner: learner(IDS, MASK, 2)[1]):
        assert torch.equal(look(parts.learner), look(parts.learner))


def test_the_base_is_in_memory_once(sft: str, rewards: list[str], tmp_path: Path) -> None:
    parts = one_base_parts(load_one_base(sft), rewards, tiny_recipe(), "reward")
    everything = (parts.learner, parts.reference, *models_of(parts.scorer))
    whole = load_policy(str(tmp_path / "whole"))
    storages = {p.untyped_storage().data_ptr(): p.nbytes for model in everything for p in model.parameters()}
    own = [
        parameter
        for model in everything
        for name, parameter in model.named_parameters()
        if "lora_" in name or "modules_to_save" in name or name.endswith("score.original_module.weight")
    ]
    in_base = sum(parameter.nbytes for parameter in whole.parameters())
    assert sum(storages.values()) == in_base + sum(parameter.nbytes for parameter in own)
    apart = 5 * num_distinct_parameters(whole)  # policy, reference, critic and two judges
    assert num_distinct_parameters(*everything) < apart / 2


def test_inv76_the_policy_stays_while_the_critic_warms_up(
    tmp_path: Path, sft: str, rewards: list[str]
) -> None:
    recipe = tiny_recipe(num_updates=1, critic_warmup_updates=1)
    parts = one_base_parts(load_one_base(sft), rewards, recipe, "policy")
    learner = unwrap_model(parts.learner)
    policy, critic = weights(learner.policy), weights(learner.critic)
    run_training(tmp_path / "run", parts, recipe)
    assert same_weights(policy, weights(learner.policy))
    assert not same_weights(critic, weights(learner.critic))


def test_another_rank_for_the_policy_than_the_sft_adapters_is_said_before_training(sft: str) -> None:
    base = load_one_base(sft)
    if base.adapter is None:
        assert base.policy(LoraSpec(2, 4.0)).peft_config["default"].r == 2
    else:
        with pytest.raises(ValueError, match=r"set lora\.rank=4"):
            base.policy(LoraSpec(2, 4.0))
