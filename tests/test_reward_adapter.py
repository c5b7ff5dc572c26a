"""The reward stage with lora.merge=false: it leaves an adapter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rlhf.models.adapter_folders import adapter_base
from rlhf.models.loading import load_reward_model, load_tokenizer
from rlhf.models.one_base import load_one_base
from rlhf.models.saving import save_model
from rlhf.models.values import sequence_scores
from tests.helpers import tiny_gpt2, tiny_tokenizer
from tests.models.adapters import IDS, MASK, write_sft_adapter
from tests.stage_data import files_of, reward_words, run_main, run_with_interrupt, summary_of, write_base
from tests.test_reward_stage import main

LORA = "lora={rank: 4, alpha: 8.0, merge: false}"


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command line for a tiny run in `tmp_path` that keeps the adapter."""
    write_base(tmp_path / "sft")
    return [*reward_words(tmp_path), LORA]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def test_inv38_inv74_an_adapter_is_left_with_head_and_zero(tmp_path: Path, words: list[str]) -> None:
    assert run_main(main, words) == 0
    folder = tmp_path / "reward"
    assert files_of(folder) >= {
        "adapter_config.json",
        "adapter_model.safetensors",
        "tokenizer.json",
        "README.md",
    }
    assert not {"model.safetensors", "config.json"} & files_of(folder)
    assert adapter_base(str(folder)) == str(tmp_path / "sft")
    assert json.loads((folder / "adapter_config.json").read_text())["task_type"] == "SEQ_CLS"
    kept = {name for name in weights(folder) if "lora_" not in name}
    assert kept == {
        f"base_model.model.{name}"
        for name in ("score.weight", "transformer.ln_f.weight", "transformer.ln_f.bias")
    }
    numbers = summary_of(folder)
    assert abs(numbers["sft_score_mean"]) < 1e-3
    assert numbers["pair_accuracy_labels"] > 0.7
    assert "num_labels=1" in (folder / "README.md").read_text()
    whole = sequence_scores(load_reward_model(str(folder)).eval(), IDS, MASK)
    shared = sequence_scores(load_one_base(str(tmp_path / "sft")).reward_model(str(folder)), IDS, MASK)
    torch.testing.assert_close(shared, whole, atol=1e-5, rtol=0)


def test_a_kept_adapter_learns_what_a_merged_one_does(tmp_path: Path, words: list[str]) -> None:
    merged = [word for word in words if word != LORA]
    assert run_main(main, [*words, f"run.output={tmp_path}/kept"]) == 0
    assert run_main(main, [*merged, "lora={rank: 4, alpha: 8.0}", f"run.output={tmp_path}/merged"]) == 0
    scores = [
        sequence_scores(load_reward_model(str(tmp_path / name)).eval(), IDS, MASK)
        for name in ("kept", "merged")
    ]
    torch.testing.assert_close(scores[0], scores[1], atol=1e-4, rtol=0)


def test_inv64_on_an_sft_adapter_the_reward_adapter_goes_on_from_it(tmp_path: Path, words: list[str]) -> None:
    """Its base is then the one that the SFT adapter has, and before training it reads what the SFT model does."""
    (tmp_path / "sft").rename(tmp_path / "base")
    sft = write_sft_adapter(tmp_path / "sft", str(tmp_path / "base"))
    little = [*words, "reward.learning_rate=1e-9", "centring=null", f"run.output={tmp_path}/little"]
    assert (
        run_main(
            main, [word for word in little if not word.startswith(("reward.learning_rate=3", "centring."))]
        )
        == 0
    )
    start, found = weights(Path(sft)), weights(tmp_path / "little")
    for name, value in start.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=0)
    assert adapter_base(str(tmp_path / "little")) == str(tmp_path / "base")

    assert run_main(main, words) == 0
    found = weights(tmp_path / "reward")
    assert not all(torch.allclose(found[name], value, atol=1e-5) for name, value in start.items())
    assert load_one_base(sft).holds(str(tmp_path / "reward"))


def test_inv73_resume_of_a_kept_adapter_is_bitwise(tmp_path: Path, words: list[str]) -> None:
    assert run_main(main, [*words, f"run.output={tmp_path / 'a'}"]) == 0
    run_with_interrupt(main, [*words, f"run.output={tmp_path / 'b'}"])
    first, second = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_inv40_the_padding_of_an_adapter_is_a_token_that_there_is(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tiny_tokenizer(pad_token=None)
    save_model(tiny_gpt2(tiny_tokenizer()), bare, tmp_path / "sft", stop_token_ids=[bare.eos_token_id])
    assert run_main(main, words) == 2
    assert "no token that can be padding" in capsys.readouterr().err
    started = tiny_tokenizer(pad_token=None, bos_token="<|system|>")
    save_model(tiny_gpt2(tiny_tokenizer()), started, tmp_path / "sft", stop_token_ids=[bare.eos_token_id])
    assert run_main(main, words) == 0
    assert load_tokenizer(str(tmp_path / "reward")).pad_token == "<|system|>"


def test_other_sizes_than_the_sft_adapters_are_refused_before_anything_is_loaded(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sft").rename(tmp_path / "base")
    write_sft_adapter(tmp_path / "sft", str(tmp_path / "base"))
    kept = [word for word in words if word != LORA]
    assert run_main(main, [*kept, "lora={rank: 8, alpha: 8.0, merge: false}"]) == 2
    error = capsys.readouterr().err
    assert "lora: model.path" in error
    assert "set lora.rank=4 lora.alpha=8" in error
    assert not (tmp_path / "reward").exists()
