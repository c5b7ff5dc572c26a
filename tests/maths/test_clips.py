"""Asymmetric and dual clip of the policy loss."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlhf.maths.losses import PolicyStats, policy_loss
from tests.maths.batches import SEEDS, Batch, random_batch
from tests.maths.losses import ONE


def single(advantage: float, ratio: float, **options: float) -> tuple[float, float, float]:
    """Loss of one token, its gradient in the log-probability, and whether it counts as clipped."""
    logprob = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
    old, advantages = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([[advantage]], dtype=torch.float64)
    loss, stats = policy_loss(logprob, old, advantages, ONE, 0.2, num_tokens=1, **options)
    loss.backward()
    assert logprob.grad is not None
    return loss.item(), logprob.grad.item(), stats.clip_fraction.item()


def of(batch: Batch, **options) -> tuple[torch.Tensor, PolicyStats, torch.Tensor]:
    """Loss, statistics and gradient of a whole batch, summed over tokens."""
    logprobs = batch.logprobs.clone().requires_grad_()
    loss, stats = policy_loss(
        logprobs, batch.old_logprobs, batch.advantages, batch.mask, 0.2, num_tokens=1, **options
    )
    loss.backward()
    assert logprobs.grad is not None
    return loss.detach(), stats, logprobs.grad


@pytest.mark.parametrize(
    ("advantage", "ratio", "loss", "gradient", "clipped"),
    [
        (2.0, 1.25, -2.5, -2.5, 0.0),  # beyond 1.2 but within 1.28: an unlikely good token may still grow
        (2.0, 1.5, -2.56, 0.0, 1.0),  # clipped at 1.28
        (-2.0, 0.75, 1.6, 0.0, 1.0),  # below 1 the range is the other one: clipped at 0.8, not at 0.72
        (-2.0, 0.81, 1.62, 1.62, 0.0),
        (-2.0, 1.5, 3.0, 3.0, 0.0),  # a bad token that became likelier is not clipped
    ],
)
def test_inv52_clip_higher_by_hand(
    advantage: float, ratio: float, loss: float, gradient: float, clipped: float
) -> None:
    assert single(advantage, ratio, clip_range_high=0.28) == pytest.approx((loss, gradient, clipped))


@pytest.mark.parametrize(
    ("advantage", "ratio", "loss", "gradient", "clipped"),
    [
        (-2.0, 2.9, 5.8, 5.8, 0.0),  # below 3: as without
        (-2.0, 3.1, 6.0, 0.0, 1.0),  # 3 * |A|, and no gradient beyond
        (-2.0, 500.0, 6.0, 0.0, 1.0),
        (-2.0, 0.5, 1.6, 0.0, 1.0),  # the ordinary clip still holds below
        (2.0, 500.0, -2.4, 0.0, 1.0),  # a good token: the ordinary clip
        (2.0, 0.1, -0.2, -0.2, 0.0),
    ],
)
def test_inv52_dual_clip_by_hand(
    advantage: float, ratio: float, loss: float, gradient: float, clipped: float
) -> None:
    assert single(advantage, ratio, dual_clip=3.0) == pytest.approx((loss, gradient, clipped))


@given(SEEDS, st.floats(1.01, 3.0))
def test_inv52_a_bad_token_costs_at_most_dual_clip_times_its_advantage(seed: int, dual_clip: float) -> None:
    batch = random_batch(seed, rows=1, length=1)
    size = batch.advantages.abs().item()
    free, _, _ = of(batch)
    loss, _, _ = of(batch, dual_clip=dual_clip)
    if batch.advantages.item() < 0:
        assert loss.item() <= dual_clip * size + 1e-12
        assert loss.item() == pytest.approx(min(free.item(), dual_clip * size))
    else:
        assert loss.item() == free.item()


@given(SEEDS, st.floats(0.01, 1.0), st.floats(1.01, 3.0))
def test_inv51_inv52_gradient_is_zero_only_where_a_clip_says_so(seed: int, high: float, dual: float) -> None:
    batch = random_batch(seed, gaps=True)
    _, stats, gradient = of(batch, clip_range_high=high, dual_clip=dual)
    ratio = (batch.logprobs - batch.old_logprobs).exp()
    good, bad = batch.advantages > 0, batch.advantages < 0
    stopped = (good & (ratio > 1 + high)) | (bad & (ratio < 0.8)) | (bad & (ratio > dual))
    expected = torch.where(stopped | ~batch.mask, 0.0, -batch.advantages * ratio)
    torch.testing.assert_close(gradient, expected)
    assert stats.clip_fraction.item() == (stopped & batch.mask).sum().item()


def test_inv52_ranges_as_wide_as_the_default_change_no_bit() -> None:
    for seed in range(20):
        batch = random_batch(seed, rows=8)
        narrow = Batch(
            batch.mask, *(x.float() for name, x in vars(batch).items() if name != "mask")
        )  # float32, where another order of the arithmetic would show
        plain, same = of(narrow), of(narrow, clip_range_high=0.2, dual_clip=1e9)
        assert torch.equal(plain[0], same[0])
        assert torch.equal(plain[2], same[2])
        assert all(torch.equal(one, other) for one, other in zip(plain[1], same[1], strict=True))


def test_inv51_by_default_the_loss_is_the_plain_formula_to_the_last_bit() -> None:
    for seed in range(20):
        batch = random_batch(seed, rows=8)
        new, old, advantages = (x.float() for x in (batch.logprobs, batch.old_logprobs, batch.advantages))
        logprobs = new.clone().requires_grad_()
        ratio = (logprobs - old).masked_fill(~batch.mask, 0.0).exp()
        advantages = advantages.masked_fill(~batch.mask, 0.0)
        expected = torch.maximum(-advantages * ratio, -advantages * ratio.clamp(0.8, 1.2)).sum() / 7
        expected.backward()
        ours = new.clone().requires_grad_()
        loss, _ = policy_loss(ours, old, advantages, batch.mask, 0.2, num_tokens=7)
        loss.backward()
        assert torch.equal(loss, expected)
        assert torch.equal(ours.grad, logprobs.grad)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("clip_range_high", 0.0),
        ("clip_range_high", -0.1),
        ("clip_range_high", math.nan),
        ("dual_clip", 1.0),
        ("dual_clip", 0.2),
        ("dual_clip", math.nan),
    ],
)
def test_impossible_clips_are_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be .* or None .*not {value}"):
        single(1.0, 1.0, **{option: value})
