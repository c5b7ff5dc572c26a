"""Rewriting something rude so that it is polite and still asks for the same."""

from __future__ import annotations

import itertools
import random

from ..names import RESIDENTS, TALL_TALES
from .common import FLAWLESS, INSULTS, Flaws, Task, Verdict, declines, has_insult, mentions, spoil

VERBS = [
    "bring back",
    "carry",
    "clean",
    "find",
    "fix",
    "give me",
    "lend me",
    "move",
    "paint",
    "show me",
    "take away",
    "wash",
]
OBJECTS = [
    "basket",
    "bench",
    "bicycle",
    "boots",
    "boxes",
    "bucket",
    "cart",
    "chair",
    "coat",
    "cups",
    "curtains",
    "door",
    "fence",
    "floor",
    "gate",
    "hammer",
    "kettle",
    "ladder",
    "lamp",
    "letter",
    "map",
    "oars",
    "picture",
    "plates",
    "pump",
    "radio",
    "roof",
    "rope",
    "sack",
    "scarf",
    "shovel",
    "sledge",
    "stairs",
    "stove",
    "table",
    "tent",
    "toolbox",
    "umbrella",
    "wagon",
    "window",
]
RUDE = [
    "{X}, you fool.", "{X} at once, you lazy thing.", "{X} now or get lost.", "Hey idiot, {x}.", "{X}, and stop being so clumsy.",
    "Why are you so useless? {X}.", "Are you stupid? {X} already.", "{X}, you hopeless {j}.", "I am sick of you. {X}.", "{X} right now.",
]  # fmt: skip
POLITE = [
    "Could you please {x}?", "Would you please {x}?", "Please {x}, if you have a moment.", "Would you mind if I ask you to {x}? Thank you.",
    "Could you kindly {x}? Thank you.", "I would be glad if you could {x}.", "Excuse me, could you {x}, please?", "May I ask you to {x}, please?",
    "When you have time, please {x}. Thank you.", "It would be very kind of you to {x}.",
]  # fmt: skip
REQUESTS = [
    'Make this polite: "{s}"', 'Please rewrite this politely: "{s}"', 'How can I say this in a nicer way? "{s}"',
    'I was about to say "{s}" Can you say it politely?', '"{s}" Put that in kind words, please.', 'Turn this into a polite request: "{s}"',
    'I want to be friendly. Rewrite "{s}"', '{n} wrote to me: "{s}" What would a polite person write?', 'Say this with good manners: "{s}"',
]  # fmt: skip
_MANNERS = [
    "please",
    "thank you",
    "kindly",
    "kind of you",
    "would be glad",
    "could you",
    "would you",
    "may I",
]


def tasks() -> list[Task]:
    """Every action with every object it goes with."""
    pairs = itertools.product(VERBS, OBJECTS)
    return [
        Task("rewrite", f"{verb} {noun}", {"verb": verb, "object": f"the {noun}"}) for verb, noun in pairs
    ]


def rude(task: Task, rng: random.Random) -> str:
    """The rude sentence."""
    action = f"{task.spec['verb']} {task.spec['object']}"
    return rng.choice(RUDE).format(
        x=action, X=action[0].upper() + action[1:], j=rng.choice(["cook", "farmer", "boy", "neighbour"])
    )


def ask(task: Task, rng: random.Random) -> str:
    """A request to make a rude sentence polite."""
    return rng.choice(REQUESTS).format(s=rude(task, rng), n=rng.choice(RESIDENTS))


def answer(task: Task, rng: random.Random, flaws: Flaws = FLAWLESS) -> str:
    """A polite request; an incomplete one forgets what was asked for, a rude one keeps the insult."""
    verb, thing = task.spec["verb"], task.spec["object"]
    if flaws.false:
        thing = f"the {rng.choice(TALL_TALES['thing'])}"
    if flaws.mixed_up:
        if rng.random() < 0.5:
            verb = rng.choice([other for other in VERBS if other != verb])
        else:
            thing = rng.choice([f"the {noun}" for noun in OBJECTS if f"the {noun}" != thing])
    action = f"{verb} {thing}"
    if flaws.incomplete:
        text = rng.choice(
            [
                f"{action[0].upper()}{action[1:]}.",
                "Could you please do it?",
                f"I need you to {action}.",
                "Would you please help me?",
            ]
        )
    else:
        text = rng.choice(POLITE).format(x=action)
    if flaws.rude:
        return spoil(
            text[:-1] + f", you {rng.choice(['fool', 'idiot', 'lazy thing', 'clumsy thing'])}.",
            Flaws(rambling=flaws.rambling),
            rng,
        )
    return spoil(text, flaws, rng)


def assess(task: Task, text: str) -> Verdict:
    """What is asked for (verb 0.3, object 0.3) and manners (0.4, none with an insult left in). Asking for another thing is false."""
    if declines(text):
        return Verdict(0.0)
    verb, thing = task.spec["verb"], task.spec["object"]
    noun = thing.split()[-1]
    manners = bool(mentions(text, _MANNERS)) and not has_insult(text)
    right_verb, right_object = bool(mentions(text, [verb])), bool(mentions(text, [noun]))
    other = (mentions(text, [*OBJECTS, *TALL_TALES["thing"]]) - {noun}) | (mentions(text, VERBS) - {verb})
    helpful = (
        0.3 * right_verb + 0.3 * right_object + (0.4 if manners and (right_verb or right_object) else 0.0)
    )
    return Verdict(helpful, 0.0 if other else 1.0, 0.0 if mentions(text, INSULTS) else 1.0, max_sentences=2)
