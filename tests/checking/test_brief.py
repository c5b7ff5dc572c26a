"""What every stage says of its data before it trains: a few lines, with one BEST and one WORST."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlhf.checking.brief import brief_lines
from rlhf.feedback import read_demonstrations, read_rankings
from rlhf.feedback.mapping import build_sources
from rlhf.runs import console
from stages import _inputs
from tests.checking.made import ranking
from tests.feedback.shapes import HH_ROWS, write_rows


def test_rankings(tmp_path: Path) -> None:
    rows = [ranking("Why is it so?", "good " * 30, "bad\nline"), ranking("Tie?", ranks=[1, 1])]
    path = write_rows(tmp_path / "x.jsonl", rows)
    sources = build_sources([{"path": path, "format": "canonical"}])
    assert list(brief_lines("data.train", sources, read_rankings(sources))) == [
        "data.train: 2 rows read, 2 records",
        f"  {path} read as its settings say: format canonical",
        f'  for instance {path}:1: "Why is it so?"',
        f'    BEST   "{("good " * 30)[:100]}..."',
        '    WORST  "bad line"',
    ]


def test_a_shape_that_was_found_and_what_was_odd(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", HH_ROWS)
    sources = build_sources([{"path": path, "on_bad_row": "skip", "max_bad": 0.5}])
    lines = list(brief_lines("data.train", sources, read_rankings(sources)))
    assert lines[0] == "data.train: 5 rows read, 4 records"
    assert lines[1].startswith(f"  {path} read as ")
    assert "because" in lines[1]
    assert any(line.startswith("  empty_response: 1 (1 left out)") for line in lines)
    assert sum(line.startswith("    BEST ") for line in lines) == 1


def test_presets_and_other_kinds(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", [{"instruction": "Why?", "input": "", "output": "So."}])
    sources = build_sources([{"path": path, "preset": "alpaca"}])
    lines = list(brief_lines("data.train", sources, read_demonstrations(sources)))
    assert lines == [
        "data.train: 1 row read, 1 record",
        f"  {path} read as its settings say: preset alpaca",
    ]


def test_only_the_main_process_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_rows(tmp_path / "x.jsonl", [ranking()])
    sources = build_sources([{"path": path}])
    for silent, number in ((True, 0), (False, 1)):
        console.silence(silent)
        try:
            _inputs.say_reading("data.train", sources, read_rankings(sources))
        finally:
            console.silence(False)
        assert capsys.readouterr().out.count("BEST") == number
