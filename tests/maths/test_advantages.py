"""Advantages and returns against their definitions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlhf.maths.advantages import explained_variance, gae
from rlhf.maths.masked import whiten
from tests.maths.batches import SEEDS, poisoned, random_batch

UNIT = st.floats(0.0, 1.0)
ALL = torch.ones(1, 3, dtype=torch.bool)


def slow_gae(rewards, values, mask, gamma: float, lam: float) -> torch.Tensor:
    """A_t = sum over l of (gamma lambda)^l delta_(t+l) over the counted tokens alone (equation 16)."""
    result = torch.zeros_like(rewards)
    for b in range(rewards.shape[0]):
        places = [t for t in range(rewards.shape[1]) if mask[b, t]]
        r, v = [rewards[b, t].item() for t in places], [values[b, t].item() for t in places] + [0.0]
        for k, t in enumerate(places):
            deltas = [r[j] + gamma * v[j + 1] - v[j] for j in range(k, len(places))]
            result[b, t] = sum((gamma * lam) ** j * delta for j, delta in enumerate(deltas))
    return result


def test_by_hand() -> None:
    rewards, values = torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[0.5, 1.0, 1.5]])
    advantages, returns = gae(rewards, values, ALL, gamma=0.5, gae_lambda=0.5)
    # delta_2 = 2 - 1.5 = 0.5; delta_1 = 0 + 0.75 - 1 = -0.25; delta_0 = 1 + 0.5 - 0.5 = 1
    # A_2 = 0.5; A_1 = -0.25 + 0.25 * 0.5 = -0.125; A_0 = 1 - 0.25 * 0.125 = 0.96875
    assert advantages.tolist() == [[0.96875, -0.125, 0.5]]
    assert returns.tolist() == [[1.46875, 0.875, 2.0]]


@given(SEEDS, UNIT, UNIT, st.booleans())
def test_inv44_equals_the_quadratic_definition(seed: int, gamma: float, lam: float, gaps: bool) -> None:
    batch = random_batch(seed, gaps=gaps)
    advantages, _ = gae(batch.rewards, batch.values, batch.mask, gamma, lam)
    expected = slow_gae(batch.rewards, batch.values, batch.mask, gamma, lam)
    torch.testing.assert_close(advantages, expected)


@given(SEEDS)
def test_inv44_lambda_one_gamma_one_is_reward_to_go_minus_value(seed: int) -> None:
    batch = random_batch(seed)
    advantages, returns = gae(batch.rewards, batch.values, batch.mask, 1.0, 1.0)
    to_go = (batch.rewards * batch.mask).flip(1).cumsum(1).flip(1)
    torch.testing.assert_close(advantages, (to_go - batch.values) * batch.mask)
    torch.testing.assert_close(returns, to_go * batch.mask)


@given(SEEDS)
def test_inv44_lambda_zero_is_the_one_step_error(seed: int) -> None:
    batch = random_batch(seed)
    values = batch.values * batch.mask
    following = torch.cat([values[:, 1:], torch.zeros(4, 1)], dim=1)
    expected = (batch.rewards + 0.9 * following - values) * batch.mask
    torch.testing.assert_close(gae(batch.rewards, batch.values, batch.mask, 0.9, 0.0)[0], expected)


@given(SEEDS, st.booleans())
def test_inv45_padding_never_leaks(seed: int, gaps: bool) -> None:
    batch = random_batch(seed, gaps=gaps)
    clean = gae(batch.rewards, batch.values, batch.mask, 0.99, 0.95)
    for poison in (float("nan"), float("inf"), -77.0):
        rewards, values = (poisoned(x, batch.mask, poison) for x in (batch.rewards, batch.values))
        dirty = gae(rewards, values, batch.mask, 0.99, 0.95)
        assert torch.equal(dirty[0], clean[0])
        assert torch.equal(dirty[1], clean[1])
    assert (clean[0][~batch.mask] == 0).all()
    assert (clean[1][~batch.mask] == 0).all()


def test_inv46_beyond_the_last_token_the_value_is_zero_unless_given() -> None:
    rewards, values = torch.zeros(1, 3), torch.zeros(1, 3)
    assert gae(rewards, values, ALL, 1.0, 1.0)[0].tolist() == [[0.0, 0.0, 0.0]]
    given_value = gae(rewards, values, ALL, 0.5, 1.0, final_values=torch.tensor([8.0]))
    assert given_value[0].tolist() == [[1.0, 2.0, 4.0]]  # 8 discounted by 1/2 a token


def test_inv46_padding_is_no_place_to_bootstrap_from() -> None:
    mask = torch.tensor([[True, False, False]])
    advantages, _ = gae(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.25, 9.0, 9.0]]), mask, 1.0, 0.95)
    assert advantages.tolist() == [[0.75, 0.0, 0.0]]


@given(SEEDS, UNIT, UNIT)
def test_inv47_masked_tokens_inside_a_response_change_nothing(seed: int, gamma: float, lam: float) -> None:
    batch = random_batch(seed, rows=1, length=4)
    everything = torch.ones(1, 4, dtype=torch.bool)
    advantages, returns = gae(batch.rewards, batch.values, everything, gamma, lam)

    def with_tool_output(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[:, :2], torch.full((1, 3), torch.nan, dtype=x.dtype), x[:, 2:]], dim=1)

    mask = torch.tensor([[True, True, False, False, False, True, True]])
    wide = gae(with_tool_output(batch.rewards), with_tool_output(batch.values), mask, gamma, lam)
    torch.testing.assert_close(wide[0][mask], advantages[0])
    torch.testing.assert_close(wide[1][mask], returns[0])


@given(SEEDS)
def test_inv48_returns_are_raw_advantages_plus_old_values(seed: int) -> None:
    batch = random_batch(seed)
    advantages, returns = gae(batch.rewards, batch.values, batch.mask, 1.0, 0.95)
    torch.testing.assert_close(returns, (advantages + batch.values) * batch.mask)
    whiten(advantages, batch.mask)
    torch.testing.assert_close(returns, (advantages + batch.values) * batch.mask)  # whitening made a copy


def test_inv50_targets_have_no_gradient_and_inputs_are_untouched() -> None:
    batch = random_batch(0)
    rewards, values = batch.rewards.clone().requires_grad_(), batch.values.clone().requires_grad_()
    advantages, returns = gae(rewards, values, batch.mask, 1.0, 0.95)
    assert not advantages.requires_grad
    assert not returns.requires_grad
    assert torch.equal(rewards, batch.rewards)
    assert torch.equal(values, batch.values)


def test_inv28_a_response_of_one_token_and_of_none() -> None:
    mask = torch.tensor([[True, False], [False, False]])
    advantages, returns = gae(torch.ones(2, 2), torch.full((2, 2), 0.25), mask, 1.0, 0.95)
    assert advantages.tolist() == [[0.75, 0.0], [0.0, 0.0]]
    assert returns.tolist() == [[1.0, 0.0], [0.0, 0.0]]


@given(SEEDS)
def test_batch_order_never_matters(seed: int) -> None:
    batch = random_batch(seed)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    shuffled = gae(batch.rewards[order], batch.values[order], batch.mask[order], 1.0, 0.95)
    straight = gae(batch.rewards, batch.values, batch.mask, 1.0, 0.95)
    assert torch.equal(shuffled[0], straight[0][order])
    assert torch.equal(shuffled[1], straight[1][order])


def test_half_precision_is_computed_in_float32() -> None:
    advantages, _ = gae(torch.ones(1, 3).bfloat16(), torch.zeros(1, 3).bfloat16(), ALL, 1.0, 0.95)
    assert advantages.dtype == torch.float32


@pytest.mark.parametrize(("gamma", "lam", "name"), [(1.1, 0.9, "gamma"), (0.9, -0.1, "gae_lambda")])
def test_impossible_coefficients_are_refused(gamma: float, lam: float, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be in"):
        gae(torch.zeros(1, 3), torch.zeros(1, 3), ALL, gamma, lam)


def test_explained_variance_by_hand() -> None:
    returns, mask = torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([[True, True, False]])
    assert explained_variance(returns, returns, mask).item() == 1.0
    assert (
        explained_variance(torch.full((1, 3), 7.0), returns, mask).item() == 0.0
    )  # a constant explains nothing
    assert (
        explained_variance(torch.tensor([[3.0, 1.0, 0.0]]), returns, mask).item() == -3.0
    )  # errors -2, 2: 1 - 4
    assert explained_variance(returns, torch.ones(1, 3), mask).item() == 0.0  # nothing to explain
