"""Strengths of preferences on their way from the record into the loss."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import logsigmoid

from rlhf.errors import SettingsError
from rlhf.feedback.records import Message, Prompt, Ranking
from rlhf.maths.ranking import pairwise_ranking_loss
from rlhf.ranking.batch import RankingCollator
from rlhf.ranking.opinions import merge_opinions
from rlhf.ranking.strengths import Strength, check_known, default_scale, known_strengths, measured
from rlhf.ranking.trainer import ranking_loss
from rlhf.rendering import RenderedRanking, Renderer, render_rankings
from rlhf.runs.jsonl import read_jsonl
from tests.helpers import tiny_tokenizer
from tests.ranking.test_batch import ranking as of_batch
from tests.ranking.test_opinions import A, B, C, ranking
from tests.ranking.test_training import fit, plan, rankings


def stated(item: RenderedRanking, *strengths: float | None) -> RenderedRanking:
    return replace(item, strengths=list(strengths))


def strong_rankings(count: int = 24) -> list[RenderedRanking]:
    """Those of the training tests, each pair with a strength, a few of them unknown."""
    draw = random.Random(5)
    return [
        stated(item, *(draw.choice([None, 0.5, 1.0, 3.0]) for _ in item.comparisons))
        for item in rankings(count)
    ]


def test_units_become_margins_or_weights() -> None:
    # 1 = 2 > 3, of which the strength of 1 over 3 is 3, and of 2 over 3 is not known
    items = [stated(of_batch([1, 1, 2]), 0.0, 3.0, None)]
    assert measured(items, "margin", 0.5)[0].strengths == [0.0, 1.5, 0.0]
    assert measured(items, "weight", 0.5)[0].strengths == [1.0, 1.5, 1.0]
    assert measured([stated(of_batch([1, 2]), 0.0)], "weight")[0].strengths == [0.0], "0 is a strength"
    assert measured(items, None)[0].strengths is None
    assert measured([of_batch([1, 2])], "weight", 0.5)[0].strengths == [1.0], "a source that states none"


def test_weights_are_1_on_average_by_default_and_margins_are_as_stated() -> None:
    items = [stated(of_batch([1, 2, 2]), 1.0, 5.0, 0.0), stated(of_batch([1, 2]), None), of_batch([1, 2])]
    known = known_strengths((item.comparisons, item.strengths) for item in items)
    assert known == [1.0, 5.0], "neither that of the tie nor what is not known"
    assert (default_scale(known, "margin"), default_scale(known, "weight")) == (1.0, pytest.approx(1 / 3))
    weights = [weight for item in measured(items, "weight", 1 / 3) for weight in item.strengths or ()]
    assert sum(weights) / len(weights) == pytest.approx(1.0)


@pytest.mark.parametrize(("known", "found"), [([], "states none"), ([0.0, 0.0], "all 2 that .* are 0")])
def test_nothing_to_go_by_is_refused(known: list[float], found: str) -> None:
    with pytest.raises(
        SettingsError, match=rf"reward.strength: needs strengths of preferences, and .*{found}"
    ):
        check_known(known)
    check_known([*known, 1.0])


def test_rendering_keeps_a_strength_with_its_pair() -> None:
    tokenizer = tiny_tokenizer()
    renderer = Renderer(tokenizer, max_prompt_tokens=32, max_response_tokens=8, context_tokens=64)
    prompt = Prompt("p", (Message("user", "hello"),), "g", "f:1")
    # c > a > long > b: strengths of a-long, a-b, a-c, long-b, long-c, b-c
    record = Ranking(prompt, ("a", "long " * 20, "b", "c"), (2, 3, 4, 1), strengths=(1, 2, 3, 4, 5, 6))
    (rendered,) = render_rankings([record], renderer)
    assert rendered.comparisons == [(0, 1, 1.0), (2, 0, 1.0), (2, 1, 1.0)]
    assert rendered.strengths == [2, 3, 6]
    (plain,) = render_rankings([replace(record, strengths=None)], renderer)
    assert plain.strengths is None


def test_a_batch_has_one_number_for_each_of_its_pairs() -> None:
    items = [stated(of_batch([1, 1, 2]), 1.0, 2.0, 3.0), stated(of_batch([2, 1]), 4.0)]
    for ties, expected in (("soft", [1.0, 2.0, 3.0, 4.0]), ("drop", [2.0, 3.0, 4.0])):
        batch = RankingCollator(0, ties, strength="weight")(items)  # type: ignore[arg-type]
        assert (batch["weights"].tolist(), len(batch["pairs"])) == (expected, len(expected))
    assert "margins" in RankingCollator(0, strength="margin")(items)
    assert {"margins", "weights"} & RankingCollator(0)(items).keys() == set()


def test_the_loss_of_a_batch_by_hand() -> None:
    item = stated(of_batch([2, 1]), 1.5)
    scores = torch.tensor([1.0, 3.0])  # the second is better, and leads by 2

    def loss(strength: Strength) -> float:
        batch = RankingCollator(0, strength=strength)([item])
        return ranking_loss(scores, batch, loss="pairwise", centring_coef=0.0, num_prompts=1).item()

    assert loss("margin") == pytest.approx(-logsigmoid(torch.tensor(0.5)).item())
    assert loss("weight") == pytest.approx(-1.5 * logsigmoid(torch.tensor(2.0)).item())


def gradient(items: list[RenderedRanking], strength: Strength) -> torch.Tensor:
    """The mean of the gradients of each ranking's own loss, in the order of A, B, C."""
    scores = torch.tensor([[0.3, -0.2, 0.9]], requires_grad=True)
    place = {tuple(ids): k for k, ids in enumerate((A, B, C))}
    for one in items:
        ids = [place[tuple(response)] for response in one.response_ids]
        pairs = torch.tensor([(0, ids[i], ids[j]) for i, j, _ in one.comparisons])
        targets = torch.tensor([p for _, _, p in one.comparisons])
        numbers = torch.tensor(one.strengths)
        kind = {"margin": numbers} if strength == "margin" else {"weights": numbers}
        (pairwise_ranking_loss(scores, pairs, targets, **kind) / len(items)).backward()
    assert scores.grad is not None
    return scores.grad


def test_weighted_votes_have_the_mean_of_the_labelers_gradients() -> None:
    draw = random.Random(4)
    rows = [ranking(draw.sample([A, B, C], 3), draw.sample([1, 2, 3], 3)) for _ in range(5)]
    rows.append(ranking([C, A, B], [1, 1, 3]))
    rows = [stated(row, *(draw.choice([0.5, 1.0, 3.0]) for _ in row.comparisons)) for row in rows]
    merged = merge_opinions(rows, strength="weight")
    assert len(merged) == 1
    torch.testing.assert_close(gradient(merged, "weight"), gradient(rows, "weight"))


def test_weighted_votes_by_hand() -> None:
    # three for A with weights 1, 1 and 0, one for B with weight 6: B has 6 of 8, and the mean weight is 2
    rows = [stated(ranking([A, B], ranks), weight) for ranks, weight in (([1, 2], 1), ([1, 2], 1), ([2, 1], 6), ([1, 2], 0))]  # fmt: skip
    (merged,) = merge_opinions(rows, strength="weight")
    assert (merged.comparisons, merged.strengths) == ([(1, 0, 0.75)], [2.0])
    nothing = merge_opinions([stated(row, 0) for row in rows], strength="weight")[0]
    assert (nothing.comparisons, nothing.strengths) == ([(0, 1, 0.75)], [0.0])


@pytest.mark.parametrize(
    ("votes", "share", "margin"),
    [
        # (for A?, margin): the share of A and its margin
        ([(True, 3), (True, 1), (False, 1)], (0, 1, 2 / 3), 1.0),
        ([(False, 3), (False, 1), (True, 1)], (1, 0, 2 / 3), 1.0),
        ([(True, 1), (True, 1), (False, 3)], (0, 1, 2 / 3), 0.0),  # on average for the minority
        ([(True, 3), (False, 1)], (0, 1, 0.5), 0.0),  # evenly split votes are a tie
        ([(True, 1), (False, 3)], (0, 1, 0.5), 0.0),
    ],
)
def test_margins_are_averaged_with_their_sign(
    votes: list[tuple[bool, int]], share: tuple[int, int, float], margin: float
) -> None:
    rows = [stated(ranking([A, B], [1, 2] if for_a else [2, 1]), number) for for_a, number in votes]
    (merged,) = merge_opinions(rows, strength="margin")
    assert merged.comparisons == [pytest.approx(share)]
    assert merged.strengths == [pytest.approx(margin)]


def test_a_tie_is_a_vote_for_no_margin() -> None:
    rows = [stated(ranking([A, B], [1, 2]), 3), stated(ranking([A, B], [1, 1]), 0)]
    assert merge_opinions(rows, strength="margin")[0].strengths == [1.5]
    assert merge_opinions(rows, "drop", "margin")[0].strengths == [3.0]


@pytest.mark.parametrize("strength", ["margin", "weight"])
def test_inv54_microbatches_do_not_matter_with_strengths(
    tmp_path: Path, strength: Strength, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = measured(strong_rankings(), strength)
    monkeypatch.setattr("tests.ranking.test_training.rankings", lambda: items)

    def numbers(name: str, size: int, **options: object) -> list[float]:
        fit(tmp_path / name, plan(epochs=1.0, batch_size=24, microbatch_size=size), **options)
        (row,) = [row for row in read_jsonl(tmp_path / name / "metrics.jsonl") if "reward/loss" in row]
        return [row["reward/gradient_norm"], row["reward/loss"]]

    whole = numbers("whole", 24, strength=strength)
    assert numbers("parts", 4, strength=strength) == pytest.approx(whole, rel=1e-4)
    assert numbers("plain", 24) != pytest.approx(whole, rel=1e-2), "the strengths reach the training"


def test_plackett_luce_has_no_pairs_to_be_strong(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a strength is of a pair, and the loss is plackett_luce"):
        fit(tmp_path, plan(), loss="plackett_luce", strength="margin")
