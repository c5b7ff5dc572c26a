"""The losses of PPO."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlhf.maths.losses import entropy_loss, policy_loss, value_loss
from tests.maths.batches import SEEDS, Batch, poisoned, random_batch
from tests.maths.losses import ONE, of_policy, of_value


def single(advantage: float, ratio: float, clip_range: float = 0.2) -> tuple[float, float]:
    """Loss and gradient in the log-probability of one token."""
    logprob = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
    old, advantages = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([[advantage]], dtype=torch.float64)
    loss, _ = policy_loss(logprob, old, advantages, ONE, clip_range, num_tokens=1)
    loss.backward()
    assert logprob.grad is not None
    return loss.item(), logprob.grad.item()


def test_policy_loss_against_a_slow_loop() -> None:
    batch = random_batch(1, rows=6, gaps=True)
    total, clipped, count, ratios, kl = 0.0, 0, 0, 0.0, 0.0
    for new, old, advantage, counts in zip(
        *(x.flatten().tolist() for x in (batch.logprobs, batch.old_logprobs, batch.advantages, batch.mask)),
        strict=True,
    ):
        if counts:
            ratio = math.exp(new - old)
            first, second = advantage * ratio, advantage * min(max(ratio, 0.8), 1.2)
            total -= min(first, second)  # the paper's objective is maximised
            clipped += second < first
            ratios += ratio
            kl += (ratio - 1) - (new - old)  # Schulman's k3 of KL(old || new)
            count += 1
    loss, stats, _ = of_policy(batch)
    assert loss.item() == pytest.approx(total / count)
    assert stats.clip_fraction.item() == pytest.approx(clipped / count)
    assert stats.ratio_mean.item() == pytest.approx(ratios / count)
    assert stats.approx_kl.item() == pytest.approx(kl / count)


@pytest.mark.parametrize(
    ("advantage", "ratio", "loss", "gradient"),
    [
        (2.0, 1.0, -2.0, -2.0),  # on the policy: -A, and its gradient -A * ratio
        (2.0, 1.1, -2.2, -2.2),
        (2.0, 1.5, -2.4, 0.0),  # good and already likelier: clipped at 1.2
        (2.0, 0.5, -1.0, -1.0),  # good and less likely: not clipped
        (-2.0, 0.5, 1.6, 0.0),  # bad and already less likely: clipped at 0.8
        (-2.0, 1.5, 3.0, 3.0),  # bad and likelier: not clipped
    ],
)
def test_inv51_policy_clip(advantage: float, ratio: float, loss: float, gradient: float) -> None:
    assert single(advantage, ratio) == pytest.approx((loss, gradient))


@given(SEEDS, st.floats(0.05, 0.5))
def test_inv51_gradient_is_zero_only_where_the_clip_says_so(seed: int, clip_range: float) -> None:
    batch = random_batch(seed, gaps=True)
    _, stats, gradient = of_policy(batch, clip_range, num_tokens=1)
    ratio = (batch.logprobs - batch.old_logprobs).exp()
    stopped = ((batch.advantages > 0) & (ratio > 1 + clip_range)) | (
        (batch.advantages < 0) & (ratio < 1 - clip_range)
    )
    expected = torch.where(stopped | ~batch.mask, 0.0, -batch.advantages * ratio)
    torch.testing.assert_close(gradient, expected)
    assert stats.clip_fraction.item() == (stopped & batch.mask).sum().item()


def test_inv01_on_the_first_minibatch_the_ratio_is_one() -> None:
    batch = random_batch(2)
    loss, stats = policy_loss(
        batch.logprobs, batch.logprobs, batch.advantages, batch.mask, 0.2, num_tokens=int(batch.mask.sum())
    )
    assert (stats.clip_fraction.item(), stats.approx_kl.item()) == (0.0, 0.0)
    assert stats.ratio_mean.item() == pytest.approx(1.0)
    assert loss.item() == pytest.approx(-batch.advantages[batch.mask].mean().item())


@pytest.mark.parametrize(
    ("value", "old", "target", "loss", "gradient"),
    [
        (
            1.0,
            0.0,
            2.0,
            0.5 * 1.8**2,
            0.0,
        ),  # clipped to 0.2, which is further off: its error counts, no gradient
        (1.0, 0.0, 0.1, 0.5 * 0.9**2, 0.9),  # clipped to 0.2, which is nearer: the plain error counts
        (0.1, 0.0, 2.0, 0.5 * 1.9**2, -1.9),  # within the range: plain
        (-1.0, 0.0, -2.0, 0.5 * 1.8**2, 0.0),  # clipped from below
    ],
)
def test_inv53_value_clip_by_hand(
    value: float, old: float, target: float, loss: float, gradient: float
) -> None:
    values = torch.tensor([[value]], dtype=torch.float64, requires_grad=True)
    olds, targets = torch.tensor([[old]], dtype=torch.float64), torch.tensor([[target]], dtype=torch.float64)
    found, _ = value_loss(values, olds, targets, ONE, 0.2, num_tokens=1)
    found.backward()
    assert values.grad is not None
    assert (found.item(), values.grad.item()) == pytest.approx((loss, gradient))


@given(SEEDS)
def test_inv53_value_loss_against_a_slow_loop(seed: int) -> None:
    batch = random_batch(seed, gaps=True)
    losses, clipped, errors, values = [], [], [], []
    for value, old, target, counts in zip(
        *(x.flatten().tolist() for x in (batch.values, batch.old_values, batch.returns, batch.mask)),
        strict=True,
    ):
        if counts:
            near = min(max(value, old - 0.2), old + 0.2)
            losses.append(max((value - target) ** 2, (near - target) ** 2) / 2)
            clipped.append((near - target) ** 2 > (value - target) ** 2)
            errors.append((value - target) ** 2)
            values.append(value)
    count = max(len(losses), 1)
    loss, stats, _ = of_value(batch)
    assert loss.item() == pytest.approx(sum(losses) / count)
    assert stats.clip_fraction.item() == pytest.approx(sum(clipped) / count)
    assert stats.squared_error.item() == pytest.approx(sum(errors) / count)
    assert stats.value_mean.item() == pytest.approx(sum(values) / count)


@given(SEEDS)
def test_inv53_a_wide_or_absent_clip_is_the_plain_loss(seed: int) -> None:
    batch = random_batch(seed)
    plain = 0.5 * (batch.values - batch.returns)[batch.mask].square().mean()
    for clip in (None, 100.0):
        loss, stats, _ = of_value(batch, clip)
        torch.testing.assert_close(loss, plain)
        assert stats.clip_fraction.item() == 0.0


@pytest.mark.parametrize("of", [of_policy, of_value])
@pytest.mark.parametrize("cut", [(8,), (4, 4), (2, 2, 2, 2), (1,) * 8, (3, 5), (7, 1)])
def test_inv54_gradient_does_not_depend_on_how_the_batch_was_cut(of, cut: tuple[int, ...]) -> None:
    batch = random_batch(
        5, rows=8
    )  # unequal lengths; the cuts stand for micro-batches and for processes alike
    num_tokens = int(batch.mask.sum())
    whole_loss, _, whole_gradient = of(batch)
    starts = [sum(cut[:k]) for k in range(len(cut))]
    parts = [
        of(batch, rows=slice(start, start + size), num_tokens=num_tokens)
        for start, size in zip(starts, cut, strict=True)
    ]
    torch.testing.assert_close(sum(loss for loss, _, _ in parts), whole_loss)
    torch.testing.assert_close(torch.cat([gradient for _, _, gradient in parts]), whole_gradient)


@pytest.mark.parametrize("of", [of_policy, of_value])
def test_inv56_statistics_add_up_over_microbatches(of) -> None:
    batch = random_batch(6, rows=5)
    num_tokens = int(batch.mask.sum())
    whole = of(batch)[1]
    parts = [
        of(batch, rows=rows, num_tokens=num_tokens)[1] for rows in (slice(0, 1), slice(1, 3), slice(3, 5))
    ]
    for name in whole._fields:
        added = sum(getattr(part, name).item() for part in parts)
        assert added == pytest.approx(getattr(whole, name).item()), name
    assert not any(value.requires_grad for value in whole)


@pytest.mark.parametrize("of", [of_policy, of_value])
def test_num_tokens_may_be_a_tensor(of) -> None:
    batch = random_batch(6)
    torch.testing.assert_close(of(batch, num_tokens=torch.tensor(10))[2], of(batch, num_tokens=10)[2])


@pytest.mark.parametrize("num_tokens", [0, 7])
def test_inv29_a_microbatch_without_a_token_has_loss_zero_with_gradient(num_tokens: int) -> None:
    batch = random_batch(7)
    x = torch.full((4, 6), torch.nan, requires_grad=True)
    nothing = torch.zeros(4, 6, dtype=torch.bool)
    losses = (
        policy_loss(x, batch.old_logprobs, batch.advantages, nothing, 0.2, num_tokens=num_tokens)[0],
        value_loss(x, batch.old_values, batch.returns, nothing, 0.2, num_tokens=num_tokens)[0],
        entropy_loss(x, nothing, num_tokens=num_tokens),
    )
    for loss in losses:
        x.grad = None
        loss.backward()
        assert loss.item() == 0.0
        assert x.grad is not None
        assert (x.grad == 0).all()


@given(SEEDS, st.sampled_from([math.nan, math.inf, -math.inf, 1e4]))
def test_inv30_anything_at_masked_positions_is_harmless(seed: int, poison: float) -> None:
    batch = random_batch(seed, gaps=True)
    dirty = Batch(
        batch.mask,
        batch.scores,
        *(
            poisoned(getattr(batch, name), batch.mask, poison)
            for name in (
                "kl",
                "rewards",
                "logprobs",
                "old_logprobs",
                "advantages",
                "values",
                "old_values",
                "returns",
            )
        ),
    )
    for of in (of_policy, of_value):
        for clean, found in zip(of(batch), of(dirty), strict=True):
            for one, other in (
                zip(clean, found, strict=True) if isinstance(clean, tuple) else [(clean, found)]
            ):
                assert torch.equal(one, other)


def test_inv50_targets_get_no_gradient() -> None:
    batch = random_batch(8)
    targets = [
        x.clone().requires_grad_()
        for x in (batch.old_logprobs, batch.advantages, batch.old_values, batch.returns)
    ]
    policy = policy_loss(
        batch.logprobs.requires_grad_(), targets[0], targets[1], batch.mask, 0.2, num_tokens=9
    )[0]
    value = value_loss(batch.values.requires_grad_(), targets[2], targets[3], batch.mask, 0.2, num_tokens=9)[
        0
    ]
    (policy + value).backward()
    assert all(target.grad is None for target in targets)
    assert batch.logprobs.grad is not None
    assert batch.values.grad is not None


def test_inv20_the_end_token_is_trained() -> None:
    # two tokens, the end token, padding: the end token gets a gradient like any other, padding none
    logprobs = torch.zeros(1, 5, requires_grad=True)
    mask = torch.tensor([[True, True, True, False, False]])
    policy_loss(logprobs, torch.zeros(1, 5), torch.ones(1, 5), mask, 0.2, num_tokens=3)[0].backward()
    assert logprobs.grad is not None
    torch.testing.assert_close(logprobs.grad, torch.tensor([[-1 / 3, -1 / 3, -1 / 3, 0.0, 0.0]]))


def test_inv08_the_ratio_is_taken_in_float32() -> None:
    old = torch.full((1, 1), -2.0, dtype=torch.bfloat16)
    loss, _ = policy_loss(old, old, torch.ones(1, 1), ONE, 0.2, num_tokens=1)
    assert loss.dtype == torch.float32


@given(SEEDS)
def test_batch_order_never_matters(seed: int) -> None:
    batch = random_batch(seed)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    shuffled = Batch(*(getattr(batch, name)[order] for name in batch.__dataclass_fields__))
    for of in (of_policy, of_value):
        (loss, _, gradient), (other_loss, _, other_gradient) = of(batch), of(shuffled)
        torch.testing.assert_close(loss, other_loss)
        torch.testing.assert_close(gradient[order], other_gradient)


def test_entropy_loss_by_hand() -> None:
    entropy = torch.tensor([[1.0, 3.0, math.nan]], requires_grad=True)
    loss = entropy_loss(entropy, torch.tensor([[True, True, False]]), num_tokens=4)
    loss.backward()
    assert loss.item() == -1.0  # -(1 + 3) / 4: more entropy is a smaller loss
    assert entropy.grad is not None
    assert entropy.grad.tolist() == [[-0.25, -0.25, 0.0]]


@pytest.mark.parametrize("clip_range", [0.0, -0.2, math.nan])
def test_impossible_clip_ranges_are_refused(clip_range: float) -> None:
    batch = random_batch(0)
    with pytest.raises(ValueError, match="clip_range must be positive"):
        of_policy(batch, clip_range)
    with pytest.raises(ValueError, match="value_clip_range must be positive"):
        of_value(batch, clip_range)
