"""Centring comes after the training: what it needs is looked at before, and nothing of what was learnt is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import stages._reward_centring as stage
from rlhf.errors import RunError
from rlhf.models import load_reward_model
from rlhf.ranking import centring
from tests.encoders import write_encoder
from tests.ppo_stage import lay_over, write_reward
from tests.stage_data import rankings, run_main, summary_of, write_base, write_jsonl
from tests.test_families import reward_words
from tests.test_reward_stage import main

LONG = " please tell me more about the garden and the river" * 6


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    root = tmp_path / "runs"
    found = reward_words(root)
    write_base(root / "sft")
    return found


def with_long_prompts(root: Path) -> None:
    rows = rankings(16)
    for row in rows:
        row["prompt"][0]["content"] += LONG
    write_jsonl(root / "reward.train.jsonl", rows)


def test_prompts_leave_room_for_the_longest_answer_and_what_is_cut_is_said(
    tmp_path: Path, words: list[str], capsys: Any
) -> None:
    """Policy and reward model read 128 tokens; prompts of 90 and answers of 96 are more."""
    with_long_prompts(tmp_path / "runs")
    more = ("reward.max_prompt_tokens=90", "reward.max_response_tokens=32", "centring.max_response_tokens=96")
    assert run_main(main, lay_over(words, *more)) == 0
    assert "centring: prompts whose last turn lost its beginning" in capsys.readouterr().out
    assert summary_of(tmp_path / "runs" / "reward")["centring_shift"] != 0


def test_an_encoder_reads_what_fits_of_a_long_answer(tmp_path: Path, words: list[str], capsys: Any) -> None:
    encoder = write_encoder(tmp_path / "bert", "bert", max_position_embeddings=124)
    write_base(tmp_path / "runs" / "sft", n_positions=512)
    told = (
        f"model.path={encoder}",
        f"centring.policy.path={tmp_path}/runs/sft",
        "centring.max_response_tokens=200",
    )
    assert run_main(main, lay_over(words, *told)) == 0
    assert load_reward_model(str(tmp_path / "runs" / "reward")).config.reward_max_prompt_tokens == 64


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (
            ("centring.max_response_tokens=128",),
            "centring.max_response_tokens: is 128, which leaves no room for a prompt in the context of 128 tokens of "
            "model.path; lower it",
        ),
        (
            ("model.path={reward}",),
            "is a reward model, which writes no responses to centre on; set centring.policy",
        ),
        (
            ("centring.policy.path={reward}",),
            "centring.policy.path: '{reward}' is a reward model, which says nothing",
        ),
        (("centring.policy.path={empty}",), "centring.policy.path: '{empty}' holds no model"),
    ],
)
def test_what_centring_cannot_do_is_said_before_the_training(
    tmp_path: Path,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    told: tuple[str, ...],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"empty": str(tmp_path / "empty"), "reward": write_reward(tmp_path / "judge")}
    monkeypatch.setattr(
        "rlhf.ranking.training.train_reward_model", lambda *_, **__: pytest.fail("it trained")
    )
    assert run_main(main, lay_over(words, *(one.format(**places) for one in told))) == 2
    assert message.format(**places) in capsys.readouterr().err


def test_what_was_learnt_is_saved_before(
    tmp_path: Path, words: list[str], monkeypatch: Any, capsys: Any
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RunError("the policy does not fit into memory beside it")

    monkeypatch.setattr(centring, "centre_on_policy", fail)
    assert run_main(main, words) == 2
    folder = tmp_path / "runs" / "reward"
    assert "saved in" in capsys.readouterr().out
    assert load_reward_model(str(folder)).config.num_labels == 1
    assert "Its zero means nothing" in (folder / "README.md").read_text()


def test_a_reward_model_is_trained_on_from_its_head(tmp_path: Path, words: list[str], capsys: Any) -> None:
    judge = write_reward(tmp_path / "judge")
    more = (f"model.path={judge}", f"centring.policy.path={tmp_path}/runs/sft", "reward.learning_rate=1e-9")
    assert run_main(main, lay_over(words, *more)) == 0
    assert "is a reward model: it is trained on from the head that it has" in capsys.readouterr().out
    one, other = (
        load_reward_model(str(folder)).score.weight for folder in (judge, tmp_path / "runs" / "reward")
    )
    assert (one - other).abs().max() < 1e-6
    assert stage.told_zero.__doc__
