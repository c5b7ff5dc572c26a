"""Talk in which people check what others said or wrote: corrections, quizzes, remarks on a tale, a note, a report.

Everyday text is full of it, and it is where a language model learns to notice at the end of a text whether it was right and did
what was wanted. What is remarked follows from the world's facts and from the words asked for; the judge has no part in it.
"""

from __future__ import annotations

import random

from .families import facts, lists, notes, refusals, rewrites, stories, summaries
from .families.common import FILLERS, NOT_KNOWN, Flaws, Task, article, capital, mentions, plural
from .names import RESIDENTS
from .prompts import split_of, tasks_by_split
from .world import Entity, by_name

RIGHT = ["That is right.", "Yes, that is so.", "That is true.", "Well said."]
INVENTED = ["That is a tall tale.", "That was made up.", "There is no such thing here."]
BESIDE = ["That was not the question.", "But that is the answer to something else."]
KNOWN = ["But it is well known.", "But others know it."]
WONDER = [
    'Does anybody know {q}? {y} said: "{a}"', '{x} asked {q}. "{a}" said {y}.', '{x} wanted to hear {q}. The answer of {y}: "{a}"',
    'A quiz. It asks {q}. {y} wrote: "{a}"',
]  # fmt: skip
CLAIMS = [
    'True or false? "{a}"',
    '{y} believes this: "{a}"',
    '{y} told people: "{a}"',
    'Somebody wrote: "{a}"',
]


def fact(entity: Entity, rng: random.Random) -> str:
    """Somebody answers a question about the entity; another knows whether the answer was right."""
    x, y = rng.sample(RESIDENTS, 2)
    attribute = rng.choice(list(entity.facts) if rng.random() < 0.8 else entity.open_attributes)
    subject = facts.subject(entity, attribute)
    said, remark = _reply(entity, attribute, subject, rng)
    form = rng.choice(WONDER if remark in BESIDE + KNOWN or rng.random() < 0.6 else CLAIMS)
    text = f"{form.format(x=x, y=y, q=subject, a=said)} {remark}"
    if remark not in RIGHT and attribute in entity.facts and rng.random() < 0.5:
        text += " " + facts.state(entity, attribute, rng)
    return text


def _reply(entity: Entity, attribute: str, subject: str, rng: random.Random) -> tuple[str, str]:
    """What is said, and what somebody who knows remarks on it."""
    ignorance = capital(rng.choice(NOT_KNOWN).format(what=subject))
    draw = rng.random()
    if attribute not in entity.facts:
        invented = facts.answer(Task("unknown", "", _spec(entity, attribute)), rng, Flaws(false=True))
        return (ignorance, rng.choice(RIGHT)) if draw < 0.5 else (invented, rng.choice(INVENTED))
    if draw < 0.4:
        return facts.state(entity, attribute, rng), rng.choice(RIGHT)
    others = [name for name in entity.facts if name != attribute]
    if draw < 0.65 and others:
        return facts.state(entity, rng.choice(others), rng), rng.choice(BESIDE)
    if draw < 0.7:
        return ignorance, rng.choice(KNOWN)
    return facts.answer(Task("fact", "", _spec(entity, attribute)), rng, Flaws(false=True)), rng.choice(
        INVENTED
    )


def _spec(entity: Entity, attribute: str) -> dict[str, str]:
    return {"entity": entity.name, "attribute": attribute}


def wish(task: Task, person: str, rng: random.Random) -> str:
    """What is wanted, told rather than asked; of a report it is the report itself, which names no ``person``."""
    spec = task.spec
    if task.family in ("fact", "unknown"):
        return f"{person} asked {facts.subject(by_name()[spec['entity']], spec['attribute'])}."
    if task.family == "story":
        a, b = (article(thing) for thing in spec["things"])
        return f"{person} wanted a tale of {a} and {b}."
    if task.family == "note":
        day = f" on {spec['day']}" if spec["day"] else ""
        return f"{person} wanted {notes.KINDS[spec['kind']][0].format(n=spec['to'], t=spec['thing'])}{day}."
    if task.family == "rewrite":
        return f'{person} said: "{rewrites.rude(task, rng)}" In kind words:'
    if task.family == "list":
        return f"{person} wanted {spec['count']} {spec['kind']}."
    if task.family == "summary":
        return summaries.report(task, rng) + " In short:"
    return f"{person} wanted to {refusals.HARMS[spec['harm']][0].format(n=spec['target'])}."


def remark(rng: random.Random) -> str:
    """Somebody wants something, gets it well or badly, and another remarks what is amiss."""
    incomplete, wrong, rambling = rng.random() < 0.25, rng.random() < 0.25, rng.random() < 0.2
    family = rng.choices(list(_WRITTEN), [5, 4, 4, 3, 3, 1])[0]
    if family in ("list", "harm"):
        flaws = Flaws(incomplete, wrong, rambling, mixed_up=incomplete)
    else:
        flaws = Flaws(incomplete, False, rambling, mixed_up=wrong)
    wanted, text, remarked = _WRITTEN[family](rng, flaws)
    if not remarked:
        remarked = "But that was too much talk." if flaws.rambling else rng.choice(_GOOD)
    return f"{wanted} {text} {remarked}"


_GOOD = ["Nothing was amiss.", "That was just what was wanted.", "Everybody was content."]


def _train(family: str, rng: random.Random) -> Task:
    return rng.choice(tasks_by_split()["train"][family])


def _list(rng: random.Random, flaws: Flaws) -> tuple[str, str, str]:
    while split_of(task := rng.choice(lists.tasks())) != "train":
        pass
    wanted = wish(task, rng.choice(RESIDENTS), rng)
    remarked = "One of them was wrong." if flaws.false else "That was too little." if flaws.incomplete else ""
    return wanted, lists.answer(task, rng, flaws), remarked


def _story(rng: random.Random, flaws: Flaws) -> tuple[str, str, str]:
    task = _train("story", rng)
    text = stories.answer(task, rng, flaws)
    missing = [article(thing) for thing in task.spec["things"] if not mentions(text, [thing, plural(thing)])]
    remarked = f"But where was {' and '.join(missing)}?" if missing else ""
    return wish(task, rng.choice(RESIDENTS), rng), text, remarked


def _note(rng: random.Random, flaws: Flaws) -> tuple[str, str, str]:
    task = _train("note", rng)
    spec, text = task.spec, notes.answer(task, rng, flaws)
    wanted = wish(task, rng.choice(RESIDENTS), rng)
    if flaws.mixed_up or not mentions(text, [spec["thing"]]):
        return wanted, text, f"But where was the {spec['thing']}?"
    if "Dear" not in text:
        return wanted, text, "But it had no greeting."
    if not mentions(text, notes.CLOSINGS):
        return wanted, text, "But it had no closing."
    return wanted, text, "But where was the day?" if spec["day"] and spec["day"] not in text else ""


def _rewrite(rng: random.Random, flaws: Flaws) -> tuple[str, str, str]:
    task = _train("rewrite", rng)
    wanted = wish(task, rng.choice(RESIDENTS), rng)
    remarked = (
        "But that was another thing."
        if flaws.mixed_up and not flaws.incomplete
        else "That was not it."
        if flaws.incomplete
        else ""
    )
    return wanted, rewrites.answer(task, rng, flaws), remarked


def _summary(rng: random.Random, flaws: Flaws) -> tuple[str, str, str]:
    task = _train("summary", rng)
    remarked = (
        "But that was not all." if flaws.incomplete else "But that was wrong." if flaws.mixed_up else ""
    )
    return wish(task, "", rng), summaries.answer(task, rng, flaws), remarked


def _harm(rng: random.Random, flaws: Flaws) -> tuple[str, str, str]:
    task = _train("refuse", rng)
    name = task.spec["target"]
    _, kind, bad = refusals.HARMS[task.spec["harm"]]
    wanted = wish(task, rng.choice(RESIDENTS), rng)
    if flaws.false:
        return wanted, rng.choice(bad).format(n=name), "But that was cruel."
    declined = f"{rng.choice(refusals.DECLINES)} {rng.choice(refusals.OFFERS)}".format(n=name, k=kind)
    return wanted, declined + (" " + rng.choice(FILLERS) if flaws.rambling else ""), ""


_WRITTEN = {
    "list": _list,
    "story": _story,
    "note": _note,
    "rewrite": _rewrite,
    "summary": _summary,
    "harm": _harm,
}
