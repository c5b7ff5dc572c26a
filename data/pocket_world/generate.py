"""Write the shipped files of Larkhaven: prompts and demonstrations from the seed, rankings from sampled responses.

    cd data && python -m pocket_world.generate             # prompts, demonstrations; ranks the responses in place
    cd data && python -m pocket_world.sample ../runs/sft   # sample new responses from a policy first (see sample.py)

The same seed writes the same bytes. Rankings keep the responses that their files hold (they were sampled from a policy, see
README.md) and are ranked anew by the simulated labelers.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .families.common import Task
from .people import LABELERS, rank, write
from .prompts import SHARES, answer, prompts

SEED = 1
DEMONSTRATIONS = {"train": 8000, "validation": 400}
RANKED_PROMPTS = {"train": 8200, "validation": 300, "test": 600}
PROMPTS = {"train": 8000, "validation": 400, "test": 1000}
# What is hard to tell right from wrong is ranked more often for training; validation and test are as people ask.
RANKED_SHARES = {
    "fact": 0.2, "unknown": 0.1, "story": 0.15, "note": 0.12, "rewrite": 0.13, "list": 0.1, "summary": 0.11, "refuse": 0.09,
}  # fmt: skip
NUM_LABELERS = {"train": 3, "validation": 2, "test": 2}  # who rank the same responses
GZIPPED = ("rankings.train",)  # three opinions on the same responses: most of it is said three times


def dump(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as compact JSON lines; a .gz carries no name, time or system, so that equal rows are equal bytes."""
    lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    data = "".join(lines).encode()
    if path.suffix == ".gz":
        packed = gzip.compress(data, mtime=0)
        # Byte 9 names the system; what Python writes there differs by version.
        data = packed[:9] + b"\xff" + packed[10:]
    path.write_bytes(data)


def load(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.decode().split("\n") if line]


def file_of(folder: Path, stem: str) -> Path:
    """Where the rows of a stem such as rankings.test stand."""
    return folder / f"{stem}.jsonl{'.gz' if stem in GZIPPED else ''}"


def prompt_of(row: dict[str, Any]) -> str:
    """The id of a ranking's prompt: that of the first opinion on it."""
    return row["id"].split("/")[0]


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
            shares = RANKED_SHARES if (name, split) == ("rankings", "train") else SHARES
            rows = list(prompts(split, number, rng, seen, shares))
            rng.shuffle(rows)
            files[f"{name}.{split}"] = [
                {"id": f"{name[0]}-{split}-{i:05d}"} | row for i, row in enumerate(rows)
            ]
    return files


def demonstrations(rows: list[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    """Let a writer answer each prompt."""
    return [row | {"response": write(Task(row["family"], "", row["task"]), answer, rng)} for row in rows]


def rankings(rows: list[dict[str, Any]], responses: dict[str, list[str]], split: str) -> list[dict[str, Any]]:
    """Let several labelers rank the responses of each prompt; further opinions have the id of the first with ``/2``, ``/3``."""
    rng = random.Random(f"{SEED}/labels/{split}")
    ranked = []
    for row in rows:
        if row["id"] not in responses:  # too few different responses were found
            continue
        for place, name in enumerate(rng.sample(sorted(LABELERS), NUM_LABELERS[split])):
            texts = responses[row["id"]]
            ranks = rank(row, texts, LABELERS[name], rng)
            opinion = f"{row['id']}/{place + 1}" if place else row["id"]
            ranked.append(row | {"id": opinion, "responses": texts, "ranks": ranks, "annotator": name})
    return ranked


def _stored_responses(source: Path, rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The responses of a ranking file by the id of their prompt, if that id still stands for the same prompt."""
    stored = {prompt_of(row): row for row in load(source)} if source.exists() else {}
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
        split: _stored_responses(file_of(shipped, f"rankings.{split}"), files[f"rankings.{split}"])
        for split in RANKED_PROMPTS
    }
    folder.mkdir(parents=True, exist_ok=True)
    for split in PROMPTS:
        dump(file_of(folder, f"prompts.{split}"), _shipped(split, files[f"prompts.{split}"]))
    for split in DEMONSTRATIONS:
        rows = demonstrations(files[f"demonstrations.{split}"], random.Random(f"{SEED}/writers/{split}"))
        dump(file_of(folder, f"demonstrations.{split}"), _shipped(split, rows))
    for split, of_split in responses.items():
        if of_split:
            ranked = rankings(files[f"rankings.{split}"], of_split, split)
            dump(file_of(folder, f"rankings.{split}"), _shipped(split, ranked))


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=here, help="folder to write to (default: this one)")
    generate(parser.parse_args().output, here)
