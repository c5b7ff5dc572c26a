"""The PPO stage on tiny models and files: its command line as a fixture (`words`, see tests/conftest.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlhf.models.saving import save_model
from rlhf.settings.ppo import PpoSettings
from stages import ppo
from stages._command import run_stage
from tests.helpers import tiny_reward_model, tiny_tokenizer
from tests.stage_data import JUDGE, demonstrations, write_base, write_jsonl


def main(argv: list[str]) -> None:
    run_stage("ppo", PpoSettings, ppo.train, check=ppo.check, argv=argv)


def lay_over(words: list[str], *more: str) -> list[str]:
    """The same command line with other values: a key may be given once only."""
    keys = {word.split("=")[0] for word in more}
    return [*(word for word in words if word.split("=")[0] not in keys), *more]


def prompts(count: int, seed: int = 0) -> list[dict]:
    return [{**row, "response": None} for row in demonstrations(count, seed)]


def write_reward(folder: Path) -> str:
    tokenizer = tiny_tokenizer()
    save_model(tiny_reward_model(tokenizer, seed=3), tokenizer, folder)
    return str(folder)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command line for a tiny run in `tmp_path`."""
    (tmp_path / "judge.py").write_text(JUDGE)
    write_base(tmp_path / "sft")
    write_reward(tmp_path / "reward")
    return [
        "--config=configs/ppo.yaml",
        f"run.root={tmp_path}",
        f"data.train=[{{path: {write_jsonl(tmp_path / 'train.jsonl', prompts(24))}}}]",
        f"data.validation=[{{path: {write_jsonl(tmp_path / 'validation.jsonl', prompts(8, seed=1))}}}]",
        f"evaluation.judge={tmp_path}/judge.py:judge",
        "evaluation.every_updates=2",
        "evaluation.num_prompts=8",
        "checkpoint.every_updates=1",
        "sampling.max_prompt_tokens=48",
        "sampling.max_response_tokens=8",
        "ppo.num_updates=4",
        "ppo.rollout_batch_size=8",
        "ppo.minibatch_size=4",
        "ppo.microbatch_size=2",
        "ppo.learning_rate=3e-3",
        "ppo.missing_eos_score=null",  # nearly all tiny responses are cut
    ]
