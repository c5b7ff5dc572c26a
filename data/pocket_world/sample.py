"""Sample the responses that labelers rank, as InstructGPT did: most from an SFT policy, some from PPO policies and people.

    cd data && PYTHONPATH=.. python -m pocket_world.sample ../runs/sft ../runs/ppo && python -m pocket_world.generate

Every prompt gets four to six different responses. The first policy gives most of them, at temperature 1; further policies
and the writers add some, a few have lost their way (see people.stray) or, for training, mix things up, so that rankings also show what
an SFT policy seldom says and a PPO policy may find.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf.errors import UserError
from rlhf.feedback.records import Message, Prompt
from rlhf.models import load_policy, load_tokenizer
from rlhf.rendering import Renderer
from rlhf.rollout import sample_texts

from .families.common import Task
from .generate import RANKED_PROMPTS, SEED, dump, file_of, plan
from .people import mix_up, stray, write
from .prompts import answer, tasks_by_split


@dataclass(frozen=True)
class Sources:
    """Chances that a response is a writer's, has lost its way, or mixes things up; the rest are the policies'."""

    written: float
    stray: float
    mixed_up: float


# To compare what was asked with what was given is what a small reward model learns last, so for training a part of the responses
# differs from a good one in that alone. Validation and test hold what policies and people say.
SOURCES = {
    "train": Sources(0.10, 0.06, 0.14),
    "validation": Sources(0.15, 0.08, 0.0),
    "test": Sources(0.15, 0.08, 0.0),
}
FURTHER = 0.2  # chance that a policy's response is one of the further policies'
TRIES = 8


def sample(policies: list[str], folder: Path) -> None:
    """Write rankings.*.jsonl with fresh responses and no ranks yet; ``generate`` has them ranked."""
    models = [(load_policy(policy, setting="policy"), _renderer(policy)) for policy in policies]
    files = plan()
    for split in RANKED_PROMPTS:
        rows = files[f"rankings.{split}"]
        rng = random.Random(f"{SEED}/responses/{split}")
        wanted = [rng.choice([4, 5, 5, 6]) for _ in rows]
        found: list[list[str]] = [[] for _ in rows]
        for turn in range(TRIES):
            short = [i for i, number in enumerate(wanted) if len(found[i]) < number]
            source = {
                i: "writer" if turn == TRIES - 1 else _source(SOURCES[split], len(models), rng) for i in short
            }
            texts = {
                i: _by_people(rows[i], split, source[i], rng) for i in short if isinstance(source[i], str)
            }
            for number, (model, renderer) in enumerate(models):
                chosen = [i for i in short if source[i] == number]
                texts |= _by_policy(model, renderer, chosen, rows, seed=SEED * 1000 + turn * 10 + number)
            for i in short:
                if texts[i].strip() and texts[i].split() not in [text.split() for text in found[i]]:
                    found[i].append(texts[i])
        enough = [(row, texts) for row, texts in zip(rows, found, strict=True) if len(texts) > 3]
        dump(file_of(folder, f"rankings.{split}"), (row | {"responses": texts} for row, texts in enough))
        print(
            f"{split}: {len(enough)} of {len(rows)} prompts have four or more different responses", flush=True
        )


def _renderer(policy: str) -> Renderer:
    """Prompts in the policy's own tokens: one that PPO trained on an earlier base may have another tokenizer."""
    return Renderer(load_tokenizer(policy, setting="policy"), max_prompt_tokens=160, max_response_tokens=64)


def _source(sources: Sources, policies: int, rng: random.Random) -> str | int:
    """Who answers: the number of a policy, or which kind of person."""
    names = ("writer", "stray", "mixed_up", "policy")
    chances = (sources.written, sources.stray, sources.mixed_up)
    name = rng.choices(names, [*chances, 1 - sum(chances)])[0]
    if name != "policy":
        return name
    return rng.randrange(1, policies) if policies > 1 and rng.random() < FURTHER else 0


def _by_people(row: dict[str, Any], split: str, source: str, rng: random.Random) -> str:
    task = Task(row["family"], "", row["task"])
    if source == "stray":
        return stray(task, answer, tasks_by_split()[split], rng)
    return mix_up(task, answer, rng) if source == "mixed_up" else write(task, answer, rng)


def _by_policy(
    model: Any, renderer: Renderer, indices: list[int], rows: list[dict[str, Any]], seed: int
) -> dict[int, str]:
    if not indices:
        return {}
    prompts = [
        Prompt(
            rows[i]["id"],
            tuple(Message(**turn) for turn in rows[i]["prompt"]),
            rows[i]["group"],
            rows[i]["id"],
            {},
        )
        for i in indices
    ]
    texts = sample_texts(
        model, renderer, prompts, max_new_tokens=64, temperature=1.0, seed=seed, batch_size=128
    )
    return dict(zip(indices, texts, strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "policy", nargs="+", help="folders: the SFT policy, e.g. ../runs/sft, then further ones"
    )
    try:
        sample(parser.parse_args().policy, Path(__file__).resolve().parent)
    except UserError as mistake:
        parser.exit(2, f"{mistake}\n")
