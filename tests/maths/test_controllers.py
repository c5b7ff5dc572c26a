"""KL controllers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.maths.controllers import AdaptiveKLController, FixedKLController


def test_inv36_by_hand() -> None:
    controller = AdaptiveKLController(0.2, target=6.0, horizon=10000)
    # error 6.6 / 6 - 1 = 0.1; 0.2 * (1 + 0.1 * 256 / 10000)
    assert controller.update(kl=6.6, num_episodes=256) == pytest.approx(0.2 * 1.00256)
    assert controller.kl_coef == pytest.approx(0.2 * 1.00256)


@pytest.mark.parametrize(
    ("kl", "factor"), [(60.0, 1.02), (7.2, 1.02), (6.0, 1.0), (4.8, 0.98), (0.0, 0.98), (-3.0, 0.98)]
)
def test_inv36_error_is_limited_to_a_fifth_either_way(kl: float, factor: float) -> None:
    assert AdaptiveKLController(1.0, target=6.0, horizon=1000).update(kl, 100) == pytest.approx(factor)


@given(st.floats(0, 1e6), st.integers(1, 1000))
def test_inv36_coefficient_stays_positive_and_moves_towards_the_target(kl: float, num_episodes: int) -> None:
    new = AdaptiveKLController(0.1, target=6.0, horizon=10000).update(kl, num_episodes)
    assert new > 0
    assert new >= 0.1 if kl >= 6 else new <= 0.1


def test_inv36_state_is_saved_and_restored() -> None:
    first = AdaptiveKLController(0.2, target=6.0, horizon=1000)
    first.update(9.0, 100)
    second = AdaptiveKLController(0.7, target=6.0, horizon=1000)
    second.load_state_dict(first.state_dict())
    assert second.kl_coef == first.kl_coef
    assert second.update(3.0, 100) == first.update(3.0, 100)


def test_inv36_equal_on_all_ranks_given_global_numbers() -> None:
    ranks = [AdaptiveKLController(0.2, 6.0, 1000) for _ in range(2)]
    assert len({rank.update(7.0, 64) for rank in ranks}) == 1


def test_fixed_stays_and_keeps_its_state() -> None:
    fixed = FixedKLController(0.05)
    assert fixed.update(1e9, 100) == 0.05 == fixed.kl_coef
    other = FixedKLController(0.0)
    other.load_state_dict(fixed.state_dict())
    assert other.kl_coef == 0.05


def test_a_step_longer_than_the_horizon_allows_is_refused() -> None:
    # -0.2 * 600 / 100 = -1.2: the coefficient would be negative
    with pytest.raises(ValueError, match=r"too many for a horizon of 100.*above 120"):
        AdaptiveKLController(0.2, target=6.0, horizon=100).update(0.0, 600)


@pytest.mark.parametrize("kl", [math.nan, math.inf])
def test_a_kl_that_is_not_finite_is_refused(kl: float) -> None:
    controller = AdaptiveKLController(0.2, target=6.0, horizon=1000)
    with pytest.raises(ValueError, match="finite"):
        controller.update(kl, 10)
    assert controller.kl_coef == 0.2


@pytest.mark.parametrize("bad", [-0.1, math.nan, math.inf])
def test_impossible_arguments_are_refused(bad: float) -> None:
    for build in (
        lambda: FixedKLController(bad),
        lambda: AdaptiveKLController(bad, 6.0, 100),
        lambda: AdaptiveKLController(0.1, bad, 100),
        lambda: AdaptiveKLController(0.1, 6.0, bad),
        lambda: FixedKLController(0.1).load_state_dict({"kl_coef": bad}),
    ):
        with pytest.raises(ValueError, match="must be"):
            build()


def test_an_adaptive_coefficient_of_zero_could_never_grow() -> None:
    with pytest.raises(ValueError, match="kl_coef must be positive"):
        AdaptiveKLController(0.0, 6.0, 100)
