"""Scores of ensembles, scores by the token and the length penalty."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlhf.maths.rewards import combine_scores, subtract_length_penalty, token_rewards
from tests.maths.batches import SEEDS, poisoned, random_batch

HOW = ("mean", "min", "mean_minus_std")


def test_combine_by_hand() -> None:
    scores = torch.tensor([[1.0, -2.0], [3.0, -2.0], [5.0, 4.0]])
    assert combine_scores(scores, "mean", 1.0).tolist() == [3.0, 0.0]
    assert combine_scores(scores, "min", 1.0).tolist() == [1.0, -2.0]
    # deviations of the population: sqrt((4 + 0 + 4) / 3), sqrt((4 + 4 + 16) / 3)
    assert combine_scores(scores, "mean_minus_std", 0.5).tolist() == pytest.approx(
        [3 - 0.5 * math.sqrt(8 / 3), -0.5 * math.sqrt(8)]
    )


@given(SEEDS, st.integers(1, 5), st.floats(0.0, 3.0))
def test_combine_against_slow_loops(seed: int, models: int, std_coef: float) -> None:
    scores = torch.randn(models, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = {how: combine_scores(scores, how, std_coef) for how in HOW}
    for b, column in enumerate(scores.T.tolist()):
        assert found["mean"][b].item() == pytest.approx(statistics.fmean(column))
        assert found["min"][b].item() == min(column)
        below = statistics.fmean(column) - std_coef * statistics.pstdev(column)
        assert found["mean_minus_std"][b].item() == pytest.approx(below, abs=1e-12)
    # the order of the models never matters
    for how in HOW:
        torch.testing.assert_close(combine_scores(scores.flip(0), how, std_coef), found[how])


@pytest.mark.parametrize("how", HOW)
def test_one_model_gives_its_own_scores(how) -> None:
    scores = torch.tensor([[0.1, -7.3, 1e4]])
    assert torch.equal(combine_scores(scores, how, 2.0), scores[0])


def test_a_deviation_is_in_score_units() -> None:
    scores = torch.randn(4, 5, dtype=torch.float64)
    for how in HOW:  # a variance would grow by 100
        torch.testing.assert_close(
            combine_scores(10 * scores, how, 0.7), 10 * combine_scores(scores, how, 0.7)
        )


def test_half_precision_is_combined_in_float32() -> None:
    scores = torch.tensor([[1.0], [1.0078125]], dtype=torch.bfloat16)
    assert combine_scores(scores, "mean", 0.0).tolist() == [1.00390625]  # no bfloat16 lies between


def test_impossible_combinations_are_refused() -> None:
    with pytest.raises(ValueError, match="mean, min or mean_minus_std, not 'median'"):
        combine_scores(torch.zeros(2, 3), "median", 1.0)  # type: ignore[arg-type]
    for std_coef in (-0.1, math.nan):
        with pytest.raises(ValueError, match=f"std_coef must be at least 0, not {std_coef}"):
            combine_scores(torch.zeros(2, 3), "mean_minus_std", std_coef)
    for shape in ((3,), (0, 3)):
        with pytest.raises(ValueError, match=r"\(models, responses\)"):
            combine_scores(torch.zeros(shape), "mean", 1.0)


def test_length_penalty_by_hand() -> None:
    scores = torch.tensor([2.0, 2.0, -1.0])
    assert subtract_length_penalty(scores, torch.tensor([4, 0, 2]), 0.25).tolist() == [1.0, 2.0, -1.5]
    assert torch.equal(subtract_length_penalty(scores, torch.tensor([4, 0, 2]), 0.0), scores)


def test_impossible_length_penalties_are_refused() -> None:
    for coef in (-0.1, math.nan):
        with pytest.raises(ValueError, match=f"at least 0 score units a token, not {coef}"):
            subtract_length_penalty(torch.zeros(2), torch.ones(2), coef)
    with pytest.raises(ValueError, match=r"shape \(2,\).*shape \(2, 3\)"):
        subtract_length_penalty(torch.zeros(2), torch.ones(2, 3), 0.1)


def test_token_scores_by_hand() -> None:
    mask = torch.tensor([[True, True, False], [True, True, True]])
    kl, tokens = torch.ones(2, 3), torch.tensor([[0.5, 0.25, 99.0], [1.0, 2.0, 3.0]])
    rewards = token_rewards(torch.tensor([10.0, -10.0]), kl, mask, 0.5, tokens)
    assert rewards.tolist() == [[0.0, 0.25 + 10 - 0.5, 0.0], [0.5, 1.5, 3.0 - 10 - 0.5]]


@given(SEEDS, st.booleans())
def test_inv31_rewards_add_up_to_both_scores_minus_kl(seed: int, gaps: bool) -> None:
    batch = random_batch(seed, gaps=gaps)
    rewards = token_rewards(batch.scores, batch.kl, batch.mask, 0.3, batch.rewards)
    score = torch.where(batch.mask.any(1), batch.scores, 0.0)
    expected = score + (batch.rewards * batch.mask).sum(1) - 0.3 * (batch.kl * batch.mask).sum(1)
    torch.testing.assert_close(rewards.sum(1), expected)


@given(SEEDS)
def test_inv32_token_scores_of_padding_never_contribute(seed: int) -> None:
    batch = random_batch(seed, gaps=True)
    clean = token_rewards(batch.scores, batch.kl, batch.mask, 0.1, batch.rewards)
    assert (clean[~batch.mask] == 0).all()
    for poison in (math.nan, math.inf, 123.0):
        dirty = poisoned(batch.rewards, batch.mask, poison)
        assert torch.equal(token_rewards(batch.scores, batch.kl, batch.mask, 0.1, dirty), clean)


def test_no_token_scores_change_no_bit() -> None:
    batch = random_batch(0)
    without = token_rewards(batch.scores, batch.kl, batch.mask, 0.1)
    assert torch.equal(
        token_rewards(batch.scores, batch.kl, batch.mask, 0.1, torch.zeros_like(batch.kl)), without
    )


def test_token_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="mask"):
        token_rewards(
            torch.zeros(2), torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool), 0.1, torch.zeros(2, 2)
        )
