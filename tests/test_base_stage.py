from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertTokenizer,
)

from rlhf.feedback import shelf
from rlhf.runs.jsonl import read_jsonl
from rlhf.settings.base import BaseSettings
from stages import base
from stages._command import run_stage
from tests.pretraining.texts import TEXTS
from tests.stage_data import files_of, run_main, run_with_interrupt, summary_of, weights_of, write_base
from tests.test_families import reward_words
from tests.test_reward_stage import main as run_reward

GENERATOR = """
def documents(seed):
    number = seed
    while True:
        yield f"The cat number {number} sleeps near the door."
        number += 1
"""


def main(argv: list[str]) -> None:
    run_stage("base", BaseSettings, base.train, check=base.check, argv=argv)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command line for a tiny run in `tmp_path`."""
    (tmp_path / "text.txt").write_text("\n\n".join(TEXTS))
    (tmp_path / "generator.py").write_text(GENERATOR)
    source = f'{{path: {tmp_path}/text.txt, format: text, separator: "\n\n"}}'
    return [
        "--config=configs/base.yaml",
        f"run.root={tmp_path}",
        f"data.train=[{source}]",
        f"data.generator={tmp_path}/generator.py:documents",
        "data.num_documents=60",
        "data.validation_fraction=0.2",
        "model.layers=1",
        "model.width=16",
        "model.heads=2",
        "model.context_tokens=32",
        "model.vocabulary_size=300",
        "base.batch_size=8",
        "base.microbatch_size=4",
        "base.mixed_precision=no",
        "base.log_every_updates=2",
    ]


def test_stage_makes_a_model_from_text(tmp_path: Path, words: list[str]) -> None:
    assert run_main(main, words) == 0
    folder = tmp_path / "base"
    assert files_of(folder) >= {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "chat_template.jinja",
        "README.md",
    }
    numbers = summary_of(folder)
    assert numbers["num_documents"] > 120
    assert numbers["validation_perplexity"] < numbers["vocabulary_size"]
    assert {weight.dtype for weight in weights_of(folder).values()} == {torch.bfloat16}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<|pad|>", "<|end|>")
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert "trained in" in (folder / "README.md").read_text()


def test_stage_makes_a_t5_from_text(tmp_path: Path, words: list[str]) -> None:
    assert run_main(main, [*words, "model.architecture=t5", "base.epochs=4"]) == 0
    folder = tmp_path / "base"
    numbers = summary_of(folder)
    assert numbers["num_documents"] > 120
    assert numbers["num_steps"] == 4 * (numbers["num_documents"] // 8 + (numbers["num_documents"] % 8 > 0))
    assert numbers["validation_perplexity"] < numbers["vocabulary_size"] / 2
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32)
    assert (tokenizer.pad_token, tokenizer.eos_token, tokenizer.model_max_length) == (
        "<|pad|>",
        "<|end|>",
        32,
    )
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], add_generation_prompt=True, tokenize=False
    )
    assert asked == "<|user|>Hi<|assistant|>"
    assert tokenizer.decode(tokenizer(TEXTS[0])["input_ids"]) == f"{TEXTS[0]}<|end|>"
    assert tokenizer(TEXTS[0], add_special_tokens=False)["input_ids"][-1] != tokenizer.eos_token_id
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.decoder_start_token_id == tokenizer.pad_token_id
    assert model.lm_head.weight.data_ptr() != model.shared.weight.data_ptr()
    card = (folder / "README.md").read_text()
    assert "AutoModelForSeq2SeqLM.from_pretrained" in card
    assert "A T5 trained from scratch" in card
    rows = read_jsonl(folder / "samples.jsonl")
    assert {"prompt", "response", "document_response"} < set(rows[0])


def test_a_bert_from_text_becomes_a_reward_model_of_another_tokenizer(
    tmp_path: Path, words: list[str]
) -> None:
    changed = (
        "model.architecture=bert",
        "model.context_tokens=128",
        "base.masked_fraction=0.3",
        "base.epochs=4",
    )
    assert run_main(main, [*(word for word in words if "context" not in word), *changed]) == 0
    folder = tmp_path / "base"
    assert summary_of(folder)["validation_perplexity"] < summary_of(folder)["vocabulary_size"] / 2
    assert isinstance(AutoTokenizer.from_pretrained(folder), BertTokenizer)
    assert AutoModelForMaskedLM.from_pretrained(folder).config.model_type == "bert"
    assert "AutoModelForMaskedLM.from_pretrained" in (folder / "README.md").read_text()
    assert "[MASK]" in "".join(row["prompt"] for row in read_jsonl(folder / "samples.jsonl"))
    root = tmp_path / "runs"
    write_base(root / "sft")
    told = (f"model.path={folder}", f"centring.policy.path={root}/sft")
    assert run_main(run_reward, [*reward_words(root), *told]) == 0
    assert abs(summary_of(root / "reward")["sft_score_mean"]) < 1e-3


@pytest.mark.parametrize("architecture", ["gpt2", "t5", "bert"])
def test_inv73_an_interrupted_run_goes_on_bitwise(
    tmp_path: Path, words: list[str], architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its texts do not fit into memory, and did before."""
    changed = [*words, f"model.architecture={architecture}", "checkpoint.every_updates=6"]
    assert run_main(main, [*changed, f"run.output={tmp_path}/a"]) == 0
    monkeypatch.setattr(shelf, "KEPT_IN_MEMORY", 1)
    monkeypatch.setattr(shelf, "_BUFFER_BYTES", 100)
    run_with_interrupt(main, [*changed, f"run.output={tmp_path}/b"])
    first, second = weights_of(tmp_path / "a"), weights_of(tmp_path / "b")
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("name", "architecture", "owner"),
    [
        ("masked_fraction", "gpt2", "bert"),
        ("masked_fraction", "t5", "bert"),
        ("copied_fraction", "gpt2", "t5"),
        ("copied_fraction", "bert", "t5"),
    ],
)
def test_what_one_architecture_reads_is_refused_for_others(
    tmp_path: Path,
    words: list[str],
    name: str,
    architecture: str,
    owner: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_main(main, [*words, f"model.architecture={architecture}", f"base.{name}=0.3"]) == 2
    said = capsys.readouterr().err
    assert f"base.{name} is only read where model.architecture is {owner}" in said
    assert f"it is {architecture}" in said


def test_the_held_out_loss_of_a_t5_is_without_copies(tmp_path: Path, words: list[str]) -> None:
    """Before anything is learnt it is the same whatever share is copied; what is learnt is not."""
    found = []
    for share in ("0", "1"):
        told = ("model.architecture=t5", f"base.copied_fraction={share}", f"run.output={tmp_path}/{share}")
        assert run_main(main, [*words, *told]) == 0
        rows = read_jsonl(tmp_path / share / "metrics.jsonl")
        losses = [row["base/validation_loss"] for row in rows if "base/validation_loss" in row]
        found.append((losses[0], losses[-1]))
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


def test_inv16_same_seed_gives_the_same_weights(tmp_path: Path, words: list[str]) -> None:
    for name in ("a", "b"):
        assert run_main(main, [*words, f"run.output={tmp_path / name}"]) == 0
    first, second = weights_of(tmp_path / "a"), weights_of(tmp_path / "b")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_bf16_autocast_trains(tmp_path: Path, words: list[str]) -> None:
    kept = [word for word in words if not word.startswith("base.mixed_precision")]
    assert run_main(main, [*kept, "base.mixed_precision=bf16"]) == 0
