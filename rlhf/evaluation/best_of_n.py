"""What choosing the best of n samples by a proxy would get, and how far it moves from the policy.

The cheapest optimiser there is: a reward model that does not help here will not help PPO.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby


def best_of_n_kl(n: int) -> float:
    """Compute the divergence of best-of-n sampling from the policy: log n - (n - 1) / n.

    It is exact for continuous scores and an upper bound otherwise (Beirami et al. 2024, arXiv:2401.01879).

    Args:
        n: Samples to choose from, at least 1.

    Returns:
        KL(best-of-n || policy), nats a response.

    Raises:
        ValueError: ``n`` is below 1.

    Source:
        Stiennon et al. 2020 (arXiv:2009.01325), appendix G.3; Gao et al. 2022 (arXiv:2210.10760), section 2.

    >>> best_of_n_kl(1)
    0.0
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    return math.log(n) - (n - 1) / n


def best_of_n(proxy_scores: Sequence[float], true_scores: Sequence[float], n: int) -> float:
    """Estimate the true score of the best of n samples by proxy, from N >= n samples of a prompt.

    The mean over all C(N, n) subsets, in closed form: with samples sorted by proxy, the i-th (from 1) is
    the best of C(i - 1, n - 1) subsets. So all N samples are used and the estimate is unbiased. Samples
    with equal proxy scores share their weight, as if the choice between them were drawn.

    Args:
        proxy_scores: One a sample; these choose.
        true_scores: One a sample; these are averaged. The same as ``proxy_scores`` gives the proxy's own
            view.
        n: Samples to choose from, between 1 and N.

    Returns:
        The expected true score of the chosen sample.

    Raises:
        ValueError: ``n`` is out of range or the lengths differ.

    Source:
        Nakano et al. 2021 (arXiv:2112.09332), appendix I; Gao et al. 2022 (arXiv:2210.10760), section 2.

    >>> best_of_n([1.0, 2.0, 3.0], [9.0, 18.0, 60.0], n=2)  # of {1, 2}, {1, 3}, {2, 3}: (18 + 60 + 60) / 3
    46.0
    """
    total = len(proxy_scores)
    if len(true_scores) != total:
        raise ValueError(f"{total} proxy scores but {len(true_scores)} true scores")
    if not 1 <= n <= total:
        raise ValueError(f"n must be between 1 and the number of samples, {total}, not {n}")
    num_subsets = math.comb(total, n)
    expected, seen = 0.0, 0
    samples = sorted(zip(proxy_scores, true_scores, strict=True), key=lambda sample: sample[0])
    for _, tied in groupby(samples, key=lambda sample: sample[0]):
        of_tied = [score for _, score in tied]
        # subsets whose best is among the tied: those of the first `seen + tied` minus those without any
        # tied one
        weight = math.comb(seen + len(of_tied), n) - math.comb(seen, n)
        expected += weight / num_subsets * sum(of_tied) / len(of_tied)
        seen += len(of_tied)
    return expected
