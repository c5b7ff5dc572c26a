"""The fourth verb: learn from experience."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from rlhf.errors import RunError
from rlhf.models.learner import Learner
from rlhf.models.saving import unwrap_model
from rlhf.ppo.batching import minibatch_order
from rlhf.ppo.objective import STEP_STATS, TERMS, Objective, microbatch_terms
from rlhf.ppo.types import Experience, UpdateStats

if TYPE_CHECKING:
    from accelerate import Accelerator


class PtxSource(Protocol):
    """Text that is learned beside the experience (PPO-ptx), see `rlhf.ppo.ptx`."""

    coef: float

    def losses(self, learner: nn.Module, step: int) -> Iterator[Tensor]:
        """Yield the loss with gradient of each microbatch of optimizer step `step` of the run.

        They add up, over microbatches and processes, to the mean over the step's tokens.
        """
        ...


MEAN_STATS = (
    *TERMS,
    "ptx_loss",
    "clip_fraction",
    "approx_kl",
    "ratio_mean",
    "value_clip_fraction",
    "policy_grad_norm",
    "critic_grad_norm",
)
"""What `UpdateStats` holds as means over the optimizer steps of an update."""


def update(
    learner: nn.Module,
    policy_optimizer: Any,
    critic_optimizer: Any | None,
    experience: Experience,
    *,
    accelerator: Accelerator,
    objective: Objective,
    ppo_epochs: int = 1,
    max_grad_norm: float | None = 1.0,
    early_stop_kl: float | None = None,
    train_policy: bool = True,
    ptx: PtxSource | None = None,
    seed: int = 0,
    number: int = 0,
    first_step: int = 0,
    before_step: Callable[[int], None] | None = None,
) -> UpdateStats:
    """Take every minibatch `ppo_epochs` times; one optimizer step of policy and critic each.

    Args:
        learner: the policy and its critic as one module (`rlhf.models.learner`).
        policy_optimizer: over `learner.policy_parameters()`.
        critic_optimizer: over `learner.critic_parameters()`; None where there is no critic.
        experience: what `advantages` gave.
        accelerator: does the backward pass and adds up over processes.
        objective: the terms of the loss.
        ppo_epochs: times that each response is learned from.
        max_grad_norm: limits the norms of the policy's and of the critic's gradient, each for itself; None
            measures only.
        early_stop_kl: no further step once the KL from the policy that sampled (nats a token, mean over the
            minibatch of all processes) is above this; None never stops.
        train_policy: False moves the critic alone.
        ptx: text whose loss joins the policy's gradient.
        seed: with `number`, decides the order of the minibatches after the first epoch.
        number: of this update.
        first_step: optimizer steps of the run before this update; with it `ptx` finds its place.
        before_step: called with the number of the step within this update (the loop sets learning rates).

    Raises:
        RunError: a loss or gradient is not finite, with the numbers that explain it; no step is taken then.

    """
    divisors = minibatch_divisors(experience, accelerator, objective)
    totals: dict[str, float] = {}
    first_ratio_error, num_steps, stop = 0.0, 0, False
    for place in _places(len(experience.minibatches), ppo_epochs, seed, number):
        if before_step is not None:
            before_step(num_steps)
        gradients = _Gradients(learner, accelerator, train_policy)
        gradients.add_ptx(ptx if train_policy else None, first_step + num_steps)
        gradients.add_experience(experience, place, divisors[place], objective)
        first_ratio_error = gradients.ratio_error if num_steps == 0 else first_ratio_error
        stats = gradients.finish(max_grad_norm)
        _check_finite(stats, experience, number, num_steps, scaled=accelerator.scaler is not None)
        _step(policy_optimizer, critic_optimizer, train_policy, accelerator.scaler)
        num_steps += 1
        for name, value in stats.items():
            totals[name] = totals.get(name, 0.0) + value
        stop = early_stop_kl is not None and stats["approx_kl"] > early_stop_kl
        if stop:
            break
    return UpdateStats(
        **{name: totals[name] / num_steps for name in MEAN_STATS},
        first_ratio_error=_largest(first_ratio_error, accelerator),
        num_optimizer_steps=num_steps,
        stopped_early=float(stop),
        policy_learning_rate=policy_optimizer.param_groups[0]["lr"],
        critic_learning_rate=0.0 if critic_optimizer is None else critic_optimizer.param_groups[0]["lr"],
    )


def _largest(value: float, accelerator: Accelerator) -> float:
    """Return the largest `value` of all processes."""
    every: Any = accelerator.gather(torch.tensor([value], device=accelerator.device))
    return float(every.max())


def _places(num_minibatches: int, ppo_epochs: int, seed: int, number: int) -> Iterator[int]:
    """Yield which minibatch comes next, epoch after epoch."""
    for epoch in range(ppo_epochs):
        yield from minibatch_order(num_minibatches, seed, number, epoch)


def _step(
    policy_optimizer: Any, critic_optimizer: Any | None, train_policy: bool, scaler: Any | None
) -> None:
    """Step what moves, and drop all gradients.

    accelerate's optimizers update the loss scaler (float16) with each step; it takes one update for all
    optimizers, or the gradients of the second are divided by its scale again.
    """
    moving = [policy_optimizer] if train_policy else []
    moving += [] if critic_optimizer is None else [critic_optimizer]
    for optimizer in moving:
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(getattr(optimizer, "optimizer", optimizer))
    if scaler is not None:
        scaler.update()
    for optimizer in (policy_optimizer, critic_optimizer):
        if optimizer is not None:
            optimizer.zero_grad(set_to_none=True)


def minibatch_divisors(experience: Experience, accelerator: Accelerator, objective: Objective) -> list[int]:
    """Return what each minibatch's losses are divided by: its tokens, or responses, over all processes."""
    mask = experience.generation.response_mask
    counted = mask.sum(1) if objective.loss_average == "tokens" else mask.any(1).long()
    own = [
        sum(int(counted[rows.to(mask.device)].sum()) for rows in parts) for parts in experience.minibatches
    ]
    counts: Any = accelerator.reduce(torch.tensor(own, device=mask.device), "sum")
    return [int(count) for count in counts.tolist()]


class _Gradients:
    """The gradients and statistics of one optimizer step, added up microbatch by microbatch.

    Data-parallel wrappers average gradients over processes, with the last microbatch of experience; each loss
    is this process's part of a global mean, so it is multiplied by their number.
    """

    def __init__(self, learner: nn.Module, accelerator: Accelerator, train_policy: bool) -> None:
        self.learner = learner
        self.accelerator = accelerator
        self.train_policy = train_policy
        self.sums = torch.zeros(len(STEP_STATS) + 1, device=accelerator.device)
        self.ratio_error = 0.0

    def add_ptx(self, ptx: PtxSource | None, step: int) -> None:
        """Add the gradient of the text that optimizer step `step` learns from."""
        if ptx is None:
            return
        with self.accelerator.no_sync(self.learner):
            for loss in ptx.losses(self.learner, step):
                self.accelerator.backward(ptx.coef * loss * self.accelerator.num_processes)
                self.sums[-1] += loss.detach()

    def add_experience(self, experience: Experience, place: int, divisor: int, objective: Objective) -> None:
        """Run minibatch `place` forward and backward."""
        microbatches = experience.minibatches[place]
        for number, rows in enumerate(microbatches):
            with ExitStack() as stack:
                if number + 1 < len(microbatches):
                    stack.enter_context(self.accelerator.no_sync(self.learner))
                terms = microbatch_terms(
                    self.learner,
                    experience,
                    rows.to(experience.old_logprobs.device),
                    divisor,
                    objective,
                    policy_counts=self.train_policy,
                )
                self.accelerator.backward(terms.loss * self.accelerator.num_processes)
            self.sums[:-1] += terms.stats
            self.ratio_error = max(self.ratio_error, terms.ratio_error)

    def finish(self, max_grad_norm: float | None) -> dict[str, float]:
        """Clip, and return the step's statistics over all processes."""
        reduced: Any = self.accelerator.reduce(self.sums, "sum")
        stats = dict(zip((*STEP_STATS, "ptx_loss"), reduced.tolist(), strict=True))
        self.accelerator.unscale_gradients()
        inner: Learner = unwrap_model(self.learner)
        for name, trained in (
            ("policy_grad_norm", inner.policy_parameters()),
            ("critic_grad_norm", inner.critic_parameters()),
        ):
            stats[name] = clip_gradients(trained, max_grad_norm)
        return stats


def clip_gradients(trained: Sequence[nn.Parameter], max_norm: float | None) -> float:
    """Scale the gradients down to a norm of `max_norm`, in place; return the norm before (0 without any)."""
    limit = math.inf if max_norm is None else max_norm
    return float(torch.nn.utils.clip_grad_norm_(trained, limit))


def _check_finite(
    stats: dict[str, float], experience: Experience, number: int, step: int, *, scaled: bool
) -> None:
    """Raise RunError where a number that decides the step is not finite.

    With loss scaling (float16) an infinite gradient is normal: the scaler skips that step and lowers its
    scale.
    """
    names = [*TERMS, "ptx_loss"] + ([] if scaled else ["policy_grad_norm", "critic_grad_norm"])
    bad = [name for name in names if not math.isfinite(stats[name])]
    if not bad:
        return
    mask = experience.generation.response_mask
    kl = float(experience.kl.sum(1).mean())
    scores = experience.scores
    raise RunError(
        f"update {number}, optimizer step {step + 1}: {bad[0].replace('_', ' ')} is {stats[bad[0]]} "
        f"(kl {kl:.3g} nats a response, clip fraction {stats['clip_fraction']:.3g}, mean ratio "
        f"{stats['ratio_mean']:.3g}, scores {float(scores.min()):.3g} to {float(scores.max()):.3g}, largest "
        f"return {float(experience.returns[mask].abs().max()):.3g}); lower ppo.learning_rate or "
        "critic.learning_rate, or raise ppo.kl_coef"
    )
