"""The fourth verb: learn from experience."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rlhf.errors import RunError
from rlhf.maths.losses import PolicyStats, ValueStats, policy_loss, value_loss
from rlhf.ppo.batching import minibatch_order
from rlhf.ppo.steps import response_values
from rlhf.ppo.types import Experience, UpdateStats
from rlhf.rollout import logprobs_with_gradient

if TYPE_CHECKING:
    from accelerate import Accelerator

STEP_STATS = (
    "policy_loss",
    "value_loss",
    *PolicyStats._fields,
    *(f"value_{name}" for name in ValueStats._fields),
)
"""What a microbatch contributes to; each adds up over the microbatches and processes of an optimizer step."""

MEAN_STATS = (
    "policy_loss",
    "value_loss",
    "clip_fraction",
    "approx_kl",
    "ratio_mean",
    "value_clip_fraction",
    "policy_grad_norm",
    "critic_grad_norm",
)
"""What `UpdateStats` holds as means over the optimizer steps of an update."""


def update(
    policy: nn.Module,
    critic: nn.Module,
    policy_optimizer: Any,
    critic_optimizer: Any,
    experience: Experience,
    *,
    accelerator: Accelerator,
    ppo_epochs: int,
    clip_range: float,
    value_clip_range: float | None,
    max_grad_norm: float | None,
    seed: int = 0,
    number: int = 0,
    before_step: Callable[[int], None] | None = None,
) -> UpdateStats:
    """Take every minibatch `ppo_epochs` times; one optimizer step of policy and critic each.

    Policy and critic have gradients and optimizers of their own, so no coefficient weighs one loss against
    the other. `max_grad_norm` limits the norm of each (None: measure only). `seed` and `number` (of the
    update) decide the order of the minibatches after the first epoch; `before_step` is called with the number
    of the optimizer step within this update (the loop sets learning rates there).

    Raises RunError with the numbers that explain it where a loss or gradient is not finite; no step is taken
    then.
    """
    tokens = minibatch_tokens(experience, accelerator)
    totals: dict[str, float] = {}
    first_ratio_error, num_steps = 0.0, 0
    for epoch in range(ppo_epochs):
        for place in minibatch_order(len(experience.minibatches), seed, number, epoch):
            if before_step is not None:
                before_step(num_steps)
            stats, ratio_error = _accumulate_gradients(
                policy, critic, experience, place, tokens[place], clip_range, value_clip_range, accelerator
            )
            first_ratio_error = ratio_error if num_steps == 0 else first_ratio_error
            accelerator.unscale_gradients()
            stats["policy_grad_norm"] = clip_gradients(policy, max_grad_norm)
            stats["critic_grad_norm"] = clip_gradients(critic, max_grad_norm)
            _check_finite(stats, experience, number, num_steps, scaled=accelerator.scaler is not None)
            for optimizer in (policy_optimizer, critic_optimizer):
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            num_steps += 1
            for name, value in stats.items():
                totals[name] = totals.get(name, 0.0) + value
    return UpdateStats(
        **{name: totals[name] / num_steps for name in MEAN_STATS},
        first_ratio_error=first_ratio_error,
        num_optimizer_steps=num_steps,
        policy_learning_rate=policy_optimizer.param_groups[0]["lr"],
        critic_learning_rate=critic_optimizer.param_groups[0]["lr"],
    )


def minibatch_tokens(experience: Experience, accelerator: Accelerator) -> list[int]:
    """Return how many response tokens each minibatch holds over all processes: its losses' divisor."""
    mask = experience.generation.response_mask
    lengths = mask.sum(1)
    own = [
        sum(int(lengths[rows.to(mask.device)].sum()) for rows in parts) for parts in experience.minibatches
    ]
    counts: Any = accelerator.reduce(torch.tensor(own, device=mask.device), "sum")
    return [int(count) for count in counts.tolist()]


def _accumulate_gradients(
    policy: nn.Module,
    critic: nn.Module,
    experience: Experience,
    place: int,
    num_tokens: int,
    clip_range: float,
    value_clip_range: float | None,
    accelerator: Accelerator,
) -> tuple[dict[str, float], float]:
    """Run minibatch `place` forward and backward, microbatch by microbatch.

    Returns the step's statistics (over all processes) and this process's largest |ratio - 1|.
    """
    microbatches = experience.minibatches[place]
    device = experience.old_logprobs.device
    sums = torch.zeros(len(STEP_STATS), device=device)
    ratio_error = 0.0
    for number, rows in enumerate(microbatches):
        with ExitStack() as stack:
            if number + 1 < len(
                microbatches
            ):  # gradients are averaged over processes once, with the last one
                stack.enter_context(accelerator.no_sync(policy))
                stack.enter_context(accelerator.no_sync(critic))
            loss, stats, error = _microbatch_loss(
                policy, critic, experience, rows.to(device), num_tokens, clip_range, value_clip_range
            )
            # data-parallel wrappers average over processes; the loss is this process's part of a global mean
            accelerator.backward(loss * accelerator.num_processes)
        sums += stats
        ratio_error = max(ratio_error, error)
    reduced: Any = accelerator.reduce(sums, "sum")
    return dict(zip(STEP_STATS, reduced.tolist(), strict=True)), ratio_error


def _microbatch_loss(
    policy: nn.Module,
    critic: nn.Module,
    experience: Experience,
    rows: Tensor,
    num_tokens: int,
    clip_range: float,
    value_clip_range: float | None,
) -> tuple[Tensor, Tensor, float]:
    """Return both losses' sum with gradient, the statistics in the order of STEP_STATS, and |ratio - 1|."""
    part = experience.generation.rows(rows)
    mask = part.response_mask
    old_logprobs, credited, old_values, returns = (
        tensor[rows, : mask.shape[1]]
        for tensor in (
            experience.old_logprobs,
            experience.advantages,
            experience.old_values,
            experience.returns,
        )
    )
    logprobs = logprobs_with_gradient(policy, part, experience.temperature)
    values = response_values(critic, part)
    loss, policy_stats = policy_loss(
        logprobs, old_logprobs, credited, mask, clip_range, num_tokens=num_tokens
    )
    critic_loss, value_stats = value_loss(
        values, old_values, returns, mask, value_clip_range, num_tokens=num_tokens
    )
    stats = torch.stack([loss.detach(), critic_loss.detach(), *policy_stats, *value_stats])
    error = float((logprobs.detach() - old_logprobs)[mask].expm1().abs().max()) if bool(mask.any()) else 0.0
    return loss + critic_loss, stats, error


def clip_gradients(model: nn.Module, max_norm: float | None) -> float:
    """Scale the gradients of `model` down to a norm of `max_norm`, in place; return the norm before."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    limit = math.inf if max_norm is None else max_norm
    return float(torch.nn.utils.clip_grad_norm_(trained, limit))


def _check_finite(
    stats: dict[str, float], experience: Experience, number: int, step: int, *, scaled: bool
) -> None:
    """Raise RunError where a number that decides the step is not finite.

    With loss scaling (float16) an infinite gradient is normal: the scaler skips that step and lowers its
    scale.
    """
    names = ["policy_loss", "value_loss"] + ([] if scaled else ["policy_grad_norm", "critic_grad_norm"])
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
        "ppo.critic_learning_rate, or raise ppo.kl_coef"
    )
