"""All of PPO: update after update, and between them evaluations, checkpoints and people's wishes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf.ppo.averaged import using_average
from rlhf.ppo.batching import PromptOrder
from rlhf.ppo.callbacks import Event, State, call_all
from rlhf.ppo.checkpoint import Progress, restore_checkpoint, save_best, save_checkpoint
from rlhf.ppo.diagnostics import record_findings
from rlhf.ppo.evaluation import Evaluation
from rlhf.ppo.interruption import any_requested, stops_gracefully
from rlhf.ppo.iteration import calibrate, one_update
from rlhf.ppo.metrics import progress_line
from rlhf.ppo.parts import Parts
from rlhf.ppo.recipe import Recipe
from rlhf.runs import console
from rlhf.runs.folder import RunFolder

if TYPE_CHECKING:
    from rlhf.rendering import RenderedPrompt


_SHOWN = ("score", "held_out_score", "kl", "response_tokens", "judge_score", "text_loss", "objective")


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How often the loop looks up from learning; None: never (but evaluations stand at both ends)."""

    evaluate_every: int | None = 10
    checkpoint_every: int | None = 20
    keep_checkpoints: int = 2
    num_samples: int = 16  # rows of each evaluation that go to samples.jsonl
    evaluate_average: bool = False  # the averaged weights are evaluated, and kept where they are the best


def train(
    parts: Parts,
    recipe: Recipe,
    prompts: Sequence[RenderedPrompt],
    *,
    run: RunFolder,
    evaluate: Callable[[], Evaluation] | None = None,
    habits: Habits | None = None,
    callbacks: Sequence[Any] = (),
) -> Progress:
    """Train the policy for `recipe.num_updates` updates, or go on where `run` was left.

    Call it on every process with all `prompts`. `evaluate` measures the policy on held-out prompts; the
    weights of the best evaluation are kept (`rlhf.ppo.checkpoint.load_best`). `callbacks`: see
    `rlhf.ppo.callbacks`. Returns how far the run has come.

    Raises KeyboardInterrupt after a checkpoint when the run was asked to stop, RunError where a number that
    decides a step is not finite, DataError for fewer prompts than one rollout takes.
    """
    session = Session(parts, recipe, run, evaluate, habits or Habits(), callbacks)
    order = PromptOrder(len(prompts), recipe.seed, recipe.num_prompts)
    if run.resume_from is not None:
        session.progress = restore_checkpoint(run, parts)
    elif recipe.score_normalisation == "initial":
        calibrate(parts, recipe, [prompts[i] for i in order.take(0, recipe.num_prompts)])
    progress = session.progress
    bar = console.progress(recipe.num_updates, "ppo", "updates", done=progress.update)
    with stops_gracefully(run), bar:
        if progress.update == 0:
            session.evaluate()
        while progress.update < recipe.num_updates and not progress.ended:
            taken = order.take(progress.num_prompts, recipe.num_prompts)
            metrics, samples = one_update(parts, recipe, [prompts[i] for i in taken], progress)
            session.record(metrics, samples)
            bar.update(1, **progress_line(metrics))
            session.call("on_update", metrics, run.path)
            session.look_up(metrics)
        if progress.last_evaluated != progress.update:  # an end asked for after it was looked at
            session.evaluate()
    if progress.ended:
        console.say(f"ppo: a callback ended the run after update {progress.update} of {recipe.num_updates}")
    return progress


class Session:
    """One stay in `train`: what happens between the updates."""

    def __init__(
        self,
        parts: Parts,
        recipe: Recipe,
        run: RunFolder,
        evaluation: Callable[[], Evaluation] | None,
        habits: Habits,
        callbacks: Sequence[Any],
    ) -> None:
        self.parts, self.recipe, self.run = parts, recipe, run
        self.evaluation, self.habits, self.callbacks = evaluation, habits, callbacks
        self.progress = Progress()

    def look_up(self, metrics: Mapping[str, float]) -> None:
        """Evaluate and save where it is time, and stop where somebody asked for it."""
        update, habits = self.progress.update, self.habits
        last = self.progress.ended or update == self.recipe.num_updates
        if last or _due(update, habits.evaluate_every):
            self.evaluate()
        stop = any_requested(self.run.stop_requested, self.parts.accelerator)
        if stop or _due(update, habits.checkpoint_every):
            save_checkpoint(self.run, self.parts, self.progress, habits.keep_checkpoints)
            folder = self.run.path / "checkpoints" / f"step_{update:06d}"
            ended = self.progress.ended
            self.call("on_save", metrics, folder)
            if self.progress.ended and not ended:  # written again: a run that dies now is not to go on
                save_checkpoint(self.run, self.parts, self.progress, habits.keep_checkpoints)
        if stop:
            raise KeyboardInterrupt

    def evaluate(self) -> None:
        """Measure the policy, write it down, and keep its weights if they are the best so far."""
        if self.evaluation is None:
            return
        with using_average(self.parts, self.habits.evaluate_average):
            found = self.evaluation()
            samples = [{"kind": "evaluation", **row} for row in found.rows[: self.habits.num_samples]]
            self.record(found.metrics, samples)
            if note_evaluation(self.progress, found) and self.run.is_main:
                save_best(self.run, self.parts, self.progress)
        self.call("on_evaluate", found.metrics, self.run.path)

    def record(self, metrics: Mapping[str, float], samples: Sequence[Mapping[str, Any]]) -> None:
        """Write a row of metrics and some responses down, here and in trackers, and say what is wrong."""
        step = self.progress.update
        self.run.metrics.append({"step": step, **metrics})
        record_findings(self.run, self.parts.watch.look(step, metrics))
        for sample in samples:
            self.run.samples.append({"step": step, **sample})
        self.parts.accelerator.log(dict(metrics), step=step)

    def call(self, event: Event, metrics: Mapping[str, float], folder: Path) -> None:
        """Call the user's callbacks; an end that one asks for, on any process, is known to all at once."""
        state = State(self.progress.update, metrics, self.parts, self.recipe, folder)
        wanted = call_all(self.callbacks, event, state)
        self.progress.ended = any_requested(wanted or self.progress.ended, self.parts.accelerator)


def note_evaluation(progress: Progress, evaluation: Evaluation) -> bool:
    """Say what an evaluation found and note it; return whether it has the best objective so far."""
    shown = ", ".join(
        f"{name} {evaluation.metrics[f'evaluation/{name}']:.3f}"
        for name in _SHOWN
        if f"evaluation/{name}" in evaluation.metrics
    )
    console.say(f"ppo: held-out prompts after {progress.update} updates: {shown}")
    if progress.first_evaluation is None:
        progress.first_evaluation = evaluation.metrics
    progress.last_evaluation, progress.last_evaluated = evaluation.metrics, progress.update
    best = progress.best_objective
    if best is not None and not (evaluation.objective > best or math.isnan(best)):
        return False  # and nan is never better
    progress.best_objective, progress.best_update = evaluation.objective, progress.update
    progress.best_evaluation = evaluation.metrics
    return True


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0
