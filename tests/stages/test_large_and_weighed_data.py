"""Data that stands on disk trains the weights that data in memory does; weights of sources change what is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from rlhf.errors import RunError
from rlhf.feedback import shelf
from rlhf.settings.reward import RewardSettings
from rlhf.settings.sft import SftSettings
from stages import reward, sft
from stages._command import run_stage
from tests import ppo_stage
from tests.stage_data import (
    demonstrations,
    reward_words,
    run_main,
    summary_of,
    weights_of,
    write_base,
    write_jsonl,
)

Main = Callable[[list[str]], None]


def sft_words(folder: Path) -> list[str]:
    train = write_jsonl(folder / "train.jsonl", demonstrations(48))
    return [
        "--config=configs/sft.yaml",
        f"run.root={folder}",
        f"model.path={write_base(folder / 'base')}",
        f"data.train=[{{path: {train}}}]",
        f"data.validation=[{{path: {write_jsonl(folder / 'validation.jsonl', demonstrations(8, seed=1))}}}]",
        "sft.epochs=1",
        "sft.batch_size=8",
        "sft.microbatch_size=4",
        "sft.max_prompt_tokens=48",
        "sft.max_response_tokens=24",
        "evaluation.num_samples=2",
        "evaluation.every_updates=null",
    ]


def sft_main(argv: list[str]) -> None:
    run_stage("sft", SftSettings, sft.train, check=sft.check, argv=argv)


def reward_main(argv: list[str]) -> None:
    run_stage("reward", RewardSettings, reward.train, check=reward.check, argv=argv)


def short_reward_words(folder: Path) -> list[str]:
    write_base(folder / "sft")
    return ppo_stage.lay_over(reward_words(folder), "reward.epochs=1", "centring=null")


def ppo_words(folder: Path) -> list[str]:
    words: Any = ppo_stage.words
    found: list[str] = words.__wrapped__(folder)
    return ppo_stage.lay_over(found, "ppo.num_updates=2")


STAGES: dict[str, tuple[Main, Callable[[Path], list[str]]]] = {
    "sft": (sft_main, sft_words),
    "reward": (reward_main, short_reward_words),
    "ppo": (ppo_stage.main, ppo_words),
}
EACH = pytest.mark.parametrize("stage", STAGES)


def weighed(words: list[str], part: str, weight: float) -> list[str]:
    return [
        word.replace(".jsonl}", f".jsonl, weight: {weight}}}") if word.startswith(f"data.{part}=") else word
        for word in words
    ]


@EACH
def test_data_on_disk_trains_the_same_weights(
    tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, write = STAGES[stage]
    words = write(tmp_path)
    assert run_main(main, [*words, f"run.output={tmp_path / 'memory'}"]) == 0
    monkeypatch.setattr(shelf, "KEPT_IN_MEMORY", 0)
    monkeypatch.setattr(shelf, "_BUFFER_BYTES", 1000)
    monkeypatch.setattr("rlhf.rendering._AT_ONCE", 5)
    monkeypatch.setattr("rlhf.sft._ROWS_AT_ONCE", 7)
    num_items = 0
    append = shelf.Shelf.append

    def counted(self: shelf.Shelf[Any], item: Any) -> None:
        nonlocal num_items
        num_items += 1
        append(self, item)

    monkeypatch.setattr(shelf.Shelf, "append", counted)
    assert run_main(main, [*words, f"run.output={tmp_path / 'disk'}"]) == 0
    assert num_items > 64
    memory, disk = weights_of(tmp_path / "memory"), weights_of(tmp_path / "disk")
    assert all(torch.equal(memory[name], disk[name]) for name in memory)


@pytest.mark.parametrize("stage", ["sft", "reward"])
def test_an_epoch_takes_as_many_steps_as_the_weight_says(tmp_path: Path, stage: str) -> None:
    main, write = STAGES[stage]
    assert run_main(main, weighed(write(tmp_path), "train", 2)) == 0
    assert summary_of(tmp_path / stage)["num_steps"] == 2 * 48 // 8


@pytest.mark.parametrize(("weight", "least", "most"), [(1, 24, 24), (2, 48, 48), (0.6, 10, 19)])
def test_ppo_is_given_its_prompts_as_often_as_the_weight_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weight: float, least: int, most: int
) -> None:
    given: list[str] = []

    def train(parts: Any, recipe: Any, prompts: Any, **_: Any) -> NoReturn:
        given.extend(prompt.prompt.id for prompt in prompts)
        raise RunError("that is all")

    monkeypatch.setattr("rlhf.ppo.loop.train", train)
    assert run_main(ppo_stage.main, weighed(ppo_words(tmp_path), "train", weight)) == 2
    assert least <= len(given) <= most
    assert len(set(given)) == (24 if weight >= 1 else len(given))


@EACH
def test_held_out_records_that_would_count_twice_are_refused(
    tmp_path: Path, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main, write = STAGES[stage]
    words = weighed(write(tmp_path), "validation", 2)
    assert run_main(main, [*words, "--dry-run"]) == 2
    assert "data.validation: weight above 1 would measure on some records twice" in capsys.readouterr().err


def test_a_weight_can_make_a_batch_of_few_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ppo_stage.lay_over(sft_words(tmp_path), "sft.batch_size=64")
    assert run_main(sft_main, [*words, "--dry-run"]) == 2
    assert run_main(sft_main, [*weighed(words, "train", 2), "--dry-run"]) == 0
    assert "weight 2 of" in capsys.readouterr().err
