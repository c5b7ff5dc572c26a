"""A run that was stopped, killed or damaged goes on bitwise; the best weights are kept."""

from __future__ import annotations

import dataclasses
import itertools
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
    save_best,
    save_checkpoint,
    set_random_states,
    trained_weights,
)
from rlhf.ppo.evaluation import evaluate
from rlhf.ppo.loop import Habits
from rlhf.runs.existing import find_checkpoints
from rlhf.runs.jsonl import read_jsonl
from rlhf.runs.manifest import find_damage
from tests.ppo.running import all_weights, losses, noisy_scorer, run_training
from tests.ppo.tiny import (
    function_scorer,
    same_weights,
    tiny_parts,
    tiny_prompts,
    tiny_recipe,
)

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
    whole, unbroken, _ = run_training(tmp_path / "whole", recipe, scorer=noisy_scorer())
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
    assert progress == unbroken
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
    with torch.no_grad():  # the last weights may be the best ones
        for weight in parts.policy.parameters():
            weight.zero_()
    load_best(run, parts, progress.best_update)
    again = evaluate(parts, recipe, tiny_prompts(parts.renderer)[:6])
    assert again.objective == best["evaluation/objective"]
    with (best_folder(run.path, progress.best_update) / "models.pt").open("ab") as file:
        file.write(b"x")
    with pytest.raises(RunError, match=r"best weights in .* are damaged"):
        load_best(run, parts, progress.best_update)


def test_only_the_newest_checkpoints_and_wanted_best_weights_are_kept(tmp_path):
    parts, progress, run = run_training(tmp_path / "ppo", tiny_recipe(num_updates=6, learning_rate=3e-2))
    names = sorted(path.name for path in (tmp_path / "ppo" / "checkpoints").iterdir())
    assert [name for name in names if name.startswith("step")] == ["step_000005", "step_000006"]
    assert f"best_{progress.best_update:06d}" in names
    assert len(names) <= 4
    save_best(run, parts, dataclasses.replace(progress, best_update=77))
    names = {path.name for path in (tmp_path / "ppo" / "checkpoints").iterdir()}
    assert names >= {"best_000077", f"best_{progress.best_update:06d}"}, (
        "a checkpoint speaks of the other one"
    )
    save_checkpoint(run, parts, progress, keep=2)
    names = [path.name for path in (tmp_path / "ppo" / "checkpoints").iterdir()]
    assert f"best_{progress.best_update:06d}" in names
    assert "best_000077" not in names, "nobody speaks of it"


def test_without_checkpoints_only_the_best_weights_are_kept(tmp_path):
    recipe = tiny_recipe(num_updates=6, learning_rate=3e-2)
    habits = Habits(evaluate_every=1, checkpoint_every=None)
    _, progress, _ = run_training(tmp_path / "ppo", recipe, scorer=function_scorer(rising()), habits=habits)
    assert progress.best_update == 6
    assert [path.name for path in (tmp_path / "ppo" / "checkpoints").iterdir()] == ["best_000006"]


def rising():
    """Scores that rise with every call: each evaluation is the best so far."""
    calls = itertools.count()
    return lambda prompts, responses: [10.0 * next(calls)] * len(responses)


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
