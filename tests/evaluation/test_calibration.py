"""Calibration of preference probabilities."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.evaluation.calibration import calibration


def logit(p: float) -> float:
    """The lead in score at which sigma is p."""
    return math.log(p / (1 - p))


def test_by_hand() -> None:
    # confidences 0.62, 0.64 (bin 0.6 to 0.65) and 0.93 (0.9 to 0.95); right, wrong, right
    scores = [[logit(0.62), 0.0], [0.0, logit(0.64)], [logit(0.93), 0.0]]
    found = calibration(scores, [[(0, 1, 1.0)], [(0, 1, 1.0)], [(0, 1, 1.0)]])
    assert [each.num_pairs for each in found.bins] == [2, 1]
    assert found.bins[0] == pytest.approx((0.6, 0.65, 0.63, 0.5, 2))
    assert found.bins[1] == pytest.approx((0.9, 0.95, 0.93, 1.0, 1))
    assert found.expected_error == pytest.approx((2 * 0.13 + 1 * 0.07) / 3)
    assert found.log_loss == pytest.approx(-(math.log(0.62) + math.log(0.36) + math.log(0.93)) / 3)
    assert found.num_pairs == 3


@given(st.integers(0, 10_000))
def test_turning_a_comparison_round_changes_nothing(seed: int) -> None:
    numbers = random.Random(seed)
    scores = [[numbers.gauss(0, 2), numbers.gauss(0, 2)] for _ in range(20)]
    comparisons = [[(0, 1, numbers.choice([0.0, 0.5, 1.0]))] for _ in scores]
    turned = [[(1, 0, 1 - p)] for ((_, _, p),) in comparisons]
    one, other = calibration(scores, comparisons), calibration(scores, turned)
    assert one.expected_error == pytest.approx(other.expected_error)
    assert one.log_loss == pytest.approx(other.log_loss)


def test_labels_drawn_from_the_model_are_calibrated_and_overconfidence_is_not() -> None:
    numbers = random.Random(0)
    leads = [numbers.gauss(0, 2) for _ in range(20_000)]
    comparisons = [[(0, 1, float(numbers.random() < 1 / (1 + math.exp(-lead))))] for lead in leads]
    assert calibration([[lead, 0.0] for lead in leads], comparisons).expected_error < 0.015
    assert calibration([[4 * lead, 0.0] for lead in leads], comparisons).expected_error > 0.1


def test_a_constant_model_is_calibrated_and_worth_a_coin() -> None:
    found = calibration([[1.0, 1.0]] * 4, [[(0, 1, 1.0)], [(0, 1, 1.0)], [(0, 1, 1.0)], [(0, 1, 0.5)]])
    assert found.expected_error == 0.0
    assert found.log_loss == pytest.approx(math.log(2))


def test_certainty_falls_into_the_last_bin_without_overflow() -> None:
    found = calibration([[5000.0, 0.0], [0.0, 5000.0]], [[(0, 1, 1.0)], [(0, 1, 1.0)]], num_bins=4)
    assert found.bins == ((0.875, 1.0, 1.0, 0.5, 2),)
    assert found.log_loss == 2500.0


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        calibration([[1.0]], [[]])
    with pytest.raises(ValueError, match="finite"):
        calibration([[math.nan, 1.0]], [[(0, 1, 1.0)]])
    with pytest.raises(ValueError, match="scores of 1 prompts but comparisons of 2"):
        calibration([[1.0]], [[], []])
    with pytest.raises(ValueError, match="num_bins"):
        calibration([[1.0, 0.0]], [[(0, 1, 1.0)]], num_bins=0)
