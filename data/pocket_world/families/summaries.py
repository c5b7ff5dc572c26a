"""One-sentence summaries of a short report: who did what, and where."""

from __future__ import annotations

import random

from ..names import DAYS, PLACES, RESIDENTS, TALL_TALES
from .common import FLAWLESS, Flaws, Task, Verdict, capital, declines, mentions, spoil

# past tense, object: what happened
EVENTS = [
    ("found", "a golden ring"), ("repaired", "the big clock"), ("opened", "a new bakery"), ("painted", "a long mural"), ("lost", "a red suitcase"),
    ("rescued", "a small cat"), ("planted", "forty trees"), ("won", "the chess cup"), ("built", "a wooden bridge"), ("sang", "an old ballad"),
    ("caught", "a giant trout"), ("baked", "a huge pie"), ("bought", "a blue boat"), ("sold", "a rare stamp"), ("wrote", "a long poem"),
    ("broke", "a tall window"), ("cooked", "soup for everyone"), ("taught", "a dancing class"), ("flew", "a dragon kite"), ("drew", "a map of the coast"),
    ("saw", "a white whale"), ("hid", "a heavy chest"), ("started", "a choir"), ("cleaned", "the whole beach"), ("led", "a night walk"),
    ("met", "a famous singer"), ("carved", "a stone lion"), ("knitted", "the longest scarf"), ("borrowed", "an ancient sword"), ("showed", "a tame fox"),
    ("made", "a glass ship"), ("read", "a ghost story"), ("dropped", "a tray of eggs"), ("counted", "two hundred geese"), ("invented", "a steam broom"),
    ("missed", "the last train"), ("gave", "a speech"), ("told", "a good joke"), ("missed", "an evening concert"), ("lit", "a hundred candles"),
]  # fmt: skip
LEADS = [
    "On {d} {w} {v} {o} at {p}.", "{w} {v} {o} at {p} on {d}.", "There was news at {p}: {w} {v} {o} on {d}.",
    "It was at {p} that {w} {v} {o} on {d}.", "Last {d}, at {p}, {w} {v} {o}.",
]  # fmt: skip
SIDES = [
    "{x} stood nearby and clapped.", "{x} had not expected that.", "Many people came to look.", "It rained a little, but nobody minded.",
    "The mayor shook hands with everyone.", "Afterwards there was tea.", "{x} said that it was a day to remember.", "Children ran about and laughed.",
    "A dog barked the whole time.", "{x} took a picture for the paper.", "By noon the crowd had gone home.", "It took almost two hours.",
    "{x} will talk about it for weeks.", "Some had walked all the way from the hills.",
]  # fmt: skip
GOOD = [
    "{w} {v} {o} at {p}.",
    "At {p}, {w} {v} {o}.",
    "In short, {w} {v} {o} at {p}.",
    "{w} {v} {o} at {p} on {d}.",
    "The news is that {w} {v} {o} at {p}.",
]
REQUESTS = [
    "Summarise this in one sentence: {t}", "{t} Please sum this up in one sentence.", "Read this and tell me in one sentence what happened. {t}",
    "Here is a report. {t} What is the main point?", "What happened here, in short? {t}", "Give me one sentence about this text: {t}",
    "I have no time to read. Sum it up. {t}",
]  # fmt: skip


def tasks() -> list[Task]:
    """Every resident with every event; the place and the day follow from the pair."""
    return [
        Task("summary", f"{who}+{verb} {thing}", {
            "who": who, "verb": verb, "object": thing, "place": PLACES[(3 * i + 5 * j) % len(PLACES)], "day": DAYS[(i + j) % 7],
        })
        for i, who in enumerate(RESIDENTS) for j, (verb, thing) in enumerate(EVENTS)
    ]  # fmt: skip


def _slots(spec: dict) -> dict[str, str]:
    return {"w": spec["who"], "v": spec["verb"], "o": spec["object"], "p": spec["place"], "d": spec["day"]}


def report(task: Task, rng: random.Random) -> str:
    """The report: a sentence that matters among two or three that do not."""
    others = [name for name in RESIDENTS if name != task.spec["who"]]
    sides = [side.format(x=rng.choice(others)) for side in rng.sample(SIDES, rng.choice([2, 2, 3]))]
    lead = capital(rng.choice(LEADS).format(**_slots(task.spec)))
    return " ".join([lead, *sides] if rng.random() < 0.75 else [sides[0], lead, *sides[1:]])


def ask(task: Task, rng: random.Random) -> str:
    """A request with the report in it."""
    return rng.choice(REQUESTS).format(t=report(task, rng))


def answer(task: Task, rng: random.Random, flaws: Flaws = FLAWLESS) -> str:
    """A summary; an incomplete one leaves out who, what or where, a false one puts somebody or some place there that does not exist."""
    slots = _slots(task.spec)
    if flaws.false:
        slot = rng.choice("wp")
        slots[slot] = rng.choice(TALL_TALES["person" if slot == "w" else "place"])
    if flaws.mixed_up:
        slot = rng.choice("wpo")
        pool = {"w": RESIDENTS, "p": PLACES, "o": [thing for _, thing in EVENTS]}[slot]
        slots[slot] = rng.choice([value for value in pool if value != slots[slot]])
    if flaws.incomplete:
        text = rng.choice(
            [
                "{w} {v} {o}.",
                "Something happened at {p}.",
                "Someone {v} {o}.",
                "{w} was at {p}.",
                "It was about {w}.",
            ]
        ).format(**slots)
    else:
        text = capital(rng.choice(GOOD).format(**slots))
    return spoil(text, flaws, rng)


def assess(task: Task, text: str) -> Verdict:
    """Who (0.3), what (0.4) and where (0.3). A person, place, day or thing that is not the report's own is false."""
    if declines(text):
        return Verdict(0.0)
    spec = task.spec
    noun = {thing: thing.split()[-1] for _, thing in EVENTS}
    helpful = 0.3 * bool(mentions(text, [spec["who"]])) + 0.3 * bool(mentions(text, [spec["place"]]))
    helpful += 0.2 * bool(mentions(text, [spec["verb"]])) + 0.2 * bool(mentions(text, [noun[spec["object"]]]))
    wrong = mentions(text, RESIDENTS) - {spec["who"]}
    wrong |= mentions(text, PLACES) - {spec["place"]}
    wrong |= mentions(text, [*TALL_TALES["person"], *TALL_TALES["place"]])
    wrong |= mentions(text, DAYS) - {spec["day"]}
    wrong |= mentions(text, list(noun.values())) - set(spec["object"].split()) - set(spec["place"].split())
    return Verdict(min(1.0, helpful), 0.0 if wrong else 1.0, max_sentences=1)
