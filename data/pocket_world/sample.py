"""Sample the responses that labelers rank, from an SFT policy, as InstructGPT did; a few come from the writers.

    cd data && PYTHONPATH=.. python -m pocket_world.sample ../runs/sft && python -m pocket_world.generate

Every prompt gets four to six different responses: about four in five by the policy at temperature 1, the rest by writers,
so that rankings also show what the policy seldom says.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

from rlhf.feedback.records import Message, Prompt
from rlhf.models import load_causal_lm, load_tokenizer
from rlhf.rendering import Renderer
from rlhf.rollout import sample_texts

from .families.common import Task
from .generate import RANKED_PROMPTS, SEED, dump, plan
from .people import write
from .prompts import answer

WRITTEN = 0.2  # chance that a response is a writer's
TRIES = 8


def sample(policy: str, folder: Path) -> None:
    """Write rankings.*.jsonl with fresh responses and no ranks yet; ``generate`` has them ranked."""
    tokenizer = load_tokenizer(policy)
    model, renderer = (
        load_causal_lm(policy),
        Renderer(tokenizer, max_prompt_tokens=160, max_response_tokens=64),
    )
    files = plan()
    for split in RANKED_PROMPTS:
        rows = files[f"rankings.{split}"]
        rng = random.Random(f"{SEED}/responses/{split}")
        wanted = [rng.choice([4, 5, 5, 6]) for _ in rows]
        found: list[list[str]] = [[] for _ in rows]
        for turn in range(TRIES):
            short = [i for i, number in enumerate(wanted) if len(found[i]) < number]
            by_writer = {i for i in short if rng.random() < WRITTEN or turn == TRIES - 1}
            texts = {
                i: write(Task(rows[i]["family"], "", rows[i]["task"]), answer, rng) for i in sorted(by_writer)
            }
            texts |= _by_policy(
                model, renderer, [i for i in short if i not in by_writer], rows, seed=SEED * 1000 + turn
            )
            for i in short:
                if texts[i].strip() and texts[i] not in found[i]:
                    found[i].append(texts[i])
        dump(
            folder / f"rankings.{split}.jsonl",
            (row | {"responses": texts} for row, texts in zip(rows, found, strict=True) if len(texts) > 3),
        )
        print(
            f"{split}: {sum(len(texts) > 3 for texts in found)} of {len(rows)} prompts have four or more different responses",
            flush=True,
        )


def _by_policy(
    model: Any, renderer: Renderer, indices: list[int], rows: list[dict[str, Any]], seed: int
) -> dict[int, str]:
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
    parser.add_argument("policy", help="folder of the SFT policy, e.g. ../runs/sft")
    sample(parser.parse_args().policy, Path(__file__).resolve().parent)
