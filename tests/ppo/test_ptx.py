"""PPO-ptx: the loss of text, its gradient, and the loss of held-out text."""

from __future__ import annotations

import math

import pytest
import torch

from rlhf.errors import DataError, SettingsError
from rlhf.ppo.batching import own_rows
from rlhf.ppo.ptx import PtxText, TextRow, cut_texts, ptx_loss, stack_rows, text_loss
from rlhf.pretraining.blocks import block_loss, pack
from tests.helpers import tiny_gpt2, tiny_tokenizer
from tests.launching import launch
from tests.ppo.texts import forward_of, uneven_rows
from tests.ppo.tiny import weights
from tests.ppo.two_processes_ptx import main

TEXTS = [f"The baker number {n} lives near the river and sells {n % 7} warm breads." for n in range(40)]


def ptx_text(rows, **changes):
    options = {"coef": 1.0, "batch_size": 8, "microbatch_size": 2, "seed": 1, "pad_token_id": 0}
    return PtxText(rows, **{**options, **changes})


def gradients(model, loss):
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return [torch.zeros(1) if gradient is None else gradient for gradient in found]


def step_gradients(model, text, step=0):
    batch = text.batch(step)
    shares = [ptx_loss(forward_of(model), part, batch.num_tokens) for part in batch.microbatches]
    return gradients(model, torch.stack(shares).sum())


# --- loss


def naive_loss(model, rows):
    """One row at a time without padding, one token at a time."""
    total, count = torch.zeros(()), 0
    for row in rows:
        logits = model(input_ids=torch.tensor([list(row.ids)])).logits[0]
        for place in range(row.num_given, len(row.ids)):
            total = total - logits[place - 1].log_softmax(-1)[row.ids[place]]
            count += 1
    return total / count


def test_inv60_the_loss_is_the_mean_over_predicted_tokens_and_its_gradient_that_of_a_naive_loop(policy):
    rows = uneven_rows(8)
    text = ptx_text(rows)
    batch = text.batch(0)
    loss = sum(ptx_loss(forward_of(policy), part, batch.num_tokens) for part in batch.microbatches)
    expected = naive_loss(policy, rows)  # eight rows are one batch
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=0)
    pairs = zip(step_gradients(policy, text), gradients(policy, expected), strict=True)
    for ours, slow in pairs:
        torch.testing.assert_close(ours, slow, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(("microbatch_size", "num_processes"), [(1, 1), (4, 1), (8, 1), (2, 2), (1, 4)])
def test_inv54_gradient_does_not_depend_on_the_cut_of_the_batch(policy, microbatch_size, num_processes):
    rows = uneven_rows(12)
    expected = step_gradients(policy, ptx_text(rows), step=1)
    options = {"microbatch_size": microbatch_size, "num_processes": num_processes}
    shares = [
        step_gradients(policy, ptx_text(rows, process_index=index, **options), step=1)
        for index in range(num_processes)
    ]
    for whole, *parts in zip(expected, *shares, strict=True):
        torch.testing.assert_close(sum(parts), whole, atol=1e-6, rtol=1e-4)


def test_inv17_inv60_the_pad_id_may_be_any_even_the_end_token(policy, tokenizer):
    rows = [TextRow([*row.ids, tokenizer.eos_token_id], row.num_given) for row in uneven_rows(8)]
    found = [
        step_gradients(policy, ptx_text(rows, microbatch_size=8, pad_token_id=pad))
        for pad in (tokenizer.pad_token_id, tokenizer.eos_token_id, 77)
    ]
    for one, same, other in zip(*found, strict=True):
        assert torch.equal(one, same)
        assert torch.equal(one, other)


def test_inv30_what_the_model_says_at_padding_and_given_tokens_never_counts():
    part = stack_rows([TextRow([5, 6, 7, 8], 3), TextRow([5, 6], 1)], 0)
    logits = torch.randn(2, 4, 10, requires_grad=True)
    spoilt = logits.detach().clone()
    counted = part.predicted.roll(-1, dims=1)  # the place before a predicted token predicts it
    spoilt[~counted] = math.nan
    losses = [ptx_loss(lambda ids, mask, now=now: now[:, :-1], part, 2) for now in (logits, spoilt)]
    assert losses[0] == losses[1]
    (gradient,) = torch.autograd.grad(losses[0], logits)
    assert bool((gradient[~counted] == 0).all())
    assert bool((gradient[counted] != 0).any(-1).all())


def test_learning_from_text_lowers_its_loss_on_other_text(policy, tokenizer):
    text = ptx_text(cut_texts(TEXTS[:30], tokenizer, 32), microbatch_size=8)
    held_out = cut_texts(TEXTS[30:], tokenizer, 32)
    measure = lambda: text_loss(forward_of(policy), held_out, batch_size=4, pad_token_id=0).loss  # noqa: E731
    before = measure()
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    for step in range(15):
        for parameter, gradient in zip(policy.parameters(), step_gradients(policy, text, step), strict=True):
            parameter.grad = gradient
        optimizer.step()
    assert before == pytest.approx(math.log(400), abs=0.2)
    assert measure() < before - 1.0


# --- held-out loss


def test_text_loss_by_hand():
    """Two words at odds 1 to 3 wherever one looks: log 4 for the first, log 4/3 for the second."""
    table = torch.tensor([0.0, math.log(3)])
    forward = lambda ids, mask: table.expand(ids.shape[0], ids.shape[1] - 1, 2)  # noqa: E731
    rows = [TextRow([0, 0, 1], 1), TextRow([1, 1], 1), TextRow([0, 0, 0, 1, 1], 4)]
    found = text_loss(forward, rows, batch_size=2, pad_token_id=0)
    assert found.num_tokens == 4  # of which one is the first word
    assert found.loss == pytest.approx((math.log(4) + 3 * math.log(4 / 3)) / 4)


def test_text_loss_is_that_of_pretraining_and_takes_no_gradient(policy, tokenizer):
    rows = cut_texts(TEXTS, tokenizer, 16)
    blocks = pack(TEXTS, tokenizer, 16).blocks
    found = text_loss(forward_of(policy), rows[: len(blocks)], batch_size=5, pad_token_id=0)
    assert found.loss == pytest.approx(block_loss(policy, blocks, 7), abs=1e-5)
    assert found.num_tokens == 15 * len(blocks)
    assert all(parameter.grad is None for parameter in policy.parameters())


@pytest.mark.parametrize("num_processes", [2, 4])
def test_text_loss_is_the_same_however_the_rows_are_shared_out(policy, num_processes):
    """Three rows: of four processes one has none."""
    rows = uneven_rows(3)
    options = {"batch_size": 2, "pad_token_id": 0}
    expected = text_loss(forward_of(policy), rows, **options)
    assert expected.loss == pytest.approx(naive_loss(policy, rows).item(), abs=1e-5)
    sums: list[torch.Tensor] = []

    def others(tensor):
        sums.append(tensor)
        return torch.stack(sums).sum(0)

    for index in range(num_processes):
        mine = [rows[row] for row in own_rows(3, index, num_processes)]
        found = text_loss(forward_of(policy), mine, reduce=others, **options)
    assert found.loss == pytest.approx(expected.loss, abs=1e-6)
    assert found.num_tokens == expected.num_tokens


# --- mistakes


def test_inv69_fewer_rows_than_a_batch_is_an_error_and_no_hang():
    with pytest.raises(
        DataError, match=r"ptx.batch_size: 7 rows of text are fewer than one batch of 8; add text"
    ):
        ptx_text(uneven_rows(7))


def test_sizes_divide_or_are_refused():
    rows = uneven_rows(8)
    with pytest.raises(
        SettingsError, match=r"ptx.batch_size / number of processes: 8 is not a multiple of 3"
    ):
        ptx_text(rows, num_processes=3)
    with pytest.raises(SettingsError, match=r"ppo.microbatch_size: 8 is not a multiple of 3"):
        ptx_text(rows, microbatch_size=3)


def test_no_text_is_an_error(tokenizer):
    with pytest.raises(
        DataError, match="the documents make fewer than 2 tokens; there is no text to learn from"
    ):
        cut_texts([""], tokenizer, 16)


# --- two real processes


@pytest.mark.slow
def test_inv54_inv68_two_processes_learn_and_measure_what_one_does(tmp_path):
    main(tmp_path)
    one = torch.load(tmp_path / "left_0.pt", weights_only=True)
    first, second = launch("tests.ppo.two_processes_ptx", tmp_path / "two", 2)
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name]), name
        torch.testing.assert_close(value, one["weights"][name], atol=1e-5, rtol=0)
    start = weights(tiny_gpt2(tiny_tokenizer()))
    assert max(float((start[name] - value).abs().max()) for name, value in one["weights"].items()) > 1e-3
    assert first["loss"] == second["loss"] == pytest.approx(one["loss"], abs=1e-5)
    assert first["num_tokens"] == one["num_tokens"]
    assert one["refused"] == ""
    assert first["refused"] == second["refused"]
    assert first["refused"].startswith("ptx: processes read different texts; a generator has to draw")
