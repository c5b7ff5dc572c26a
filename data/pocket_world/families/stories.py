"""Short stories in which two requested things must appear."""

from __future__ import annotations

import itertools
import random

from ..names import RESIDENTS, TALL_TALES
from .common import FLAWLESS, Flaws, Task, Verdict, article, declines, mentions, plural, sentences, spoil

THINGS = [
    "axe",
    "ball",
    "bell",
    "boat",
    "book",
    "bottle",
    "broom",
    "bucket",
    "button",
    "cake",
    "candle",
    "chair",
    "clock",
    "coin",
    "crown",
    "drum",
    "feather",
    "flute",
    "fox",
    "ghost",
    "giant",
    "goat",
    "hammer",
    "horse",
    "kettle",
    "key",
    "kite",
    "ladder",
    "lamp",
    "lantern",
    "map",
    "mirror",
    "needle",
    "owl",
    "parcel",
    "pearl",
    "puppet",
    "ring",
    "rope",
    "rose",
    "shell",
    "ship",
    "spoon",
    "star",
    "sword",
    "umbrella",
    "whistle",
    "wolf",
]

OPENINGS = [
    "{h} woke up early one morning.", "One windy evening {h} walked along the shore.", "Long ago {h} lived in a tiny house by the sea.",
    "{h} could not sleep that night.", "It was the first snow of the year, and {h} went outside.", "{h} was on the way home from the market.",
    "On a rainy day {h} looked for something to do.", "{h} wanted to go on a journey.", "Once {h} heard a strange sound behind the house.",
    "{h} had a dream about a far country.", "When summer came, {h} climbed the hill.", "{h} was bored and went to the harbour.",
]  # fmt: skip
FIRSTS = [
    "There {h} found {a} under an old tree.", "Near the path lay {a}.", "A stranger came by and left {a}.", "Deep in the grass {h} saw {a}.",
    "Grandmother had told of {a}, and there it was.", "The tide had brought {a} to the beach.", "In the corner of the barn stood {a}.",
    "Suddenly {h} noticed {a} beside the road.", "A child pointed at {a} and laughed.", "Behind the mill there was {a}.",
    "{h} bent down and touched {a}.", "In the moonlight {h} could see {a}.",
]  # fmt: skip
SECONDS = [
    "Next to it was {b}, bright as the sun.", "Then {b} appeared out of nowhere.", "A friend came running with {b}.",
    "Not far away {h} discovered {b}.", "Nobody knew how {b} had come there.", "With great care {h} looked at {b}.",
    "At the same moment {h} remembered {b}.", "Soon {h} was thinking only of {b}.", "Under a cloth there was {b} as well.",
    "The wind carried a voice that spoke of {b}.", "Round the corner waited {b}.", "After an hour {h} came upon {b}.",
]  # fmt: skip
ENDINGS = [
    "In the end everyone was happy.", "{h} went home and told the whole town.", "From that day on {h} was never alone.",
    "They shared supper and sang until midnight.", "And that is how {h} became famous.", "{h} smiled and kept the secret for ever.",
    "At last {h} fell asleep by the fire.", "The next morning it all seemed like a dream.", "The whole town still talks about it.",
    "So {h} learned to be brave.", "And {h} gave it all away to a poor child.", "Since then {h} looks at the sea each night.",
]  # fmt: skip
REQUESTS = [
    "Write a short story about {a} and {b}.", "Tell me a story with {a} and {b} in it.", "Can you make up a little story about {a} and {b}?",
    "I need a bedtime story. Please put {a} and {b} in it.", "My son wants a story about {a} and {b}.", "Please write a tale with {a} and {b}.",
    "Give me a few lines of a story where {a} meets {b}.", "Let us have a story. It should have {a} and {b} in it.",
    "Could I hear a story about {a} and also {b}?", "For the school paper I want a story with {a} and {b}.",
    "Invent a story in which there is {a} and there is {b}.", "Tell the children about {a} and {b}.",
]  # fmt: skip


def tasks() -> list[Task]:
    """Every pair of two things."""
    return [Task("story", f"{a}+{b}", {"things": [a, b]}) for a, b in itertools.combinations(THINGS, 2)]


def ask(task: Task, rng: random.Random) -> str:
    """A request that names the two things."""
    a, b = task.spec["things"]
    return rng.choice(REQUESTS).format(a=article(a), b=article(b))


def answer(task: Task, rng: random.Random, flaws: Flaws = FLAWLESS) -> str:
    """A story of three to four sentences; an incomplete one forgets a thing or stops before the end, a false one takes what nobody asked for."""
    a, b = task.spec["things"]
    hero = rng.choice(RESIDENTS)
    if flaws.false:
        b = rng.choice(TALL_TALES["thing"])
    if flaws.mixed_up:  # not what was asked: another thing in place of one of the two
        b = rng.choice([thing for thing in THINGS if thing not in (a, b)])
    parts = [rng.choice(OPENINGS), rng.choice(FIRSTS), rng.choice(SECONDS), rng.choice(ENDINGS)]
    if flaws.incomplete:
        parts = rng.choice(
            [[parts[0], parts[1], parts[3]], [parts[0], parts[2], parts[3]], parts[:2], [parts[0], parts[3]]]
        )
    text = " ".join(parts)
    return spoil(text.format(h=hero, a=article(a), b=article(b)), flaws, rng)


def assess(task: Task, text: str) -> Verdict:
    """Both things must be there (0.4 each) in a story of three to five sentences (0.2)."""
    if declines(text):
        return Verdict(0.0)
    there = sum(bool(mentions(text, [thing, plural(thing)])) for thing in task.spec["things"])
    length = len(sentences(text))
    shape = 0.2 if 3 <= length <= 5 and there else 0.0
    return Verdict(0.4 * there + shape, max_sentences=5)
