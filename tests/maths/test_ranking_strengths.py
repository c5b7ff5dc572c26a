"""How strong preferences are, in the pairwise loss: margins and weights of pairs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlhf.maths.ranking import pairwise_ranking_loss
from tests.maths.batches import SEEDS
from tests.maths.test_ranking import log_sigmoid, random_ranking


def random_numbers(seed: int, size: int) -> torch.Tensor:
    """(N,) from 0 to 3, some of them exactly 0."""
    random = torch.Generator().manual_seed(seed)
    drawn = torch.rand(size, generator=random, dtype=torch.float64) * 3
    return drawn.masked_fill(drawn < 0.5, 0.0)


def slow_loss(scores, pairs, targets, margins, weights) -> float:
    """Mean over prompts of the mean over the prompt's pairs, each times its weight."""
    of_prompt: dict[int, list[float]] = {}
    rows = zip(pairs.tolist(), targets.tolist(), margins.tolist(), weights.tolist(), strict=True)
    for (b, i, j), p, margin, weight in rows:
        lead = (scores[b, i] - scores[b, j]).item() - margin
        loss = -p * log_sigmoid(lead) - (1 - p) * log_sigmoid(-lead)
        of_prompt.setdefault(b, []).append(weight * loss)
    means = [sum(losses) / len(losses) for losses in of_prompt.values()]
    return sum(means) / max(len(means), 1)


def test_weights_by_hand() -> None:
    # prompt 0: one pair with lead 1, weight 3; prompt 1: leads 2 and -1 with weights 1 and 2, of two pairs
    scores = torch.tensor([[1.0, 0.0, 0.0], [2.0, 0.0, 3.0]])
    pairs = torch.tensor([[0, 0, 1], [1, 0, 1], [1, 0, 2]])
    loss = pairwise_ranking_loss(scores, pairs, torch.ones(3), weights=torch.tensor([3.0, 1.0, 2.0]))
    expected = (-3 * log_sigmoid(1) + (-log_sigmoid(2) - 2 * log_sigmoid(-1)) / 2) / 2
    assert loss.item() == pytest.approx(expected)


@given(SEEDS)
def test_margins_and_weights_against_a_slow_loop(seed: int) -> None:
    scores, _, _, pairs, targets = random_ranking(seed)
    margins, weights = random_numbers(seed + 1, len(pairs)), random_numbers(seed + 2, len(pairs))
    loss = pairwise_ranking_loss(scores, pairs, targets, margin=margins, weights=weights)
    assert loss.item() == pytest.approx(slow_loss(scores, pairs, targets, margins, weights))


@given(SEEDS)
def test_weights_of_one_change_nothing_and_of_zero_take_a_pair_out(seed: int) -> None:
    scores, _, _, pairs, targets = random_ranking(seed)
    plain = pairwise_ranking_loss(scores, pairs, targets)
    assert torch.equal(pairwise_ranking_loss(scores, pairs, targets, weights=torch.ones(len(pairs))), plain)
    leaf = scores.clone().requires_grad_()
    pairwise_ranking_loss(leaf, pairs, targets, weights=torch.zeros(len(pairs))).backward()
    assert leaf.grad is not None
    assert leaf.grad.abs().max().item() == 0.0


@given(SEEDS, st.floats(0.1, 10))
def test_the_loss_is_linear_in_its_weights(seed: int, factor: float) -> None:
    scores, _, _, pairs, targets = random_ranking(seed)
    first, second = random_numbers(seed + 1, len(pairs)), random_numbers(seed + 2, len(pairs))
    one, other, both = (
        pairwise_ranking_loss(scores, pairs, targets, weights=weights)
        for weights in (first, second, factor * first + second)
    )
    torch.testing.assert_close(both, factor * one + other)


@given(SEEDS)
def test_parts_of_a_step_add_up_whatever_weighs_more(seed: int) -> None:
    """Micro-batches and processes: each prompt's loss is divided by the prompts of the step, not by weights."""
    scores, _, _, pairs, targets = random_ranking(seed)
    weights = random_numbers(seed + 1, len(pairs))
    num_prompts = max(len({b for b, _, _ in pairs.tolist()}), 1)
    parts = [
        pairwise_ranking_loss(
            scores, pairs[part], targets[part], num_prompts=num_prompts, weights=weights[part]
        )
        for part in (pairs[:, 0] == b for b in range(3))
    ]
    torch.testing.assert_close(sum(parts), pairwise_ranking_loss(scores, pairs, targets, weights=weights))


def test_a_margin_and_a_share_of_votes_are_at_rest_where_they_say() -> None:
    """Nine of ten votes and a margin of 2: the gradient is 0 at a lead of log(9) + 2."""
    scores = torch.tensor([[math.log(9) + 2.0, 0.0]], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0.9], dtype=torch.float64)
    pairwise_ranking_loss(scores, torch.tensor([[0, 0, 1]]), target, margin=torch.tensor([2.0])).backward()
    assert scores.grad is not None
    torch.testing.assert_close(scores.grad, torch.zeros(1, 2, dtype=torch.float64))


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weights must be \(N,\) as targets"):
        pairwise_ranking_loss(
            torch.zeros(1, 2), torch.tensor([[0, 0, 1]]), torch.ones(1), weights=torch.ones(1, 1)
        )
