"""`--fix` writes what passed so that it is read back as it was, and what did not with its reason."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from rlhf.checking.fix import fix_sources, rejected_path
from rlhf.checking.results import Subject
from rlhf.errors import DataError
from rlhf.feedback import read_rankings
from rlhf.feedback.mapping import Source
from tests.checking.made import ranking, subject
from tests.feedback.real_shapes import RANKINGS
from tests.feedback.shapes import HH_ROWS
from tests.feedback.test_written import facts

GOOD = [ranking("One?"), ranking("Two?", "x", "y", ranks=[2, 1])]


def rows_of(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def test_passed_and_rejected(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    one = subject(path, [GOOD[0], ranking("Empty?", "", "y"), GOOD[1]])
    with path.open("a") as file:
        file.write('{"prompt": broken\n\n{"prompt": "Latin \xe9"')
    out = tmp_path / "new" / "fixed.jsonl"
    told = fix_sources([one], str(out))
    assert [row["prompt"] for row in rows_of(out)] == ["One?", "Two?"]
    rejected = rows_of(tmp_path / "new" / "fixed.rejected.jsonl")
    assert [(row["code"], row["where"].partition("x.jsonl:")[2][:1]) for row in rejected] == [
        ("empty_response", "2"),
        ("bad_json", "4"),
        ("bad_json", "6"),
    ]
    assert rejected[0]["row"] == ranking("Empty?", "", "y")
    assert rejected[1]["row"] == '{"prompt": broken'
    assert "is empty" in rejected[0]["message"]
    assert told == [f"{out}: 2 rows", f"{tmp_path / 'new' / 'fixed.rejected.jsonl'}: 3 rows"]


def test_the_policy_of_the_source_changes_nothing(tmp_path: Path) -> None:
    rows = [*GOOD, *[ranking("Empty?", "", "y")] * 5]
    for policy in ("stop", "skip"):
        one = subject(tmp_path / "x.jsonl", rows, on_bad_row=policy)
        fix_sources([one], str(tmp_path / f"{policy}.jsonl"))
        assert len(rows_of(tmp_path / f"{policy}.jsonl")) == 2
        assert len(rows_of(tmp_path / f"{policy}.rejected.jsonl")) == 5


def test_cells_and_lines_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("prompt,chosen,rejected\nOne?,a,b\nTwo?,a\nThree?,a,\n")
    fix_sources(
        [Subject("x", "x", "rankings", Source(path=str(path), format="pair"))], str(tmp_path / "o.jsonl")
    )
    rejected = rows_of(tmp_path / "o.rejected.jsonl")
    assert [(row["code"], row["row"]) for row in rejected] == [
        ("bad_cells", "Two?,a"),
        ("empty_response", {"prompt": "Three?", "chosen": "a", "rejected": ""}),
    ]


def test_transcripts(tmp_path: Path) -> None:
    fix_sources([subject(tmp_path / "x.jsonl", HH_ROWS, format="transcript")], str(tmp_path / "o.jsonl"))
    assert len(rows_of(tmp_path / "o.jsonl")) == 4
    (rejected,) = rows_of(tmp_path / "o.rejected.jsonl")
    assert rejected["row"] == HH_ROWS[1]


@pytest.mark.parametrize("name", RANKINGS)
def test_the_fixed_file_is_read_back_as_it_was(tmp_path: Path, name: str) -> None:
    shape = RANKINGS[name]
    one = subject(tmp_path / "x.jsonl", [*shape.rows, {"nothing": "of use"}], **shape.settings)
    fix_sources([one], str(tmp_path / "o.jsonl"))
    before = read_rankings([subject(tmp_path / "x.jsonl", shape.rows, **shape.settings).source])
    after = read_rankings([{"path": str(tmp_path / "o.jsonl")}])
    told, found = (list(map(facts, reading)) for reading in (before, after))
    for record in (*told, *found):
        record["id"] = record["id"].partition("#")[0]  # opinions without a name share theirs
    assert found == told
    assert [row["code"] for row in rows_of(tmp_path / "o.rejected.jsonl")] != []


def test_files_are_left_alone_unless_forced(tmp_path: Path) -> None:
    one = subject(tmp_path / "x.jsonl", GOOD)
    out = tmp_path / "o.jsonl"
    out.write_text("mine")
    with pytest.raises(DataError, match="exists already"):
        fix_sources([one], str(out))
    assert out.read_text() == "mine"
    fix_sources([one], str(out), force=True)
    assert len(rows_of(out)) == 2


def test_a_compressed_file(tmp_path: Path) -> None:
    fix_sources([subject(tmp_path / "x.jsonl", GOOD)], str(tmp_path / "o.jsonl.gz"))
    assert gzip.decompress((tmp_path / "o.jsonl.gz").read_bytes()).count(b"\n") == 2
    assert rejected_path("o.jsonl.gz") == "o.rejected.jsonl"
