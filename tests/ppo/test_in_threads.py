"""Two ranks give what one gives, with threads for processes: seconds instead of the minutes of real ones.

Real processes: `test_two_processes.py`.
"""

from __future__ import annotations

import dataclasses
import math
import threading

import pytest
import torch

from rlhf.ppo.checkpoint import Progress
from rlhf.ppo.evaluation import Evaluation, evaluate
from rlhf.ppo.iteration import calibrate, collect, learn, one_update
from rlhf.ppo.ptx import PtxText, TextRow
from tests.ppo.in_threads import RankAccelerator, on_ranks
from tests.ppo.running import all_weights
from tests.ppo.tiny import function_scorer, tiny_parts, tiny_prompts, tiny_recipe

BASIC = {
    "num_updates": 2, "microbatch_size": 1, "max_response_tokens": 12, "learning_rate": 1e-3,
    "critic_learning_rate": 1e-3, "kl_controller": "adaptive", "kl_target": 1.0, "kl_horizon": 50,
}  # fmt: skip
GROUPS = {"samples_per_prompt": 4, "minibatch_size": 8}
RECIPES = {
    "gae": {
        "ppo_epochs": 2,
        "score_normalisation": "running",
        "whiten_rewards": True,
        "early_stop_kl": 1e-4,
        "missing_eos_score": -1.0,
    },
    "leave_one_out": {**GROUPS, "advantages": "leave_one_out", "kl_in": "loss", "entropy_coef": 0.1},
    "group_normalised": {**GROUPS, "advantages": "group_normalised", "loss_average": "responses"},
}
ONE_AT_A_TIME = threading.Lock()  # models are made from torch's one global generator


def scores(prompts, responses, number):
    """Every row another one, so that a rank's rows are not like those of all."""
    return [3.0 * (n % 4) + len(text) / 10 for n, text in zip(number, responses, strict=True)]


def text_of(accelerator: RankAccelerator) -> PtxText:
    rows = [TextRow([start, *range(40, 43 + start % 5)]) for start in range(20, 36)]
    return PtxText(
        rows, coef=0.5, batch_size=4, microbatch_size=1, seed=1, pad_token_id=0,
        process_index=accelerator.process_index, num_processes=accelerator.num_processes,
    )  # fmt: skip


def trained(name: str, num_processes: int):
    """Metrics of all updates, weights, optimizer steps and backward passes that waited for others, a rank."""
    recipe = tiny_recipe(**BASIC, **RECIPES[name])

    def work(accelerator: RankAccelerator):
        options = {"critic": "reward", "ptx": text_of(accelerator)} if name == "gae" else {"critic": None}
        with ONE_AT_A_TIME:
            parts = tiny_parts(recipe, function_scorer(scores), accelerator=accelerator, **options)
        prompts, progress = tiny_prompts(parts.renderer, recipe.num_prompts), Progress()
        metrics = [one_update(parts, recipe, prompts, progress)[0] for _ in range(recipe.num_updates)]
        return metrics, all_weights(parts), progress.num_optimizer_steps, accelerator.num_synchronised

    return on_ranks(num_processes, work)


@pytest.mark.parametrize("name", RECIPES)
def test_inv49_inv54_inv68_inv69_two_ranks_learn_what_one_learns(name):
    """Unequal lengths; statistics of scores, rewards, advantages and groups are those of the global batch."""
    [(metrics, weights, steps, _)] = trained(name, 1)
    for other_metrics, other_weights, other_steps, synchronised in trained(name, 2):
        assert other_steps == steps == synchronised, "ranks wait for each other once an optimizer step"
        for one, other in zip(metrics, other_metrics, strict=True):
            for key, value in one.items():
                if not key.startswith("seconds/") and key != "ppo/first_ratio_error":
                    assert other[key] == pytest.approx(value, abs=1e-4, rel=1e-3), key
        for key, value in weights.items():
            torch.testing.assert_close(other_weights[key], value, atol=1e-5, rtol=0)


def test_inv01_a_ratio_that_is_wrong_on_another_rank_is_told_by_the_first():
    recipe = tiny_recipe(**BASIC)

    def work(accelerator: RankAccelerator):
        with ONE_AT_A_TIME:
            parts = tiny_parts(recipe, function_scorer(scores), accelerator=accelerator)
        experience = collect(parts, recipe, tiny_prompts(parts.renderer, recipe.num_prompts), 1, {})
        if accelerator.process_index == 1:
            experience = dataclasses.replace(experience, old_logprobs=experience.old_logprobs + 0.5)
        return learn(parts, recipe, experience, 1).first_ratio_error

    expected = pytest.approx(1 - math.exp(-0.5), rel=1e-3)
    assert on_ranks(2, work) == [expected, expected]


def test_inv37_inv69_a_process_without_a_held_out_prompt_takes_part_in_the_moments(monkeypatch):
    """Else the others would wait for it for ever."""
    monkeypatch.setattr(
        "rlhf.ppo.evaluation.summarise", lambda rows, kl_coef: Evaluation({}, len(rows), rows)
    )
    recipe = tiny_recipe(score_normalisation="running")
    scorer = function_scorer(lambda prompts, responses: [7.0] * len(responses))

    def work(accelerator: RankAccelerator):
        with ONE_AT_A_TIME:
            parts = tiny_parts(recipe, scorer, accelerator=accelerator)
        found = evaluate(parts, recipe, tiny_prompts(parts.renderer, 1))
        return found.objective, parts.evaluation_moments.state_dict()

    expected = {"count": 1, "mean": 7.0, "sum_of_squares": 0.0}
    assert on_ranks(2, work) == [(1, expected), (0, expected)]


def test_inv37_inv38_the_moments_at_the_start_are_of_the_scores_of_all_ranks():
    recipe = tiny_recipe(score_normalisation="initial", samples_per_prompt=2)

    def work(accelerator: RankAccelerator):
        with ONE_AT_A_TIME:
            parts = tiny_parts(recipe, function_scorer(scores), accelerator=accelerator)
        calibrate(parts, recipe, tiny_prompts(parts.renderer, recipe.num_prompts))
        return parts.moments.count, parts.moments.mean, parts.moments.std

    [one] = on_ranks(1, work)
    assert one[0] == recipe.rollout_batch_size
    for other in on_ranks(2, work):
        assert other == pytest.approx(one)
