"""KL as a loss: its gradient against the exact one over a vocabulary of four words."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlhf.maths.losses import kl_loss
from tests.maths.batches import SEEDS, poisoned, random_batch
from tests.maths.losses import ONE

POLICY = torch.tensor([0.5, 0.25, 0.15, 0.1], dtype=torch.float64)
REFERENCE = torch.tensor([0.3, 0.3, 0.2, 0.2], dtype=torch.float64)
OLD = torch.tensor([0.2, 0.2, 0.5, 0.1], dtype=torch.float64)  # an older policy, far from both
WORDS = torch.ones(4, 1, dtype=torch.bool)


def expected_gradient(estimator, old: torch.Tensor) -> torch.Tensor:
    """Gradient in the logits of the expected loss over words of the old policy, by enumeration.

    Each word is a response of one token, and stands for its share of the samples by its weight.
    """
    logits = POLICY.log().requires_grad_()
    columns = [x[:, None] for x in (logits.log_softmax(0), REFERENCE.log(), old.log())]
    kl_loss(*columns, WORDS, num_tokens=1, estimator=estimator, weights=old).backward()
    assert logits.grad is not None
    return logits.grad


def exact_gradient(*, forward: bool = False) -> torch.Tensor:
    """Gradient of KL(policy || reference), or of the other direction, from its definition."""
    logits = POLICY.log().requires_grad_()
    policy = logits.log_softmax(0)
    log_ratio = policy - REFERENCE.log()
    (-(REFERENCE * log_ratio).sum() if forward else (policy.exp() * log_ratio).sum()).backward()
    assert logits.grad is not None
    return logits.grad


@pytest.mark.parametrize("old", [POLICY, OLD, REFERENCE])
def test_inv34_expected_gradient_of_k2_is_that_of_the_kl_whichever_policy_sampled(old: torch.Tensor) -> None:
    torch.testing.assert_close(expected_gradient("k2", old), exact_gradient(), rtol=0, atol=1e-6)


def test_inv34_expected_gradient_of_k3_is_that_of_the_other_direction() -> None:
    torch.testing.assert_close(
        expected_gradient("k3", POLICY), exact_gradient(forward=True), rtol=0, atol=1e-6
    )
    assert (exact_gradient(forward=True) - exact_gradient()).abs().max() > 0.01  # they can be told apart


def test_by_hand() -> None:
    new, ref, old = (
        torch.tensor([[math.log(p)]], dtype=torch.float64, requires_grad=True) for p in (0.5, 0.25, 0.4)
    )
    k2 = kl_loss(new, ref, old, ONE, num_tokens=2)
    k2.backward()
    # ratio 0.5 / 0.4 = 1.25; 1.25 * log(2)^2 / 2, over two tokens; slope 1.25 * log(2) / 2
    assert k2.item() == pytest.approx(1.25 * math.log(2) ** 2 / 2 / 2)
    assert new.grad is not None
    assert new.grad.item() == pytest.approx(1.25 * math.log(2) / 2)
    # k3: ratio 1/2 of reference to policy, 1/2 - 1 + log(2), unweighted; slope 1 - 1/2
    new.grad = None
    k3 = kl_loss(new, ref, old, ONE, num_tokens=2, estimator="k3")
    k3.backward()
    assert k3.item() == pytest.approx((0.5 - 1 + math.log(2)) / 2)
    assert new.grad is not None
    assert new.grad.item() == pytest.approx((1 - 0.5) / 2)
    assert ref.grad is None  # the reference and the old policy are not trained
    assert old.grad is None


@pytest.mark.parametrize("estimator", ["k2", "k3"])
def test_inv33_same_policy_has_no_loss_and_no_gradient(estimator) -> None:
    batch = random_batch(3)
    new = batch.logprobs.clone().requires_grad_()
    loss = kl_loss(new, batch.logprobs, batch.old_logprobs, batch.mask, num_tokens=9, estimator=estimator)
    loss.backward()
    assert loss.item() == 0.0
    assert new.grad is not None
    assert (new.grad == 0).all()


@given(SEEDS, st.sampled_from([math.nan, math.inf, -math.inf, 1e4]), st.sampled_from(["k2", "k3"]))
def test_inv30_anything_at_masked_positions_is_harmless(seed: int, poison: float, estimator) -> None:
    batch = random_batch(seed, gaps=True)
    ref = batch.logprobs + batch.kl
    found = []
    for change in (lambda x: x.clone(), lambda x: poisoned(x, batch.mask, poison)):
        new = change(batch.logprobs).requires_grad_()
        loss = kl_loss(
            new, change(ref), change(batch.old_logprobs), batch.mask, num_tokens=5, estimator=estimator
        )
        loss.backward()
        found.append((loss.detach(), new.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert (found[0][1][~batch.mask] == 0).all()


@pytest.mark.parametrize("estimator", ["k2", "k3"])
def test_inv29_a_microbatch_without_a_token_has_loss_zero_with_gradient(estimator) -> None:
    x = torch.full((2, 3), torch.nan, requires_grad=True)
    loss = kl_loss(x, x, x, torch.zeros(2, 3, dtype=torch.bool), num_tokens=0, estimator=estimator)
    loss.backward()
    assert loss.item() == 0.0
    assert x.grad is not None
    assert (x.grad == 0).all()


def test_inv08_half_precision_is_compared_in_float32() -> None:
    new, ref = (torch.tensor([[x]], dtype=torch.bfloat16) for x in (-100.5, -1.0078125))
    loss = kl_loss(new, ref, new, ONE, num_tokens=1)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.5 * (100.5 - 1.0078125) ** 2)  # bfloat16 would round the difference


@pytest.mark.parametrize("estimator", ["k1", "k4"])
def test_other_estimators_are_refused(estimator) -> None:
    x = torch.zeros(1, 1)
    with pytest.raises(ValueError, match=f"k2 or k3, not '{estimator}'"):
        kl_loss(x, x, x, ONE, num_tokens=1, estimator=estimator)


def test_shapes_that_differ_are_refused() -> None:
    x = torch.zeros(1, 2)
    mask = torch.ones(1, 2, dtype=torch.bool)
    for columns in ((x[:, :1], x, x), (x, x[:, :1], x), (x, x, x[:, :1])):
        with pytest.raises(ValueError, match="mask"):
            kl_loss(*columns, mask, num_tokens=1)
