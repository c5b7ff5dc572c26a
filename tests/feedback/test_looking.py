"""The first rows are looked at once and read once: in their order, with what is wrong in its place."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from rlhf.errors import DataError
from rlhf.feedback import read_demonstrations, read_prompts
from tests.feedback.shapes import write_rows


def rows(number: int) -> list[dict[str, str]]:
    return [{"question": f"Q{count}", "answer": f"a{count}"} for count in range(number)]


def test_rows_before_and_after_the_first_ones_are_read_in_order(tmp_path: Path) -> None:
    reading = read_demonstrations([{"path": write_rows(tmp_path / "x.jsonl", rows(500))}])
    assert [one.response for one in reading] == [f"a{count}" for count in range(500)]
    assert reading.num_rows == 500
    assert "question is text in 200 of 200 rows" in reading.detections[0].because


def test_bad_row_among_the_first_is_told_when_its_turn_has_come(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    lines = Path(write_rows(path, rows(100))).read_text().splitlines()
    lines[50] = "{broken"
    path.write_text("\n".join(lines))
    assert len(read_demonstrations([{"path": str(path), "limit": 50}])) == 50, "it is not reached"
    with pytest.raises(DataError, match=r"x\.jsonl:51:2: "):
        read_demonstrations([{"path": str(path)}])
    reading = read_demonstrations([{"path": str(path), "on_bad_row": "skip", "max_bad": 0.02}])
    assert (len(reading), reading.counts()) == (99, {"bad_json": 1})


def test_file_that_ends_early_gives_what_stands_before(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('question,answer\nQ,a\n"R,b\n')
    assert len(read_demonstrations([{"path": str(path), "limit": 1}])) == 1
    with pytest.raises(DataError, match=r"x\.csv:3: .*a quote is not closed"):
        read_demonstrations([{"path": str(path)}])


def spoil(path: Path, number: int) -> str:
    """Write rows of which nothing can be read behind the first `number`; more stand there."""
    before, behind = rows(number), rows(number + 300)[number:]
    if path.suffix == ".csv":
        text = "question,answer\n" + "".join(f"{row['question']},{row['answer']}\n" for row in before)
        path.write_bytes(text.encode() + b"Q,\xe9\n" + b"Q,a\n" * 300)
    elif path.suffix == ".json":
        path.write_text(json.dumps([*before, *behind]).replace(f'"Q{number}", ', f'"Q{number}" '))
    else:
        path.mkdir()
        if before:
            write_rows(path / "a.jsonl", before)
        whole = io.BytesIO()
        parquet.write_table(pyarrow.Table.from_pylist(behind), whole)
        (path / "b.parquet").write_bytes(whole.getvalue()[:-50])
        write_rows(path / "c.jsonl", behind)
    return str(path)


@pytest.mark.parametrize("name", ["x.csv", "x.json", "folder"])
@pytest.mark.parametrize("number", [0, 1, 120, 250])
def test_what_ends_a_file_is_no_bad_row_that_can_be_skipped(tmp_path: Path, name: str, number: int) -> None:
    """Wherever it is: what stands behind it cannot be read, so it would be lost uncounted."""
    path = spoil(tmp_path / name, number)
    told = {"path": path, "on_bad_row": "skip", "max_bad": 1.0}
    for settings in ({}, {"format": "canonical", "prompt": "question", "response": "answer"}):
        with pytest.raises(DataError, match=r"UTF-8|expecting|[Pp]arquet"):
            read_demonstrations([{**told, **settings}])
        if number > 1 and name != "x.json":  # which is read as a whole
            assert len(read_demonstrations([{**told, **settings, "limit": number}])) == number


@pytest.mark.parametrize("content", ["{broken", "[1]", ""])
def test_file_without_a_row_says_what_is_wrong_with_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.jsonl").write_text(content)
    for settings in ({}, {"label_values": {1: "first"}}, {"best": "highest"}):
        with pytest.raises(DataError, match=r"x\.jsonl(:1)?(:2)?: (expecting|a row must|file is empty)"):
            read_prompts([{"path": str(tmp_path / "x.jsonl"), **settings}])


def test_loader_and_adapter_are_called_once_a_row(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import json\nfrom pathlib import Path\n"
        "seen = set()\n"
        "def calls(path, word):\n"
        "    with open(Path(path).parent / 'calls', 'a') as file:\n"
        "        file.write(word + '\\n')\n"
        "def adapt(row):\n"
        "    calls(row['_file'], row['question'])\n"
        "    if row['question'] in seen:\n"
        "        return None\n"
        "    seen.add(row['question'])\n"
        "    return {'prompt': row['question'], 'response': row['answer']}\n"
        "def load(path):\n"
        "    calls(path, 'load')\n"
        "    return [json.loads(line) for line in Path(path).read_text().splitlines()]\n"
    )
    path = write_rows(tmp_path / "x.jsonl", [*rows(300), *rows(3)])
    reading = read_demonstrations([{"path": path, "adapter": f"{tmp_path}/mine.py:adapt"}])
    assert (len(reading), reading.counts()) == (300, {"left_out": 3})
    assert reading.detections[0].shape == "our own form of demonstrations"
    calls = Counter((tmp_path / "calls").read_text().split())
    assert (sum(calls.values()), max(calls.values())) == (303, 2)
    assert len(read_demonstrations([{"path": path, "loader": f"{tmp_path}/mine.py:load"}])) == 303
    assert (tmp_path / "calls").read_text().count("load") == 1


def test_adapter_that_leaves_out_the_first_rows_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def late(row):\n    return dict(row) if row['question'] > 'Q300' else None\n"
        "def fail(row):\n    raise KeyError('x')\n"
    )
    path = write_rows(
        tmp_path / "x.jsonl", [{"question": f"Q{count}", "answer": "a"} for count in range(100, 310)]
    )
    reading = read_demonstrations([{"path": path, "adapter": f"{tmp_path}/mine.py:late"}])
    assert len(reading) == 9
    with pytest.raises(DataError, match=r"x\.jsonl:1: .*mine\.py:fail"):
        read_demonstrations([{"path": path, "adapter": f"{tmp_path}/mine.py:fail"}])
