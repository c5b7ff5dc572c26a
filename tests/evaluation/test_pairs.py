"""Pair accuracy, its baselines and the agreement of annotators."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.evaluation.pairs import annotator_agreement, first_wins, longer_wins, pair_accuracy


def test_by_hand() -> None:
    scores = [[3.0, 1.0, 2.0], [0.0, 5.0]]
    comparisons = [[(0, 1, 1.0), (1, 2, 1.0)], [(0, 1, 0.0)]]  # right, wrong, right
    accuracy = pair_accuracy(scores, comparisons)
    assert accuracy.value == pytest.approx(2 / 3)
    assert (accuracy.num_pairs, accuracy.num_prompts) == (3, 2)
    assert accuracy.low <= accuracy.value <= accuracy.high


def test_inv81_equal_scores_count_one_half() -> None:
    comparisons = [[(0, 1, 1.0), (1, 0, 1.0), (0, 1, 0.0)]]
    assert pair_accuracy([[1.0, 1.0]], comparisons).value == 0.5


@given(st.integers(0, 10_000))
def test_inv81_a_constant_model_gets_one_half_whatever_the_labels(seed: int) -> None:
    labels = random.Random(seed)
    comparisons = [[(0, 1, labels.choice([0.0, 1.0])), (1, 2, labels.choice([0.2, 0.9]))] for _ in range(5)]
    assert pair_accuracy([[0.25] * 3] * 5, comparisons).value == 0.5


def test_labelled_ties_are_left_out_and_votes_decide() -> None:
    accuracy = pair_accuracy([[2.0, 1.0]], [[(0, 1, 0.5), (0, 1, 0.7), (0, 1, 0.3)]])
    assert (accuracy.value, accuracy.num_pairs) == (0.5, 2)  # right by 0.7, wrong by 0.3


@given(st.integers(0, 10_000))
def test_turning_a_comparison_round_changes_nothing(seed: int) -> None:
    numbers = random.Random(seed)
    scores = [[numbers.choice([0.0, 1.0, 2.0]) for _ in range(4)] for _ in range(6)]
    comparisons = [[(i, (i + 1) % 4, numbers.choice([0.0, 0.5, 1.0])) for i in range(4)] for _ in scores]
    comparisons[0].append((0, 2, 1.0))  # at least one with an order
    turned = [[(j, i, 1 - p) for i, j, p in pairs] for pairs in comparisons]
    assert pair_accuracy(scores, turned) == pair_accuracy(scores, comparisons)
    opposite = [[-score for score in of_responses] for of_responses in scores]
    assert pair_accuracy(opposite, comparisons).value == pytest.approx(
        1 - pair_accuracy(scores, comparisons).value
    )


def test_the_interval_is_over_prompts() -> None:
    # each prompt is all right or all wrong; ten pairs of it must not make the interval narrower
    scores = [[1.0, 0.0]] * 40
    one_each = [[(0, 1, float(k % 2))] for k in range(40)]
    ten_each = [pairs * 10 for pairs in one_each]
    one, ten = pair_accuracy(scores, one_each, seed=1), pair_accuracy(scores, ten_each, seed=1)
    assert (one.low, one.high) == (ten.low, ten.high)
    assert (ten.num_pairs, ten.num_prompts) == (400, 40)


def test_longer_wins() -> None:
    accuracy = longer_wins([[10, 5, 5]], [[(0, 1, 1.0), (2, 0, 0.0), (1, 2, 1.0)]])
    assert accuracy.value == pytest.approx((1 + 1 + 0.5) / 3)


def test_first_wins() -> None:
    assert first_wins([[(0, 1, 1.0), (0, 2, 1.0), (2, 1, 1.0)], []]).value == pytest.approx(2 / 3)
    assert first_wins([[(5, 3, 0.0)]]).value == 1.0


def test_annotators_by_hand() -> None:
    first = [(0, 1, 1.0), (0, 2, 1.0), (1, 2, 0.5)]
    second = [(1, 0, 0.0), (2, 0, 1.0), (1, 2, 1.0)]  # agrees (the other way round), disagrees, against a tie
    third = [(0, 1, 0.0)]  # disagrees with both
    agreement = annotator_agreement([[first, second, third], [first], []])
    assert agreement.value == pytest.approx(1 / 4)
    assert (agreement.num_pairs, agreement.num_prompts) == (4, 1)


def test_agreement_of_an_annotator_with_itself_is_full() -> None:
    labels = [(0, 1, 1.0), (2, 1, 0.0)]
    assert annotator_agreement([[labels, labels]] * 3)[:3] == (1.0, 1.0, 1.0)


def test_agreement_of_noisy_annotators_is_what_the_noise_allows() -> None:
    # each flips a pair with probability 0.15: they agree with probability 0.85^2 + 0.15^2 = 0.745
    numbers = random.Random(0)
    labels = [[[(0, 1, float(numbers.random() > 0.15))] for _ in range(2)] for _ in range(4000)]
    agreement = annotator_agreement(labels)
    assert agreement.low < 0.745 < agreement.high
    assert agreement.high - agreement.low < 0.03


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_are_not_numbers_surface(bad: float) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        pair_accuracy([[bad, bad]], [[(0, 1, 1.0)]])


def test_nothing_to_compare_is_an_error_not_zero() -> None:
    with pytest.raises(ValueError, match="no pair"):
        pair_accuracy([[1.0, 2.0]], [[(0, 1, 0.5)]])
    with pytest.raises(ValueError, match="no pair"):
        annotator_agreement([[[(0, 1, 1.0)]]])
    with pytest.raises(ValueError, match="scores of 1 prompts but comparisons of 2"):
        pair_accuracy([[1.0, 2.0]], [[], []])
