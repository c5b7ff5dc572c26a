"""Learning rate as a function of the optimizer step: nothing to save, nothing that can step too often."""

from __future__ import annotations

from typing import Any, Literal


def learning_rate_at(
    step: int, *, base: float, num_steps: int, warmup_steps: int, schedule: Literal["linear", "constant"]
) -> float:
    """Return the learning rate of optimizer step `step` (0 is the first) of `num_steps`.

    It rises linearly over `warmup_steps` (the first step already gets base / warmup_steps), then stays ("constant")
    or falls linearly ("linear") so that it would reach 0 at step `num_steps`.

    >>> [learning_rate_at(s, base=1.0, num_steps=6, warmup_steps=2, schedule="linear") for s in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if step < warmup_steps:
        return base * (step + 1) / warmup_steps
    if schedule == "constant":
        return base
    return base * max(num_steps - step, 0) / max(num_steps - warmup_steps, 1)


def set_learning_rate(optimizer: Any, learning_rate: float) -> None:
    """Give every parameter group of the optimizer this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
