from __future__ import annotations

import pytest
import torch

from rlhf.feedback.records import Message, Prompt
from rlhf.ranking.batch import RankingCollator, drop_unusable, table_of
from rlhf.rendering import RenderedRanking

PROMPT = Prompt("p", (Message("user", "hello"),), "g", "f:1")


def ranking(ranks: list[int | None], lengths: list[int] | None = None, first: int = 20) -> RenderedRanking:
    lengths = lengths or [2] * len(ranks)
    places = [k for k, rank in enumerate(ranks) if rank is not None]
    pairs = [
        (i, j, 0.5) if ranks[i] == ranks[j] else (i, j, 1.0) if ranks[i] < ranks[j] else (j, i, 1.0)  # type: ignore[operator]
        for n, i in enumerate(places)
        for j in places[n + 1 :]
    ]
    responses = [[first + k] * (length - 1) + [1] for k, length in enumerate(lengths)]
    return RenderedRanking(PROMPT, [5, 6], responses, ranks, pairs, list(range(len(ranks))))


def test_inv78_each_response_is_in_the_batch_once() -> None:
    batch = RankingCollator(0)([ranking([1, 2, 3], [2, 4, 3]), ranking([2, 1])])
    assert batch["input_ids"].shape == (5, 6)
    assert batch["attention_mask"].sum(1).tolist() == [4, 6, 5, 4, 4]
    assert batch["places"].tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1]]
    assert batch["pairs"].tolist() == [[0, 0, 1], [0, 0, 2], [0, 1, 2], [1, 1, 0]]
    assert batch["ranks"].tolist() == [[1, 2, 3], [2, 1, 0]]
    assert batch["num_prompts"].item() == 2


def test_a_response_without_a_rank_is_not_the_best() -> None:
    assert RankingCollator(0)([ranking([2, None, 1])])["ranks"].tolist() == [[2, 0, 1]]


def test_ties_are_soft_or_dropped() -> None:
    tied = ranking([1, 1, 2])
    assert RankingCollator(0, "soft")([tied])["targets"].tolist() == [0.5, 1.0, 1.0]
    assert RankingCollator(0, "drop")([tied])["targets"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("loss", "ties", "kept"),
    [
        ("pairwise", "soft", 3),
        ("pairwise", "drop", 2),
        ("plackett_luce", "soft", 3),
        ("plackett_luce", "drop", 2),
    ],
)
def test_rankings_without_anything_to_learn_are_counted(loss: str, ties: str, kept: int) -> None:
    found, left_out = drop_unusable([ranking([1, 2]), ranking([1, 1]), ranking([2, 1, None])], loss, ties)  # type: ignore[arg-type]
    assert (len(found), left_out) == (kept, 3 - kept)


def test_labels_that_fit_no_order_are_no_ranking() -> None:
    intransitive = RenderedRanking(PROMPT, [5], [[1], [2]], [None, None], [(0, 1, 1.0)], [0, 1])
    assert drop_unusable([intransitive], "pairwise", "soft")[1] == 0
    assert drop_unusable([intransitive], "plackett_luce", "soft")[1] == 1


def test_table_keeps_the_gradient() -> None:
    values = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    assert table_of(torch.zeros(2), torch.tensor([[0, 0], [0, 2]]), (1, 3))[1].tolist() == [
        [True, False, True]
    ], "a score of 0 is a score"
    table, mask = table_of(values, torch.tensor([[0, 0], [1, 0], [1, 1]]), (2, 3))
    assert table.tolist() == [[1.0, 0.0, 0.0], [2.0, 3.0, 0.0]]
    assert mask.tolist() == [[True, False, False], [True, True, False]]
    table.sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [1.0, 1.0, 1.0]
