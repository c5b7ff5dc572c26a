"""Confidence intervals."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.evaluation.intervals import bootstrap_interval, wilson


def test_wilson_against_published_numbers() -> None:
    # Newcombe 1998 (Statistics in Medicine 17), table I, method 3: 81 of 263 and 15 of 148
    assert wilson(81, 263)[1:] == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148)[1:] == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20)[1:] == pytest.approx((0.0, 0.1611), abs=5e-5)


@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_wilson_holds_its_proportion_within_the_unit_interval(
    trials: int, share: float, confidence: float
) -> None:
    value, low, high = wilson(share * trials, trials, confidence=confidence)
    assert 0 <= low <= value <= high <= 1
    assert low < high


def test_wilson_is_the_root_of_the_score_equation() -> None:
    # the bounds p solve |share - p| = z sqrt(p (1 - p) / n), with z = 1.6449 at 90 %
    value, low, high = wilson(7, 20, confidence=0.9)
    for bound in (low, high):
        assert abs(value - bound) == pytest.approx(1.6448536 * math.sqrt(bound * (1 - bound) / 20))


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_proportion(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="not a proportion"):
        wilson(successes, trials)


def test_bootstrap_is_deterministic_given_a_seed() -> None:
    values = [(k * 37 % 50) ** 0.5 for k in range(50)]
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_bootstrap_of_independent_values_is_the_normal_interval() -> None:
    random_source = random.Random(1)
    values = [random_source.gauss(5, 2) for _ in range(400)]
    mean = sum(values) / len(values)
    error = math.sqrt(sum((x - mean) ** 2 for x in values) / len(values) / len(values))
    value, low, high = bootstrap_interval(values, num_resamples=10_000)
    assert value == pytest.approx(mean)
    # the 2.5 % quantile of 10,000 draws is itself off by some 3 % of a standard error
    assert low == pytest.approx(mean - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(mean + 1.96 * error, abs=0.1 * error)


def test_bootstrap_draws_whole_prompts() -> None:
    # forty prompts of ten pairs that are all right or all wrong: forty observations, not four hundred
    values = [float(prompt % 2) for prompt in range(40) for _ in range(10)]
    prompts = [prompt for prompt in range(40) for _ in range(10)]
    _, low, high = bootstrap_interval(values, prompts)
    _, naive_low, naive_high = bootstrap_interval(values)
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(40), rel=0.1)
    assert high - low > 2.5 * (naive_high - naive_low)  # sqrt(10) = 3.2 in theory


def test_bootstrap_pools_values_of_unequal_groups() -> None:
    # three values of one prompt and one of another: the mean is over values, 3/4, not over prompts, 1/2
    values, prompts = [1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"]
    assert bootstrap_interval(values, prompts).value == 0.75
    # so also in each draw: a quarter are all "a" (1), a quarter all "b" (0), and the half between is 3/4
    assert bootstrap_interval(values, prompts, confidence=0.4) == (0.75, 0.75, 0.75)


def test_bootstrap_does_not_depend_on_names_or_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values, names = [0.0, 1.0, 1.0, 0.5, 0.25], ["x", "y", "x", "z", "y"]
    once = bootstrap_interval(values, names)
    assert bootstrap_interval(values, [f"new {name}" for name in names]) == once
    monkeypatch.setattr("rlhf.evaluation.intervals._RESAMPLES_AT_ONCE", 7)
    assert bootstrap_interval(values, names) == once


def test_bootstrap_of_equal_values_has_no_width() -> None:
    assert bootstrap_interval([1.0, 1.0]) == (1.0, 1.0, 1.0)


def test_confidence_widens() -> None:
    values = [float(k) for k in range(20)]
    _, low, high = bootstrap_interval(values, confidence=0.5)
    _, wide_low, wide_high = bootstrap_interval(values, confidence=0.99)
    assert wide_low < low < high < wide_high


@pytest.mark.parametrize(
    ("values", "groups", "message"),
    [
        ([], None, "at least one"),
        ([1.0, math.nan], None, "finite"),
        ([1.0], ["a", "b"], "1 values but 2 groups"),
    ],
)
def test_bootstrap_refuses_bad_values(values: list[float], groups: list[str] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(values, groups)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="confidence"):
        bootstrap_interval([1.0], confidence=95)
    with pytest.raises(ValueError, match="num_resamples"):
        bootstrap_interval([1.0], num_resamples=0)
