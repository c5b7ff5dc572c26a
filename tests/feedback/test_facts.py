"""What a set of rankings holds, counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlhf.feedback import count_rankings, read_rankings
from tests.feedback.shapes import FINEGRAINED_ROWS, FINEGRAINED_SETTINGS, write_rows


def test_facts_count_comparisons(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "dev.json", FINEGRAINED_ROWS)
    facts = count_rankings(read_rankings([{"path": path, **FINEGRAINED_SETTINGS}]))
    # Row 1: labels 2 1 0 1 1 2; row 2: labels 0 1 1 0 1 1.
    assert (facts.num_comparisons, facts.num_first, facts.num_second, facts.num_ties) == (12, 7, 2, 3)
    assert (facts.num_rankings, facts.num_tied_rankings, facts.num_all_ties, facts.num_intransitive) == (
        2,
        2,
        0,
        1,
    )
    assert facts.sizes == {4: 2}
    # Row 1, better > worse: At nine. > nine, nine > ten, At nine. > ten, At nine. > 9, 9 > ten: 4 of 5;
    # row 2: Ann > Bob is as long, Ann > Cy, Anna > Cy, Bob > Cy: 3 of 3.
    assert facts.longer_wins == pytest.approx(7 / 8)
    assert "first better 7, second better 2, tie 3; longer wins 87.5%" in "\n".join(facts.lines())
