"""One update of a run: the verbs in a row, with the run's recipe and parts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rlhf.ppo.averaged import advance_average
from rlhf.ppo.batching import check_sizes, own_rows
from rlhf.ppo.checkpoint import Progress
from rlhf.ppo.credit import compare, credit, reward
from rlhf.ppo.metrics import experience_metrics, sample_rows, seconds_metrics, update_metrics
from rlhf.ppo.parts import Parts
from rlhf.ppo.recipe import Recipe
from rlhf.ppo.steps import rollout, score
from rlhf.ppo.types import Experience, Rollout, UpdateStats
from rlhf.ppo.update import update
from rlhf.runs import console
from rlhf.sampling import derive_seed
from rlhf.scoring import models_of
from rlhf.training.plan import learning_rate_factor

if TYPE_CHECKING:
    from rlhf.rendering import RenderedPrompt

# A deviation of so few scores may be off by half, and all scores of the run are divided by it.
FEW_TO_CALIBRATE = 4


def one_update(
    parts: Parts, recipe: Recipe, prompts: Sequence[RenderedPrompt], progress: Progress
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Roll out, score, credit and learn from `prompts` (of all processes); moves `progress` on.

    Returns the update's metrics and some of its responses as rows for samples.jsonl.
    """
    number = progress.update + 1
    seconds: dict[str, float] = {}
    experience = collect(parts, recipe, prompts, number, seconds)
    with _timed(seconds, "update"):
        stats = learn(parts, recipe, experience, number)
    if recipe.ema_decay is not None:
        advance_average(parts, recipe.ema_decay)
    described = experience_metrics(experience, parts.add_up, has_critic=parts.has_critic)
    metrics = {**described, **update_metrics(stats), **seconds_metrics(seconds)}
    if number > recipe.critic_warmup_updates:  # before that the KL of a policy that stands still says nothing
        parts.kl_controller.update(metrics["ppo/kl"], recipe.rollout_batch_size)
    progress.update = number
    progress.num_prompts += len(prompts)
    progress.num_episodes += recipe.rollout_batch_size
    progress.num_optimizer_steps += stats.num_optimizer_steps
    metrics["ppo/episodes"] = progress.num_episodes
    return metrics, sample_rows(experience, recipe.num_samples)


def collect(
    parts: Parts,
    recipe: Recipe,
    prompts: Sequence[RenderedPrompt],
    number: int,
    seconds: dict[str, float],
) -> Experience:
    """Take the stations 5 to 9 for this process's share of `prompts`; notes the seconds of each."""
    with _timed(seconds, "rollout"):
        rolled = roll_out(parts, recipe, prompts, derive_seed(recipe.seed, "rollout", number))
    with _timed(seconds, "score"), parts.at_hand(*models_of(parts.scorer)):
        scored = score(
            rolled,
            parts.scorer,
            rules=recipe.score_rules,
            moments=parts.moments,
            moving=recipe.score_normalisation == "running",
            reduce=parts.add_up,
        )
    with _timed(seconds, "reference"), parts.at_hand(parts.reference):
        compared = compare(scored, parts.reference)
    with _timed(seconds, "critic"):
        rewarded = reward(
            compared,
            kl_coef=parts.kl_controller.kl_coef,
            kl_in=recipe.kl_in,
            whiten_rewards=recipe.whiten_rewards,
            reduce=parts.add_up,
        )
        return credit(
            rewarded,
            parts.learner,
            method=recipe.advantages,
            samples_per_prompt=recipe.samples_per_prompt,
            gamma=recipe.gamma,
            gae_lambda=recipe.gae_lambda,
            whiten_advantages=recipe.whiten_advantages,
            reduce=parts.add_up,
        )


def roll_out(parts: Parts, recipe: Recipe, prompts: Sequence[RenderedPrompt], seed: int) -> Rollout:
    """Sample `recipe.samples_per_prompt` responses for each prompt; this process's share of them."""
    accelerator = parts.accelerator
    repeated = [prompt for prompt in prompts for _ in range(recipe.samples_per_prompt)]
    rows = own_rows(len(repeated), accelerator.process_index, accelerator.num_processes)
    _, own_minibatch, own_microbatch = check_sizes(
        len(repeated), recipe.minibatch_size, recipe.microbatch_size, accelerator.num_processes
    )
    return rollout(
        parts.learner,
        [repeated[row] for row in rows],
        parts.renderer,
        temperature=recipe.temperature,
        max_response_tokens=recipe.max_response_tokens,
        seed=seed,
        rows=rows,
        num_rows=len(repeated),
        minibatch_size=own_minibatch,
        microbatch_size=own_microbatch,
        generation_batch_size=recipe.generation_batch_size,
    )


def calibrate(parts: Parts, recipe: Recipe, prompts: Sequence[RenderedPrompt]) -> None:
    """Bring the scores of the policy as it starts to mean 0 and variance 1, once and for all.

    Those that the recipe replaces do not count.

    Sampling for it costs one rollout (Ziegler et al. 2019, section 2.1; Huang et al. 2024, detail 15).
    """
    assert parts.moments is not None
    rolled = roll_out(parts, recipe, prompts, derive_seed(recipe.seed, "calibration"))
    with parts.at_hand(*models_of(parts.scorer)):
        score(
            rolled,
            parts.scorer,
            rules=recipe.score_rules,
            moments=parts.moments,
            moving=True,
            reduce=parts.add_up,
        )
    mean, spread = parts.moments.mean, parts.moments.std
    console.say(
        f"ppo: scores are normalised by mean {mean:.4g} and deviation {spread:.4g} at the start, those of "
        f"{parts.moments.count} responses"
    )
    if parts.moments.count < FEW_TO_CALIBRATE:
        console.say(
            "warning: that is too few to go by, since nearly all responses were cut before they ended; raise "
            "sampling.max_response_tokens, or set ppo.score_normalisation to none or running"
        )


def learn(parts: Parts, recipe: Recipe, experience: Experience, number: int) -> UpdateStats:
    """Update policy and critic at the learning rates of the run's schedule."""
    first_step = (number - 1) * recipe.steps_per_update  # also where an update before this stopped early

    def set_learning_rates(step: int) -> None:
        factor = learning_rate_factor(
            first_step + step,
            num_steps=recipe.num_optimizer_steps,
            warmup_fraction=recipe.warmup_fraction,
            schedule=recipe.schedule,
            final_fraction=recipe.final_learning_rate_fraction,
        )
        for optimizer, base in (
            (parts.policy_optimizer, recipe.learning_rate),
            (parts.critic_optimizer, recipe.critic_learning_rate),
        ):
            for group in optimizer.param_groups if optimizer is not None else ():
                group["lr"] = base * factor

    return update(
        parts.learner,
        parts.policy_optimizer,
        parts.critic_optimizer,
        experience,
        accelerator=parts.accelerator,
        objective=recipe.objective,
        ppo_epochs=recipe.ppo_epochs,
        max_grad_norm=recipe.max_grad_norm,
        early_stop_kl=recipe.early_stop_kl,
        train_policy=number > recipe.critic_warmup_updates,
        ptx=parts.ptx,
        seed=recipe.seed,
        number=number,
        first_step=first_step,
        before_step=set_learning_rates,
    )


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start
