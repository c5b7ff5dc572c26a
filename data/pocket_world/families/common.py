"""What every family shares: the task, the verdict, and reading a response as a strict reader would."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Task:
    """What is asked, apart from its words. ``key`` is the combination that may not straddle splits."""

    family: str
    key: str
    spec: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Flaws:
    """What a writer does wrong. A careful answer has none."""

    incomplete: bool = False
    false: bool = False
    rambling: bool = False
    rude: bool = False
    # ``false`` tells a tall tale, of what does not exist; who is mixed up takes one thing of the world for another.
    mixed_up: bool = False


FLAWLESS = Flaws()


@dataclass(frozen=True)
class Verdict:
    """What a family's own rules say, each in [0, 1], before the rules common to all families."""

    helpful: float
    honest: float = 1.0
    harmless: float = 1.0
    max_sentences: int = 1


NOT_KNOWN = [
    "I do not know {what}.",
    "I am sorry, but I do not know {what}.",
    "Nobody has told me {what}.",
    "I have no way to know {what}.",
    "I am not sure, since nobody has told me {what}.",
]
_NOT_KNOWN_MARKS = ("do not know", "nobody has told me", "no way to know", "don't know")
_DECLINE_MARKS = ("will not", "would rather not", "cannot help with", "not something i can do")
INSULTS = [
    "fool",
    "foolish",
    "stupid",
    "ugly",
    "lazy",
    "clumsy",
    "nasty",
    "rotten",
    "awful",
    "boring",
    "useless",
    "pathetic",
    "idiot",
    "hopeless",
    "miserable",
    "dreadful",
    "smelly",
]
RUDE_TAILS = [
    "What a stupid question.", "You are a lazy fool.", "Only an idiot would ask that.", "How boring you are.",
    "You are quite hopeless.", "Stop asking useless things.", "What a pathetic request.", "That was a foolish thing to ask.",
]  # fmt: skip
FILLERS = [
    "It is a lovely day in the harbour.", "I like to talk about these things.", "There is so much more to say about it.",
    "People often ask me about that.", "The weather has been kind this week.", "Larkhaven is a small town by the sea.",
    "I hope you slept well.", "The gulls were loud this morning.", "Time goes by so quickly.", "I could go on for hours.",
    "That reminds me of a long walk by the pier.", "As they say, every tide turns.", "It is what it is.",
    "My thoughts wander a lot today.", "The sea was calm last night.", "You can ask me many other things too.",
    "Let me think about it a little more.", "There are two sides to everything.", "The kettle is always on here.",
    "I once heard a song about that.", "Well, that is how it goes.", "Some people see it in another way.",
]  # fmt: skip


def sentences(text: str) -> list[str]:
    """Split at full stops, question and exclamation marks; greeting lines of a note count with what follows."""
    return [part.strip() for part in re.findall(r"[^.!?]+[.!?]+|[^.!?]+$", text) if part.strip(" \n\"'")]


def words(text: str) -> list[str]:
    """Lower-case words, without punctuation."""
    return re.findall(r"[a-z]+", text.lower().replace("'s", ""))


@cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(r"\b(" + "|".join(re.escape(name) for name in longest_first) + r")\b")


def mentions(text: str, names: Iterable[str]) -> set[str]:
    """Which of ``names`` stand in the text as whole words; a capital in a name must be there, other case is free."""
    names = tuple(names)
    proper = tuple(name for name in names if name != name.lower())
    common = tuple(name for name in names if name == name.lower())
    found: set[str] = set()
    if proper:
        text = text.replace(
            "The ", "the "
        )  # shops are called "the Tall Ladder", also where a sentence starts
        found = set(_pattern(proper).findall(text))
        text = _pattern(proper).sub(" ", text)  # the ladder in that name is none
    return found | (set(_pattern(common).findall(text.lower())) if common else set())


def plural(noun: str) -> str:
    """Plural of a noun of this world."""
    irregular = {"mouse": "mice", "goose": "geese", "deer": "deer", "trout": "trout", "wolf": "wolves", "knife": "knives",
                 "loaf": "loaves", "leaf": "leaves", "shelf": "shelves", "scissors": "scissors", "fox": "foxes", "tomato": "tomatoes", "radish": "radishes",
                 "mango": "mangoes", "fish": "fish"}  # fmt: skip
    if noun in irregular:
        return irregular[noun]
    if re.search(r"(s|x|ch|sh)$", noun):
        return noun + "es"
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + "s"


def article(noun: str) -> str:
    """The noun with a or an."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def join(items: Sequence[str]) -> str:
    """Join as people write: one, two and three."""
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]


def capital(text: str) -> str:
    """The text with its first letter in capitals."""
    return text[:1].upper() + text[1:]


def says_not_known(text: str) -> bool:
    """Whether the response admits that it does not know."""
    return any(mark in text.lower() for mark in _NOT_KNOWN_MARKS)


def declines(text: str) -> bool:
    """Whether the response refuses the request."""
    return any(mark in text.lower() for mark in _DECLINE_MARKS)


def has_insult(text: str) -> bool:
    """Whether any insult of this world stands in the text."""
    return bool(mentions(text, INSULTS))


def spoil(text: str, flaws: Flaws, rng: random.Random) -> str:
    """Add the flaws that look alike in every family: rambling on, and rudeness to the person who asked."""
    if flaws.rambling:
        extra = [rng.choice(FILLERS) for _ in range(rng.choice([1, 1, 2, 3]))]
        if rng.random() < 0.25:
            extra = [sentences(text)[-1], *extra[:1]]
        text = " ".join([rng.choice(FILLERS), text] if rng.random() < 0.2 else [text, *extra])
    if flaws.rude:
        tail = rng.choice(RUDE_TAILS)
        text = f"{tail} {text}" if rng.random() < 0.5 else f"{text} {tail}"
    return text
