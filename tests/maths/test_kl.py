"""KL estimators against exact expectations over a vocabulary of four words."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given

from rlhf.maths.kl import kl_k1, kl_k2, kl_k3
from tests.maths.batches import SEEDS

POLICY = torch.tensor([0.5, 0.25, 0.15, 0.1], dtype=torch.float64)
REFERENCE = torch.tensor([0.3, 0.3, 0.2, 0.2], dtype=torch.float64)


def divergence(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """KL(p || q) from its definition."""
    return (p * (p.log() - q.log())).sum()


def expected(estimator) -> float:
    """The expectation of an estimator over the policy, by enumeration."""
    return (POLICY * estimator(POLICY.log(), REFERENCE.log())).sum().item()


def gradient_as_loss(estimator) -> torch.Tensor:
    """Gradient in the logits of the expected loss over samples; the sampling has no gradient."""
    logits = POLICY.log().requires_grad_()
    (POLICY * estimator(logits.log_softmax(0), REFERENCE.log())).sum().backward()
    assert logits.grad is not None
    return logits.grad


def gradient_of_divergence(*, forward: bool) -> torch.Tensor:
    """Gradient of the exact divergence in the policy's logits."""
    logits = POLICY.log().requires_grad_()
    policy = logits.softmax(0)
    (divergence(REFERENCE, policy) if forward else divergence(policy, REFERENCE)).backward()
    assert logits.grad is not None
    return logits.grad


def test_by_hand() -> None:
    new, ref = torch.tensor([math.log(0.5)]), torch.tensor([math.log(0.25)])
    assert kl_k1(new, ref).item() == pytest.approx(math.log(2))  # the policy likes the token more: positive
    assert kl_k2(new, ref).item() == pytest.approx(math.log(2) ** 2 / 2)
    assert kl_k3(new, ref).item() == pytest.approx(
        0.5 - 1 + math.log(2)
    )  # ratio 1/2, minus 1, minus log(1/2)


def test_inv34_k1_and_k3_are_unbiased_and_k2_is_not() -> None:
    exact = divergence(POLICY, REFERENCE).item()
    assert expected(kl_k1) == pytest.approx(exact)
    assert expected(kl_k3) == pytest.approx(exact)
    assert abs(expected(kl_k2) - exact) > 1e-3


def test_inv34_gradients_as_losses() -> None:
    torch.testing.assert_close(gradient_as_loss(kl_k1), torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(gradient_as_loss(kl_k2), gradient_of_divergence(forward=False))
    torch.testing.assert_close(gradient_as_loss(kl_k3), gradient_of_divergence(forward=True))


@given(SEEDS)
def test_inv34_k2_and_k3_are_never_negative(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    new, ref = torch.randn(2, 3, 4, generator=random) - 2
    assert (kl_k2(new, ref) >= 0).all()
    assert (kl_k3(new, ref) >= 0).all()


def test_k3_keeps_its_digits_where_policy_and_reference_are_close() -> None:
    # x^2 / 2 = 5e-9 for x = 1e-4, which exp(x) - 1 - x in float32 rounds to nothing
    close = kl_k3(torch.tensor([1e-4]), torch.tensor([0.0])).item()
    assert close == pytest.approx(5e-9, rel=0.02)


def test_inv33_same_policy_has_no_divergence() -> None:
    same = torch.randn(3, 4) - 2
    for estimator in (kl_k1, kl_k2, kl_k3):
        assert (estimator(same, same) == 0).all()
