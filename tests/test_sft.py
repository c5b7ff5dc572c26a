from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from rlhf.feedback import Demonstration
from rlhf.models.inputs import disable_dropout
from rlhf.rendering import Rendered, Renderer, render_demonstrations
from rlhf.runs.folder import RunFolder
from rlhf.runs.jsonl import read_jsonl
from rlhf.sft import build_dataset, response_loss, train_sft
from rlhf.training.plan import TrainingPlan
from tests.conversations import prompt_of
from tests.helpers import tiny_gpt2, tiny_tokenizer

DEMONSTRATIONS = [Rendered([5, 6, 7 + n], [20 + n] * (1 + n % 4) + [1]) for n in range(16)]


def test_inv20_labels_are_the_response_with_its_end_token() -> None:
    row = build_dataset([Rendered([5, 6], [7, 1])])[0]
    assert row == {"input_ids": [5, 6, 7, 1], "labels": [-100, -100, 7, 1]}


def test_inv25_every_row_has_a_trained_token_however_short_the_limits_are() -> None:
    """Labels that are all ignored would make the loss 0 / 0."""
    prompts = ["Hi", "Where does the baker live, and why?", "bread " * 60]
    demonstrations = [
        Demonstration(prompt_of(f"{prompt}{number}"), text)
        for number, (prompt, text) in enumerate(product(prompts, ["", "a", "warm bread", "bread " * 60]))
    ]
    for context in (8, 16, 40, 128):
        renderer = Renderer(tiny_tokenizer(), context_tokens=context, max_response_tokens=context // 2)
        rendered = render_demonstrations(demonstrations, renderer)
        for one, row in zip(rendered, build_dataset(rendered), strict=True):
            trained = [label for label in row["labels"] if label != -100]
            assert trained == one.response_ids
            assert trained[-1] == renderer.end_token_id
            assert len(row["labels"]) == len(row["input_ids"]) <= context
        assert len(rendered) >= 6


def naive_loss(model: torch.nn.Module) -> float:
    losses = []
    for one in DEMONSTRATIONS:
        logits = model(input_ids=torch.tensor([one.ids])).logits[0]
        start = len(one.prompt_ids)
        losses.append(cross_entropy(logits[start - 1 : -1], torch.tensor(one.ids[start:]), reduction="none"))
    return float(torch.cat(losses).mean().detach())


@pytest.mark.parametrize("pad", [0, 1, 9])
def test_inv17_response_loss_is_the_mean_over_response_tokens(pad: int) -> None:
    model = tiny_gpt2(tiny_tokenizer())
    found = response_loss(model, DEMONSTRATIONS, pad, batch_size=5)
    assert found.loss == pytest.approx(naive_loss(model), abs=1e-5)
    assert found.num_tokens == sum(len(one.response_ids) for one in DEMONSTRATIONS)


def test_inv63_the_loss_is_measured_without_dropout_and_the_mode_stays() -> None:
    model = tiny_gpt2(tiny_tokenizer(), resid_pdrop=0.5)
    for training in (True, False):
        model.train(training)
        found = response_loss(model, DEMONSTRATIONS, 0, batch_size=16)
        assert model.training is training
        assert found.loss == pytest.approx(naive_loss(model.eval()), abs=1e-5)


@pytest.mark.parametrize("pad_token", ["<|pad|>", "<|end|>"])
@pytest.mark.parametrize("microbatch_size", [16, 4])
def test_inv14_inv54_trained_loss_is_the_token_mean_of_each_demonstration_alone(
    tmp_path: Path, pad_token: str, microbatch_size: int
) -> None:
    tokenizer = tiny_tokenizer(pad_token=pad_token)
    model = tiny_gpt2(tokenizer)
    disable_dropout(model)
    expected = naive_loss(model)
    plan = TrainingPlan(
        epochs=1.0, learning_rate=1e-3, batch_size=16, microbatch_size=microbatch_size, seed=1, log_every=1
    )
    run = RunFolder.open(tmp_path, {"run": {"seed": 1}}, stage="sft")
    assert train_sft(model, tokenizer, DEMONSTRATIONS, plan, run=run) == 1
    run.finish()
    (row,) = read_jsonl(tmp_path / "metrics.jsonl")
    assert row["sft/loss"] == pytest.approx(expected, abs=1e-4)
