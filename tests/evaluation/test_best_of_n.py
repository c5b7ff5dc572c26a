"""Best-of-n: its divergence and the unbiased estimator."""

from __future__ import annotations

import math
import random
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.evaluation.best_of_n import best_of_n, best_of_n_kl


def test_inv82_kl_by_hand() -> None:
    assert best_of_n_kl(1) == 0.0
    assert best_of_n_kl(2) == pytest.approx(math.log(2) - 1 / 2)
    assert best_of_n_kl(16) == pytest.approx(2.7725887 - 0.9375)


def test_inv82_kl_is_that_of_the_best_of_n() -> None:
    # the best of n of a uniform score u has density n u^(n-1): integrate it against log n u^(n-1)
    n, steps = 4, 100_000
    grid = [(k + 0.5) / steps for k in range(steps)]
    integral = sum(n * u ** (n - 1) * math.log(n * u ** (n - 1)) for u in grid) / steps
    assert best_of_n_kl(n) == pytest.approx(integral, abs=1e-4)


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_inv82_equals_the_mean_over_all_subsets(seed: int, n: int) -> None:
    numbers = random.Random(seed)
    proxy = [numbers.choice([0.0, 1.0, 2.0, 3.0]) for _ in range(6)]  # with ties
    true = [numbers.gauss(0, 1) for _ in range(6)]
    of_subsets = []
    for subset in combinations(range(6), n):
        top = max(proxy[k] for k in subset)
        best = [true[k] for k in subset if proxy[k] == top]
        of_subsets.append(sum(best) / len(best))
    assert best_of_n(proxy, true, n) == pytest.approx(sum(of_subsets) / len(of_subsets))


def test_inv82_is_unbiased() -> None:
    # scores 0, 1, 3 with known probabilities: estimate best of 2 from each possible sample of size 4
    values, probabilities = [0.0, 1.0, 3.0], [0.5, 0.3, 0.2]
    estimate = sum(
        math.prod(probabilities[k] for k in draw)
        * best_of_n([values[k] for k in draw], [values[k] for k in draw], 2)
        for draw in product(range(3), repeat=4)
    )
    exact = sum(
        probabilities[a] * probabilities[b] * max(values[a], values[b])
        for a, b in product(range(3), repeat=2)
    )
    assert estimate == pytest.approx(exact)


def test_inv82_ends_are_the_mean_and_the_maximum() -> None:
    proxy, true = [0.3, 0.9, 0.1, 0.5], [1.0, 2.0, 4.0, 8.0]
    assert best_of_n(proxy, true, 1) == pytest.approx(15 / 4)
    assert (
        best_of_n(proxy, true, 4) == 2.0
    )  # the true score where the proxy is highest, not the highest true score


def test_many_samples_do_not_overflow() -> None:
    scores = [k / 2000 for k in range(2000)]
    assert best_of_n(scores, scores, 1000) == pytest.approx(1000 / 1001, abs=1e-3)


def test_bad_input_is_refused() -> None:
    for n in (0, 3):
        with pytest.raises(ValueError, match="n must be between 1 and the number of samples, 2"):
            best_of_n([1.0, 2.0], [1.0, 2.0], n)
    with pytest.raises(ValueError, match="2 proxy scores but 1"):
        best_of_n([1.0, 2.0], [1.0], 1)
    with pytest.raises(ValueError, match="at least 1"):
        best_of_n_kl(0)
