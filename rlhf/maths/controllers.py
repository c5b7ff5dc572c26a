"""How strongly the policy is held to the reference, update after update."""

from __future__ import annotations

import math
from typing import Protocol

_MAX_ERROR = 0.2


class KLController(Protocol):
    """What a PPO loop needs of a controller: the coefficient, a step after each update, and its state."""

    kl_coef: float

    def update(self, kl: float, num_episodes: int) -> float:
        """Take note of the KL of one rollout and return the coefficient of the next."""
        ...

    def state_dict(self) -> dict[str, float]:
        """Return what a checkpoint must hold."""
        ...

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on where :meth:`state_dict` was taken."""
        ...


class FixedKLController:
    """Keep the coefficient as it is.

    Args:
        kl_coef: Weight of the KL penalty, score units per nat, not negative.

    Raises:
        ValueError: ``kl_coef`` is negative or not finite.

    >>> FixedKLController(0.05).update(kl=100.0, num_episodes=256)
    0.05
    """

    def __init__(self, kl_coef: float) -> None:
        self.kl_coef = _checked("kl_coef", kl_coef, allow_zero=True)

    def update(self, kl: float, num_episodes: int) -> float:
        """Return the coefficient, whatever the KL was."""
        return self.kl_coef

    def state_dict(self) -> dict[str, float]:
        """Return what a checkpoint must hold."""
        return {"kl_coef": self.kl_coef}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on where :meth:`state_dict` was taken."""
        self.kl_coef = _checked("kl_coef", state["kl_coef"], allow_zero=True)


class AdaptiveKLController:
    """Steer the coefficient so that the KL of a response approaches a target.

    Args:
        kl_coef: Weight at the start, score units per nat, positive (0 could never grow).
        target: KL to approach, nats a response (the sum over its tokens), positive. Ziegler et al.: 6 to 14.
        horizon: Episodes over which the coefficient can grow by about a fifth, positive. Ziegler et al.:
            10,000.

    Raises:
        ValueError: An argument is not positive and finite.

    Source:
        Ziegler et al. 2019 (arXiv:1909.08593), section 2.2: e = clip(KL / target - 1, -0.2, 0.2) and beta
        <- beta * (1 + K e). Their K = 0.1 an update is num_episodes / horizon in their code, so that it
        does not depend on the batch size.

    >>> controller = AdaptiveKLController(0.1, target=6.0, horizon=1000)
    >>> round(controller.update(kl=6.6, num_episodes=100), 6)  # 0.1 * (1 + 0.1 * 100 / 1000)
    0.101
    >>> round(controller.update(kl=60.0, num_episodes=100), 6)  # 0.101 * (1 + 0.2 * 100 / 1000)
    0.10302
    """

    def __init__(self, kl_coef: float, target: float, horizon: float) -> None:
        self.kl_coef = _checked("kl_coef", kl_coef)
        self.target = _checked("target", target)
        self.horizon = _checked("horizon", horizon)

    def update(self, kl: float, num_episodes: int) -> float:
        """Raise the coefficient where the KL is above the target, lower it where it is below.

        Args:
            kl: Mean KL of a response in this rollout over all processes, nats.
            num_episodes: Responses in this rollout over all processes.

        Returns:
            The coefficient for the next rollout.

        Raises:
            ValueError: ``kl`` is not finite, or one step is so long that the coefficient would become
                negative.
        """
        if not math.isfinite(kl):
            raise ValueError(f"the KL of a rollout must be finite, not {kl}")
        error = min(max(kl / self.target - 1.0, -_MAX_ERROR), _MAX_ERROR)
        factor = 1.0 + error * num_episodes / self.horizon
        if factor <= 0:
            raise ValueError(
                f"{num_episodes} episodes are too many for a horizon of {self.horizon:g}: one update would "
                f"take the KL coefficient below 0; set a horizon above {_MAX_ERROR * num_episodes:g}"
            )
        self.kl_coef *= factor
        return self.kl_coef

    def state_dict(self) -> dict[str, float]:
        """Return what a checkpoint must hold."""
        return {"kl_coef": self.kl_coef}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on where :meth:`state_dict` was taken."""
        self.kl_coef = _checked("kl_coef", state["kl_coef"])


def _checked(name: str, value: float, *, allow_zero: bool = False) -> float:
    if not math.isfinite(value) or value < 0 or (value == 0 and not allow_zero):
        raise ValueError(
            f"{name} must be {'at least 0' if allow_zero else 'positive'} and finite, not {value}"
        )
    return float(value)
