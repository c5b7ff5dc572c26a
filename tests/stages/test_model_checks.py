"""A dry run opens the models in folders, all but their numbers: what training would refuse, it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rlhf.models.adapters import LoraSpec, add_lora
from rlhf.models.loading import load_policy
from rlhf.models.saving import save_model
from tests.helpers import tiny_gpt2, tiny_reward_model, tiny_tokenizer
from tests.ppo_stage import lay_over, write_reward
from tests.ppo_stage import main as run_ppo
from tests.stage_data import reward_words, run_main, write_base
from tests.test_families import sft_words
from tests.test_report_stage import main as run_report
from tests.test_report_stage import words as report_words
from tests.test_reward_stage import main as run_reward
from tests.test_sft_stage import main as run_sft

__all__ = ["report_words"]


def no_tokenizer(folder: Path) -> None:
    for file in folder.glob("*token*"):
        file.unlink()


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def unknown_type(folder: Path) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "model_type": "gpt99"}))


def lost_shard(folder: Path) -> None:
    load_policy(str(folder)).save_pretrained(folder, max_shard_size="20KB")
    no_weights(folder)
    sorted(folder.glob("model-*.safetensors"))[1].unlink()


DAMAGES = {
    no_tokenizer: "holds no tokenizer",
    no_weights: "no file named model.safetensors",
    unknown_type: "model type `gpt99`",
    lost_shard: "model-00002-of-",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_base_model_that_sft_could_not_open(tmp_path: Path, damage: Any, capsys: Any) -> None:
    base = write_base(tmp_path / "base")
    words = [*sft_words(tmp_path / "runs", base), "--dry-run"]
    assert run_main(run_sft, words) == 0
    damage(tmp_path / "base")
    capsys.readouterr()
    assert run_main(run_sft, words) == 2
    error = capsys.readouterr().err
    assert "model.path: " in error
    assert DAMAGES[damage] in error.splitlines()[-1]


@pytest.mark.parametrize("told", ["model.path", "centring.policy.path"])
@pytest.mark.parametrize("damage", [no_tokenizer, no_weights], ids=lambda damage: damage.__name__)
def test_a_model_that_the_reward_stage_could_not_open(
    tmp_path: Path, damage: Any, told: str, capsys: Any
) -> None:
    write_base(tmp_path / "sft")
    write_base(tmp_path / "other")
    words = [*reward_words(tmp_path), f"{told}={tmp_path}/other", "--dry-run"]
    assert run_main(run_reward, words) == 0
    damage(tmp_path / "other")
    capsys.readouterr()
    assert run_main(run_reward, words) == 2
    error = capsys.readouterr().err
    assert DAMAGES[damage] in error
    assert f"{told}: " in error


ONE = "{model: %s}"
SOURCES = {
    "policy.path": "policy={path: %s}",
    "reference.path": "reference={path: %s}",
    "scores[0].model": f"scores=[{ONE}]",
    "scores[0].models[1]": "scores=[{models: [%s/../reward, %s], combine: min}]",
    "evaluation.held_out_scores[0].model": f"evaluation.held_out_scores=[{ONE}]",
    "critic.path": "critic.path=%s",
}


@pytest.mark.parametrize("told", SOURCES)
def test_a_model_that_ppo_could_not_open(tmp_path: Path, words: list[str], told: str, capsys: Any) -> None:
    (write_base if told in ("policy.path", "reference.path") else write_reward)(tmp_path / "other")
    words = lay_over(words, SOURCES[told].replace("%s", f"{tmp_path}/other"), "--dry-run")
    assert run_main(run_ppo, words) == 0
    no_weights(tmp_path / "other")
    capsys.readouterr()
    assert run_main(run_ppo, words) == 2
    error = capsys.readouterr().err
    assert f"{told}: cannot load a" in error
    assert DAMAGES[no_weights] in error
    if told == "critic.path":
        return
    elsewhere = "reference={path: nobody/nothing}" if told == "policy.path" else "policy.path=nobody/nothing"
    assert run_main(run_ppo, lay_over(words, elsewhere)) == 2
    assert f"{told}: cannot load a" in capsys.readouterr().err


def test_models_of_ppo_that_do_not_fit_together(tmp_path: Path, words: list[str], capsys: Any) -> None:
    """Found in a dry run as in a run: another vocabulary, a context that is too short."""
    tokenizer = tiny_tokenizer()
    save_model(tiny_gpt2(tokenizer, vocab_size=408), tokenizer, tmp_path / "wide", stop_token_ids=[1])
    save_model(tiny_reward_model(tokenizer, n_positions=32), tokenizer, tmp_path / "short")
    for told, message in (
        (f"reference={{path: {tmp_path}/wide}}", "reference.path: has another vocabulary than the policy"),
        (f"evaluation.held_out_scores=[{{model: {tmp_path}/short}}]", "reads at most 32 tokens"),
        ("lora={rank: 2, target_modules: [nowhere]}", "lora.target_modules: LoRA found nothing to adapt"),
    ):
        assert run_main(run_ppo, lay_over(words, told, "--dry-run")) == 2
        assert message in capsys.readouterr().err


def test_an_adapter_whose_base_is_gone(tmp_path: Path, capsys: Any) -> None:
    base = write_base(tmp_path / "base")
    adapted = add_lora(load_policy(base), LoraSpec(rank=2, alpha=4.0))
    save_model(adapted, tiny_tokenizer(), tmp_path / "adapter", keep_adapter=True)
    words = [*sft_words(tmp_path / "runs", f"{tmp_path}/adapter"), "--dry-run"]
    assert run_main(run_sft, words) == 0
    shutil.rmtree(base)
    capsys.readouterr()
    assert run_main(run_sft, words) == 2
    assert "base_model_name_or_path: " in (error := capsys.readouterr().err)
    assert "does not exist" in error


def test_places_of_adapters_that_there_are_none_of(tmp_path: Path, capsys: Any) -> None:
    write_base(tmp_path / "sft")
    told = ("lora={rank: 2, target_modules: [nowhere]}", "--dry-run")
    for main, words in (
        (run_sft, sft_words(tmp_path / "runs", f"{tmp_path}/sft")),
        (run_reward, reward_words(tmp_path)),
    ):
        assert run_main(main, [*words, *told]) == 2
        assert "lora.target_modules: LoRA found nothing to adapt" in capsys.readouterr().err


@pytest.mark.parametrize("stage", ["sft", "reward", "ppo"])
def test_a_model_that_the_report_could_not_open(
    tmp_path: Path, report_words: list[str], stage: str, capsys: Any
) -> None:
    no_weights(tmp_path / stage)
    assert run_main(run_report, [*report_words, "--dry-run"]) == 2
    assert f"stages.{stage}: cannot load a" in capsys.readouterr().err


def test_what_is_on_the_hub_is_not_looked_at_and_that_is_said(
    tmp_path: Path, words: list[str], capsys: Any
) -> None:
    said = "%s: 'nobody/nothing' is no folder here, so it is looked for on the hub; until then nothing"
    assert run_main(run_sft, [*sft_words(tmp_path / "runs", "nobody/nothing"), "--dry-run"]) == 0
    assert said % "model.path" in capsys.readouterr().err
    assert run_main(run_reward, [*reward_words(tmp_path), "model.path=nobody/nothing", "--dry-run"]) == 0
    assert said % "model.path" in capsys.readouterr().err
    for told in SOURCES.values():
        told = told.replace("%s/../reward", "nobody/nothing").replace("%s", "nobody/other")
        assert run_main(run_ppo, lay_over(words, told, "--dry-run")) == 0
        assert "nothing of it is checked" in capsys.readouterr().err
