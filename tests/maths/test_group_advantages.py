"""Advantages without a critic: each response against the other samples of its prompt."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlhf.maths.advantages import group_normalised, leave_one_out, spread
from tests.maths.batches import SEEDS, poisoned, random_batch

BOTH = (leave_one_out, group_normalised)


def random_totals(seed: int, prompts: int, samples: int) -> torch.Tensor:
    """Float64 totals of `prompts` times `samples` responses."""
    random = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(prompts * samples, generator=random, dtype=torch.float64) + 5


def test_by_hand() -> None:
    totals = torch.tensor([1.0, 2.0, 6.0, -1.0, -1.0, 5.0])
    # others: (2 + 6) / 2, (1 + 6) / 2, (1 + 2) / 2; (-1 + 5) / 2 twice, -1
    assert leave_one_out(totals, 3).tolist() == [-3.0, -1.5, 4.5, -3.0, -3.0, 6.0]
    # means 3 and 1; variances (4 + 1 + 9) / 3 and (4 + 4 + 16) / 3 = 8
    first, second = math.sqrt(14 / 3), math.sqrt(8)
    assert group_normalised(totals, 3).tolist() == pytest.approx(
        [-2 / first, -1 / first, 3 / first, -2 / second, -2 / second, 4 / second], rel=1e-5
    )


@given(SEEDS, st.integers(1, 4), st.integers(2, 6))
def test_against_slow_loops(seed: int, prompts: int, samples: int) -> None:
    totals = random_totals(seed, prompts, samples)
    alone, normalised = [], []
    for i in range(prompts):
        group = [totals[i * samples + j].item() for j in range(samples)]
        mean = sum(group) / samples
        deviation = math.sqrt(sum((x - mean) ** 2 for x in group) / samples)
        for j, x in enumerate(group):
            others = group[:j] + group[j + 1 :]
            alone.append(x - sum(others) / len(others))
            normalised.append((x - mean) / (deviation + 1e-6))
    assert leave_one_out(totals, samples).tolist() == pytest.approx(alone)
    assert group_normalised(totals, samples).tolist() == pytest.approx(normalised)


@pytest.mark.parametrize("function", BOTH)
def test_inv15_row_i_n_plus_j_belongs_to_prompt_i(function) -> None:
    # a reward that encodes the prompt: 1000 times its number, plus 0, 1, 2 for the samples
    totals = torch.tensor([1000.0 * i + j for i in range(4) for j in range(3)])
    advantages = function(totals, 3).reshape(4, 3)
    assert advantages.abs().max() < 3  # no sample was compared with another prompt's
    torch.testing.assert_close(advantages, advantages[:1].expand(4, 3))
    assert advantages[0].argsort().tolist() == [0, 1, 2]


@pytest.mark.parametrize("function", BOTH)
def test_inv15_through_sort_by_length_and_back(function) -> None:
    totals = random_totals(4, 3, 2)
    order = torch.tensor([4, 0, 3, 5, 1, 2])  # as a batch sorted by length would be scored
    by_length = totals[order]
    torch.testing.assert_close(function(by_length[order.argsort()], 2), function(totals, 2))


@pytest.mark.parametrize("function", BOTH)
@given(seed=SEEDS)
def test_advantages_of_a_prompt_add_up_to_zero_and_ignore_a_shift(function, seed: int) -> None:
    totals = random_totals(seed, 3, 4)
    advantages = function(totals, 4)
    torch.testing.assert_close(advantages.reshape(3, 4).sum(1), torch.zeros(3, dtype=torch.float64))
    shift = torch.tensor([7.0, -300.0, 0.5], dtype=torch.float64).repeat_interleave(4)  # harder prompts
    torch.testing.assert_close(function(totals + shift, 4), advantages, rtol=1e-6, atol=1e-6)


@given(SEEDS, st.integers(2, 6))
def test_group_normalised_has_variance_one_within_each_prompt(seed: int, samples: int) -> None:
    advantages = group_normalised(1e3 * random_totals(seed, 3, samples), samples).reshape(3, samples)
    torch.testing.assert_close(advantages.square().mean(1), torch.ones(3, dtype=torch.float64))


def expected_gradient(advantages_of) -> torch.Tensor:
    """Expectation of the policy gradient over all pairs of words, by enumeration; the rewards are fixed."""
    logits = torch.tensor([0.5, -0.3, 0.1, 0.0], dtype=torch.float64, requires_grad=True)
    rewards = torch.tensor([1.0, 3.0, -2.0, 0.5], dtype=torch.float64)
    logprobs = logits.log_softmax(0)
    probs = logprobs.detach().exp()
    total = torch.zeros((), dtype=torch.float64)
    for pair in itertools.product(range(4), repeat=2):
        words = list(pair)
        total = total + probs[words].prod() * (advantages_of(rewards[words]) * logprobs[words]).mean()
    total.backward()
    assert logits.grad is not None
    return logits.grad


def test_leave_one_out_is_unbiased_and_the_mean_of_the_whole_group_is_not() -> None:
    plain = expected_gradient(lambda totals: totals)  # REINFORCE without a baseline: unbiased
    torch.testing.assert_close(expected_gradient(lambda totals: leave_one_out(totals, 2)), plain)
    whole = expected_gradient(lambda totals: totals - totals.mean())
    torch.testing.assert_close(whole, plain / 2)  # (n - 1) / n


@pytest.mark.parametrize("function", BOTH)
@pytest.mark.parametrize("total", [0.0, 0.1, -7.3, 1e6])
def test_equal_totals_give_zero_not_noise(function, total: float) -> None:
    for samples in (2, 3, 7):
        assert function(torch.full((2 * samples,), total), samples).tolist() == [0.0] * 2 * samples


def test_totals_that_differ_by_rounding_count_as_equal() -> None:
    total = torch.tensor([100.0])
    apart = torch.cat([total, torch.nextafter(total, torch.tensor([200.0])), total])
    assert apart[0] != apart[1]
    assert group_normalised(apart, 3).tolist() == [0.0, 0.0, 0.0]
    # a difference that is one is not: 100.01 against twice 100
    assert group_normalised(torch.tensor([100.0, 100.01, 100.0]), 3)[1].item() == pytest.approx(
        2**0.5, rel=1e-2
    )


@pytest.mark.parametrize("function", BOTH)
def test_inv42_a_total_that_is_nan_is_not_hidden(function) -> None:
    found = function(torch.tensor([1.0, math.nan, 2.0, 3.0]), 2)
    assert found[:2].isnan().all()
    assert found[2:].isfinite().all()  # and spoils no other prompt


@pytest.mark.parametrize("function", BOTH)
def test_targets_have_no_gradient_and_are_float32(function) -> None:
    totals = torch.tensor([1.0, 2.0], dtype=torch.bfloat16, requires_grad=True)
    found = function(totals, 2)
    assert not found.requires_grad
    assert found.dtype == torch.float32


@pytest.mark.parametrize("function", BOTH)
def test_numbers_that_do_not_fit_are_refused(function) -> None:
    with pytest.raises(ValueError, match=r"samples_per_prompt is 1: set it to 2 or more"):
        function(torch.zeros(4), 1)
    with pytest.raises(ValueError, match=r"samples_per_prompt is 0"):
        function(torch.zeros(4), 0)
    with pytest.raises(ValueError, match=r"divisible by samples_per_prompt 3, not \(4,\)"):
        function(torch.zeros(4), 3)
    with pytest.raises(ValueError, match=r"not \(2, 2\)"):
        function(torch.zeros(2, 2), 2)


@given(SEEDS)
def test_spread_gives_each_token_its_response_and_padding_nothing(seed: int) -> None:
    batch = random_batch(seed, gaps=True)
    tokens = spread(batch.scores.requires_grad_(), batch.mask)
    assert not tokens.requires_grad
    for b in range(4):
        for t in range(6):
            assert tokens[b, t].item() == (batch.scores[b].item() if batch.mask[b, t] else 0.0)


def test_inv28_inv30_spread_ignores_the_advantage_of_an_empty_response() -> None:
    mask = torch.tensor([[True, False], [False, False]])
    advantages = poisoned(torch.tensor([1.0, 2.0]), torch.tensor([True, False]))
    assert spread(advantages, mask).tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_spread_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"one a response, \(2,\), not \(3,\)"):
        spread(torch.zeros(3), torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(TypeError, match="boolean"):
        spread(torch.zeros(2), torch.ones(2, 4))
