from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlhf.errors import DataError, ModelError
from rlhf.pretraining import SPECIAL_TOKENS, block_loss, build_gpt2, pack, train_tokenizer
from rlhf.settings.base import BaseSettings
from stages import base
from stages._command import run_stage
from tests.stage_data import files_of, run_main, summary_of, weights_of

TEXTS = [
    f"The baker number {n} lives in the red house near the river and sells warm bread." for n in range(120)
]

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


def test_inv16_same_seed_gives_the_same_weights(tmp_path: Path, words: list[str]) -> None:
    for name in ("a", "b"):
        assert run_main(main, [*words, f"run.output={tmp_path / name}"]) == 0
    first, second = weights_of(tmp_path / "a"), weights_of(tmp_path / "b")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_bf16_autocast_trains(tmp_path: Path, words: list[str]) -> None:
    kept = [word for word in words if not word.startswith("base.mixed_precision")]
    assert run_main(main, [*kept, "base.mixed_precision=bf16"]) == 0


def test_tokenizer_writes_every_text_back() -> None:
    tokenizer = train_tokenizer(TEXTS, 300, 32)
    for text in ("plain", "  two  spaces\n", "ünïcode 漢字 🙂", "a <|user|> marker"):
        assert tokenizer.decode(tokenizer(text, split_special_tokens=True)["input_ids"]) == text
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == [0, 1, 2, 3, 4]
    assert tokenizer.unk_token_id is None


def test_inv23_prompt_does_not_end_with_the_end_token() -> None:
    tokenizer = train_tokenizer(TEXTS, 300, 32)
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "<|user|>a<|assistant|>b<|end|><|user|>c<|assistant|>"


def test_pack_loses_only_the_last_block_and_reads_markers_as_text() -> None:
    tokenizer = train_tokenizer(TEXTS, 300, 32)
    texts = ["<|end|>", *TEXTS]
    packed = pack(texts, tokenizer, 32)
    lengths = [len(tokenizer(text, split_special_tokens=True)["input_ids"]) for text in texts]
    assert packed.num_tokens == sum(length + 1 for length in lengths)  # an end token after each
    assert packed.blocks.numel() + packed.num_dropped_tokens == packed.num_tokens
    assert packed.num_dropped_tokens < 32
    first = packed.blocks[0].tolist()
    assert first.index(tokenizer.eos_token_id) == lengths[0] > 1
    assert tokenizer.decode(first).startswith("<|end|><|end|>The baker number 0")
    with pytest.raises(DataError, match="less than one block"):
        pack(["a"], tokenizer, 32)


def test_sizes_that_cannot_be() -> None:
    with pytest.raises(ModelError, match=r"model\.vocabulary_size"):
        train_tokenizer(TEXTS, 100, 32)
    with pytest.raises(ModelError, match=r"no multiple of model\.heads"):
        build_gpt2(train_tokenizer(TEXTS, 300, 32), layers=1, width=10, heads=3, context_tokens=32)


def test_untrained_loss_is_about_that_of_guessing() -> None:
    tokenizer = train_tokenizer(TEXTS, 300, 32)
    model = build_gpt2(tokenizer, layers=1, width=16, heads=2, context_tokens=32)
    loss = block_loss(model, pack(TEXTS, tokenizer, 32).blocks, 16)
    assert loss == pytest.approx(torch.tensor(float(len(tokenizer))).log().item(), abs=0.1)
