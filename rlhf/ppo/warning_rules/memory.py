"""What the rules look at: a run's watched metrics, as far back as a rule needs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

RECENT = 20  # values of a metric that a rule may look back on
FIRST = 5  # values at the run's start that are kept

Points = list[list[Any]]
"""[step, value] each: lists, so that JSON gives back what it was given."""


@dataclass
class Memory:
    """Watched metrics; plain values, for a checkpoint."""

    recent: dict[str, Points] = field(default_factory=dict)  # the last `RECENT`; of evaluations all
    first: dict[str, Points] = field(default_factory=dict)  # the first `FIRST`
    highest: dict[str, float] = field(default_factory=dict)

    def add(self, step: int, name: str, value: float) -> None:
        """Take in one number; one that is measured again at the same step replaces the older."""
        recent, first = self.recent.setdefault(name, []), self.first.setdefault(name, [])
        for points in (recent, first):
            if points and points[-1][0] == step:
                points.pop()
        recent.append([step, value])
        if len(first) < FIRST:
            first.append([step, value])
        if not name.startswith("evaluation/"):
            del recent[:-RECENT]
        self.highest[name] = max(value, self.highest.get(name, value))

    def step(self, name: str) -> int:
        """Return when the metric was last measured."""
        return int(self.recent[name][-1][0])

    def now(self, name: str, default: float = 0.0) -> float:
        """Return the latest value, `default` where there is none."""
        return float(self.recent[name][-1][1]) if name in self.recent else default

    def last(self, name: str, count: int) -> list[float]:
        """Return the last `count` values; none at all while there are fewer."""
        values = [float(value) for _, value in self.recent[name][-count:]]
        return values if len(values) == count else []


class Rule(NamedTuple):
    """`find` is asked after each row that holds all of `needs`; rules of one code speak once together."""

    code: str
    needs: tuple[str, ...]
    find: Callable[[Memory], str | None]
    uses: tuple[str, ...] = ()  # looked at where the run has them
