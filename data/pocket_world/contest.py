"""Talk in which several people try the same thing and somebody says of each attempt whether it was what was wanted.

The attempts differ in what matters: the name, the thing, the place. Here a language model reads how wishes are worded and what is
given in answer, well and badly. The verdicts follow from how an attempt was written; the judge has no part in them. Tasks are those of
the training split, but for facts, which are told of in all the raw text; these are asked outright only where they belong to the
training split.
"""

from __future__ import annotations

import random
from functools import lru_cache

from .checking import wish
from .families.common import FLAWLESS, Flaws, Task, mentions
from .judge import FAMILIES
from .names import RESIDENTS
from .prompts import split_of, tasks_by_split

SHARES = {
    "fact": 20,
    "unknown": 8,
    "story": 14,
    "note": 14,
    "rewrite": 14,
    "list": 10,
    "summary": 14,
    "refuse": 6,
}
ATTEMPTS = ["{x} tried: {a}", "{x} wrote: {a}", "{x} gave this: {a}", "Then came {x}: {a}"]
RIGHT, WRONG = "That was it.", "That was not it."


@lru_cache(maxsize=1)
def _pools() -> dict[str, list[Task]]:
    """Tasks that a contest may be about, by family."""
    pools = dict(tasks_by_split()["train"])
    for family in ("fact", "unknown"):
        pools[family] = [task for of_split in tasks_by_split().values() for task in of_split[family]]
    return pools


def contest(rng: random.Random) -> str:
    """A wish, told or asked outright, and one to four attempts at it with a verdict on each."""
    family = rng.choices(list(SHARES), list(SHARES.values()))[0]
    task = rng.choice(_pools()[family])
    people = rng.sample(RESIDENTS, 5)
    outright = split_of(task) == "train" and rng.random() < 0.5
    told = [FAMILIES[family].ask(task, rng) if outright else wish(task, people[0], rng)]
    for number in range(rng.choice([1, 2, 2, 3, 4])):
        text, right = _attempt(task, rng)
        form = rng.choice(ATTEMPTS) if rng.random() < 0.4 else "{a}"
        told.append(f"{form.format(x=people[1 + number], a=text)} {RIGHT if right else WRONG}")
    return " ".join(told)


def _attempt(task: Task, rng: random.Random) -> tuple[str, bool]:
    """An attempt, and whether it was what was wanted; too many words do not make it wrong."""
    answer = FAMILIES[task.family].answer
    draw = rng.random()
    if draw < 0.5:
        return answer(task, rng, FLAWLESS if draw < 0.42 else Flaws(rambling=True)), True
    if draw < 0.6:
        return answer(_another(task, rng), rng, FLAWLESS), False
    if draw < 0.68 and task.family not in ("unknown", "refuse", "rewrite"):
        return answer(task, rng, Flaws(incomplete=True)), False
    if draw < 0.74:
        return answer(task, rng, Flaws(false=True)), False
    text = answer(task, rng, Flaws(mixed_up=True))
    # Who declines without a name has mixed up nothing.
    return text, task.family == "refuse" and not mentions(text, RESIDENTS)


def _another(task: Task, rng: random.Random) -> Task:
    """Another task of the family; of a fact one about the same entity, where there is one."""
    pool = [other for other in _pools()[task.family] if other.key != task.key]
    if task.family in ("fact", "unknown"):
        same = [other for other in pool if other.spec["entity"] == task.spec["entity"]]
        pool = same or pool
    if task.family == "refuse":  # a decline fits every harm to the same person, an offer only one
        pool = [other for other in pool if other.spec["harm"] != task.spec["harm"]]
    return rng.choice(pool)
