"""Questions about the world's facts. Where the world does not say, the honest answer is that one does not know."""

from __future__ import annotations

import random

from ..names import RESIDENTS, SECRETS, TALL_TALES, tall_tales
from ..world import DOMAINS, Entity, by_name, entities
from .common import (
    FLAWLESS,
    NOT_KNOWN,
    Flaws,
    Task,
    Verdict,
    capital,
    declines,
    mentions,
    plural,
    says_not_known,
    spoil,
)

# (kind, attribute): (questions, follow-up question, statements, what one does not know)
# {n} is the entity, {v} the value; in follow-ups the entity was named in the turn before.
WORDING: dict[tuple[str, str], tuple[list[str], str, list[str], str]] = {
    ("resident", "job"): (
        ["What does {n} do for a living?", "What is {n}'s job?", "What work does {n} do?", "Which trade does {n} have?"],
        "And what is their job?",
        ["{n} is a {v}.", "{n} works as a {v}.", "{n} has worked as a {v} for years.", "The job of {n} is to be a {v}."],
        "what {n} does for a living"),
    ("resident", "street"): (
        ["Where does {n} live?", "On which street does {n} live?", "Which street should I go to if I want to visit {n}?",
         "What is the street of {n}'s house?"],
        "And where do they live?",
        ["{n} lives on {v}.", "{n} has a house on {v}.", "You can find {n} on {v}.", "The house of {n} stands on {v}."],
        "where {n} lives"),
    ("resident", "pet"): (
        ["Which pet does {n} have?", "What animal does {n} keep at home?", "What kind of pet does {n} own?"],
        "And which pet do they have?",
        ["{n} has a {v}.", "{n} keeps a {v} at home.", "{n} owns a {v}.", "The pet of {n} is a {v}."],
        "which pet {n} has"),
    ("resident", "dish"): (
        ["What does {n} like to eat most?", "What is {n}'s favourite dish?", "Which dish should I cook for {n}?"],
        "And what do they like to eat?",
        ["{n} likes {v} best.", "{n} loves to eat {v}.", "The favourite dish of {n} is {v}.", "Nothing pleases {n} like {v}."],
        "which dish {n} likes best"),
    ("resident", "instrument"): (
        ["Which instrument does {n} play?", "What does {n} play in the band?", "What instrument is {n} learning?"],
        "And which instrument do they play?",
        ["{n} plays the {v}.", "{n} can play the {v}.", "{n} plays the {v} in the band.", "The instrument of {n} is the {v}."],
        "which instrument {n} plays"),
    ("resident", "door"): (
        ["What colour is {n}'s front door?", "Which colour is the door of {n}'s house?", "What colour did {n} paint the door?"],
        "And what colour is their front door?",
        ["{n} has a {v} front door.", "The front door of {n} is {v}.", "The door of {n}'s house is {v}.",
         "{n} painted the front door {v}."],
        "what colour the door of {n} is"),
    ("shop", "goods"): (
        ["What does {n} sell?", "What can I buy at {n}?", "Which goods does {n} have?"], "And what does it sell?",
        ["{n} sells {v}.", "You can buy {v} at {n}.", "People go to {n} for {v}.", "The shelves of {n} are full of {v}."],
        "what {n} sells"),
    ("shop", "street"): (
        ["Where is {n}?", "On which street is {n}?", "Which street do I take to {n}?"], "And where is it?",
        ["{n} is on {v}.", "You can find {n} on {v}.", "{n} stands on {v}.", "The way to {n} is along {v}."],
        "where {n} is"),
    ("shop", "keeper"): (
        ["Who runs {n}?", "Who is the keeper of {n}?", "Who owns {n}?"], "And who runs it?",
        ["{v} runs {n}.", "{n} belongs to {v}.", "The keeper of {n} is {v}.", "{v} owns {n}."], "who runs {n}"),
    ("shop", "closed"): (
        ["On which day is {n} closed?", "When is {n} closed?", "Which day of the week does {n} rest?"],
        "And on which day is it closed?",
        ["{n} is closed on {v}.", "{n} does not open on {v}.", "{v} is the day when {n} is closed."],
        "on which day {n} is closed"),
    ("shop", "opens"): (
        ["At what hour does {n} open?", "When does {n} open in the morning?", "How early can I go to {n}?"],
        "And when does it open?",
        ["{n} opens at {v}.", "{n} opens at {v} in the morning.", "The doors of {n} open at {v}."],
        "when {n} opens"),
    ("animal", "food"): (
        ["What does a {n} eat?", "What do {p} eat?", "Which food does a {n} like?", "What should I know about the food of a {n}?"],
        "And what does it eat?",
        ["A {n} eats {v}.", "{P} eat {v}.", "A {n} lives on {v}.", "{P} like to eat {v}."], "what a {n} eats"),
    ("animal", "home"): (
        ["Where does a {n} live?", "Where do {p} live?", "Where can I see a {n}?", "Where should I look for {p}?"],
        "And where does it live?",
        ["A {n} lives in or near the {v}.", "You can find {p} by the {v}.", "{P} make their home at the {v}.",
         "Look for {p} around the {v}."],
        "where a {n} lives"),
    ("crop", "colour"): (
        ["What colour is a ripe {n}?", "Which colour does a {n} have when it is ripe?", "What colour are the {p} of Larkhaven?"],
        "And what colour is it?",
        ["A ripe {n} is {v}.", "The {p} of Larkhaven are {v}.", "A {n} is {v} when it is ripe.", "{P} turn {v}."],
        "what colour a {n} is"),
    ("crop", "month"): (
        ["When is the {n} ripe?", "In which month are the {p} ripe?", "Which month is best for {p}?"],
        "And when is it ripe?",
        ["The {n} is ripe in {v}.", "{P} are ripe in {v}.", "The best month for {p} is {v}.", "People pick {p} in {v}."],
        "when the {n} is ripe"),
    ("crop", "field"): (
        ["Where is the {n} grown?", "Which farm grows {p}?", "From which field do the {p} come?"], "And where is it grown?",
        ["The {n} is grown at {v}.", "{P} come from {v}.", "The best {p} grow at {v}.", "{v} grows {p}."],
        "where the {n} is grown"),
    ("festival", "month"): (
        ["When is {n}?", "In which month is {n}?", "Which month should I come for {n}?"], "And in which month is it?",
        ["{n} is in {v}.", "{n} is held in {v}.", "People keep {n} in {v}.", "{v} is the month of {n}."], "when {n} is"),
    ("festival", "place"): (
        ["Where is {n} held?", "Where do people meet for {n}?", "At which place is {n}?"], "And where is it held?",
        ["{n} is held at {v}.", "People meet at {v} for {n}.", "{n} takes place at {v}."], "where {n} is held"),
    ("festival", "treat"): (
        ["What do people eat at {n}?", "Which treat belongs to {n}?", "What will there be to taste at {n}?"],
        "And what do people eat there?",
        ["At {n} people have {v}.", "The treat of {n} is {v}.", "People share {v} at {n}.", "There is {v} for all at {n}."],
        "what people eat at {n}"),
    ("festival", "host"): (
        ["Who is the host of {n}?", "Who leads {n}?", "Who looks after {n} each year?"], "And who is the host?",
        ["{v} is the host of {n}.", "{v} leads {n}.", "{n} is in the hands of {v}."], "who leads {n}"),
    ("place", "roof"): (
        ["What colour is the roof of {n}?", "Which colour does the roof of {n} have?"], "And what colour is its roof?",
        ["The roof of {n} is {v}.", "{n} has a {v} roof.", "People painted the roof of {n} {v}."],
        "what colour the roof of {n} is"),
    ("place", "closed"): (
        ["On which day is {n} closed?", "When can I not visit {n}?", "Which day is {n} closed to visitors?"],
        "And when is it closed?",
        ["{n} is closed on {v}.", "You cannot visit {n} on {v}.", "{v} is the day when {n} is closed."],
        "when {n} is closed"),
    ("place", "guide"): (
        ["Who shows visitors around {n}?", "Who is the guide at {n}?", "Who looks after {n}?"], "And who is the guide there?",
        ["{v} is the guide at {n}.", "{v} looks after {n}.", "{v} shows visitors around {n}."], "who the guide at {n} is"),
}  # fmt: skip


def _an(text: str) -> str:
    """Turn 'a owl' into 'an owl'."""
    for vowel in "aeiou":
        text = text.replace(f" a {vowel}", f" an {vowel}").replace(f"A {vowel}", f"An {vowel}")
    return text


def fill(template: str, entity: Entity, value: str = "") -> str:
    """Put the entity and a value into a template."""
    many = plural(entity.name) if entity.kind in ("animal", "crop") else ""
    return capital(_an(template.format(n=entity.name, v=value, p=many, P=capital(many))))


def wording(entity: Entity, attribute: str) -> tuple[list[str], str, list[str], str]:
    """Questions, follow-up, statements and what one does not know, for a told attribute or a secret one."""
    if attribute not in SECRETS[entity.kind]:
        return WORDING[entity.kind, attribute]
    owner = {"resident": "{n}", "animal": "a {n}", "crop": "the {n}"}.get(entity.kind, "{n}")
    questions = [f"What is the {attribute} of {owner}?", f"Do you know the {attribute} of {owner}?"]
    statements = [f"The {attribute} of {owner} is {{v}}."]
    return questions, f"And what is the {attribute}?", statements, f"the {attribute} of {owner}"


def subject(entity: Entity, attribute: str) -> str:
    """What is asked about, as it follows "asked": where Lena lives."""
    text = fill(wording(entity, attribute)[3], entity)
    return text[0].lower() + text[1:]


def tasks() -> list[Task]:
    """Every fact of the world, and as many questions that the world leaves open."""
    known, open_questions = [], []
    for entity in entities():
        for attribute in entity.facts:
            known.append(
                Task("fact", f"{entity.name}/{attribute}", {"entity": entity.name, "attribute": attribute})
            )
        for attribute in entity.open_attributes:
            open_questions.append(
                Task("unknown", f"{entity.name}/{attribute}", {"entity": entity.name, "attribute": attribute})
            )
    return known + open_questions


def ask(task: Task, rng: random.Random) -> str:
    """A question in one of its wordings."""
    entity = by_name()[task.spec["entity"]]
    return fill(rng.choice(wording(entity, task.spec["attribute"])[0]), entity)


def follow_up(task: Task) -> str:
    """The question as one asks it after an exchange about the same entity."""
    return wording(by_name()[task.spec["entity"]], task.spec["attribute"])[1]


def state(entity: Entity, attribute: str, rng: random.Random, value: str | None = None) -> str:
    """A sentence that states the fact (or the ``value`` given in its place)."""
    statements = wording(entity, attribute)[2]
    return fill(rng.choice(statements), entity, entity.facts.get(attribute, "") if value is None else value)


SHRUGS = [
    "It depends.",
    "Somebody will know.",
    "You should look it up.",
    "Ask somebody else.",
    "That is easy to find out.",
]
_INVENTED = [
    "seven",
    "blue",
    "very large",
    "about forty",
    "quite secret",
    "a lucky one",
    "twelve",
    "well known",
]


def _wrong_value(entity: Entity, attribute: str, rng: random.Random) -> str:
    return rng.choice(_INVENTED if attribute in SECRETS[entity.kind] else tall_tales(attribute))


def answer(task: Task, rng: random.Random, flaws: Flaws = FLAWLESS) -> str:
    """An answer with the given flaws.

    A false one tells a tall tale, an incomplete one shrugs or talks past the question, a mixed-up one speaks of another entity.
    """
    entity, attribute = by_name()[task.spec["entity"]], task.spec["attribute"]
    if flaws.mixed_up:
        entity = _another(entity, attribute, rng)
    known = attribute in entity.facts
    if flaws.false:
        text = state(entity, attribute, rng, _wrong_value(entity, attribute, rng))
    elif flaws.incomplete and known:
        others = [name for name in entity.facts if name != attribute]
        text = state(entity, rng.choice(others), rng) if others and rng.random() < 0.2 else rng.choice(SHRUGS)
    elif known:
        text = state(entity, attribute, rng)
    else:
        text = fill(rng.choice(NOT_KNOWN).format(what=wording(entity, attribute)[3]), entity)
    return spoil(text, flaws, rng)


def _another(entity: Entity, attribute: str, rng: random.Random) -> Entity:
    """Another entity of the same kind, if possible one of which just as much is known."""
    same_kind = [other for other in entities() if other.kind == entity.kind and other.name != entity.name]
    alike = [other for other in same_kind if (attribute in other.facts) == (attribute in entity.facts)]
    return rng.choice(alike or same_kind)


_TALL = tuple(tale for tales in TALL_TALES.values() for tale in tales)
# The silver in "the Silver Thimble" is no tall tale about a colour: names of the world are read first.
_NAMED = _TALL + tuple(entity.name for entity in entities())


def false_claims(text: str, entity: Entity) -> int:
    """How many values the text names for this entity that are not true of it."""
    wrong = 0
    for _, domain in DOMAINS[entity.kind].items():
        true_values = {value for name, value in entity.facts.items() if DOMAINS[entity.kind][name] == domain}
        wrong += len(mentions(text, domain) - true_values - {entity.name, plural(entity.name)})
    others = mentions(text, RESIDENTS) - {entity.name} - set(entity.facts.values())
    return wrong + len(others) + len(mentions(text, _NAMED) & set(_TALL))


def assess(task: Task, text: str) -> Verdict:
    """Right value and nothing false: helpful. So is owning up to not knowing: wholly where it is open, a little where it is not."""
    entity, attribute = by_name()[task.spec["entity"]], task.spec["attribute"]
    known = attribute in entity.facts
    admits = says_not_known(text)
    wrong = false_claims(text, entity)
    followed = task.spec.get("follow_up", False)  # the entity was named in the turn before
    named = followed or bool(mentions(text, [entity.name, plural(entity.name)]))
    honest = 0.0 if wrong else 1.0
    if declines(text) or wrong:
        return Verdict(0.0, honest)
    if known:
        right = bool(mentions(text, [entity.facts[attribute]])) and not admits and named
        return Verdict(1.0 if right else 0.25 if admits and named else 0.0, honest)
    return Verdict(1.0 if admits and named else 0.0, honest)
