"""The whole loop: it learns, it repeats, and it records what it did."""

from __future__ import annotations

import math

import pytest

from rlhf.ppo.checkpoint import Progress
from rlhf.ppo.evaluation import Evaluation
from rlhf.ppo.loop import Habits, note_evaluation
from rlhf.runs.jsonl import read_jsonl
from tests.ppo.running import all_weights, losses, noisy_scorer, run_training
from tests.ppo.tiny import (
    function_scorer,
    same_weights,
    tiny_parts,
    tiny_recipe,
    weights,
)


def test_ppo_raises_the_score_of_a_function(tmp_path):
    """Reward for the letter e: the mean over 32 responses rises by more than three standard errors in 10 updates."""

    def letters(prompts, responses):
        return [float(sum(letter in "e " for letter in text)) / 4 for text in responses]

    recipe = tiny_recipe(
        num_updates=10, rollout_batch_size=32, minibatch_size=8, microbatch_size=8, ppo_epochs=2,
        learning_rate=3e-2, critic_learning_rate=3e-2, kl_coef=0.01,
    )  # fmt: skip
    _, progress, _ = run_training(tmp_path / "ppo", recipe, scorer=function_scorer(letters), habits=Habits())
    before, after = progress.first_evaluation, progress.last_evaluation
    rows = [row for row in read_jsonl(tmp_path / "ppo" / "metrics.jsonl") if "ppo/score" in row]
    assert rows[-1]["ppo/score"] > rows[0]["ppo/score"] + 3 * rows[0]["ppo/score_std"] / 32**0.5
    assert after["evaluation/score"] > 2 * before["evaluation/score"]
    assert after["evaluation/kl"] > 0


def test_ppo_raises_the_score_of_a_reward_model(tmp_path):
    recipe = tiny_recipe(
        num_updates=8, rollout_batch_size=32, minibatch_size=8, microbatch_size=8, ppo_epochs=2,
        learning_rate=3e-2, critic_learning_rate=3e-2, kl_coef=0.0,
    )  # fmt: skip
    run_training(tmp_path / "ppo", recipe)
    rows = [row for row in read_jsonl(tmp_path / "ppo" / "metrics.jsonl") if "ppo/score" in row]
    assert rows[-1]["ppo/score"] > rows[0]["ppo/score"] + 3 * rows[0]["ppo/score_std"] / 32**0.5
    assert rows[0]["ppo/kl"] == 0.0
    assert all(row["ppo/first_ratio_error"] == 0.0 for row in rows)


def test_a_high_price_of_kl_keeps_the_policy_near_the_reference(tmp_path):
    found = {}
    for kl_coef in (0.0, 10.0):
        recipe = tiny_recipe(num_updates=6, rollout_batch_size=16, learning_rate=3e-2, kl_coef=kl_coef)
        run_training(tmp_path / str(kl_coef), recipe)
        found[kl_coef] = abs(read_jsonl(tmp_path / str(kl_coef) / "metrics.jsonl")[-1]["evaluation/kl"])
    assert found[10.0] < 0.5 * found[0.0]


def test_inv16_the_same_seed_gives_bitwise_the_same_weights(tmp_path):
    one, _, _ = run_training(tmp_path / "one", tiny_recipe(ppo_epochs=2), scorer=noisy_scorer())
    two, _, _ = run_training(tmp_path / "two", tiny_recipe(ppo_epochs=2), scorer=noisy_scorer())
    other, _, _ = run_training(tmp_path / "other", tiny_recipe(ppo_epochs=2, seed=2), scorer=noisy_scorer())
    assert same_weights(all_weights(one), all_weights(two))
    assert losses(tmp_path / "one") == losses(tmp_path / "two")
    assert not same_weights(all_weights(one), all_weights(other))


def test_inv36_the_adaptive_controller_counts_the_episodes_of_all_processes(tmp_path):
    """Ziegler: after one update with KL 0 (far below target) the coefficient falls by 0.2 * 8 / 40."""
    recipe = tiny_recipe(num_updates=1, kl_controller="adaptive", kl_coef=0.1, kl_target=6.0, kl_horizon=40)
    parts, _, _ = run_training(tmp_path / "ppo", recipe)
    assert parts.kl_controller.kl_coef == pytest.approx(0.1 * (1 - 0.2 * 8 / 40))


def test_inv36_inv76_while_the_critic_learns_alone_the_controller_waits(tmp_path):
    """The KL of a policy that stands still is 0: the coefficient would be gone before its first step."""
    adaptive = {"kl_controller": "adaptive", "kl_coef": 0.1, "kl_target": 6.0, "kl_horizon": 40}
    parts, _, _ = run_training(
        tmp_path / "ppo", tiny_recipe(num_updates=3, critic_warmup_updates=2, **adaptive)
    )
    assert parts.kl_controller.kl_coef == pytest.approx(0.1 * (1 - 0.2 * 8 / 40)), "one update, not three"


def test_inv35_the_reported_kl_is_the_trained_one(tmp_path):
    run_training(tmp_path / "ppo", tiny_recipe(num_updates=3, kl_coef=0.7, learning_rate=3e-2))
    for row in read_jsonl(tmp_path / "ppo" / "metrics.jsonl"):
        if "ppo/kl" in row:
            assert row["ppo/reward"] == pytest.approx(row["ppo/score"] - 0.7 * row["ppo/kl"], abs=1e-5)
            assert row["ppo/kl_per_token"] * row["ppo/response_tokens"] == pytest.approx(
                row["ppo/kl"], abs=1e-4
            )


def test_samples_hold_prompt_response_score_and_kl(tmp_path):
    run_training(tmp_path / "ppo", tiny_recipe(num_updates=2))
    rows = read_jsonl(tmp_path / "ppo" / "samples.jsonl")
    assert {row["kind"] for row in rows} == {"rollout", "evaluation"}
    for row in rows:
        assert {"step", "prompt_id", "prompt", "response", "score", "kl"} <= row.keys()


def test_inv39_reward_model_and_reference_are_unchanged_by_training(tmp_path):
    recipe = tiny_recipe(num_updates=2)
    fresh = tiny_parts(recipe)
    parts, _, _ = run_training(tmp_path / "ppo", recipe)
    assert same_weights(weights(fresh.reference), weights(parts.reference))
    assert same_weights(weights(fresh.scorer.model), weights(parts.scorer.model))


def test_the_first_the_last_and_the_best_evaluation_are_noted():
    progress = Progress()
    best = []
    for update, objective in enumerate([math.nan, 1.0, 3.0, 2.0, math.nan, 3.0]):
        progress.update = update
        best.append(note_evaluation(progress, Evaluation({"evaluation/objective": objective}, objective, [])))
    expected = [True, True, True, False, False, False]
    assert best == expected, "of equals the earlier, which is nearer to the reference; nan is never better"
    assert (progress.best_update, progress.best_objective) == (2, 3.0)
    assert math.isnan(progress.first_evaluation["evaluation/objective"])
    found = (progress.best_evaluation, progress.last_evaluation)
    assert [one["evaluation/objective"] for one in found] == [3.0, 3.0]


def test_every_row_of_metrics_carries_the_updates_done(tmp_path):
    run_training(tmp_path / "ppo", tiny_recipe(num_updates=3))
    rows = read_jsonl(tmp_path / "ppo" / "metrics.jsonl")
    assert [row["step"] for row in rows if "evaluation/score" in row] == [0, 2, 3]
    assert [row["step"] for row in rows if "ppo/score" in row] == [1, 2, 3]
    assert [row["ppo/episodes"] for row in rows if "ppo/score" in row] == [8, 16, 24]
