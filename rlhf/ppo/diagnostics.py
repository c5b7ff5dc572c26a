"""Diagnostics that speak: watch a run's numbers and say, once, what is wrong and what to change."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rlhf.ppo.warning_rules import broken, learning
from rlhf.ppo.warning_rules.memory import Memory
from rlhf.runs import console

if TYPE_CHECKING:
    from rlhf.runs.folder import RunFolder

__all__ = ["RULES", "Finding", "Watch", "record_findings"]

RULES = (*broken.RULES, *learning.RULES)
WATCHED = frozenset(name for rule in RULES for name in (*rule.needs, *rule.uses))


@dataclass(frozen=True)
class Finding:
    """A trouble: the code of its rule, the updates done when it was found, what it means and what to do."""

    code: str
    step: int
    text: str


class Watch:
    """Look at each row of metrics; every code speaks once in a run.

    Metrics that a run does not have (no critic, no held-out reward model) or that are not finite leave their
    rules silent.

    >>> watch = Watch()
    >>> [finding.code for finding in watch.look(1, {"ppo/kl": 0.7, "ppo/first_ratio_error": 0.0})]
    ['kl_at_start']
    >>> watch.look(2, {"ppo/kl": 0.9, "ppo/first_ratio_error": 0.0})
    []

    Args:
        reference_is_policy: the reference is the policy as it starts, so that the KL begins at 0; False where
            another reference was asked for.
    """

    def __init__(self, *, reference_is_policy: bool = True) -> None:
        self._rules = [rule for rule in RULES if reference_is_policy or rule.code != "kl_at_start"]
        self._memory = Memory()
        self._said: set[str] = set()

    def look(self, step: int, metrics: Mapping[str, float]) -> list[Finding]:
        """Take in a row of metrics and return what it gives away for the first time.

        Call it after every update and every evaluation, in the order of metrics.jsonl.

        Args:
            step: updates done.
            metrics: numbers by their names in metrics.jsonl; those that no rule watches are passed over.
        """
        row = {name: float(metrics[name]) for name in WATCHED if metrics.get(name) is not None}
        row = {name: value for name, value in row.items() if math.isfinite(value)}
        for name, value in row.items():
            self._memory.add(step, name, value)
        found = []
        for rule in self._rules:
            if rule.code in self._said or any(name not in row for name in rule.needs):
                continue
            text = rule.find(self._memory)
            if text is not None:
                self._said.add(rule.code)
                found.append(Finding(rule.code, step, text))
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen and said as plain values, for a checkpoint."""
        return {"said": sorted(self._said), "memory": asdict(self._memory)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another watch stood."""
        self._said = set(state["said"])
        # By way of a copy: what the caller holds must not grow with ours.
        self._memory = Memory(**asdict(Memory(**state["memory"])))


def record_findings(run: RunFolder, findings: Iterable[Finding]) -> None:
    """Say findings on the console and add them to the run's warnings.jsonl; call it on every process."""
    for finding in findings:
        console.say(f"warning: after {finding.step} updates: {finding.text}")
        run.warnings.append(asdict(finding))
