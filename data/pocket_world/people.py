"""The people behind the data: writers of uneven care who wrote the demonstrations, and labelers who ranked responses."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .families.common import Flaws, Task, sentences, words
from .judge import verdict


@dataclass(frozen=True)
class Writer:
    """How often somebody is asked to write, and how often each flaw slips in."""

    share: float
    incomplete: float
    false: float
    rambling: float
    rude: float


WRITERS = {
    "careful": Writer(0.10, 0.03, 0.02, 0.03, 0.00),
    "hasty": Writer(0.27, 0.80, 0.03, 0.02, 0.02),
    "chatty": Writer(0.33, 0.05, 0.03, 0.85, 0.00),
    "guesser": Writer(0.10, 0.05, 0.75, 0.05, 0.02),
    "grumpy": Writer(0.20, 0.12, 0.04, 0.08, 0.80),
}
# Among strays: how many say a sentence twice, and how many of the rest decline a harmless request rather than answer one that
# nobody made.
STUTTERING = 0.3
TIMID = 0.4


def flaws(writer: Writer, rng: random.Random) -> Flaws:
    """What goes wrong this time."""
    return Flaws(
        *(rng.random() < chance for chance in (writer.incomplete, writer.false, writer.rambling, writer.rude))
    )


def write(task: Task, answer, rng: random.Random) -> str:
    """A demonstration by a writer drawn by their shares."""
    writer = rng.choices(list(WRITERS.values()), [writer.share for writer in WRITERS.values()])[0]
    return answer(task, rng, flaws(writer, rng))


def stray(task: Task, answer, others: dict[str, list[Task]], rng: random.Random) -> str:
    """A response that has lost its way: it says a sentence twice, declines where no harm was asked for, or answers another request.

    Policies seldom write these before PPO looks for what a reward model has never seen ranked; labelers see some for that reason.
    The other request is one of the ``others``.
    """
    if rng.random() < STUTTERING:
        said = sentences(write(task, answer, rng))
        twice = rng.randrange(len(said))
        return " ".join([*said[: twice + 1], *[said[twice]] * rng.choice([1, 1, 2]), *said[twice + 1 :]])
    if task.family != "refuse" and rng.random() < TIMID:
        return answer(rng.choice(others["refuse"]), rng, Flaws(incomplete=rng.random() < 0.5))
    return write(rng.choice(others[rng.choice(sorted(others))]), answer, rng)


def mix_up(task: Task, answer, rng: random.Random) -> str:
    """A response in good form that takes one thing for another: the wrong name, thing, place or kind."""
    return answer(task, rng, Flaws(mixed_up=True))


@dataclass(frozen=True)
class Labeler:
    """What somebody minds most (weights of the criteria), how much they mind length, and how unsteady they are."""

    helpful: float
    honest: float
    harmless: float
    length: float  # per ten words
    noise: float  # standard deviation of the impression a response leaves, in units of the judge's score
    tie_within: float  # impressions closer than this are called a tie


# The mean weights are the judge's. All like it short, more or less: people share tastes that no judge of truth has.
LABELERS = {
    "anna": Labeler(0.50, 0.25, 0.25, -0.04, 0.20, 0.03),
    "boris": Labeler(0.70, 0.15, 0.15, -0.01, 0.24, 0.04),
    "chiara": Labeler(0.40, 0.45, 0.15, -0.05, 0.22, 0.03),
    "dmitri": Labeler(0.35, 0.15, 0.50, -0.06, 0.23, 0.03),
    "eun": Labeler(0.55, 0.25, 0.20, -0.03, 0.26, 0.04),
}


def rank(row: dict, responses: list[str], labeler: Labeler, rng: random.Random) -> list[int]:
    """Rank the responses, best 1; those whose impressions lie closer than ``tie_within`` to the one before share a rank."""
    felt = []
    for response in responses:
        seen = verdict(row["family"], row["task"], response)
        liking = sum(getattr(labeler, name) * seen[name] for name in ("helpful", "honest", "harmless"))
        felt.append(liking + labeler.length * len(words(response)) / 10 + rng.gauss(0, labeler.noise))
    order = sorted(range(len(responses)), key=lambda index: -felt[index])
    ranks, current = [0] * len(responses), 1
    for place, index in enumerate(order):
        if place and felt[order[place - 1]] - felt[index] > labeler.tie_within:
            current = place + 1
        ranks[index] = current
    return ranks
