"""Masked sums, means, moments and whitening."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given

from rlhf.maths.masked import masked_mean, masked_moments, masked_sum, rescale, whiten, zero_masked
from tests.maths.batches import SEEDS, poisoned, random_batch
from tests.maths.ranks import Ranks

NAN = float("nan")
X = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
MASK = torch.tensor([[True, True, False], [True, False, False]])


def test_sum_and_mean_by_hand() -> None:
    assert masked_sum(X, MASK).item() == 7.0  # 1 + 2 + 4
    assert masked_sum(X, MASK, dim=1).tolist() == [3.0, 4.0]
    assert masked_sum(X, MASK, dim=0).tolist() == [5.0, 2.0, 0.0]
    assert masked_mean(X, MASK).item() == pytest.approx(7 / 3)
    assert masked_mean(X, MASK, dim=1).tolist() == [1.5, 4.0]
    assert masked_mean(X, MASK, dim=0).tolist() == [2.5, 2.0, 0.0]  # the last column has nothing: 0, not nan


def test_moments_by_hand() -> None:
    mean, variance, count = masked_moments(X, MASK)  # of 1, 2, 4: mean 7/3, squares (16 + 1 + 25)/9 = 42/9
    assert mean.item() == pytest.approx(7 / 3)
    assert variance.item() == pytest.approx(42 / 9 / 3)  # divided by the count 3, not 2
    assert count.item() == 3.0


def test_moments_keep_their_digits_far_from_zero() -> None:
    # E[x^2] - E[x]^2 in float32 would give 0 or worse here: 1e4^2 has no digit left for 0.01
    x = torch.tensor([[10000.0, 10000.1, 10000.2]])
    spread = x.double().var(correction=0).item()
    assert masked_moments(x, torch.ones(1, 3, dtype=torch.bool))[1].item() == pytest.approx(spread, rel=1e-3)


@given(SEEDS)
def test_inv30_nan_at_masked_positions_is_harmless(seed: int) -> None:
    batch = random_batch(seed, gaps=True)
    for poison in (NAN, math.inf, 1e30):
        dirty = poisoned(batch.values, batch.mask, poison)
        for function in (masked_sum, masked_mean, whiten, rescale, zero_masked):
            assert torch.equal(function(dirty, batch.mask), function(batch.values, batch.mask))


def test_inv30_no_gradient_reaches_masked_positions() -> None:
    x = torch.tensor([1.0, NAN, math.inf], requires_grad=True)
    masked_mean(x, torch.tensor([True, False, False])).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 0.0, 0.0]


def test_inv29_mean_of_nothing_is_zero_with_zero_gradient() -> None:
    x = torch.tensor([NAN, 2.0], requires_grad=True)
    mean = masked_mean(x, torch.tensor([False, False]))
    mean.backward()
    assert mean.item() == 0.0
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0]
    assert [moment.item() for moment in masked_moments(x.detach(), torch.tensor([False, False]))] == [
        0.0,
        0.0,
        0.0,
    ]


@given(SEEDS)
def test_inv49_whitened_has_mean_zero_and_variance_one(seed: int) -> None:
    batch = random_batch(seed, rows=5)
    x = 3.0 + 7.0 * batch.advantages
    counted = whiten(x, batch.mask)[batch.mask]
    assert counted.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert counted.var(correction=0).item() == pytest.approx(1.0, abs=1e-5)
    assert (whiten(x, batch.mask)[~batch.mask] == 0).all()


@given(SEEDS)
def test_inv49_rescaled_keeps_its_mean(seed: int) -> None:
    batch = random_batch(seed, rows=5)
    x = 3.0 + 7.0 * batch.advantages
    counted = rescale(x, batch.mask)[batch.mask]
    assert counted.mean().item() == pytest.approx(x[batch.mask].mean().item(), abs=1e-5)
    assert counted.var(correction=0).item() == pytest.approx(1.0, abs=1e-5)
    assert (rescale(x, batch.mask)[~batch.mask] == 0).all()


def test_inv49_one_valid_token_stays_finite() -> None:
    x, mask = torch.tensor([[5.0, NAN]]), torch.tensor([[True, False]])
    assert whiten(x, mask).tolist() == [[0.0, 0.0]]
    assert rescale(x, mask).tolist() == [[5.0, 0.0]]


@pytest.mark.parametrize("function", [whiten, rescale])
@pytest.mark.parametrize("cut", [1, 2, 4])
def test_inv49_two_ranks_equal_one(function, cut: int) -> None:
    batch = random_batch(3, rows=5)
    x = 2.0 + 3.0 * batch.advantages
    whole = function(x, batch.mask)
    of_rank, masks = x.split([cut, 5 - cut]), batch.mask.split([cut, 5 - cut])
    parts = Ranks().run(lambda rank, reduce: function(of_rank[rank], masks[rank], reduce=reduce))
    torch.testing.assert_close(torch.cat(parts), whole)


def test_inv49_a_rank_with_nothing_to_count_takes_part() -> None:
    x, mask = random_batch(3).advantages, random_batch(3).mask
    masks = (mask, torch.zeros_like(mask))
    full, empty = Ranks().run(lambda rank, reduce: whiten(x, masks[rank], reduce=reduce))
    torch.testing.assert_close(full, whiten(x, mask))
    assert (empty == 0).all()


@given(SEEDS)
def test_batch_order_never_matters(seed: int) -> None:
    batch = random_batch(seed)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    shuffled = whiten(batch.values[order], batch.mask[order])
    torch.testing.assert_close(shuffled, whiten(batch.values, batch.mask)[order])


def test_half_precision_is_summed_in_float32() -> None:
    # bfloat16 cannot count beyond 256 in ones
    ones = torch.ones(1000, dtype=torch.bfloat16)
    assert masked_sum(ones, torch.ones(1000, dtype=torch.bool)).item() == 1000.0
    x, mask = torch.tensor([1.0, 1.0, 500.0], dtype=torch.bfloat16), torch.ones(3, dtype=torch.bool)
    for function in (whiten, rescale):
        assert torch.equal(function(x, mask), function(x.float(), mask))


def test_a_mask_that_is_not_boolean_or_of_another_shape_is_refused() -> None:
    with pytest.raises(TypeError, match="boolean"):
        masked_sum(X, MASK.float())
    with pytest.raises(ValueError, match=r"\(2, 1\).*\(2, 3\)"):
        masked_sum(X, MASK[:, :1])
