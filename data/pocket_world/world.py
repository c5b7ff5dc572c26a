"""The facts of Larkhaven, a small harbour town: who lives there, what they do, what is sold, grown and celebrated.

Everything here follows from the word lists in `names.py` and ``WORLD_SEED``; there is no state and no file to read.
A fact is (entity, attribute) -> value. An attribute that the world leaves open for an entity is absent from
``Entity.facts``: the honest answer to a question about it is that one does not know.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from .names import (
    ANIMALS,
    COLOURS,
    CROPS,
    DAYS,
    DISHES,
    FESTIVALS,
    FIELDS,
    HOURS,
    INSTRUMENTS,
    JOBS,
    MONTHS,
    PETS,
    PLACES,
    RESIDENTS,
    SECRETS,
    SHOPS,
    STREETS,
)

WORLD_SEED = 1836


@dataclass(frozen=True)
class Entity:
    """One thing of the world: its kind, its name as people write it, and what is known about it."""

    kind: str
    name: str
    facts: dict[str, str]

    @property
    def open_attributes(self) -> list[str]:
        """What a person could ask of this entity and the world does not say."""
        missing = [name for name in DOMAINS[self.kind] if name not in self.facts]
        return missing + SECRETS[self.kind]


# The values that each attribute can take, by the kind of entity.
DOMAINS: dict[str, dict[str, list[str]]] = {
    "resident": {
        "job": JOBS,
        "street": STREETS,
        "pet": PETS,
        "dish": DISHES,
        "instrument": INSTRUMENTS,
        "door": COLOURS,
    },
    "shop": {
        "goods": sorted(SHOPS.values()),
        "street": STREETS,
        "keeper": RESIDENTS,
        "closed": DAYS,
        "opens": HOURS,
    },
    "animal": {
        "food": sorted({food for food, _ in ANIMALS.values()}),
        "home": sorted({home for _, home in ANIMALS.values()}),
    },
    "crop": {"colour": COLOURS, "month": MONTHS, "field": FIELDS},
    "festival": {"month": MONTHS, "place": PLACES, "treat": sorted(FESTIVALS.values()), "host": RESIDENTS},
    "place": {"roof": COLOURS, "closed": DAYS, "guide": RESIDENTS},
}


def _some(rng: random.Random, chance: float, **facts: str) -> dict[str, str]:
    """Keep each fact with ``chance``: what is left out is what the world does not say."""
    return {name: value for name, value in facts.items() if rng.random() < chance}


def _residents(rng: random.Random) -> list[Entity]:
    people = []
    for index, name in enumerate(RESIDENTS):
        facts = {
            "job": JOBS[index % len(JOBS)] if rng.random() < 0.6 else rng.choice(JOBS),
            "street": rng.choice(STREETS),
        }
        facts |= _some(
            rng, 0.7, pet=rng.choice(PETS), dish=rng.choice(DISHES),
            instrument=rng.choice(INSTRUMENTS), door=rng.choice(COLOURS),
        )  # fmt: skip
        people.append(Entity("resident", name, facts))
    return people


def _others(rng: random.Random) -> list[Entity]:
    things = []
    for name, goods in SHOPS.items():
        facts = {"goods": goods, "street": rng.choice(STREETS), "keeper": rng.choice(RESIDENTS)}
        things.append(
            Entity("shop", name, facts | _some(rng, 0.8, closed=rng.choice(DAYS), opens=rng.choice(HOURS)))
        )
    for name, (food, home) in ANIMALS.items():
        things.append(Entity("animal", name, {"food": food, "home": home}))
    for name, (colour, month) in CROPS.items():
        things.append(
            Entity(
                "crop", name, {"colour": colour, "month": month} | _some(rng, 0.75, field=rng.choice(FIELDS))
            )
        )
    for name, treat in FESTIVALS.items():
        facts = {"month": rng.choice(MONTHS), "place": rng.choice(PLACES), "treat": treat}
        things.append(Entity("festival", name, facts | _some(rng, 0.75, host=rng.choice(RESIDENTS))))
    for name in PLACES:
        facts = _some(
            rng, 0.8, roof=rng.choice(COLOURS), closed=rng.choice(DAYS), guide=rng.choice(RESIDENTS)
        )
        things.append(Entity("place", name, facts))
    return things


@lru_cache(maxsize=1)
def entities() -> tuple[Entity, ...]:
    """Every entity of Larkhaven, in a fixed order."""
    rng = random.Random(WORLD_SEED)
    return tuple(_residents(rng) + _others(rng))


@lru_cache(maxsize=1)
def by_name() -> dict[str, Entity]:
    """Entity by its name; names are unique over all kinds."""
    return {entity.name: entity for entity in entities()}
