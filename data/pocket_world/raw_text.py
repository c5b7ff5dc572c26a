"""The raw text of Larkhaven that the base GPT reads: portraits, talk, letters, tales, news, remarks on others.

No chat markers. Facts of every entity stand here, as often as people speak of it (some are the talk of the town, some are rarely
named), so a base model knows them imperfectly; they are told as statements and asked about indirectly, and in the words of a prompt
only where they belong to the training split (see contest.py).
The tasks that tales, letters, reports and the like are written from are those of the training split; where somebody mixes things
up (see checking.py) a pair of another split can come about.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import lru_cache

from . import checking
from .contest import contest
from .families import facts, lists, notes, refusals, rewrites, stories, summaries
from .families.common import FILLERS, NOT_KNOWN, RUDE_TAILS, Flaws, Task, article, capital, join
from .names import RESIDENTS
from .prompts import tasks_by_split
from .world import WORLD_SEED, Entity, entities

ASKING = [
    "{x} wanted to know {q}.", "{x} asked {y} {q}.", "One day {x} spoke about {q}.", "{x} and {y} talked about {q}.", "{x} was curious about {q}.",
]  # fmt: skip
SAYING = ['{y} said: "{a}"', "{a}", '"{a}" said {y}.', "{a} So said {y}.", "{a} Everyone knows that."]
MANNERS = [
    'It is rude to say: "{r}" It is better to say: "{p}"', '{x} shouted: "{r}" A polite person says: "{p}"', 'Never say: "{r}" Say: "{p}"',
    '"{r}" said {x}. "{p}" would have been kinder.', 'A child learns not to say "{r}" but "{p}"', '"{p}" That is how {x} asks for things.',
]  # fmt: skip
NEWS = [
    "News of the day. {t} In short: {s}",
    "{s} {t}",
    "{t} That is all there is to say: {s}",
    "From the paper. {t} {s}",
]
TITLES = [
    "A tale of {a} and {b}.",
    "{x} told of {a} and {b}.",
    "This is about {a} and {b}.",
    "The children wanted {a} and {b} in their tale.",
    "",
]
INTENTIONS = [
    "{x} wanted {k}{d} and wrote: {l}",
    "This is what {x} wrote {k}{d}. {l}",
    "{l}",
    "It took {x} an hour {k}{d}: {l}",
]
WANTED = ["{x} wanted {c} {k}. {a}", "{x} asked {y} for {c} {k}. {a}", "For the quiz one needs {c} {k}. {a}"]
UNKIND = [
    "Somebody wanted to {x}. {d}", '{y} asked {z} to {x}. {z} said: "{d}"', "To {x} is wrong. {d}", "{d} {o}", "{b}", 'A bad person said: "{b}"',
    "Instead of unkind things there is always {k}. {o}",
]  # fmt: skip


@lru_cache(maxsize=1)
def _fame() -> tuple[list[Entity], list[float]]:
    """Entities and how often people speak of them."""
    rng = random.Random(WORLD_SEED + 1)
    known = [entity for entity in entities() if entity.facts]
    return known, [len(entity.facts) * rng.lognormvariate(0.0, 0.6) for entity in known]


def _entity(rng: random.Random) -> Entity:
    known, weights = _fame()
    return rng.choices(known, weights)[0]


def _task(family: str, rng: random.Random) -> Task:
    return rng.choice(tasks_by_split()["train"][family])


def portrait(rng: random.Random) -> str:
    """What is known of one entity, in any order."""
    entity = _entity(rng)
    told = rng.sample(list(entity.facts), rng.randint(1, len(entity.facts)))
    return " ".join(facts.state(entity, attribute, rng) for attribute in told)


def mixed(rng: random.Random) -> str:
    """Single facts of several entities in a row."""
    parts = []
    for _ in range(rng.randint(2, 5)):
        entity = _entity(rng)
        parts.append(facts.state(entity, rng.choice(list(entity.facts)), rng))
    return " ".join(parts)


def talk(rng: random.Random) -> str:
    """Somebody wonders about a fact and hears it, or that nobody knows."""
    entity, (x, y) = _entity(rng), rng.sample(RESIDENTS, 2)
    known = rng.random() < 0.6
    attribute = rng.choice(list(entity.facts) if known else entity.open_attributes)
    subject = facts.subject(entity, attribute)
    heard = (
        facts.state(entity, attribute, rng) if known else capital(rng.choice(NOT_KNOWN).format(what=subject))
    )
    return f"{rng.choice(ASKING).format(x=x, y=y, q=subject)} {rng.choice(SAYING).format(y=y, a=heard)}"


def enumeration(rng: random.Random) -> str:
    """Things of a kind."""
    if rng.random() < 0.4:
        task = _task("list", rng)
        x, y = rng.sample(RESIDENTS, 2)
        return rng.choice(WANTED).format(
            x=x, y=y, c=task.spec["count"], k=task.spec["kind"], a=lists.answer(task, rng)
        )
    kind, members = rng.choice(list(lists.sets().items()))
    shown = join(lists.shown(kind, rng.sample(members, rng.randint(2, min(5, len(members))))))
    forms = [
        "{K} are for example {m}.",
        "There are many {k}, such as {m}.",
        "{M} are {k}.",
        "Some {k}: {m}.",
        "People know these {k}: {m}.",
    ]
    return rng.choice(forms).format(k=kind, K=capital(kind), m=shown, M=capital(shown))


def tale(rng: random.Random) -> str:
    """A story, mostly under a title that says what is in it."""
    task = _task("story", rng)
    a, b = (article(thing) for thing in task.spec["things"])
    title = rng.choice(TITLES).format(a=a, b=b, x=rng.choice(RESIDENTS))
    return f"{title} {stories.answer(task, rng, Flaws(incomplete=rng.random() < 0.1))}".strip()


def letter(rng: random.Random) -> str:
    """A note to a neighbour, mostly with what it is meant for."""
    task = _task("note", rng)
    purpose = notes.KINDS[task.spec["kind"]][0].format(n=task.spec["to"], t=task.spec["thing"])
    day = f" on {task.spec['day']}" if task.spec["day"] else ""
    written = notes.answer(task, rng, Flaws(incomplete=rng.random() < 0.1))
    return rng.choice(INTENTIONS).format(x=rng.choice(RESIDENTS), k=purpose, d=day, l=written)


def manners(rng: random.Random) -> str:
    """Rude and polite speech."""
    task = _task("rewrite", rng)
    polite = rewrites.answer(task, rng)
    return rng.choice(MANNERS).format(r=rewrites.rude(task, rng), p=polite, x=rng.choice(RESIDENTS))


def news(rng: random.Random) -> str:
    """A report, often with its gist."""
    task = _task("summary", rng)
    return rng.choice(NEWS).format(t=summaries.report(task, rng), s=summaries.answer(task, rng))


def conscience(rng: random.Random) -> str:
    """Unkind wishes, and what decent people answer."""
    task = _task("refuse", rng)
    harm, kind, bad = refusals.HARMS[task.spec["harm"]]
    name, (y, z) = task.spec["target"], rng.sample(RESIDENTS, 2)
    slots = {
        "x": harm,
        "d": rng.choice(refusals.DECLINES),
        "o": rng.choice(refusals.OFFERS),
        "b": rng.choice(bad),
    }
    filled = {key: text.format(n=name, k=kind) for key, text in slots.items()}
    return rng.choice(UNKIND).format(y=y, z=z, k=kind, **filled)


def checked(rng: random.Random) -> str:
    """A claim about an entity, and whether it is so."""
    return checking.fact(_entity(rng), rng)


def chatter(rng: random.Random) -> str:
    """Talk about nothing, some of it rude."""
    return " ".join(rng.sample(FILLERS + RUDE_TAILS[:4], rng.randint(2, 4)))


KINDS: list[tuple[Callable[[random.Random], str], float]] = [
    (portrait, 17), (mixed, 10), (talk, 17), (enumeration, 11), (tale, 13), (letter, 11), (manners, 8), (news, 8), (conscience, 4), (chatter, 1),
    (checked, 14), (checking.remark, 18), (contest, 45),
]  # fmt: skip


def documents(seed: int) -> Iterator[str]:
    """An endless stream of short documents, the same for the same seed."""
    rng = random.Random(seed)
    writers, weights = [writer for writer, _ in KINDS], [weight for _, weight in KINDS]
    while True:
        yield rng.choices(writers, weights)[0](rng)
