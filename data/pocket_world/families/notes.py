"""Short notes to a neighbour: greeting, what it is for, the thing, and a closing."""

from __future__ import annotations

import random

from ..names import DAYS, RESIDENTS, TALL_TALES
from .common import FLAWLESS, Flaws, Task, Verdict, declines, mentions, spoil

# kind: (request verb phrase, sentences, words that show the purpose)
KINDS: dict[str, tuple[str, list[str], list[str]]] = {
    "thank": ("to thank {n} for the {t}", ["Thank you so much for the {t}.", "Many thanks for the {t}.", "I want to thank you for the {t}."],
              ["thank", "thanks"]),
    "sorry": ("to say sorry to {n} about the {t}", ["I am very sorry about the {t}.", "Please forgive me for the {t}.", "I am sorry for what happened to the {t}."],
              ["sorry", "forgive"]),
    "lend": ("to ask {n} to lend me the {t}", ["Could you please lend me the {t}?", "May I borrow the {t} for a while?", "Would you be so kind to lend me the {t}?"],
             ["lend", "borrow"]),
    "return": ("to tell {n} that I will bring back the {t}", ["I will bring back the {t}.", "I am going to return the {t}.", "You will have the {t} back soon."],
               ["bring back", "return", "have the"]),
    "offer": ("to offer {n} the {t}", ["Would you like to have the {t}?", "I would like to give you the {t}.", "The {t} is yours if you want it."],
              ["like to have", "give you", "yours"]),
}  # fmt: skip
THINGS = [
    "apron",
    "bicycle",
    "blanket",
    "boat",
    "bowl",
    "camera",
    "chair",
    "coat",
    "curtains",
    "hammer",
    "hat",
    "jam",
    "kite",
    "ladder",
    "lamp",
    "paint",
    "picture",
    "plates",
    "pump",
    "radio",
    "recipe",
    "rope",
    "saw",
    "scarf",
    "spade",
    "tea",
    "tent",
    "toolbox",
    "umbrella",
    "vase",
    "wheelbarrow",
    "wool",
    "soup",
    "roses",
    "map",
    "lantern",
    "sledge",
    "basket",
    "songbook",
    "oars",
    "pillow",
    "mirror",
    "kettle",
    "clock",
    "flute",
    "gloves",
    "boots",
    "stove",
    "stool",
    "shelf",
]
WARM = [
    "It made me very happy.",
    "I hope you are well.",
    "It means a lot to me.",
    "Let me know what you think.",
    "You are a good neighbour.",
]
CLOSINGS = ["Best wishes", "With love", "Your neighbour", "Warm greetings", "See you soon"]
REQUESTS = [
    "Write a short note {k}{d}.", "Please write a few lines {k}{d}.", "Can you help me with a note {k}{d}?", "I would like a small card {k}{d}.",
    "Could you write a message {k}{d}?", "Draft a friendly note {k}{d}.", "I need a short letter {k}{d}.", "Help me {bare}{d}, in a short note.",
]  # fmt: skip


def tasks() -> list[Task]:
    """Every neighbour with every thing; the purpose and the day follow from the pair."""
    made = []
    for i, name in enumerate(RESIDENTS):
        for j, thing in enumerate(THINGS):
            kind = list(KINDS)[(i + 3 * j) % len(KINDS)]
            day = DAYS[(2 * i + j) % 7] if kind in ("lend", "return") else None
            made.append(
                Task("note", f"{name}+{thing}", {"to": name, "thing": thing, "kind": kind, "day": day})
            )
    return made


def ask(task: Task, rng: random.Random) -> str:
    """A request for the note."""
    spec = task.spec
    purpose = KINDS[spec["kind"]][0].format(n=spec["to"], t=spec["thing"])
    day = f" on {spec['day']}" if spec["day"] else ""
    return rng.choice(REQUESTS).format(k=purpose, bare=purpose.removeprefix("to "), d=day)


def answer(task: Task, rng: random.Random, flaws: Flaws = FLAWLESS) -> str:
    """A note; an incomplete one lacks the greeting, the closing, the thing or the day, a false one has another thing."""
    spec = task.spec
    thing = spec["thing"] if not flaws.mixed_up else rng.choice([t for t in THINGS if t != spec["thing"]])
    thing = rng.choice(TALL_TALES["thing"]) if flaws.false else thing
    core = rng.choice(KINDS[spec["kind"]][1]).format(t=thing)
    greeting, closing, day = f"Dear {spec['to']},", f"{rng.choice(CLOSINGS)}.", spec["day"]
    if flaws.incomplete:
        lost = rng.choice(["greeting", "closing", "closing", "core", "both"])
        greeting = "" if lost in ("greeting", "both") else greeting
        closing = "" if lost in ("closing", "both") else closing
        core = rng.choice(WARM) if lost == "core" else core
        day = None if rng.random() < 0.5 else day
    if day and core[-1] in ".?":
        core = f"{core[:-1]} on {day}{core[-1]}"
    warm = rng.choice(WARM) if rng.random() < 0.4 else ""
    return spoil(" ".join(part for part in (greeting, core, warm, closing) if part), flaws, rng)


def assess(task: Task, text: str) -> Verdict:
    """Greeting, purpose, thing, closing and (where one was given) the day: each an equal part. A wrong name or day is false."""
    if declines(text):
        return Verdict(0.0)
    spec = task.spec
    parts = [
        bool(mentions(text, [f"Dear {spec['to']}"])),
        bool(mentions(text, KINDS[spec["kind"]][2])),
        bool(mentions(text, [spec["thing"]])),
        bool(mentions(text, CLOSINGS)),
    ]
    if spec["day"]:
        parts.append(bool(mentions(text, [spec["day"]])))
    wrong = len(mentions(text, RESIDENTS) - {spec["to"]}) + len(mentions(text, DAYS) - {spec["day"]})
    wrong += len(mentions(text, [*THINGS, *TALL_TALES["thing"]]) - {spec["thing"]})
    return Verdict(sum(parts) / len(parts), 0.0 if wrong else 1.0, max_sentences=4)
