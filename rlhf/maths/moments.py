"""Mean and spread of all scores so far, the same on every process."""

from __future__ import annotations

import math

import torch

from rlhf.maths.masked import Reduce, masked_moments

# Below this share of the mean (and below this number of score units) a spread is rounding.
_FLOOR = 1e-6
_LEAST_FLOOR = 1e-8


class RunningMoments:
    """Keep mean and standard deviation over batches, and shift and scale scores by them.

    For the scores alone, before the KL penalty: normalising their sum would change what a nat costs from one
    rollout to the next. Update once on the responses of the reference, and never again, to fix bias and gain
    of a reward model; update on every rollout, before normalising it, to follow the scores.

    Attributes:
        count: Scores seen, over all processes.

    Source:
        Batches are merged as in Chan, Golub and LeVeque 1979 ("Updating formulae and a pairwise algorithm for
        computing sample variances"), in float64. Bias (and gain) from the reference's responses: Ziegler et
        al. 2019 (arXiv:1909.08593), section 2; Ouyang et al. 2022 (arXiv:2203.02155), section 3.5; Huang et
        al. 2024 (arXiv:2403.17031), detail 15.

    >>> moments = RunningMoments()
    >>> moments.update(torch.tensor([1.0, 1.0]))
    >>> moments.update(torch.tensor([5.0]))
    >>> moments.update(torch.tensor([5.0]))
    >>> moments.mean, moments.std, moments.count  # all are 2 away from 3
    (3.0, 2.0, 4)
    >>> moments.normalise(torch.tensor([3.0, 4.0]))
    tensor([0.0000, 0.5000])
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = 0.0
        self._squares = 0.0

    @property
    def mean(self) -> float:
        """Mean of all scores so far, score units; 0 before the first."""
        return self._mean

    @property
    def std(self) -> float:
        """Standard deviation of the population of all scores so far, score units; 1 before the first."""
        return math.sqrt(self._squares / self.count) if self.count else 1.0

    def update(self, values: torch.Tensor, reduce: Reduce | None = None) -> None:
        """Merge one batch, of all processes together.

        Args:
            values: (B,) this process's scores; may be empty.
            reduce: Sums a tensor over all processes; called twice, on every process. ``None``: there is one.

        Raises:
            ValueError: A score is not finite (on any process: all of them raise). Nothing is merged then.
        """
        values = _widened(values.detach())
        everything = torch.ones_like(values, dtype=torch.bool)
        mean, variance, count = (float(x) for x in masked_moments(values, everything, reduce))
        if not (math.isfinite(mean) and math.isfinite(variance)):
            raise ValueError(
                f"scores must be finite, but their mean over this batch is {mean}, their variance {variance}"
            )
        total = self.count + int(count)
        if total == 0:
            return
        lead = mean - self._mean
        self._mean += lead * count / total
        self._squares += variance * count + lead * lead * self.count * count / total
        self.count = total

    def normalise(self, values: torch.Tensor) -> torch.Tensor:
        """Shift and scale by what :meth:`update` has seen: (values - mean) / std.

        Where the scores so far did not spread (all equal but for rounding, or a single one) they are shifted
        alone: a constant score becomes 0, and the first that differs keeps its distance instead of becoming
        huge.

        Args:
            values: (B,) in score units.

        Returns:
            (B,) in standard deviations, float32 or wider; in the order of ``values``. Before any update they
            are as they were.
        """
        floor = max(_LEAST_FLOOR, _FLOOR * abs(self.mean))
        normalised = (_widened(values) - self.mean) / (self.std if self.std > floor else 1.0)
        return normalised.to(torch.promote_types(values.dtype, torch.float32))

    def state_dict(self) -> dict[str, float]:
        """Return what a checkpoint must hold."""
        return {"count": self.count, "mean": self._mean, "sum_of_squares": self._squares}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on where :meth:`state_dict` was taken.

        Raises:
            ValueError: The state cannot be that of moments.
        """
        count, mean, squares = state["count"], state["mean"], state["sum_of_squares"]
        if not (count >= 0 and squares >= 0 and all(map(math.isfinite, (count, mean, squares)))):
            raise ValueError(f"this is no state of running moments: {state}")
        self.count, self._mean, self._squares = int(count), float(mean), float(squares)


def _widened(values: torch.Tensor) -> torch.Tensor:
    """Return values in float64, so that scores far from 0 keep their digits; MPS has float32 at most."""
    return values.to(torch.float32 if values.device.type == "mps" else torch.float64)
