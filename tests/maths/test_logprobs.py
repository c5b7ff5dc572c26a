"""Token log-probabilities and entropies against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlhf.maths.logprobs import entropy, token_logprobs
from tests.maths.batches import SEEDS


def random_logits(seed: int, vocab: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (2, 5, V) far from zero, as GPT-2's are, and ids (2, 5)."""
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 5, vocab, generator=random) * 3 - 80
    return logits, torch.randint(vocab, (2, 5), generator=random)


def slow_logprobs(logits: torch.Tensor, ids: torch.Tensor, temperature: float) -> torch.Tensor:
    """log(exp(z_id / t) / sum_v exp(z_v / t)) one token at a time in float64."""
    result = torch.zeros(ids.shape, dtype=torch.float64)
    for b in range(ids.shape[0]):
        for t in range(ids.shape[1]):
            scaled = [z / temperature for z in logits[b, t].double().tolist()]
            top = max(scaled)
            result[b, t] = scaled[ids[b, t]] - top - math.log(sum(math.exp(z - top) for z in scaled))
    return result


def slow_entropy(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """-sum_v p_v log p_v from the slow log-probabilities of every word."""
    every_word = [
        slow_logprobs(logits, torch.full(logits.shape[:2], v), temperature) for v in range(logits.shape[2])
    ]
    return -sum(log.exp() * log for log in every_word)


def test_by_hand() -> None:
    # odds 1 : 2 : 3
    logits = torch.tensor([[[1.0, 2.0, 3.0]]]).log()
    assert token_logprobs(logits, torch.tensor([[2]])).item() == pytest.approx(math.log(3 / 6))
    # at temperature 1/2 the odds are squared, 1 : 4 : 9
    assert token_logprobs(logits, torch.tensor([[2]]), 0.5).item() == pytest.approx(math.log(9 / 14))
    expected = -sum(p * math.log(p) for p in (1 / 14, 4 / 14, 9 / 14))
    assert entropy(logits, 0.5).item() == pytest.approx(expected)


@given(
    SEEDS,
    st.sampled_from([1, 3, 4, 10, 100, None]),
    st.sampled_from([0.7, 1.0, 1.5]),
    st.sampled_from([1, 2, 7, 33]),
)
def test_inv13_chunked_equals_gathered_log_softmax_in_value_and_gradient(
    seed: int, chunk: int | None, temperature: float, vocab: int
) -> None:
    logits, ids = random_logits(seed, vocab)
    weights = torch.randn(2, 5, generator=torch.Generator().manual_seed(seed))
    ours = logits.clone().requires_grad_()
    found = token_logprobs(ours, ids, temperature, chunk_tokens=chunk)
    (found * weights).sum().backward()
    plain = logits.double().requires_grad_()
    expected = (plain / temperature).log_softmax(-1).gather(-1, ids[..., None]).squeeze(-1)
    (expected * weights).sum().backward()
    # float32 of z / t with z near -80 is exact to 8e-6 before anything else is done
    torch.testing.assert_close(found.double(), expected, atol=3e-5, rtol=0)
    torch.testing.assert_close(ours.grad.double(), plain.grad, atol=3e-5, rtol=0)
    assert torch.equal(found, token_logprobs(ours, ids, temperature, chunk_tokens=10))


def test_inv13_temperature_one_is_exact_to_1e_6_also_far_from_zero() -> None:
    logits, ids = random_logits(0, 50)
    torch.testing.assert_close(
        token_logprobs(logits, ids).double(), slow_logprobs(logits, ids, 1.0), atol=1e-6, rtol=1e-6
    )


def test_against_the_slow_definition() -> None:
    logits, ids = random_logits(1)
    double = logits.double()
    torch.testing.assert_close(token_logprobs(double, ids, 0.7), slow_logprobs(logits, ids, 0.7))
    torch.testing.assert_close(entropy(double, 0.7), slow_entropy(logits, 0.7))


@pytest.mark.parametrize("chunk", [1, 3, None])
def test_gradients_equal_numerical_ones(chunk: int | None) -> None:
    logits, ids = random_logits(2, 4)
    double = (logits.double() + 80).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: token_logprobs(z, ids, 0.7, chunk_tokens=chunk), double)
    assert torch.autograd.gradcheck(lambda z: entropy(z, 0.7, chunk_tokens=chunk), double)


def test_inv08_softmax_in_float32_from_bfloat16_logits() -> None:
    logits, ids = random_logits(3, 50)
    half = logits.to(torch.bfloat16)
    found = token_logprobs(half, ids)
    assert found.dtype == torch.float32
    assert entropy(half).dtype == torch.float32
    torch.testing.assert_close(found.double(), slow_logprobs(half, ids, 1.0), atol=1e-5, rtol=1e-5)
    in_half = half.log_softmax(-1).gather(-1, ids[..., None]).squeeze(-1)
    assert (in_half.float() - found).abs().max() > 1e-3  # what would be lost


def test_inv08_gradient_goes_back_in_the_dtype_of_the_logits() -> None:
    logits = random_logits(3)[0].to(torch.bfloat16).requires_grad_()
    token_logprobs(logits, random_logits(3)[1]).sum().backward()
    assert logits.grad is not None
    assert logits.grad.dtype == torch.bfloat16


def test_inv03_over_a_truncated_support_probabilities_sum_to_one() -> None:
    logits, _ = random_logits(4, 6)
    allowed = torch.tensor([True, False, True, True, False, False])
    truncated = logits.masked_fill(~allowed, -torch.inf)
    ids = allowed.nonzero().squeeze(1)
    total = sum(token_logprobs(truncated, torch.full((2, 5), int(i))).exp() for i in ids)
    torch.testing.assert_close(total, torch.ones(2, 5))


def test_inv18_a_banned_token_has_probability_zero_and_harms_nothing() -> None:
    logits, _ = random_logits(5, 6)
    banned = logits.clone()
    banned[..., 0] = -torch.inf
    banned.requires_grad_()
    ids = torch.full((2, 5), 3)
    (token_logprobs(banned, ids) + entropy(banned)).sum().backward()
    assert banned.grad is not None
    assert banned.grad.isfinite().all()
    assert (banned.grad[..., 0] == 0).all()
    torch.testing.assert_close(token_logprobs(banned, ids), token_logprobs(logits[..., 1:], ids - 1))
    torch.testing.assert_close(entropy(banned), entropy(logits[..., 1:]))
    assert (token_logprobs(banned, torch.zeros(2, 5, dtype=torch.long)) == -torch.inf).all()


def test_entropy_bounds() -> None:
    assert entropy(torch.zeros(1, 1, 8)).item() == pytest.approx(math.log(8))
    assert entropy(torch.tensor([[[100.0, 0.0]]])).item() == pytest.approx(0.0, abs=1e-6)


def test_no_tokens_is_no_error() -> None:
    assert token_logprobs(torch.zeros(2, 0, 5), torch.zeros(2, 0, dtype=torch.long)).shape == (2, 0)
    assert entropy(torch.zeros(2, 0, 5)).shape == (2, 0)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_impossible_temperature_is_refused(temperature: float) -> None:
    logits, ids = random_logits(0)
    with pytest.raises(ValueError, match="temperature must be positive"):
        token_logprobs(logits, ids, temperature)
    with pytest.raises(ValueError, match="temperature must be positive"):
        entropy(logits, temperature)


def test_shapes_that_do_not_fit_are_refused() -> None:
    logits, ids = random_logits(0)
    with pytest.raises(ValueError, match="do not fit"):
        token_logprobs(logits, ids[:, 1:])
    with pytest.raises(ValueError, match="floating point"):
        token_logprobs(ids[..., None], ids)
    with pytest.raises(ValueError, match="chunk_tokens"):
        token_logprobs(logits, ids, chunk_tokens=0)
