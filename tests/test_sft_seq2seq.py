"""SFT of encoder-decoders: the loss is that of the decoder's response tokens, however batches are cut and padded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from rlhf.models import LoraSpec, add_lora, disable_dropout
from rlhf.rendering import Rendered
from rlhf.runs.folder import RunFolder
from rlhf.runs.jsonl import read_jsonl
from rlhf.sft import build_seq2seq_dataset, response_loss, train_sft
from rlhf.training.plan import TrainingPlan
from tests.seq2seq import ENCODER_DECODERS, seq2seq_model

DEMONSTRATIONS = [Rendered([5, 6, 7 + n] * (1 + n % 3), [20 + n] * (1 + n % 4) + [1]) for n in range(16)]
OPENING = {"t5": (0,), "t5_gated": (0,), "t5_bytes": (0,), "bart": (2, 0)}
EVERY = pytest.mark.parametrize("name", ENCODER_DECODERS)


def naive_loss(model: torch.nn.Module, opening: tuple[int, ...]) -> float:
    """By the library's own call, one demonstration at a time; the labels stand for what comes next."""
    losses = []
    for one in DEMONSTRATIONS:
        decoder = torch.tensor([[*opening, *one.response_ids[:-1]]])
        logits = model(input_ids=torch.tensor([one.prompt_ids]), decoder_input_ids=decoder).logits[0]
        losses.append(
            cross_entropy(logits[len(opening) - 1 :], torch.tensor(one.response_ids), reduction="none")
        )
    return float(torch.cat(losses).mean().detach())


def test_inv20_rows_by_hand() -> None:
    row = build_seq2seq_dataset([Rendered([5, 6], [7, 1])], (2, 0))[0]
    assert row == {"input_ids": [5, 6], "decoder_input_ids": [2, 0, 7, 1], "labels": [7, 1]}


@EVERY
def test_inv17_response_loss_is_the_mean_over_response_tokens(name: str) -> None:
    model = seq2seq_model(name).train()
    disable_dropout(model)
    for pad in (0, 9):
        found = response_loss(model, DEMONSTRATIONS, pad, batch_size=5, opening=OPENING[name])
        assert found.loss == pytest.approx(naive_loss(model, OPENING[name]), rel=1e-5)
        assert found.num_tokens == sum(len(one.response_ids) for one in DEMONSTRATIONS)
        assert model.training


@EVERY
@pytest.mark.parametrize("microbatch_size", [16, 4])
def test_inv14_inv54_trained_loss_is_the_token_mean_of_each_demonstration_alone(
    tmp_path: Path, name: str, microbatch_size: int
) -> None:
    model = seq2seq_model(name)
    disable_dropout(model)
    expected = naive_loss(model, OPENING[name])
    assert trained_loss(tmp_path, model, name, microbatch_size) == pytest.approx(expected, rel=1e-4)


@EVERY
def test_inv54_micro_batches_change_no_weight(tmp_path: Path, name: str) -> None:
    """By plain gradient descent, as AdamW's first step knows signs only."""
    found = []
    for size in (16, 2):
        model = seq2seq_model(name)
        disable_dropout(model)
        trained_loss(tmp_path / str(size), model, name, size)
        found.append([parameter.grad_before_the_step for parameter in model.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


def trained_loss(folder: Path, model: torch.nn.Module, name: str, microbatch_size: int) -> float:
    """Train one step; each parameter keeps the gradient that the optimizer saw."""
    folder.mkdir(exist_ok=True)
    plan = TrainingPlan(epochs=1.0, learning_rate=1e-3, batch_size=16, microbatch_size=microbatch_size, seed=1, log_every=1,
                        max_grad_norm=1e9)  # fmt: skip
    run = RunFolder.open(folder, {"run": {"seed": 1}}, stage="sft")
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(keep_gradient)
    tokenizer = ENCODER_DECODERS[name][2]()
    assert train_sft(model, tokenizer, DEMONSTRATIONS, plan, run=run, opening=OPENING[name]) == 1
    run.finish()
    (row,) = read_jsonl(folder / "metrics.jsonl")
    return float(row["sft/loss"])


def keep_gradient(parameter: torch.nn.Parameter) -> None:
    parameter.grad_before_the_step = parameter.grad.clone()


def test_adapters_alone_are_trained(tmp_path: Path) -> None:
    model = add_lora(seq2seq_model("bart"), LoraSpec(2, 4.0))
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    trained_loss(tmp_path, model, "bart", 8)
    for name, value in model.named_parameters():
        changed = not torch.equal(value, before[name])
        assert changed == ("lora_B" in name or ("lora_A" in name and changed))
    assert any(not torch.equal(value, before[name]) for name, value in model.named_parameters())
