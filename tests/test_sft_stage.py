from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from rlhf.models.loading import load_policy
from rlhf.runs.jsonl import read_jsonl
from rlhf.settings.sft import SftSettings
from stages import sft
from stages._command import run_stage
from tests.stage_data import (
    demonstrations,
    ends_with_too_few_records,
    files_of,
    interrupted_at_a_checkpoint,
    run_main,
    summary_of,
    weights_of,
    write_base,
    write_jsonl,
)


def main(argv: list[str]) -> None:
    run_stage("sft", SftSettings, sft.train, check=sft.check, argv=argv)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command line for a tiny run in `tmp_path`."""
    train = write_jsonl(tmp_path / "train.jsonl", demonstrations(48))
    validation = write_jsonl(tmp_path / "validation.jsonl", demonstrations(8, seed=1))
    return [
        "--config=configs/sft.yaml",
        f"run.root={tmp_path}",
        f"model.path={write_base(tmp_path / 'base')}",
        f"data.train=[{{path: {train}}}]",
        f"data.validation=[{{path: {validation}}}]",
        "sft.epochs=2",
        "sft.batch_size=8",
        "sft.microbatch_size=4",
        "sft.learning_rate=3e-3",
        "sft.max_prompt_tokens=48",
        "sft.max_response_tokens=24",
        "evaluation.num_samples=2",
        "evaluation.every_updates=5",
        "checkpoint.every_updates=4",
    ]


def test_stage_trains_and_leaves_a_plain_model(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(main, words) == 0
    folder = tmp_path / "sft"
    assert files_of(folder) >= {
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "README.md",
        "config.yaml",
        "provenance.json",
        "metrics.jsonl",
        "samples.jsonl",
        "summary.json",
    }
    numbers = summary_of(folder)
    assert numbers["validation_loss"] < numbers["validation_loss_before"]
    assert numbers["num_steps"] == 12
    rows = read_jsonl(folder / "samples.jsonl")
    assert [row["when"] for row in rows] == ["before"] * 2 + ["after"] * 2
    steps = [row["step"] for row in read_jsonl(folder / "metrics.jsonl") if "sft/validation_loss" in row]
    assert steps == [0, 5, 10, 12]
    AutoModelForCausalLM.from_pretrained(folder)
    assert "⟦The " in capsys.readouterr().out  # the first demonstration, trained tokens marked


def test_inv16_same_seed_gives_the_same_weights(tmp_path: Path, words: list[str]) -> None:
    for name in ("a", "b"):
        assert run_main(main, [*words, f"run.output={tmp_path / name}"]) == 0
    first, second = weights_of(tmp_path / "a"), weights_of(tmp_path / "b")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_inv73_killed_run_goes_on_to_the_same_weights(tmp_path: Path, words: list[str]) -> None:
    assert run_main(main, [*words, f"run.output={tmp_path / 'unbroken'}"]) == 0
    broken = [*words, f"run.output={tmp_path / 'broken'}"]
    with interrupted_at_a_checkpoint():
        assert run_main(main, broken) == 130
    assert [folder.name for folder in (tmp_path / "broken" / "checkpoints").glob("step_*")] == ["step_000004"]
    with (tmp_path / "broken" / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"step": 5}\n')  # measured after the checkpoint: the run measures it again
    assert run_main(main, broken) == 0
    first, second = weights_of(tmp_path / "unbroken"), weights_of(tmp_path / "broken")
    assert all(torch.equal(first[name], second[name]) for name in first)
    steps = [row["step"] for row in read_jsonl(tmp_path / "broken" / "metrics.jsonl")]
    assert steps == sorted(steps)
    assert steps.count(5) == 1
    assert (
        len([row for row in read_jsonl(tmp_path / "broken" / "samples.jsonl") if row["when"] == "before"])
        == 2
    )


@pytest.mark.parametrize("merge", ["true", "false"])
def test_lora_is_merged_or_kept(tmp_path: Path, words: list[str], merge: str) -> None:
    assert run_main(main, [*words, f"lora={{rank: 4, alpha: 64.0, merge: {merge}}}"]) == 0
    folder = tmp_path / "sft"
    assert ("adapter_config.json" in files_of(folder)) == (merge == "false")
    assert ("model.safetensors" in files_of(folder)) == (merge == "true")
    numbers = summary_of(folder)
    assert numbers["num_trained_parameters"] < numbers["num_parameters"] / 4
    assert numbers["validation_loss"] < numbers["validation_loss_before"]
    base, tuned = load_policy(str(tmp_path / "base")), load_policy(str(folder))
    ids = torch.tensor([[9, 8, 7]])
    assert not torch.equal(base(ids).logits, tuned(ids).logits)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("model.path=runs/base", "model.path: 'runs/base' does not exist; run `make base` or set model.path"),
        ("sft.batch_size=64 sft.microbatch_size=64", "data.train has 48 records, fewer than one batch of 64"),
        ("sft.microbatch_size=3", "batch_size 8 is not a multiple of microbatch_size 3"),
        ("sft.max_prompt_tokens=120", "128"),
        ("sft.learning_rate=1e30", "loss is nan"),
        ("data.train=[{path: nowhere.jsonl}]", "nowhere.jsonl"),
    ],
)
def test_user_mistakes_are_one_message(
    words: list[str], pair: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = pair.split(" sft.") if pair.startswith("sft.batch_size") else [pair]
    changed = [one if one.partition(".")[0] in ("sft", "model", "data") else f"sft.{one}" for one in changed]
    replaced = {one.partition("=")[0] for one in changed}
    kept = [word for word in words if word.partition("=")[0] not in replaced]
    assert run_main(main, [*kept, *changed]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_inv25_dropped_and_cut_demonstrations_are_counted(tmp_path: Path, words: list[str]) -> None:
    long = {**demonstrations(1)[0], "id": "long", "response": "word " * 200}
    deep = {**demonstrations(1)[0], "id": "deep", "prompt": [{"role": "user", "content": "why " * 200}]}
    write_jsonl(tmp_path / "train.jsonl", [*demonstrations(48), long, deep])
    assert run_main(main, words) == 0
    numbers = summary_of(tmp_path / "sft")
    assert numbers["num_demonstrations"] == 49
    assert numbers["counts"] == {"dropped_responses": 1, "cut_within_turn": 1}


def test_fewer_records_than_a_batch_are_refused_before_a_finished_run_is_moved_away(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    ends_with_too_few_records(main, words, "sft")
    found = capsys.readouterr().err
    assert (
        "sft.batch_size: data.train has 48 records, fewer than one batch of 64; lower sft.batch_size" in found
    )
    assert not (tmp_path / "sft" / "provenance.json").exists()


def test_a_tracker_that_is_not_installed_is_named_at_once(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert importlib.util.find_spec("swanlab") is None
    assert run_main(main, [*words, "run.trackers=[swanlab]"]) == 2
    assert "run.trackers: the package of 'swanlab' is not installed" in capsys.readouterr().err


def test_inv81_prompts_that_are_trained_on_are_not_evaluated(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_jsonl(tmp_path / "validation.jsonl", [*demonstrations(3), *demonstrations(8, seed=1)])
    kept = [word for word in words if not word.startswith("evaluation.num_samples")]
    assert run_main(main, [*kept, "evaluation.num_samples=11"]) == 0
    assert "data.validation: 3 of 11 records have prompts of data.train: left out" in capsys.readouterr().out
    rows = read_jsonl(tmp_path / "sft" / "samples.jsonl")
    assert {row["id"] for row in rows} == {f"d1-{number}" for number in range(8)}


def test_inv72_float16_of_the_accelerate_config_is_refused_on_a_cpu(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    assert run_main(main, [*words, "sft.mixed_precision=null"]) == 2
    said = capsys.readouterr().err
    assert "sft.mixed_precision is null, and the accelerate config's mixed_precision is fp16" in said


def test_a_base_with_a_generation_config_that_the_library_would_not_save_is_trained_to_its_end(
    tmp_path: Path, words: list[str]
) -> None:
    """With checkpoints, before which the trainer has changed the config."""
    file = tmp_path / "base" / "generation_config.json"
    told = {"min_p": 0.1, "do_sample": False, "temperature": 0.7, "length_penalty": 2.0, "pad_token_id": None}
    file.write_text(json.dumps({**json.loads(file.read_text()), **told}))
    assert run_main(main, words) == 0
    saved = json.loads((tmp_path / "sft" / "generation_config.json").read_text())
    assert {name: saved.get(name) for name in list(told)[:4]} == dict(list(told.items())[:4])
    AutoModelForCausalLM.from_pretrained(tmp_path / "sft")
