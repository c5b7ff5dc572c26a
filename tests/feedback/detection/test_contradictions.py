"""Scores named as the better and the worse response say the same as these columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlhf.feedback import read_demonstrations, read_rankings
from rlhf.feedback.detection import ShapeError
from tests.feedback.shapes import write_rows

SIDES = {
    "ratings": ("chosen-rating", "rejected-rating"),
    "scores": ("chosen_score", "rejected_score"),
    "means": ("chosen_avg_rating", "rejected_avg_rating"),
    "rewards": ("chosen_reward", "rejected_reward"),
}


@pytest.mark.parametrize("name", SIDES)
def test_scores_named_as_the_two_sides_must_say_the_same(tmp_path: Path, name: str) -> None:
    high, low = SIDES[name]

    def rows(*scores: tuple[Any, Any]) -> list[dict[str, Any]]:
        return [
            {"prompt": f"q{n}", "chosen": "yes", "rejected": "no", high: one, low: other}
            for n, (one, other) in enumerate(scores)
        ]

    path = write_rows(tmp_path / "x.jsonl", rows((5, 1), (2.0, 2.0), ("1", "4"), (None, 3)))
    for read in (read_rankings, read_demonstrations):
        with pytest.raises(
            ShapeError, match=r"say the other one in 1 of 4 rows, first at .*x\.jsonl:3"
        ) as caught:
            read([{"path": path}])
    assert f"{high} and {low}" in str(caught.value)
    assert caught.value.code == "several_shapes"
    columns = {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"}
    assert len(read_rankings([{"path": path, "format": "pair", **columns}])) == 4
    agree = write_rows(tmp_path / "y.jsonl", rows((5, 1), (2, 2)))
    assert len(read_rankings([{"path": agree}])) == 2


def test_ranks_named_as_the_two_sides_are_no_scores(tmp_path: Path) -> None:
    row = {"prompt": "q", "chosen": "yes", "rejected": "no", "chosen_rank": 1, "rejected_rank": 2}
    assert len(read_rankings([{"path": write_rows(tmp_path / "x.jsonl", [row])}])) == 1
