from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from rlhf.models import load_policy, load_reward_model, load_tokenizer
from rlhf.rendering import Renderer
from rlhf.rollout import generate
from rlhf.runs.jsonl import read_jsonl
from rlhf.scoring import score_sequences
from rlhf.settings.reward import RewardSettings, RewardTrainingSettings
from stages import reward
from stages._command import run_stage
from tests.ppo_stage import lay_over
from tests.stage_data import (
    ends_with_too_few_records,
    files_of,
    rankings,
    reward_words,
    run_main,
    run_with_interrupt,
    summary_of,
    weights_of,
    write_base,
    write_jsonl,
)


def main(argv: list[str]) -> None:
    run_stage("reward", RewardSettings, reward.train, check=reward.check, argv=argv)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command line for a tiny run in `tmp_path`."""
    write_base(tmp_path / "sft")
    return reward_words(tmp_path)


def test_inv43_stage_trains_centres_and_measures(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(main, words) == 0
    assert "responses were cut at centring.max_response_tokens=" in capsys.readouterr().out
    folder = tmp_path / "reward"
    assert files_of(folder) >= {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "README.md",
        "summary.json",
    }
    numbers = summary_of(folder)
    for name in (
        "pair_accuracy_labels",
        "pair_accuracy_judge",
        "judge_accuracy_labels",
        "longer_wins",
        "first_wins",
    ):
        assert 0.0 <= numbers[f"{name}_low"] <= numbers[name] <= numbers[f"{name}_high"] <= 1.0
    assert numbers["pair_accuracy_labels"] > 0.8
    assert 0.0 < abs(numbers["score_length_correlation"]) <= 1.0
    assert numbers["num_rankings"] == 48
    assert numbers["seconds"] > 0
    rows = read_jsonl(folder / "metrics.jsonl")
    assert [row["step"] for row in rows if "reward/pair_accuracy_labels" in row] == [0, 8, 16, 18]
    assert AutoModelForSequenceClassification.from_pretrained(folder).num_labels == 1


def test_inv38_saved_model_scores_sft_samples_zero_on_average(tmp_path: Path, words: list[str]) -> None:
    assert run_main(main, words) == 0
    assert abs(summary_of(tmp_path / "reward")["sft_score_mean"]) < 1e-3
    model = load_reward_model(str(tmp_path / "reward"))
    renderer = Renderer(load_tokenizer(str(tmp_path / "sft")), max_prompt_tokens=48)
    prompts = [renderer.render_prompt(row["prompt"]) for row in rankings(48)[:24]]
    drawn = generate(
        load_policy(str(tmp_path / "sft")),
        prompts,
        stop_token_ids=renderer.stop_token_ids,
        pad_token_id=renderer.pad_token_id,
        max_new_tokens=16,
        temperature=1.0,
        seed=1,
    )
    sequences = [a + b for a, b in zip(drawn.prompts(), drawn.responses(), strict=True)]
    assert abs(score_sequences(model.eval(), sequences, 8).mean().item()) < 1e-3


def test_centring_can_be_left_out(tmp_path: Path, words: list[str]) -> None:
    kept = [word for word in words if not word.startswith(("centring.", "evaluation.judge", "data.test"))]
    rows = [{**row, "annotator": None} for row in read_jsonl(tmp_path / "validation.jsonl")]
    write_jsonl(tmp_path / "validation.jsonl", rows)
    assert run_main(main, [*kept, "centring=null", "evaluation.judge=null", "data.test=[]"]) == 0
    numbers = summary_of(tmp_path / "reward")
    assert not [name for name in numbers if "judge" in name or name.startswith("sft_score")]
    # Validation rankings stand in for the test ones; counted twice, each would agree with itself.
    assert not [name for name in numbers if name.startswith("labeler_agreement")]


def test_inv16_same_seed_same_weights_and_inv73_resume(tmp_path: Path, words: list[str]) -> None:
    assert run_main(main, [*words, f"run.output={tmp_path / 'a'}"]) == 0
    run_with_interrupt(main, [*words, f"run.output={tmp_path / 'b'}"])
    first, second = weights_of(tmp_path / "a"), weights_of(tmp_path / "b")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_lora_is_saved_merged(tmp_path: Path, words: list[str]) -> None:
    assert run_main(main, [*words, "lora={rank: 4, alpha: 8.0}"]) == 0
    assert "adapter_config.json" not in files_of(tmp_path / "reward")
    assert abs(summary_of(tmp_path / "reward")["sft_score_mean"]) < 1e-3


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("model.path={root}/gone/sft", "does not exist; run `make sft`"),
        ("evaluation.judge={root}/judge.py:nothing", "has no function 'nothing'"),
        ("reward.batch_size=128", "data.train has 48 records, fewer than one batch of 128"),
    ],
)
def test_user_mistakes_are_one_message(
    tmp_path: Path, words: list[str], pair: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key = pair.partition("=")[0]
    kept = [word for word in words if word.partition("=")[0] != key]
    assert run_main(main, [*kept, pair.replace("{root}", str(tmp_path))]) == 2
    assert message in capsys.readouterr().err


def test_fewer_records_than_a_batch_are_refused_before_a_finished_run_is_moved_away(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    ends_with_too_few_records(main, words, "reward")
    found = capsys.readouterr().err
    assert (
        "reward.batch_size: data.train has 48 records, fewer than one batch of 64; lower reward.batch_size"
        in found
    )
    assert not (tmp_path / "reward" / "provenance.json").exists()


def test_a_judge_that_fails_is_found_before_training(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "judge.py").write_text("def judge(prompts, responses):\n    return 1 / 0\n")
    assert run_main(main, words) == 2
    assert "judge.py:judge failed with ZeroDivisionError" in capsys.readouterr().err
    assert not (tmp_path / "reward" / "metrics.jsonl").exists()


def test_several_labelers_of_the_same_responses_are_one_element(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rankings(24)
    seconds = [{**row, "id": f"{row['id']}/2", "ranks": row["ranks"][::-1], "annotator": "b"} for row in rows]
    write_jsonl(tmp_path / "train.jsonl", [*rows, *seconds])
    assert run_main(main, words) == 0
    numbers = summary_of(tmp_path / "reward")
    assert (numbers["num_rankings"], numbers["num_ranked_sets"]) == (48, 24)
    assert "48 rankings are opinions on 24 sets of responses" in capsys.readouterr().out


def test_inv81_prompts_that_are_trained_on_are_not_evaluated(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed in (("validation", 1), ("test", 2)):
        write_jsonl(tmp_path / f"{name}.jsonl", [*rankings(3), *rankings(8, seed)])
    assert run_main(main, words) == 0
    found = capsys.readouterr().out
    assert "data.validation: 3 of 11 records have prompts of data.train: left out" in found
    assert "data.test: 3 of 11 records have prompts of data.train: left out" in found
    rows = read_jsonl(tmp_path / "reward" / "samples.jsonl")
    assert {row["id"] for row in rows} == {f"d2-{number}" for number in range(8)}


@pytest.mark.parametrize("strength", ["margin", "weight"])
def test_strengths_of_the_data_are_trained_on_and_told(
    tmp_path: Path, words: list[str], strength: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(main, [*words, f"reward.strength={strength}"]) == 0
    told = capsys.readouterr().out
    # 48 rankings of 3 pairs, half of them with a tie; strengths 3 and 2, and 1 in every second: mean 2.2
    unit = {"margin": "margin 1", "weight": "weight 0.4545"}[strength]
    assert f"120 of 120 untied pairs say how strong they are, 1 to 3; {unit} for each unit" in told


def test_strengths_that_no_data_state_are_missed_before_anything_is_loaded(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{key: value for key, value in row.items() if key != "strengths"} for row in rankings(48)]
    path = write_jsonl(tmp_path / "plain.jsonl", rows)
    kept = [word for word in words if not word.startswith("data.train")]
    asked = [*kept, f"data.train=[{{path: {path}}}]", "reward.strength=margin", "--dry-run"]
    assert run_main(main, asked) == 2
    told = capsys.readouterr().err
    assert "reward.strength: needs strengths of preferences, and data.train states none" in told
    assert "strength_from" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"strength": "margin", "loss": "plackett_luce"}, "strength is of a pair of responses"),
        ({"strength_scale": 0.5}, "strength_scale is only read where strength is margin or weight"),
        ({"strength": "weight", "strength_scale": 0.0}, "strength_scale"),
    ],
)
def test_strengths_that_no_loss_reads_are_refused(told: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RewardTrainingSettings(**told)  # type: ignore[arg-type]


def test_rankings_without_an_order_to_measure_on_are_refused_before_the_training(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"prompt": f"tied {n}", "responses": ["a b", "b a"], "ranks": [1, 1]} for n in range(4)]
    tied = write_jsonl(tmp_path / "tied.jsonl", rows)
    assert run_main(main, lay_over(words, f"data.validation=[{{path: {tied}}}]")) == 2
    assert "data.validation: 4 rankings to measure on hold no pair with an order" in capsys.readouterr().err
