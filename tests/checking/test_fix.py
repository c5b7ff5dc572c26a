"""`--fix` writes what passed so that it is read back as it was, and what did not with its reason."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow.parquet import write_table as write_parquet

from rlhf.checking.fix import fix_sources, rejected_path
from rlhf.checking.results import Subject
from rlhf.errors import DataError
from rlhf.feedback import read_rankings
from rlhf.feedback.files import read_lines
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


def test_each_file_of_broken_lines_is_read_once_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened again for each broken line, the work grew with the square of their number."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        lines = [line for row in GOOD for line in (json.dumps(row), f"{{broken {name}", "[1]")]
        (folder / name).write_text("\n".join(lines))
    opened: list[str] = []

    def counted(file: Path) -> Any:
        opened.append(file.name)
        return read_lines(file)

    monkeypatch.setattr("rlhf.checking.fix.read_lines", counted)
    fix_sources([Subject("x", "x", "rankings", Source(path=str(folder)))], str(tmp_path / "o.jsonl"))
    rejected = rows_of(tmp_path / "o.rejected.jsonl")
    assert [row["row"] for row in rejected] == ["{broken a.jsonl", "[1]"] * 2 + ["{broken b.jsonl", "[1]"] * 2
    assert opened == ["a.jsonl", "b.jsonl"]


def test_a_row_of_a_file_without_lines_has_no_text(tmp_path: Path) -> None:
    responses = pa.StringArray.from_buffers(
        2, pa.py_buffer(b"\0\0\0\0\2\0\0\0\4\0\0\0"), pa.py_buffer(b"ok\xffx")
    )
    table = pa.table({"prompt": ["One?", "Two?"], "chosen": responses, "rejected": ["a", "b"]})
    write_parquet(table, tmp_path / "x.parquet")
    source = Source(path=str(tmp_path / "x.parquet"), format="pair")
    fix_sources([Subject("x", "x", "rankings", source)], str(tmp_path / "o.jsonl"))
    (rejected,) = rows_of(tmp_path / "o.rejected.jsonl")
    assert (rejected["code"], rejected["row"]) == ("bad_utf8", None)


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
