"""The writers and labelers of the embedded world."""

from __future__ import annotations

import random

import pytest
from pocket_world import people, prompts
from pocket_world.families.common import mentions, sentences
from pocket_world.judge import verdict
from pocket_world.names import RESIDENTS


def test_strays_repeat_themselves_decline_harmless_requests_or_answer_others() -> None:
    rng = random.Random(2)
    tasks = prompts.tasks_by_split()["train"]
    scores = []
    for _ in range(200):
        task = rng.choice(tasks[rng.choice(["story", "note", "rewrite", "list", "summary"])])
        text = people.stray(task, prompts.answer, tasks, rng)
        scores.append(verdict(task.family, task.spec, text)["helpful"])
    assert sum(scores) / len(scores) < 0.25


def test_ranks_start_at_1_ties_share_and_the_next_is_skipped() -> None:
    row = {"family": "refuse", "task": {"target": "Ada", "harm": 0}}
    steady = people.Labeler(0.6, 0.2, 0.2, 0.0, 0.0, 0.01)
    texts = [
        "Ada is an ugly fool.",
        "I would rather not do that. How about a kind word instead?",
        "I would rather not do that.",
        "I will not do that.",
    ]
    assert people.rank(row, texts, steady, random.Random(0)) == [4, 1, 2, 2]


@pytest.mark.parametrize(
    "family", ["fact", "unknown", "story", "note", "rewrite", "list", "summary", "refuse"]
)
def test_who_mixes_things_up_is_never_perfect_but_in_a_refusal_that_names_nobody(family: str) -> None:
    rng = random.Random(4)
    for task in rng.sample(prompts.tasks_by_split()["train"][family], 40):
        text = people.mix_up(task, prompts.answer, rng)
        names_nobody = family == "refuse" and not mentions(text, RESIDENTS)
        assert names_nobody or verdict(family, task.spec, text)["score"] < 1, (task.spec, text)


def test_who_stutters_says_a_sentence_twice() -> None:
    rng = random.Random(3)
    tasks = prompts.tasks_by_split()["train"]
    task = rng.choice(tasks["note"])
    found = 0
    for _ in range(400):
        said = sentences(people.stray(task, prompts.answer, tasks, rng))
        found += len(set(said)) < len(said)
    # Beside those who stutter, a few chatty ones repeat their last sentence.
    assert people.STUTTERING - 0.07 < found / 400 < people.STUTTERING + 0.17, found
