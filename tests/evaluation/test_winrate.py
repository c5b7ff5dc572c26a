"""Win rates."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.evaluation.winrate import win_rate

SCORES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=20
)


def test_by_hand() -> None:
    found = win_rate([1.0, 0.5, 0.0, 0.9], [0.0, 0.5, 1.0, 0.1])
    assert found.value == 2.5 / 4
    assert (found.num_wins, found.num_ties, found.num_losses) == (2, 1, 1)


@given(SCORES)
def test_two_models_share_one(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = zip(*pairs, strict=True)
    one, other = win_rate(ours, theirs), win_rate(theirs, ours)
    assert one.value + other.value == pytest.approx(1.0)
    assert (one.num_wins, one.num_ties) == (other.num_losses, other.num_ties)
    assert one.low <= one.value <= one.high
    assert one.low == pytest.approx(1 - other.high, abs=1e-9)


def test_rounding_is_no_win() -> None:
    assert win_rate([0.1 + 0.2], [0.3]).num_ties == 1
    assert win_rate([0.3 + 1e-6], [0.3]).num_wins == 1


def test_interval_is_over_prompts_and_repeats() -> None:
    ours = [float(k % 3 > 0) for k in range(300)]
    theirs = [0.5] * 300
    single = win_rate(ours, theirs, seed=5)
    assert single == win_rate(ours, theirs, seed=5)
    assert single.high - single.low == pytest.approx(2 * 1.96 * math.sqrt(2 / 9 / 300), rel=0.15)
    copies = win_rate(
        [x for x in ours for _ in range(4)], theirs * 4, [k for k in range(300) for _ in range(4)], seed=5
    )
    assert (copies.low, copies.high) == (single.low, single.high)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="1 scores against 2"):
        win_rate([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="at least one"):
        win_rate([], [])
    with pytest.raises(ValueError, match="finite"):
        win_rate([math.nan], [1.0])
