"""Losses on rankings."""

from __future__ import annotations

import math
from itertools import combinations, permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlhf.maths.ranking import centring_penalty, pairwise_ranking_loss, plackett_luce_loss
from tests.maths.batches import SEEDS

NAN = float("nan")


def log_sigmoid(x: float) -> float:
    """log(1 / (1 + exp(-x))) from its definition."""
    return -math.log1p(math.exp(-x))


def random_ranking(seed: int, rows: int = 3, width: int = 5):
    """Scores, ranks with ties and a mask, all (B, K), and the pairs and targets that they mean."""
    random = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, width, generator=random, dtype=torch.float64) * 2
    ranks = torch.randint(1, 4, (rows, width), generator=random)
    mask = torch.arange(width) < torch.randint(1, width + 1, (rows, 1), generator=random)
    pairs, targets = [], []
    for b in range(rows):
        for i, j in combinations(range(int(mask[b].sum())), 2):
            pairs.append((b, i, j))
            targets.append(0.5 if ranks[b, i] == ranks[b, j] else float(ranks[b, i] < ranks[b, j]))
    return (
        scores,
        ranks,
        mask,
        torch.tensor(pairs).reshape(-1, 3).long(),
        torch.tensor(targets, dtype=torch.float64),
    )


def slow_pairwise(scores, pairs, targets, margin: float = 0.0) -> float:
    """Mean over prompts of the mean over the prompt's pairs."""
    of_prompt: dict[int, list[float]] = {}
    for (b, i, j), p in zip(pairs.tolist(), targets.tolist(), strict=True):
        lead = (scores[b, i] - scores[b, j]).item() - margin
        of_prompt.setdefault(b, []).append(-p * log_sigmoid(lead) - (1 - p) * log_sigmoid(-lead))
    means = [sum(losses) / len(losses) for losses in of_prompt.values()]
    return sum(means) / max(len(means), 1)


def slow_plackett_luce(scores, ranks, mask) -> float:
    """Choose the best group of all, then of the rest, ...: -log of each member's share of what is left."""
    means = []
    for row, row_ranks, row_mask in zip(scores.tolist(), ranks.tolist(), mask.tolist(), strict=True):
        left = sorted(
            (rank, score) for rank, score, counts in zip(row_ranks, row, row_mask, strict=True) if counts
        )
        factors = []
        for rank, score in left:
            rivals = [other for other_rank, other in left if other_rank >= rank]
            if len(rivals) > 1:
                factors.append(math.log(sum(math.exp(other) for other in rivals)) - score)
        if factors:
            means.append(sum(factors) / len(factors))
    return sum(means) / max(len(means), 1)


def test_pairwise_by_hand() -> None:
    # prompt 0: one pair with lead 1; prompt 1: leads 2 and -1
    scores = torch.tensor([[1.0, 0.0, NAN], [2.0, 0.0, 3.0]])
    pairs = torch.tensor([[0, 0, 1], [1, 0, 1], [1, 0, 2]])
    loss = pairwise_ranking_loss(scores, pairs, torch.ones(3))
    expected = (-log_sigmoid(1) + (-log_sigmoid(2) - log_sigmoid(-1)) / 2) / 2
    assert loss.item() == pytest.approx(expected)


@given(SEEDS)
def test_inv78_all_pairs_of_a_prompt_equal_the_naive_pair_loop(seed: int) -> None:
    scores, _, _, pairs, targets = random_ranking(seed)
    leaf = scores.clone().requires_grad_()
    loss = pairwise_ranking_loss(leaf, pairs, targets)
    loss.backward()
    assert loss.item() == pytest.approx(slow_pairwise(scores, pairs, targets))
    expected = torch.zeros_like(scores)
    of_prompt = [int((pairs[:, 0] == b).sum()) for b in range(3)]
    num_prompts = max(sum(count > 0 for count in of_prompt), 1)
    for (b, i, j), p in zip(pairs.tolist(), targets.tolist(), strict=True):
        slope = (1 / (1 + math.exp(-(scores[b, i] - scores[b, j]).item())) - p) / of_prompt[b] / num_prompts
        expected[b, i] += slope
        expected[b, j] -= slope
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad, expected)


def test_inv78_a_prompt_of_nine_weighs_as_much_as_one_of_two() -> None:
    scores = torch.zeros(2, 9, requires_grad=True)
    pairs = torch.tensor([(0, 0, 1), *((1, i, j) for i, j in combinations(range(9), 2))])
    pairwise_ranking_loss(scores, pairs, torch.ones(len(pairs))).backward()
    assert scores.grad is not None
    # the winner of prompt 0 gets 1/2 * 1/2; the best of nine is in 8 of 36 pairs: 1/2 * 1/2 * 8/36
    assert scores.grad[0, 0].item() == pytest.approx(-1 / 4)
    assert scores.grad[1, 0].item() == pytest.approx(-1 / 4 * 8 / 36)


def test_inv78_dropped_ties_have_no_part() -> None:
    scores = torch.tensor([[3.0, 1.0, 2.0]], requires_grad=True)
    pairwise_ranking_loss(
        scores, torch.tensor([[0, 0, 1]]), torch.tensor([1.0])
    ).backward()  # 2 is tied with both
    assert scores.grad is not None
    assert scores.grad[0, 2].item() == 0.0


def test_a_tie_pulls_together_and_a_soft_target_stops_at_its_log_odds() -> None:
    pair = torch.tensor([[0, 0, 1]])
    for target, still in ((0.5, 0.0), (0.9, math.log(9))):
        scores = torch.tensor([[still, 0.0]], dtype=torch.float64, requires_grad=True)
        pairwise_ranking_loss(scores, pair, torch.tensor([target], dtype=torch.float64)).backward()
        assert scores.grad is not None
        torch.testing.assert_close(scores.grad, torch.zeros(1, 2, dtype=torch.float64))


@given(SEEDS, st.floats(-50, 50))
def test_inv79_shifting_a_prompts_scores_changes_no_ranking_loss(seed: int, shift: float) -> None:
    scores, ranks, mask, pairs, targets = random_ranking(seed)
    shifted = scores + shift
    torch.testing.assert_close(
        pairwise_ranking_loss(shifted, pairs, targets), pairwise_ranking_loss(scores, pairs, targets)
    )
    torch.testing.assert_close(
        plackett_luce_loss(shifted, ranks, mask), plackett_luce_loss(scores, ranks, mask)
    )


def test_inv79_centring_breaks_it_on_purpose() -> None:
    scores, mask = (
        torch.tensor([[1.0, -1.0, NAN], [2.0, 1.0, 6.0]]),
        torch.tensor([[True, True, False], [True] * 3]),
    )
    assert centring_penalty(scores, mask).item() == pytest.approx(
        (0.0 + 6.0**2) / 2
    )  # means 0 and 3, doubled
    assert centring_penalty(scores + 1, mask).item() == pytest.approx((2.0**2 + 8.0**2) / 2)


def test_inv79_centring_of_a_pair_is_the_square_of_its_sum() -> None:
    scores = torch.tensor([[1.5, -0.25]])
    assert centring_penalty(scores, torch.ones(1, 2, dtype=torch.bool)).item() == pytest.approx(1.25**2)


def test_inv79_margin_asks_for_a_lead() -> None:
    scores, pair, sure = torch.tensor([[2.0, 0.0]]), torch.tensor([[0, 0, 1]]), torch.tensor([1.0])
    assert pairwise_ranking_loss(scores, pair, sure, margin=1.5).item() == pytest.approx(-log_sigmoid(0.5))
    per_pair = pairwise_ranking_loss(
        scores, pair.repeat(2, 1), sure.repeat(2), margin=torch.tensor([0.0, 3.0])
    )
    assert per_pair.item() == pytest.approx(-(log_sigmoid(2.0) + log_sigmoid(-1.0)) / 2)


@given(SEEDS)
def test_inv80_plackett_luce_against_a_slow_loop(seed: int) -> None:
    scores, ranks, mask, _, _ = random_ranking(seed)
    assert plackett_luce_loss(scores, ranks, mask).item() == pytest.approx(
        slow_plackett_luce(scores, ranks, mask)
    )


@given(SEEDS, st.sampled_from([(1, 2), (2, 1), (1, 1)]))
def test_inv80_plackett_luce_of_two_is_bradley_terry(seed: int, ranks: tuple[int, int]) -> None:
    scores = torch.randn(1, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3
    target = 0.5 if ranks[0] == ranks[1] else float(ranks[0] < ranks[1])
    pairwise = pairwise_ranking_loss(scores, torch.tensor([[0, 0, 1]]), torch.tensor([target]))
    everything = torch.ones(1, 2, dtype=torch.bool)
    torch.testing.assert_close(plackett_luce_loss(scores, torch.tensor([ranks]), everything), pairwise)


def test_inv80_full_rankings_are_a_distribution() -> None:
    scores, everything = (
        torch.tensor([[0.3, -1.2, 2.0]], dtype=torch.float64),
        torch.ones(1, 3, dtype=torch.bool),
    )
    # the loss is per choice, and three responses are two choices
    losses = [
        plackett_luce_loss(scores, torch.tensor([ranks]), everything) for ranks in permutations((1, 2, 3))
    ]
    assert sum(math.exp(-2 * loss.item()) for loss in losses) == pytest.approx(1.0)


def test_inv80_only_the_order_of_ranks_matters() -> None:
    scores, _, mask, _, _ = random_ranking(3)
    ranks = torch.tensor([[1, 2, 3, 4, 5]] * 3)
    torch.testing.assert_close(
        plackett_luce_loss(scores, ranks * 10 - 7, mask), plackett_luce_loss(scores, ranks, mask)
    )


@given(SEEDS)
def test_inv30_padding_never_matters_in_rankings(seed: int) -> None:
    scores, ranks, mask, pairs, targets = random_ranking(seed)
    results = []
    for poison in (0.0, NAN, math.inf):
        dirty = scores.masked_fill(~mask, poison).requires_grad_()
        dirty_ranks = ranks.masked_fill(~mask, 0 if math.isnan(poison) else 9)
        loss = (
            pairwise_ranking_loss(dirty, pairs, targets)
            + plackett_luce_loss(dirty, dirty_ranks, mask)
            + centring_penalty(dirty, mask)
        )
        loss.backward()
        assert dirty.grad is not None
        assert (dirty.grad[~mask] == 0).all()
        results.append((loss.detach(), dirty.grad))
    for loss, gradient in results[1:]:
        assert torch.equal(loss, results[0][0])
        assert torch.equal(gradient, results[0][1])


def test_inv29_nothing_to_compare_is_a_loss_of_zero_with_gradient() -> None:
    scores = torch.tensor([[1.0, NAN]], requires_grad=True)
    one, none = torch.tensor([[True, False]]), torch.zeros(1, 2, dtype=torch.bool)
    ranks = torch.ones(1, 2, dtype=torch.long)
    for loss in (
        pairwise_ranking_loss(scores, torch.zeros(0, 3, dtype=torch.long), torch.zeros(0)),
        plackett_luce_loss(scores, ranks, one),
        centring_penalty(scores, none),
    ):
        scores.grad = None
        loss.backward()
        assert loss.item() == 0.0
        assert scores.grad is not None
        assert scores.grad.tolist() == [[0.0, 0.0]]


def test_inv54_microbatches_of_prompts_add_up() -> None:
    scores, ranks, mask, pairs, targets = random_ranking(4, rows=6)
    mask[:, :2] = True
    whole = (plackett_luce_loss(scores, ranks, mask), centring_penalty(scores, mask))
    halves = [
        (
            plackett_luce_loss(scores[rows], ranks[rows], mask[rows], num_prompts=6),
            centring_penalty(scores[rows], mask[rows], num_prompts=6),
        )
        for rows in (slice(0, 1), slice(1, 6))
    ]
    for one, parts in zip(whole, zip(*halves, strict=True), strict=True):
        torch.testing.assert_close(sum(parts), one)
    in_first = pairs[:, 0] < 2
    num_prompts = len(set(pairs[:, 0].tolist()))
    first, second = (
        pairwise_ranking_loss(scores, pairs[part], targets[part], num_prompts=num_prompts)
        for part in (in_first, ~in_first)
    )
    torch.testing.assert_close(first + second, pairwise_ranking_loss(scores, pairs, targets))


def test_the_order_of_responses_never_matters() -> None:
    scores, ranks, mask, _, _ = random_ranking(5)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(
        plackett_luce_loss(scores[:, order], ranks[:, order], mask[:, order]),
        plackett_luce_loss(scores, ranks, mask),
    )


def test_half_precision_scores_are_compared_in_float32() -> None:
    scores = torch.tensor([[8.0, 0.0]], dtype=torch.bfloat16)
    loss = pairwise_ranking_loss(scores, torch.tensor([[0, 0, 1]]), torch.tensor([1.0]))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(-log_sigmoid(8.0), rel=1e-5)


def test_far_apart_scores_stay_finite() -> None:
    scores = torch.tensor([[-500.0, 500.0]])
    everything = torch.ones(1, 2, dtype=torch.bool)
    assert pairwise_ranking_loss(scores, torch.tensor([[0, 0, 1]]), torch.tensor([1.0])).item() == 1000.0
    assert plackett_luce_loss(scores, torch.tensor([[1, 2]]), everything).item() == 1000.0


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pairs must be \(N, 3\)"):
        pairwise_ranking_loss(torch.zeros(1, 2), torch.zeros(2, 2, dtype=torch.long), torch.zeros(2))
    with pytest.raises(ValueError, match=r"targets \(N,\)"):
        pairwise_ranking_loss(torch.zeros(1, 2), torch.zeros(2, 3, dtype=torch.long), torch.zeros(3))
    with pytest.raises(ValueError, match="mask"):
        plackett_luce_loss(torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(1, 3, dtype=torch.bool))


def test_plackett_luce_with_ties_dropped_by_hand() -> None:
    """Two that tie for the best are each chosen before the third, and not before one another."""
    scores, ranks = torch.tensor([[1.0, 3.0, 0.0]]), torch.tensor([[1, 1, 2]])
    everything = torch.ones(1, 3, dtype=torch.bool)
    wanted = (math.log1p(math.exp(-1.0)) + math.log1p(math.exp(-3.0))) / 2
    assert plackett_luce_loss(scores, ranks, everything, drop_ties=True).item() == pytest.approx(wanted)
    # the tie pulls the two together where it counts
    assert plackett_luce_loss(scores, ranks, everything).item() > wanted + 0.1
    only_ties = plackett_luce_loss(scores, torch.tensor([[1, 1, 1]]), everything, drop_ties=True)
    assert only_ties.item() == 0
