"""Run the whole loop on the tiny parts, and what a run is compared by."""

from __future__ import annotations

import random

import numpy
import torch

from rlhf.models.saving import unwrap_model
from rlhf.ppo.evaluation import evaluate
from rlhf.ppo.loop import Habits, train
from rlhf.runs.jsonl import read_jsonl
from tests.ppo.tiny import (
    function_scorer,
    open_run,
    tiny_parts,
    tiny_prompts,
    weights,
)

HABITS = Habits(evaluate_every=2, checkpoint_every=1, keep_checkpoints=2, num_samples=2)


def noisy_scorer():
    """Scores that use every global generator, as a user's function may."""

    def score(prompts, responses):
        return [random.random() + numpy.random.rand() + float(torch.rand(())) for _ in responses]

    return function_scorer(score)


def run_training(
    path,
    recipe,
    *,
    scorer=None,
    habits=HABITS,
    resume="auto",
    held_out=True,
    callbacks=(),
    finish=True,
    **options,
):
    """Train the tiny run in `path`; `finish` False leaves it as a killed one; `options` go to `tiny_parts`."""
    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)
    parts = tiny_parts(recipe, scorer, **options)
    prompts = tiny_prompts(parts.renderer)
    run = open_run(path, resume)
    measure = (lambda: evaluate(parts, recipe, prompts[:6])) if held_out else None
    try:
        progress = train(
            parts, recipe, prompts, run=run, evaluate=measure, habits=habits, callbacks=callbacks
        )
    except BaseException:
        run.finish("interrupted")
        raise
    run.finish("finished" if finish else "running")
    return parts, progress, run


def all_weights(parts):
    return weights(unwrap_model(parts.learner))


def losses(path):
    timeless = [
        {key: value for key, value in row.items() if not key.startswith("seconds/")}
        for row in read_jsonl(path / "metrics.jsonl")
    ]
    return timeless + read_jsonl(path / "samples.jsonl")
