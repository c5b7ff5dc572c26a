"""A tiny base model and tiny data files for tests that run real stages."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from rlhf.models.saving import save_model
from rlhf.runs.folder import RunFolder
from tests.helpers import tiny_gpt2, tiny_tokenizer

WORDS = ("apple", "baker", "cat", "door", "river", "lantern", "bread", "garden", "key", "pear")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def write_base(folder: Path, **changes: Any) -> str:
    tokenizer = tiny_tokenizer()
    save_model(tiny_gpt2(tokenizer, **changes), tokenizer, folder, stop_token_ids=[tokenizer.eos_token_id])
    return str(folder)


def demonstrations(count: int, seed: int = 0) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        word = draw.choice(WORDS)
        prompt = [{"role": "user", "content": f"Say {word} {number + 1000 * seed}."}]
        rows.append({"id": f"d{seed}-{number}", "prompt": prompt, "response": f"The {word} is here."})
    return rows


def rankings(count: int, seed: int = 0) -> list[dict[str, Any]]:
    rows = []
    for number, row in enumerate(demonstrations(count, seed)):
        good = row.pop("response")
        responses = [good, f"{good} {good}", good[: 4 + number % 5]]
        ranks = [1, 2, 2 + number % 2]
        strengths = [3, 2, number % 2]  # of 1 over 2, 1 over 3, 2 over 3, which tie in every second
        rows.append({**row, "responses": responses, "ranks": ranks, "strengths": strengths, "annotator": "a"})
    return rows


JUDGE = """
def judge(prompts, responses, **columns):
    return [{"score": 1.0 / (1.0 + abs(len(text) - 18)), "helpful": 1.0} for text in responses]
"""


def reward_words(folder: Path) -> list[str]:
    """Write rankings and a judge for a tiny run of the reward stage below `folder`; its command line."""
    (folder / "judge.py").write_text(JUDGE)
    sources = []
    for seed, (name, count) in enumerate({"train": 48, "validation": 8, "test": 16}.items()):
        path = write_jsonl(folder / f"{name}.jsonl", rankings(count, seed))
        sources.append(f"data.{name}=[{{path: {path}}}]")
    return [
        "--config=configs/reward.yaml",
        f"run.root={folder}",
        *sources,
        "reward.batch_size=8",
        "reward.microbatch_size=4",
        "reward.learning_rate=3e-3",
        "reward.epochs=3",
        "reward.max_prompt_tokens=48",
        "reward.max_response_tokens=24",
        "centring.num_prompts=24",
        "centring.max_response_tokens=16",
        f"evaluation.judge={folder}/judge.py:judge",
        "evaluation.every_updates=8",
        "checkpoint.every_updates=6",
    ]


def run_main(main: Callable[..., Any], argv: list[str]) -> int:
    """Call a stage as from the command line; returns its exit status."""
    with pytest.raises(SystemExit) as ended:
        main(argv)
    return int(ended.value.code or 0)


def ends_with_too_few_records(main: Callable[..., Any], words: list[str], stage: str) -> None:
    """Ask for batches of more records than there are; the caller looks at what was said and left."""
    kept = [word for word in words if "batch_size" not in word]
    assert run_main(main, [*kept, f"{stage}.batch_size=64", f"{stage}.microbatch_size=4"]) == 2


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def files_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def summary_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


@contextmanager
def interrupted_at_a_checkpoint() -> Iterator[None]:
    """Interrupt the run inside right after its first checkpoint."""
    prune = RunFolder.prune_checkpoints

    def interrupt(run: RunFolder, keep: int) -> None:
        prune(run, keep)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "prune_checkpoints", interrupt)
        yield


def run_with_interrupt(main: Callable[..., Any], argv: list[str]) -> None:
    """Run a stage that is interrupted right after its first checkpoint, and the same command again."""
    with interrupted_at_a_checkpoint():
        assert run_main(main, argv) == 130
    assert run_main(main, argv) == 0
