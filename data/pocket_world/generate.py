"""Write the shipped files of Larkhaven: prompts and demonstrations from the seed, rankings from sampled responses.

    cd data && python -m pocket_world.generate             # prompts, demonstrations; ranks the responses in place
    cd data && python -m pocket_world.sample ../runs/sft   # sample new responses from a policy first (see sample.py)

The same seed writes the same bytes. Rankings keep the responses that their files hold (they were sampled from a policy, see
README.md) and are ranked anew by the simulated labelers.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .families.common import Task
from .people import LABELERS, rank, write
from .prompts import answer, prompts

SEED = 1
DEMONSTRATIONS = {"train": 8000, "validation": 400}
RANKED_PROMPTS = {"train": 8200, "validation": 300, "test": 600}
PROMPTS = {"train": 8000, "validation": 400, "test": 1000}
TWICE_LABELED = {"train": 0.05, "validation": 1.0, "test": 1.0}  # share of the rankings made by two labelers


def dump(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as compact JSON lines."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


def load(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _shipped(split: str, rows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """The rows as they ship: what only the judge reads stands in validation and test, not where training reads."""
    hidden = {"family", "task"} if split == "train" else set()
    return ({key: value for key, value in row.items() if key not in hidden} for row in rows)


def plan() -> dict[str, list[dict[str, Any]]]:
    """All prompts by file stem, shuffled and with ids; none stands in two files."""
    rng = random.Random(SEED)
    seen: set[str] = set()
    files: dict[str, list[dict[str, Any]]] = {}
    for name, sizes in (
        ("prompts", PROMPTS),
        ("rankings", RANKED_PROMPTS),
        ("demonstrations", DEMONSTRATIONS),
    ):
        for split, number in sizes.items():
            rows = list(prompts(split, number, rng, seen))
            rng.shuffle(rows)
            files[f"{name}.{split}"] = [
                {"id": f"{name[0]}-{split}-{i:05d}"} | row for i, row in enumerate(rows)
            ]
    return files


def demonstrations(rows: list[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    """Let a writer answer each prompt."""
    return [row | {"response": write(Task(row["family"], "", row["task"]), answer, rng)} for row in rows]


def rankings(rows: list[dict[str, Any]], responses: dict[str, list[str]], split: str) -> list[dict[str, Any]]:
    """Let one or two labelers rank the responses of each prompt; a second opinion has the id of the first with ``/2``."""
    rng = random.Random(f"{SEED}/labels/{split}")
    ranked = []
    for row in rows:
        if row["id"] not in responses:  # too few different responses were found
            continue
        number = 2 if rng.random() < TWICE_LABELED[split] else 1
        for place, name in enumerate(rng.sample(sorted(LABELERS), number)):
            texts = responses[row["id"]]
            ranks = rank(row, texts, LABELERS[name], rng)
            ranked.append(
                row | {"id": row["id"] + "/2" * place, "responses": texts, "ranks": ranks, "annotator": name}
            )
    return ranked


def _stored_responses(source: Path, rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The responses of a ranking file by the id of their prompt, if that id still stands for the same prompt."""
    stored = {row["id"].removesuffix("/2"): row for row in load(source)} if source.exists() else {}
    changed = [
        row["id"] for row in rows if row["id"] in stored and stored[row["id"]]["prompt"] != row["prompt"]
    ]
    if changed:
        raise SystemExit(
            f"{source}: the responses to {changed[0]} and {len(changed) - 1} more answer another prompt than the plan has "
            "now; nothing was written; sample new responses first (see sample.py)"
        )
    return {name: row["responses"] for name, row in stored.items()}


def generate(folder: Path, shipped: Path) -> None:
    """Write every file into ``folder``; responses to rank come from the ranking files in ``shipped``."""
    files = plan()
    responses = {
        split: _stored_responses(shipped / f"rankings.{split}.jsonl", files[f"rankings.{split}"])
        for split in RANKED_PROMPTS
    }
    folder.mkdir(parents=True, exist_ok=True)
    for split in PROMPTS:
        dump(folder / f"prompts.{split}.jsonl", _shipped(split, files[f"prompts.{split}"]))
    for split in DEMONSTRATIONS:
        rows = demonstrations(files[f"demonstrations.{split}"], random.Random(f"{SEED}/writers/{split}"))
        dump(folder / f"demonstrations.{split}.jsonl", _shipped(split, rows))
    for split, of_split in responses.items():
        if of_split:
            ranked = rankings(files[f"rankings.{split}"], of_split, split)
            dump(folder / f"rankings.{split}.jsonl", _shipped(split, ranked))


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=here, help="folder to write to (default: this one)")
    generate(parser.parse_args().output, here)
