"""From tasks to prompts as people type them: one turn or two, with their small courtesies; and the splits by key."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from .families import facts, lists, notes, refusals, rewrites, stories, summaries
from .families.common import FLAWLESS, Flaws, Task
from .judge import FAMILIES
from .world import by_name

# How often each family is asked; unknown is the questions that the world leaves open.
SHARES = {
    "fact": 0.14,
    "unknown": 0.1,
    "story": 0.17,
    "note": 0.16,
    "rewrite": 0.14,
    "list": 0.06,
    "summary": 0.11,
    "refuse": 0.12,
}
PREFIXES = [
    "",
    "",
    "",
    "",
    "",
    "Hello. ",
    "Hi there. ",
    "Good morning. ",
    "Quick question. ",
    "One more thing. ",
    "Dear assistant, please help. ",
]
SUFFIXES = ["", "", "", "", "", " Thank you.", " Thanks.", " Keep it short.", " I would be grateful."]
GREETINGS = [
    "Hello.",
    "Good morning.",
    "Hi, are you there?",
    "Are you the assistant of Larkhaven?",
    "I need some help today.",
]
WELCOMES = [
    "Hello. What can I do for you?",
    "Good day. How can I help?",
    "Yes, I am here. What do you need?",
    "I am glad to help. What is it?",
]
_SPLITS = (("train", 82), ("validation", 90), ("test", 100))


def split_of(task: Task) -> str:
    """The split that owns the task's key, by a hash of the key alone."""
    place = int.from_bytes(hashlib.blake2b(task.key.encode(), digest_size=4).digest(), "big") % 100
    return next(name for name, end in _SPLITS if place < end)


@lru_cache(maxsize=1)
def tasks_by_split() -> dict[str, dict[str, list[Task]]]:
    """Every task of the world: split -> family -> tasks."""
    found: dict[str, dict[str, list[Task]]] = {
        split: {family: [] for family in SHARES} for split, _ in _SPLITS
    }
    for module in (facts, stories, notes, rewrites, lists, summaries, refusals):
        for task in module.tasks():
            found[split_of(task)][task.family].append(task)
    return found


def answer(task: Task, rng: random.Random, flaws: Flaws = FLAWLESS) -> str:
    """An answer to a task by a writer with these flaws."""
    return FAMILIES[task.family].answer(task, rng, flaws)


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _two_turns(task: Task, split: str, rng: random.Random) -> tuple[list[dict[str, str]], Task]:
    """An earlier exchange of the same split, then the task as a follow-up of it where that is natural."""
    if task.family in ("fact", "unknown") and rng.random() < 0.6:
        entity = by_name()[task.spec["entity"]]
        pool = tasks_by_split()[split]["fact"]
        earlier = [other for other in pool if other.spec["entity"] == entity.name and other.key != task.key]
        if earlier:
            first = rng.choice(earlier)
            followed = Task(task.family, task.key, task.spec | {"follow_up": True})
            question = facts.follow_up(task)
            return [
                _turn("user", facts.ask(first, rng)),
                _turn("assistant", facts.answer(first, rng)),
                _turn("user", question),
            ], followed
    if rng.random() < 0.5:
        return [
            _turn("user", rng.choice(GREETINGS)),
            _turn("assistant", rng.choice(WELCOMES)),
            _turn("user", FAMILIES[task.family].ask(task, rng)),
        ], task
    families = [family for family in SHARES if family not in ("summary", "refuse")]
    before = rng.choice(tasks_by_split()[split][rng.choice(families)])
    asked = FAMILIES[task.family].ask(task, rng)
    return [
        _turn("user", FAMILIES[before.family].ask(before, rng)),
        _turn("assistant", answer(before, rng)),
        _turn("user", asked),
    ], task


def prompt(task: Task, split: str, rng: random.Random) -> dict[str, Any]:
    """The prompt as a row: messages, group, family and task."""
    if rng.random() < 0.22:
        messages, task = _two_turns(task, split, rng)
    else:
        text = FAMILIES[task.family].ask(task, rng)
        messages = [_turn("user", rng.choice(PREFIXES) + text + rng.choice(SUFFIXES))]
    return {
        "prompt": messages,
        "group": f"{task.family}/{task.key}",
        "family": task.family,
        "task": task.spec,
    }


def prompts(
    split: str, number: int, rng: random.Random, seen: set[str], shares: dict[str, float] = SHARES
) -> Iterator[dict[str, Any]]:
    """``number`` prompts of a split, by the families' ``shares``; none whose words were ``seen`` before."""
    pools = tasks_by_split()[split]
    for family, share in shares.items():
        wanted, misses = round(share * number), 0
        while wanted:
            row = prompt(rng.choice(pools[family]), split, rng)
            words = repr(row["prompt"])
            if words in seen:
                misses += 1
                if misses > 50 * number:
                    raise AssertionError(f"{family} has too few distinct prompts in {split}")
                continue
            seen.add(words)
            wanted -= 1
            yield row
