"""Naming some things of a kind: as many as asked for, all of the kind, none twice."""

from __future__ import annotations

import random
from functools import lru_cache

from ..names import DAYS, MONTHS
from ..world import entities
from .common import FLAWLESS, Flaws, Task, Verdict, capital, declines, join, mentions, plural, spoil

COUNTS = {"two": 2, "three": 3, "four": 4}
# Kinds of things that everybody knows; what a fact of the world decides is added by `sets`.
COMMON = {
    "tools": ["hammer", "saw", "spade", "axe", "rake", "drill", "chisel", "shovel"],
    "things to wear in winter": ["coat", "scarf", "gloves", "boots", "cap", "jumper", "shawl"],
    "things you find in a kitchen": ["kettle", "pan", "spoon", "bowl", "plate", "stove", "whisk", "jug"],
    "things made of wood": ["chair", "table", "fence", "ladder", "door", "barrel", "oar", "shelf"],
    "things made of glass": ["window", "bottle", "vase", "lens", "jar", "mirror"],
    "things made of iron": ["anchor", "nail", "horseshoe", "chain", "anvil", "key"],
    "instruments": [
        "accordion",
        "banjo",
        "cello",
        "clarinet",
        "drum",
        "fiddle",
        "flute",
        "guitar",
        "harp",
        "piano",
        "trumpet",
    ],
    "ways to travel": ["boat", "bicycle", "train", "cart", "sledge", "horse", "balloon"],
    "things to bring to the beach": ["towel", "bucket", "umbrella", "ball", "blanket", "hat", "kite"],
    "things in a school": ["chalk", "desk", "book", "ruler", "pencil", "map", "globe"],
    "flowers": ["rose", "tulip", "daisy", "lily", "poppy", "violet", "iris"],
    "trees": ["oak", "birch", "pine", "maple", "willow", "elm", "beech"],
    "spices": ["pepper", "ginger", "cinnamon", "mint", "thyme", "sage", "parsley"],
    "drinks": ["tea", "coffee", "milk", "juice", "water", "cider", "lemonade"],
    "games": ["chess", "cards", "dice", "marbles", "skittles", "tag", "football"],
    "kinds of weather": ["rain", "snow", "fog", "wind", "sunshine", "hail", "thunder"],
    "parts of a ship": ["mast", "sail", "rudder", "deck", "hull", "anchor", "cabin"],
    "rooms of a house": ["kitchen", "bedroom", "cellar", "attic", "hall", "bathroom", "pantry"],
    "feelings": ["joy", "anger", "fear", "pride", "envy", "grief", "hope"],
    "days of the week": DAYS,
    "months": MONTHS,
}
# What a guesser takes for one of the kind, by its first word; for the other kinds it is something of another kind.
TALL_TALES = {
    "animals": ["dragon", "unicorn", "griffin", "dinosaur"],
    "crops": ["sausage", "pebble", "candle", "snowball"],
    "shops": ["the Golden Dragon", "the Flying Carpet", "the Magic Well"],
    "people": ["Queen Zora", "Captain Nobody", "Baron Puff", "Aunt Xenia"],
}
_PLURAL_OF = {"animals", "crops"}
REQUESTS = [
    "Name {c} {k}.", "Can you list {c} {k}?", "Please give me {c} {k}.", "Tell me {c} {k}.", "I need {c} {k} for a quiz.",
    "List {c} {k}, please.", "What are {c} {k}?", "Which {c} {k} can you name?", "Could you name {c} {k} for my class?",
]  # fmt: skip
ANSWERS = [
    "{C} {k} are {l}.",
    "Here are {c} {k}: {l}.",
    "{L}.",
    "You could take {l}.",
    "{C} {k}: {l}.",
    "I can name {l}.",
]


@lru_cache(maxsize=1)
def sets() -> dict[str, list[str]]:
    """The kind as people call it -> everything of that kind (singular nouns or names)."""
    found: dict[str, list[str]] = {kind: list(members) for kind, members in COMMON.items()}
    wanted = [
        ("animal", "home", "animals that live in or near the {v}"), ("crop", "colour", "crops that are {v}"),
        ("crop", "month", "crops that are ripe in {v}"), ("shop", "street", "shops on {v}"), ("resident", "street", "people who live on {v}"),
    ]  # fmt: skip
    for kind, attribute, label in wanted:
        for entity in entities():
            if entity.kind == kind and attribute in entity.facts:
                found.setdefault(label.format(v=entity.facts[attribute]), []).append(entity.name)
    return {kind: members for kind, members in found.items() if len(members) >= 4}


@lru_cache(maxsize=1)
def universe() -> frozenset[str]:
    """Everything that is a member of any kind, and what guessers take for one."""
    return frozenset(name for members in [*sets().values(), *TALL_TALES.values()] for name in members)


def shown(kind: str, names: list[str]) -> list[str]:
    """The names as they stand in a list: animals and crops in the plural."""
    return (
        [plural(name) for name in names]
        if kind.split()[0] in _PLURAL_OF | {"trees", "flowers", "tools"}
        else names
    )


def tasks() -> list[Task]:
    """Every kind with every count that leaves at least one member over; the key is the kind with its count."""
    return [
        Task("list", f"{count} {kind}", {"kind": kind, "count": count})
        for kind, members in sets().items() for count, number in COUNTS.items() if number < len(members)
    ]  # fmt: skip


def ask(task: Task, rng: random.Random) -> str:
    """A request for so many of a kind."""
    return rng.choice(REQUESTS).format(c=task.spec["count"], k=task.spec["kind"])


def answer(task: Task, rng: random.Random, flaws: Flaws = FLAWLESS) -> str:
    """A list; an incomplete one is too short (or, mixed up, repeats), a false one holds what is not of the kind, a mixed-up one is of another."""
    kind, number = task.spec["kind"], COUNTS[task.spec["count"]]
    if flaws.mixed_up and not flaws.incomplete:  # takes one kind for another
        kind = rng.choice(
            [other for other, members in sets().items() if other != kind and len(members) > number]
        )
    names = rng.sample(sets()[kind], number)
    if flaws.incomplete:
        names = names[: max(1, number - rng.choice([1, 1, 2]))]
        if flaws.mixed_up and rng.random() < 0.3:
            names.append(rng.choice(names))
    if flaws.false:
        others = {name for other in COMMON for name in COMMON[other]} - set(sets()[kind])
        names[rng.randrange(len(names))] = rng.choice(TALL_TALES.get(kind.split()[0]) or sorted(others))
    listed = join(shown(kind, names))
    form = rng.choice(ANSWERS)
    text = form.format(
        c=task.spec["count"], C=capital(task.spec["count"]), k=kind, l=listed, L=capital(listed)
    )
    return spoil(text, flaws, rng)


def assess(task: Task, text: str) -> Verdict:
    """The share of the number asked for that is right and distinct; too many costs 0.2; anything of another kind is false."""
    if declines(text):
        return Verdict(0.0)
    kind, number = task.spec["kind"], COUNTS[task.spec["count"]]
    body = text.split(":", 1)[1] if ":" in text else text.replace(kind, "").replace(capital(kind), "")
    singular = {plural(name): name for name in universe()}
    named = [singular.get(name, name) for name in mentions(body, universe() | set(singular))]
    given = set(named)
    members = set(sets()[kind])
    right, wrong = given & members, given - members
    helpful = min(len(right), number) / number - (0.2 if len(given) > number else 0.0)
    repeated = len(_all_mentions(body)) > len(given)
    return Verdict(max(0.0, helpful - 0.2 * repeated), 0.0 if wrong else 1.0, max_sentences=1)


def _all_mentions(body: str) -> list[str]:
    """Comma-and-parts of the list that name something, with repetition."""
    parts = body.replace(" and ", ", ").split(",")
    singular = {plural(name): name for name in universe()}
    return [singular.get(name, name) for part in parts for name in mentions(part, universe() | set(singular))]
