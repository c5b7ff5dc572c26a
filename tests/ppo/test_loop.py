"""The whole loop: it learns, it repeats, it goes on bitwise where it was left."""

from __future__ import annotations

import json
import os
import random
import signal

import numpy
import pytest
import torch

from rlhf.errors import RunError
from rlhf.ppo import loop
from rlhf.ppo.checkpoint import (
    best_folder,
    load_best,
    load_trained_weights,
    random_states,
    set_random_states,
    trained_weights,
)
from rlhf.ppo.evaluation import evaluate
from rlhf.ppo.loop import Habits, train
from rlhf.runs.existing import find_checkpoints
from rlhf.runs.jsonl import read_jsonl
from rlhf.runs.manifest import find_damage
from tests.ppo.tiny import (
    function_scorer,
    open_run,
    same_weights,
    tiny_parts,
    tiny_prompts,
    tiny_recipe,
    weights,
)

HABITS = Habits(evaluate_every=2, checkpoint_every=1, keep_checkpoints=2, num_samples=2)


def noisy_scorer():
    """Scores that use every global generator, as a user's function may."""

    def score(prompts, responses):
        return [random.random() + numpy.random.rand() + float(torch.rand(())) for _ in responses]

    return function_scorer(score)


def run_training(path, recipe, *, scorer=None, habits=HABITS, resume="auto", held_out=True):
    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)
    parts = tiny_parts(recipe, scorer)
    prompts = tiny_prompts(parts.renderer)
    run = open_run(path, resume)
    measure = (lambda: evaluate(parts, recipe, prompts[:6])) if held_out else None
    try:
        progress = train(parts, recipe, prompts, run=run, evaluate=measure, habits=habits)
    except BaseException:
        run.finish("interrupted")
        raise
    run.finish()
    return parts, progress, run


def all_weights(parts):
    return weights(parts.policy) | {f"critic.{name}": value for name, value in weights(parts.critic).items()}


def losses(path):
    timeless = [
        {key: value for key, value in row.items() if not key.startswith("seconds/")}
        for row in read_jsonl(path / "metrics.jsonl")
    ]
    return timeless + read_jsonl(path / "samples.jsonl")


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


RESUMED = {
    "kl_controller": "adaptive",
    "kl_target": 0.5,
    "kl_horizon": 50,
    "schedule": "linear",
    "ppo_epochs": 2,
}


@pytest.mark.parametrize("stop_after", [1, 3])
def test_inv73_a_resumed_run_is_bitwise_the_unbroken_one(tmp_path, monkeypatch, stop_after):
    recipe = tiny_recipe(num_updates=5, **RESUMED)
    whole, _, _ = run_training(tmp_path / "whole", recipe, scorer=noisy_scorer())
    original = loop.one_update

    def killed(parts, recipe_, prompts, progress):
        if progress.update == stop_after:
            raise RuntimeError("killed")
        return original(parts, recipe_, prompts, progress)

    monkeypatch.setattr(loop, "one_update", killed)
    habits = Habits(evaluate_every=2, checkpoint_every=1, keep_checkpoints=2, num_samples=2)
    with pytest.raises(RuntimeError, match="killed"):
        run_training(tmp_path / "broken", recipe, scorer=noisy_scorer(), habits=habits)
    # what a killed run wrote after its checkpoint must not stay
    with (tmp_path / "broken" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": stop_after + 1, "ppo/score": 9.0}) + '\n{"torn')
    monkeypatch.setattr(loop, "one_update", original)
    resumed, progress, _ = run_training(tmp_path / "broken", recipe, scorer=noisy_scorer(), habits=habits)
    assert progress.update == 5
    assert same_weights(all_weights(whole), all_weights(resumed))
    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")
    assert resumed.kl_controller.kl_coef == whole.kl_controller.kl_coef != recipe.kl_coef


def interrupt_at(monkeypatch, update, number):
    original = loop.one_update

    def signalled(parts, recipe, prompts, progress):
        if progress.update + 1 == update:
            os.kill(os.getpid(), number)
        return original(parts, recipe, prompts, progress)

    monkeypatch.setattr(loop, "one_update", signalled)
    return original


def test_inv75_an_interrupt_saves_and_the_run_goes_on(tmp_path, monkeypatch):
    recipe = tiny_recipe(num_updates=4)
    habits = Habits(evaluate_every=2, checkpoint_every=None, num_samples=2)
    whole, _, _ = run_training(tmp_path / "whole", recipe, habits=habits)
    original = interrupt_at(monkeypatch, 2, signal.SIGINT)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "broken", recipe, habits=habits)
    assert signal.getsignal(signal.SIGINT) is before
    assert [folder.name for folder in find_checkpoints(tmp_path / "broken")] == ["step_000002"]
    monkeypatch.setattr(loop, "one_update", original)
    resumed, _, _ = run_training(tmp_path / "broken", recipe, habits=habits)
    assert same_weights(all_weights(whole), all_weights(resumed))


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "no manifest"])
def test_a_damaged_newest_checkpoint_is_recognised_and_the_one_before_is_used(
    tmp_path, monkeypatch, capsys, damage
):
    recipe = tiny_recipe(num_updates=4)
    whole, _, _ = run_training(tmp_path / "whole", recipe)
    original = interrupt_at(monkeypatch, 3, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "broken", recipe)
    monkeypatch.setattr(loop, "one_update", original)
    newest = find_checkpoints(tmp_path / "broken")[-1]
    assert find_damage(newest) is None
    file = newest / "models.pt"
    if damage == "cut":
        os.truncate(file, 1000)
    elif damage == "changed":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(bytes(content))
    elif damage == "missing":
        file.unlink()
    else:
        (newest / "manifest.json").unlink()
    assert find_damage(newest) is not None
    resumed, _, _ = run_training(tmp_path / "broken", recipe)
    assert "step_000003 is damaged" in capsys.readouterr().out
    assert same_weights(all_weights(whole), all_weights(resumed))


def test_no_whole_checkpoint_is_a_clear_error(tmp_path, monkeypatch):
    recipe = tiny_recipe(num_updates=3)
    original = interrupt_at(monkeypatch, 1, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "ppo", recipe)
    monkeypatch.setattr(loop, "one_update", original)
    for folder in find_checkpoints(tmp_path / "ppo"):
        (folder / "optimizers.pt").unlink()
    with pytest.raises(
        RunError, match=r"no checkpoint .* is whole \(step_000001: .*\); run.resume=false starts anew"
    ):
        run_training(tmp_path / "ppo", recipe)


def test_a_full_disk_keeps_what_was_saved(tmp_path, monkeypatch):
    recipe = tiny_recipe(num_updates=4)
    whole, _, _ = run_training(tmp_path / "whole", recipe)
    save = torch.save

    def full(values, path, *args, **kwargs):
        if "step_000003" in str(path) and "optimizers" in str(path):
            raise OSError(28, "No space left on device")
        save(values, path, *args, **kwargs)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        run_training(tmp_path / "ppo", recipe)
    monkeypatch.setattr(torch, "save", save)
    names = sorted(path.name for path in (tmp_path / "ppo" / "checkpoints").iterdir())
    assert [name for name in names if "step" in name] == ["step_000001", "step_000002"]
    resumed, _, _ = run_training(tmp_path / "ppo", recipe)
    assert same_weights(all_weights(whole), all_weights(resumed))


def test_the_best_weights_are_kept_and_come_back(tmp_path):
    recipe = tiny_recipe(num_updates=6, learning_rate=3e-2, kl_coef=0.5)
    parts, progress, run = run_training(tmp_path / "ppo", recipe)
    rows = [row for row in read_jsonl(tmp_path / "ppo" / "metrics.jsonl") if "evaluation/objective" in row]
    best = max(rows, key=lambda row: row["evaluation/objective"])
    assert progress.best_update == best["step"]
    assert progress.best_objective == best["evaluation/objective"]
    assert best["evaluation/objective"] == pytest.approx(
        best["evaluation/final_score"] - recipe.kl_coef * best["evaluation/kl"]
    )
    load_best(run, parts, progress.best_update)
    again = evaluate(parts, recipe, tiny_prompts(parts.renderer)[:6])
    assert again.objective == best["evaluation/objective"]
    with (best_folder(run.path, progress.best_update) / "models.pt").open("ab") as file:
        file.write(b"x")
    with pytest.raises(RunError, match=r"best weights in .* are damaged"):
        load_best(run, parts, progress.best_update)


def test_only_the_newest_checkpoints_and_wanted_best_weights_are_kept(tmp_path):
    _, progress, _ = run_training(tmp_path / "ppo", tiny_recipe(num_updates=6, learning_rate=3e-2))
    names = sorted(path.name for path in (tmp_path / "ppo" / "checkpoints").iterdir())
    assert [name for name in names if name.startswith("step")] == ["step_000005", "step_000006"]
    assert f"best_{progress.best_update:06d}" in names
    assert len(names) <= 4


def test_inv36_the_adaptive_controller_counts_the_episodes_of_all_processes(tmp_path):
    """Ziegler: after one update with KL 0 (far below target) the coefficient falls by 0.2 * 8 / 40."""
    recipe = tiny_recipe(num_updates=1, kl_controller="adaptive", kl_coef=0.1, kl_target=6.0, kl_horizon=40)
    parts, _, _ = run_training(tmp_path / "ppo", recipe)
    assert parts.kl_controller.kl_coef == pytest.approx(0.1 * (1 - 0.2 * 8 / 40))


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


def test_weights_of_another_model_are_refused(tokenizer):
    parts = tiny_parts(tiny_recipe())
    own = {name: value.clone() for name, value in trained_weights(parts.policy).items()}
    name, value = next(iter(own.items()))
    with pytest.raises(RunError, match="of another model"):
        load_trained_weights(parts.policy, {**own, name: value[:1]})
    with pytest.raises(RunError, match="of another model"):
        load_trained_weights(parts.policy, {key: value for key, value in own.items() if key != name})


def test_inv73_random_states_come_back_through_a_file(tmp_path):
    torch.save(random_states(), tmp_path / "random.pt")
    first = (random.random(), numpy.random.rand(), numpy.random.randn(), float(torch.rand(())))
    set_random_states(torch.load(tmp_path / "random.pt", weights_only=True))
    assert (random.random(), numpy.random.rand(), numpy.random.randn(), float(torch.rand(()))) == first
