"""Scores to ranks: ties within a distance, and responses without a score."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rlhf.feedback.mapping import Source
from rlhf.feedback.reading import read_rankings
from rlhf.feedback.scores import ranks_of_scores
from tests.feedback.shapes import write_rows


def source(tie_within: float = 0.0, best: str = "highest") -> Source:
    return Source(path="x", format="scored", best=best, tie_within=tie_within)  # type: ignore[arg-type]


def test_tie_within_a_distance_that_floats_miss_by_a_hair() -> None:
    assert 1.1 - 1.0 > 0.1
    assert ranks_of_scores([1.1, 1.0], source(0.1)) == ((1, 1), None)
    assert ranks_of_scores([1.1, 1.0], source(0.09)) == ((1, 2), None)
    assert ranks_of_scores([1.0, 1.0], source()) == ((1, 1), None)


def test_ranks_stay_with_their_responses_where_a_score_is_missing() -> None:
    assert ranks_of_scores([None, 3.0, None, 5.0], source()) == ((None, 2, None, 1), None)
    assert ranks_of_scores([None, 3.0, None, 5.0], source(best="lowest")) == ((None, 1, None, 2), None)


def test_pairs_point_at_their_responses_where_a_score_is_missing() -> None:
    # 1 = 2 and 2 = 3 within a distance of 1, but 3 beats 1.
    ranks, pairs = ranks_of_scores([None, 1.0, None, 2.0, 3.0], source(1.0))
    assert ranks == (None,) * 5
    assert pairs == ((1, 3, 0.5), (1, 4, 0.0), (3, 4, 0.5))


SCORES = st.lists(st.none() | st.integers(-3, 3).map(float), min_size=2, max_size=6)


@given(SCORES, st.sampled_from([0.0, 1.0, 2.0]), st.sampled_from(["highest", "lowest"]))
def test_every_pair_says_what_its_scores_say(
    scores: list[float | None], tie_within: float, best: str
) -> None:
    ranks, pairs = ranks_of_scores(scores, source(tie_within, best))
    said = {(i, j): p for i, j, p in pairs or ()}
    for (i, one), (j, other) in combinations(enumerate(scores), 2):
        if one is None or other is None:
            assert (i, j) not in said
            continue
        better = 0.5 if abs(one - other) <= tie_within else float((one > other) == (best == "highest"))
        if pairs is None:
            first, second = ranks[i], ranks[j]
            assert first is not None
            assert second is not None
            assert better == (0.5 if first == second else float(first < second))
        else:
            assert said[i, j] == better
    assert all(rank is None for rank, score in zip(ranks, scores, strict=True) if score is None)


def test_pairs_keep_their_places_where_a_score_is_missing(tmp_path: Path) -> None:
    """1, 2, 3 within 1: the first ties with the second, that with the third, and the first loses to it."""
    row = {"prompt": "Q", "responses": ["w", "x", "y", "z"], "scores": [1, None, 2, 3]}
    path = write_rows(tmp_path / "x.jsonl", [row])
    (one,) = read_rankings([{"path": path, "format": "scored", "best": "highest", "tie_within": 1.0}])
    assert (one.pairs, one.ranks) == (((0, 2, 0.5), (0, 3, 0.0), (2, 3, 0.5)), (None,) * 4)
