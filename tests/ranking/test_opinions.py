"""Rankings of the same responses by several labelers, put together."""

from __future__ import annotations

import itertools
import random

import pytest
import torch

from rlhf.feedback.records import Message, Prompt
from rlhf.maths.ranking import pairwise_ranking_loss
from rlhf.ranking.opinions import merge_opinions
from rlhf.rendering import RenderedRanking


def ranking(responses: list[list[int]], ranks: list[int], prompt: int = 9) -> RenderedRanking:
    pairs = []
    for i, j in itertools.combinations(range(len(ranks)), 2):
        if ranks[i] == ranks[j]:
            pairs.append((i, j, 0.5))
        else:
            pairs.append((i, j, 1.0) if ranks[i] < ranks[j] else (j, i, 1.0))
    record = Prompt(str(prompt), (Message("user", "?"),), str(prompt), "file:1", {})
    return RenderedRanking(record, [prompt], responses, list(ranks), pairs, list(range(len(ranks))), "anna")


A, B, C = [1, 0], [2, 0], [3, 0]


def test_votes_by_hand() -> None:
    # anna: A > B > C; boris, who saw them in another order: C > A, and B ties with A; C > B
    found = merge_opinions([ranking([A, B, C], [1, 2, 3]), ranking([C, A, B], [1, 2, 2])])
    assert len(found) == 1
    # A against B: 1 and 1/2, three quarters; A against C: 1 and 0; B against C: 1 and 0
    assert sorted(found[0].comparisons) == [(0, 1, 0.75), (0, 2, 0.5), (1, 2, 0.5)]
    assert found[0].response_ids == [A, B, C]
    assert found[0].ranks == [None, None, None]


def test_the_majority_comes_first_in_a_pair() -> None:
    three = [ranking([A, B], ranks) for ranks in ([1, 2], [2, 1], [2, 1])]
    assert merge_opinions(three)[0].comparisons == [(1, 0, pytest.approx(2 / 3))]


def test_dropped_ties_are_no_votes() -> None:
    found = merge_opinions([ranking([A, B], [1, 2]), ranking([A, B], [1, 1])], ties="drop")
    assert found[0].comparisons == [(0, 1, 1.0)]


def test_other_prompts_other_responses_and_equal_responses_stay_apart() -> None:
    rows = [
        ranking([A, B], [1, 2]),
        ranking([A, C], [1, 2]),
        ranking([A, B], [1, 2], prompt=8),
        ranking([A, A, B], [1, 2, 3]),
        ranking([A, A, B], [2, 1, 3]),
    ]
    assert merge_opinions(rows) == rows


def test_the_gradient_is_the_mean_of_the_labelers_gradients() -> None:
    rng = random.Random(3)
    rows = [ranking([A, B, C], rng.sample([1, 2, 3], 3)) for _ in range(4)]
    rows.append(ranking([A, B, C], [1, 1, 3]))

    def gradient(some: list[RenderedRanking]) -> torch.Tensor:
        scores = torch.tensor([[0.3, -0.2, 0.9]], requires_grad=True)
        for one in some:
            pairs = torch.tensor([(0, i, j) for i, j, _ in one.comparisons])
            targets = torch.tensor([p for _, _, p in one.comparisons])
            (loss_of(scores, pairs, targets) / len(some)).backward()
        assert scores.grad is not None
        return scores.grad

    torch.testing.assert_close(gradient(merge_opinions(rows)), gradient(rows))


def loss_of(scores: torch.Tensor, pairs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return pairwise_ranking_loss(scores, pairs, targets)
