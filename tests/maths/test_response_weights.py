"""Losses as means over responses of the means over their tokens."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given

from rlhf.maths.losses import entropy_loss, kl_loss, policy_loss, response_weights, value_loss
from tests.maths.batches import SEEDS, Batch, poisoned, random_batch


def parts_of(batch: Batch, rows: slice = slice(None), **options) -> tuple[torch.Tensor, dict, torch.Tensor]:
    """All four losses, all statistics, and the gradient in everything that is trained."""
    mask = batch.mask[rows]
    new, values, entropies = (
        x[rows].clone().requires_grad_() for x in (batch.logprobs, batch.values, batch.kl)
    )
    old, advantages, old_values, returns = (
        x[rows] for x in (batch.old_logprobs, batch.advantages, batch.old_values, batch.returns)
    )
    policy, policy_stats = policy_loss(new, old, advantages, mask, 0.2, **options)
    value, value_stats = value_loss(values, old_values, returns, mask, 0.2, **options)
    divergence = kl_loss(new, batch.rewards[rows], old, mask, **options)
    losses = torch.stack([policy, value, divergence, entropy_loss(entropies, mask, **options)])
    losses.sum().backward()
    gradient = torch.stack([x.grad for x in (new, values, entropies) if x.grad is not None])
    statistics = {
        f"{type(stats).__name__}.{name}": getattr(stats, name)
        for stats in (policy_stats, value_stats)
        for name in stats._fields
    }
    return losses.detach(), statistics, gradient


def weighted(batch: Batch, rows: slice = slice(None)) -> tuple[torch.Tensor, dict, torch.Tensor]:
    """The same as a mean over the responses of the whole batch that have a token."""
    num_responses = int(batch.mask.any(dim=1).sum())
    return parts_of(batch, rows, num_tokens=num_responses, weights=response_weights(batch.mask[rows]))


def test_weights_by_hand() -> None:
    mask = torch.tensor([[True, True, False, True], [True, False, False, False], [False] * 4])
    assert response_weights(mask).tolist() == pytest.approx([1 / 3, 1.0, 0.0])


def test_every_response_weighs_the_same_by_hand() -> None:
    mask = torch.tensor([[True, True], [True, False]])
    entropies = torch.tensor([[1.0, 3.0], [8.0, 77.0]], requires_grad=True)
    loss = entropy_loss(entropies, mask, num_tokens=2, weights=response_weights(mask))
    loss.backward()
    assert loss.item() == -(2.0 + 8.0) / 2  # (1 + 3) / 2 and 8; over tokens it would be (1 + 3 + 8) / 3 = 4
    assert entropies.grad is not None
    assert entropies.grad.tolist() == [[-0.25, -0.25], [-0.5, 0.0]]


@given(SEEDS)
def test_losses_and_statistics_are_means_of_the_means_of_single_responses(seed: int) -> None:
    batch = random_batch(seed, rows=5, gaps=True)
    losses, statistics, _ = weighted(batch)
    alone = [
        parts_of(batch, slice(b, b + 1), num_tokens=int(batch.mask[b].sum()))
        for b in range(5)
        if batch.mask[b].any()
    ]
    count = max(len(alone), 1)
    expected = sum((each[0] for each in alone), torch.zeros(4, dtype=torch.float64)) / count
    torch.testing.assert_close(losses, expected, rtol=1e-6, atol=1e-6)  # weights are float32
    for name, value in statistics.items():
        mean = sum(each[1][name].item() for each in alone) / count
        assert value.item() == pytest.approx(mean, rel=1e-6, abs=1e-6), name


@pytest.mark.parametrize("cut", [(8,), (4, 4), (2, 2, 2, 2), (1,) * 8, (3, 5), (7, 1)])
def test_inv54_gradient_does_not_depend_on_how_the_batch_was_cut(cut: tuple[int, ...]) -> None:
    batch = random_batch(5, rows=8)  # unequal lengths; the cuts stand for micro-batches and processes alike
    whole_losses, whole_statistics, whole_gradient = weighted(batch)
    starts = [sum(cut[:k]) for k in range(len(cut))]
    parts = [weighted(batch, slice(start, start + size)) for start, size in zip(starts, cut, strict=True)]
    torch.testing.assert_close(sum(part[0] for part in parts), whole_losses)
    torch.testing.assert_close(torch.cat([part[2] for part in parts], dim=1), whole_gradient)
    for name, value in whole_statistics.items():
        assert sum(part[1][name].item() for part in parts) == pytest.approx(value.item()), name


@given(SEEDS)
def test_weights_of_one_are_the_mean_over_tokens(seed: int) -> None:
    batch = random_batch(seed)
    plain = parts_of(batch, num_tokens=11)
    ones = parts_of(batch, num_tokens=11, weights=torch.ones(4))
    assert torch.equal(plain[0], ones[0])
    assert torch.equal(plain[2], ones[2])


@given(SEEDS)
def test_inv30_anything_at_masked_positions_is_harmless(seed: int) -> None:
    batch = random_batch(seed, gaps=True)
    names = [name for name in vars(batch) if name not in ("mask", "scores")]
    dirty = Batch(
        batch.mask, batch.scores, *(poisoned(getattr(batch, name), batch.mask, torch.nan) for name in names)
    )
    clean, found = weighted(batch), weighted(dirty)
    assert torch.equal(clean[0], found[0])
    assert torch.equal(clean[2], found[2])


def test_inv29_only_empty_responses_have_loss_zero_with_gradient() -> None:
    batch = random_batch(1)
    empty = Batch(torch.zeros_like(batch.mask), *list(vars(batch).values())[1:])
    losses, _, gradient = weighted(empty)
    assert losses.tolist() == [0.0] * 4
    assert (gradient == 0).all()


def test_weights_get_no_gradient() -> None:
    batch = random_batch(2)
    weights = response_weights(batch.mask).requires_grad_()
    parts_of(batch, num_tokens=4, weights=weights)
    assert weights.grad is None


def test_weights_that_are_not_one_a_response_are_refused() -> None:
    batch = random_batch(2)
    for wrong in (torch.ones(3), torch.ones(4, 6), torch.tensor(1.0)):
        with pytest.raises(ValueError, match=r"one a response, \(4,\)"):
            parts_of(batch, num_tokens=4, weights=wrong)
