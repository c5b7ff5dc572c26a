"""People's own functions as adapters and loaders: what they are given, what they give, how they fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlhf.errors import DataError
from rlhf.feedback import read_demonstrations, read_prompts, read_rankings
from rlhf.feedback.adapters import files_of
from rlhf.feedback.detection import detect_source
from rlhf.feedback.mapping import Source, build_sources
from rlhf.feedback.notes import BadRow
from tests.feedback.shapes import write_rows

FUNCTIONS = '''
import json
from pathlib import Path

def upper(row):
    return {**row, "response": row["response"].upper()}

def place(row):
    return {"prompt": row["prompt"], "response": f"{Path(row['_file']).name} {row['_line']}"}

def some(row):
    return None if row["prompt"] == "p1" else row

def none(row):
    return []

def two(row):
    yield {"prompt": row["prompt"], "response": "one"}
    yield {"prompt": row["prompt"] + "!", "response": "two"}

def broken(row):
    return row["answer"]

def later(row):
    yield row
    raise RuntimeError("too late")

def change(row):
    row["prompt"] = "x"
    return row

def text(row):
    return "a text"

def mixed(row):
    return [row, 3]

def judged(row):
    return [
        {"id": row["prompt"], "prompt": row["prompt"], "responses": ["a", "b"], "ranks": ranks, "annotator": who}
        for who, ranks in (("ann", [1, 2]), ("bob", [2, 1]))
    ]

def no_argument():
    pass

def helpsteer2(path):
    """Rows 2k and 2k + 1 answer the same prompt."""
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    for first, second in zip(rows[::2], rows[1::2]):
        if first["prompt"] != second["prompt"]:
            raise ValueError(f"{first['prompt']} and {second['prompt']} are two prompts")
        pair = [first, second]
        yield {
            "prompt": first["prompt"],
            "responses": [row["response"] for row in pair],
            "scores": [row["helpfulness"] for row in pair],
        }

def number(path):
    return 3

def no_rows(path):
    return [3]
'''


@pytest.fixture
def functions(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(FUNCTIONS)
    return str(tmp_path / "mine.py")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return write_rows(tmp_path / "x.jsonl", [{"prompt": f"p{n}", "response": f"r{n}"} for n in range(3)])


def read(path: str, functions: str, name: str, **settings: Any) -> Any:
    return read_demonstrations([{"path": path, "adapter": f"{functions}:{name}", **settings}])


def test_adapter_makes_the_rows_that_the_other_settings_read(path: str, functions: str) -> None:
    assert [one.response for one in read(path, functions, "upper")] == ["R0", "R1", "R2"]
    assert [one.response for one in read(path, functions, "place")] == ["x.jsonl 1", "x.jsonl 2", "x.jsonl 3"]
    assert read(path, functions, "upper", prompt="response").records[0].prompt.messages[0].content == "R0"


def test_row_that_an_adapter_leaves_out_is_counted_and_not_bad(path: str, functions: str) -> None:
    reading = read(path, functions, "some")
    assert (len(reading), reading.num_rows, reading.counts()) == (2, 3, {"left_out": 1})
    assert reading.notes[0].skipped
    assert reading.notes[0].where == f"{path}:2"
    with pytest.raises(DataError, match="none of 3 rows gives a record"):
        read(path, functions, "none")


def test_several_rows_of_one_have_ids_of_their_own(path: str, functions: str) -> None:
    found = read(path, functions, "two").records
    assert [one.response for one in found] == ["one", "two"] * 3
    assert [one.prompt.id for one in found[:2]] == [f"{path}:1#1", f"{path}:1#2"]
    rankings = read_rankings([{"path": path, "adapter": f"{functions}:judged"}]).records
    assert [(one.prompt.id, one.annotator) for one in rankings[:2]] == [("p0", "ann"), ("p0", "bob")]
    assert len(read_prompts([{"path": path, "adapter": f"{functions}:judged", "limit": 1}])) == 1


def test_added_place_is_no_column_of_the_row(path: str, functions: str) -> None:
    assert set(read(path, functions, "upper").records[0].prompt.columns) == set()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("broken", r"x\.jsonl:1: .*mine\.py:broken failed with KeyError: 'answer' \(.*mine\.py:\d+\) on \{'prompt': 'p0'"),
        ("later", "failed with RuntimeError: too late"),
        ("change", "failed with TypeError: 'mappingproxy' object does not support item assignment"),
        ("text", r"mine\.py:text gives a row \(a mapping\), a list of rows or None, not text, on \{'prompt'"),
        ("mixed", "a list of rows or None, not a number"),
        ("no_argument", r"x\.jsonl: adapter: '.*no_argument' is called with 1 arguments by position, but cannot be"),
        ("uper", r"x\.jsonl: adapter: .* has no function 'uper' .*did you mean upper\?"),
    ],
)  # fmt: skip
def test_failing_adapter_is_named_with_the_row(path: str, functions: str, name: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        read(path, functions, name)


def test_failing_row_of_an_adapter_can_be_skipped(tmp_path: Path, functions: str) -> None:
    rows = [{"prompt": "p", "response": "r"}, {"prompt": "q", "response": 3}]
    reading = read(write_rows(tmp_path / "y.jsonl", rows), functions, "upper", on_bad_row="skip", max_bad=0.5)
    assert (len(reading), reading.counts()) == (1, {"adapter_failed": 1})


def test_long_row_is_cut_in_the_message(tmp_path: Path, functions: str) -> None:
    path = write_rows(tmp_path / "y.jsonl", [{"prompt": "p" * 1000}])
    with pytest.raises(DataError) as caught:
        read(path, functions, "broken")
    assert "p" * 180 + "..." in str(caught.value)
    assert "p" * 200 not in str(caught.value)


def steered(tmp_path: Path, prompts: list[str]) -> str:
    rows = [
        {"prompt": prompt, "response": f"r{number}", "helpfulness": score}
        for number, (prompt, score) in enumerate(zip(prompts, [1, 4, 3, 3], strict=True))
    ]
    return write_rows(tmp_path / "steer.jsonl", rows)


def test_loader_joins_rows(tmp_path: Path, functions: str) -> None:
    """HelpSteer2: one response a row, and two rows one after the other share a prompt."""
    source = {"loader": f"{functions}:helpsteer2", "format": "scored", "best": "highest"}
    reading = read_rankings([{"path": steered(tmp_path, ["p", "p", "q", "q"]), **source}])
    assert [one.comparisons() for one in reading] == [[(1, 0, 1.0)], [(0, 1, 0.5)]]
    assert [one.responses for one in reading] == [("r0", "r1"), ("r2", "r3")]
    assert reading.records[1].prompt.where.endswith("steer.jsonl#2")
    expected = (
        r"steer\.jsonl: .*helpsteer2 failed with ValueError: q and p are two prompts \(.*mine\.py:\d+\)"
    )
    with pytest.raises(DataError, match=expected):
        read_rankings([{"path": steered(tmp_path, ["p", "p", "q", "p"]), **source}])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "number",
            r"x\.jsonl: .*number failed with TypeError: a loader returns or yields rows, but this is a number",
        ),
        ("no_rows", r"x\.jsonl#1: .*no_rows yields rows \(mappings\), but this one is a number"),
        ("gone", r"x\.jsonl: loader: .*has no function 'gone'"),
    ],
)
def test_failing_loader_is_named(path: str, functions: str, name: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        read_demonstrations([{"path": path, "loader": f"{functions}:{name}"}])


def test_loader_reads_files_of_any_name_that_exist(tmp_path: Path, functions: str) -> None:
    other = Path(steered(tmp_path, ["p", "p", "q", "q"])).rename(tmp_path / "steer.parquet")
    source = {"loader": f"{functions}:helpsteer2", "format": "scored", "best": "highest"}
    assert len(read_rankings([{"path": str(other), **source}])) == 2
    with pytest.raises(DataError, match="no such file or folder; did you mean"):
        read_rankings([{"path": str(tmp_path / "steer.parket"), **source}])


def test_files_of_functions_are_files_of_the_source(path: str, functions: str) -> None:
    sources = build_sources(
        [
            {"path": path},
            {"path": path, "adapter": f"{functions}:upper"},
            {"path": path, "loader": f"{functions}:number"},
        ]
    )
    assert [files_of(source) for source in sources] == [[path], [path, functions], [path, functions]]


def test_json_column_is_decoded_before_the_adapter(tmp_path: Path, functions: str) -> None:
    path = write_rows(
        tmp_path / "y.jsonl", [{"prompt": json.dumps([{"role": "user", "content": "p"}]), "response": "r"}]
    )
    (one,) = read(path, functions, "upper", json_columns=["prompt"])
    assert one.prompt.messages[0].content == "p"


def test_an_adapter_that_fails_on_every_row_is_told_with_its_error(tmp_path: Path) -> None:
    """Also where the check looks for the shape: not as a file without rows."""
    (tmp_path / "mine.py").write_text("def boom(row):\n    return row['nothing']\n")
    path = write_rows(tmp_path / "x.jsonl", [{"prompt": "Q", "chosen": "x", "rejected": "y"}])
    source = Source(path=path, adapter=f"{tmp_path}/mine.py:boom")
    with pytest.raises(BadRow, match=r"KeyError: 'nothing'"):
        detect_source(source, "rankings")
