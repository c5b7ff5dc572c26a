"""All of PPO: roll out, score, credit, update, and record, update after update."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlhf.maths.masked import Reduce
from rlhf.ppo.batching import PromptOrder, check_sizes, own_rows
from rlhf.ppo.checkpoint import Progress, restore_checkpoint, save_best, save_checkpoint
from rlhf.ppo.evaluation import Evaluation
from rlhf.ppo.interruption import any_requested, stops_gracefully
from rlhf.ppo.metrics import experience_metrics, progress_line, sample_rows, seconds_metrics, update_metrics
from rlhf.ppo.parts import Parts, Recipe
from rlhf.ppo.steps import compare, credit, reward, rollout, score
from rlhf.ppo.types import Experience, UpdateStats
from rlhf.ppo.update import update
from rlhf.runs import console
from rlhf.runs.folder import RunFolder
from rlhf.sampling import derive_seed
from rlhf.training.plan import learning_rate_factor

if TYPE_CHECKING:
    from rlhf.rendering import RenderedPrompt


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How often the loop looks up from learning; None: never (but evaluations stand at both ends)."""

    evaluate_every: int | None = 10
    checkpoint_every: int | None = 20
    keep_checkpoints: int = 2
    num_samples: int = 16  # rows of each evaluation that go to samples.jsonl


def train(
    parts: Parts,
    recipe: Recipe,
    prompts: Sequence[RenderedPrompt],
    *,
    run: RunFolder,
    evaluate: Callable[[], Evaluation] | None = None,
    habits: Habits | None = None,
) -> Progress:
    """Train the policy for `recipe.num_updates` updates, or go on where `run` was left.

    Call it on every process with all `prompts`. `evaluate` measures the policy on held-out prompts; the
    weights of the best evaluation are kept (`rlhf.ppo.checkpoint.load_best`). Returns how far the run has
    come.

    Raises KeyboardInterrupt after a checkpoint when the run was asked to stop, RunError where a number that
    decides a step is not finite, DataError for fewer prompts than one rollout takes.
    """
    habits = habits or Habits()
    order = PromptOrder(len(prompts), recipe.seed, recipe.rollout_batch_size)
    progress = restore_checkpoint(run, parts) if run.resume_from is not None else Progress()
    bar = console.progress(recipe.num_updates, "ppo", "updates", done=progress.update)
    with stops_gracefully(run), bar:
        if evaluate is not None and progress.update == 0:
            record_evaluation(run, parts, progress, evaluate(), habits.num_samples)
        while progress.update < recipe.num_updates:
            taken = order.take(progress.num_prompts, recipe.rollout_batch_size)
            metrics, samples = one_update(parts, recipe, [prompts[i] for i in taken], progress)
            _record(run, parts, progress.update, metrics, samples)
            bar.update(1, **progress_line(metrics))
            if evaluate is not None and _due(progress.update, habits.evaluate_every, last=recipe.num_updates):
                record_evaluation(run, parts, progress, evaluate(), habits.num_samples)
            stop = any_requested(run, parts.accelerator)
            if stop or _due(progress.update, habits.checkpoint_every):
                save_checkpoint(run, parts, progress, habits.keep_checkpoints)
            if stop:
                raise KeyboardInterrupt
    return progress


def one_update(
    parts: Parts, recipe: Recipe, prompts: Sequence[RenderedPrompt], progress: Progress
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Roll out, score, credit and learn from `prompts` (of all processes); moves `progress` on.

    Returns the update's metrics and some of its responses as rows for samples.jsonl.
    """
    number = progress.update + 1
    seconds: dict[str, float] = {}
    reduce: Reduce = lambda tensor: parts.accelerator.reduce(tensor, "sum")  # noqa: E731
    experience = collect(parts, recipe, prompts, number, reduce, seconds)
    with _timed(seconds, "update"):
        stats = learn(parts, recipe, experience, number, progress.num_optimizer_steps)
    metrics = {**experience_metrics(experience, reduce), **update_metrics(stats), **seconds_metrics(seconds)}
    parts.kl_controller.update(metrics["ppo/kl"], len(prompts))
    progress.update = number
    progress.num_prompts += len(prompts)
    progress.num_optimizer_steps += stats.num_optimizer_steps
    metrics["ppo/episodes"] = progress.num_prompts
    return metrics, sample_rows(experience, recipe.num_samples)


def collect(
    parts: Parts,
    recipe: Recipe,
    prompts: Sequence[RenderedPrompt],
    number: int,
    reduce: Reduce,
    seconds: dict[str, float],
) -> Experience:
    """Take the stations 5 to 9 for this process's share of `prompts`; notes the seconds of each."""
    accelerator = parts.accelerator
    rows = own_rows(len(prompts), accelerator.process_index, accelerator.num_processes)
    _, own_minibatch, own_microbatch = check_sizes(
        len(prompts), recipe.minibatch_size, recipe.microbatch_size, accelerator.num_processes
    )
    with _timed(seconds, "rollout"):
        rolled = rollout(
            parts.policy,
            [prompts[row] for row in rows],
            parts.renderer,
            temperature=recipe.temperature,
            max_response_tokens=recipe.max_response_tokens,
            seed=derive_seed(recipe.seed, "rollout", number),
            rows=rows,
            minibatch_size=own_minibatch,
            microbatch_size=own_microbatch,
            generation_batch_size=recipe.generation_batch_size,
        )
    with _timed(seconds, "score"):
        scored = score(
            rolled,
            parts.scorer,
            score_clip=recipe.score_clip,
            missing_eos_penalty=recipe.missing_eos_penalty,
            missing_eos_score=recipe.missing_eos_score,
        )
    with _timed(seconds, "reference"):
        rewarded = reward(compare(scored, parts.reference), kl_coef=parts.kl_controller.kl_coef)
    with _timed(seconds, "critic"):
        return credit(
            rewarded,
            parts.critic,
            gamma=recipe.gamma,
            gae_lambda=recipe.gae_lambda,
            whiten_advantages=recipe.whiten_advantages,
            reduce=reduce,
        )


def learn(
    parts: Parts, recipe: Recipe, experience: Experience, number: int, steps_before: int
) -> UpdateStats:
    """Update policy and critic at the learning rates of the run's schedule."""

    def set_learning_rates(step: int) -> None:
        factor = learning_rate_factor(
            steps_before + step,
            num_steps=recipe.num_optimizer_steps,
            warmup_fraction=recipe.warmup_fraction,
            schedule=recipe.schedule,
            final_fraction=recipe.final_learning_rate_fraction,
        )
        for optimizer, base in (
            (parts.policy_optimizer, recipe.learning_rate),
            (parts.critic_optimizer, recipe.critic_learning_rate),
        ):
            for group in optimizer.param_groups:
                group["lr"] = base * factor

    return update(
        parts.policy,
        parts.critic,
        parts.policy_optimizer,
        parts.critic_optimizer,
        experience,
        accelerator=parts.accelerator,
        ppo_epochs=recipe.ppo_epochs,
        clip_range=recipe.clip_range,
        value_clip_range=recipe.value_clip_range,
        max_grad_norm=recipe.max_grad_norm,
        seed=recipe.seed,
        number=number,
        before_step=set_learning_rates,
    )


def record_evaluation(
    run: RunFolder, parts: Parts, progress: Progress, evaluation: Evaluation, num_samples: int
) -> None:
    """Write an evaluation down, and keep the weights if it has the best objective so far."""
    step = progress.update
    samples = [{"kind": "evaluation", **row} for row in evaluation.rows[:num_samples]]
    _record(run, parts, step, evaluation.metrics, samples)
    shown = ", ".join(
        f"{name} {evaluation.metrics[f'evaluation/{name}']:.3f}"
        for name in ("score", "kl", "response_tokens", "judge_score", "objective")
        if f"evaluation/{name}" in evaluation.metrics
    )
    console.say(f"ppo: held-out prompts after {step} updates: {shown}")
    if progress.first_evaluation is None:
        progress.first_evaluation = evaluation.metrics
    progress.last_evaluation = evaluation.metrics
    if progress.best_objective is None or evaluation.objective > progress.best_objective:
        progress.best_objective, progress.best_update = evaluation.objective, step
        progress.best_evaluation = evaluation.metrics
        if run.is_main:
            save_best(run, parts, step)


def _record(
    run: RunFolder, parts: Parts, step: int, metrics: dict[str, float], samples: Sequence[dict[str, Any]]
) -> None:
    run.metrics.append({"step": step, **metrics})
    for sample in samples:
        run.samples.append({"step": step, **sample})
    parts.accelerator.log(metrics, step=step)


def _due(step: int, every: int | None, *, last: int | None = None) -> bool:
    return step == last or (every is not None and step % every == 0)


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start
