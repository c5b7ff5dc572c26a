"""Files: every layout that is read, and every way in which a file can be broken."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.errors import DataError
from rlhf.feedback import BadRow, read_rows
from rlhf.feedback.files import find_files, fingerprint_files


def rows_of(path: Path, **options: str) -> list[tuple[int, dict[str, object]]]:
    return [(row.line, row.values) for row in read_rows(str(path), **options)]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.jsonl.gz", "a.json", "a.json.gz"])
def test_json_lines_with_blank_lines_windows_ends_and_byte_order_mark(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, b'\xef\xbb\xbf{"a": "x"}\r\n\r\n{"a": "2023-01-01", "b": null}\r\n')
    assert rows_of(path) == [(1, {"a": "x"}), (3, {"a": "2023-01-01", "b": None})]


def test_json_list_knows_the_line_of_each_item(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", '[\n {"a": 1,\n  "b": [2]},\n\n {"a": 3}\n]\n')
    assert rows_of(path) == [(2, {"a": 1, "b": [2]}), (5, {"a": 3})]


def test_csv_cells_stay_text(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'a,b\n007,NA\n"two\nlines, one cell",1e5\n\n2023-01-01,None\n')
    assert rows_of(path) == [
        (2, {"a": "007", "b": "NA"}),
        (3, {"a": "two\nlines, one cell", "b": "1e5"}),
        (6, {"a": "2023-01-01", "b": "None"}),
    ]


def test_tsv_and_text_files(tmp_path: Path) -> None:
    assert rows_of(write(tmp_path, "a.tsv.gz", "a\tb\n1,5\tx\n")) == [(2, {"a": "1,5", "b": "x"})]
    text = write(tmp_path, "a.txt", "one\n\ntwo\n---\n\nthree\n---\n")
    assert rows_of(text) == [(1, {"text": "one\n\ntwo\n---\n\nthree\n---\n"})]
    assert [(line, values["text"]) for line, values in rows_of(text, separator="---\n")] == [
        (1, "one\n\ntwo\n"),
        (6, "\nthree\n"),
    ]


def test_folder_and_glob_in_order_of_name(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.jsonl", "a.jsonl.gz", "sub/c.csv"):
        write(tmp_path, name, "x\n1\n" if name.endswith("csv") else '{"x": "1"}\n')
    write(tmp_path, "README.md", "not data")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    for copy in (".ipynb_checkpoints/a-checkpoint.jsonl", "._a.jsonl"):
        write(tmp_path, copy, '{"x": "1"}\n')
    assert [file.name for file in find_files(str(tmp_path))] == ["a.jsonl.gz", "b.jsonl", "c.csv"]
    assert [file.name for file in find_files(str(tmp_path / "*.jsonl*"))] == ["a.jsonl.gz", "b.jsonl"]
    assert len(list(read_rows(str(tmp_path)))) == 3


def test_fingerprint_is_the_hash_of_the_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", "{}\n")
    # echo '{}' | sha256sum
    expected = "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"
    assert fingerprint_files(str(path)) == {str(path): expected}


def broken_gz() -> bytes:
    whole = gzip.compress("".join(f'{{"a": "{number * 7919}"}}\n' for number in range(2000)).encode())
    return whole[: len(whole) // 2]


BROKEN: dict[str, tuple[str, str | bytes, str]] = {
    # name of the case: (file, content, what the message must hold)
    "empty file": ("a.jsonl", b"", "a.jsonl: file is empty"),
    "empty gz": ("a.jsonl.gz", b"", "a.jsonl.gz: file is empty"),
    "blank json": ("a.json", b"  \n", "a.json: holds no row"),
    "broken line": ("a.jsonl", '{"a": 1}\n{"a": 1,, "b": 2}\n', 'a.jsonl:2:9: .*near \'{"a": 1,, '),
    "cut-off line": ("a.jsonl", '{"a": 1}\n{"a": "tex', "a.jsonl:2:7: unterminated string"),
    "two rows in a line": ("a.jsonl", '{"a": 1} {"a": 2}\n', "a.jsonl:1:10: more text after the row's end"),
    "single quotes": ("a.jsonl", "{'a': 1}\n", "a.jsonl:1:2: .*double quotes"),
    "NaN": ("a.jsonl", '{"a": NaN}\n', "a.jsonl:1:7: NaN is not JSON"),
    "key twice": ("a.jsonl", '{"a": 1, "a": 2}\n', "a.jsonl:1:10: key 'a' stands twice"),
    "half a surrogate": ("a.jsonl", '{"a": "\\ud83d"}\n', "a.jsonl:1:8: half a surrogate pair"),
    "deep nesting": ("a.jsonl", "[" * 200_000 + "\n", "a.jsonl:1:1: "),
    "long number": ("a.jsonl", '{"a": ' + "1" * 5000 + "}\n", "a.jsonl:1:7: "),
    "text row": ("a.jsonl", '"Can you?"\n', "a.jsonl:1: a row must be an object .* not a text: 'Can you"),
    "list row": ("a.json", "[[1, 2]]", "a.json:1: a row must be an object .* not a list"),
    "number row": ("a.jsonl", "7\n", "a.jsonl:1: a row must be an object .* not a number"),
    "latin-1": (
        "a.jsonl",
        b'{"a": 1}\n{"a": "caf\xe9"}\n',
        "a.jsonl:2: byte 0xe9 at position 11 is not UTF-8",
    ),
    "latin-1 csv": ("a.csv", b"a\ncaf\xe9\n", "a.csv:2: byte 0xe9"),
    "utf-16": ("a.jsonl", '{"a": 1}\n'.encode("utf-16"), "a.jsonl: is UTF-16"),
    "list not closed": ("a.json", '[\n{"a": 1},\n{"a": 2}\n', "a.json:4:1: the list is not closed"),
    "list without comma": ("a.json", '[{"a": 1}\n{"a": 2}]', "a.json:2:1: a comma is missing"),
    "comma at the end": ("a.json", '[{"a": 1},\n]', "a.json:1:10: a comma before the list's end"),
    "text after the list": ("a.json", '[{"a": 1}] x', "a.json:1:12: more text after the list's end"),
    "broken item": ("a.json", '[{"a": 1},\n {"a" 2}]', "a.json:2:7: .*near"),
    "empty list": ("a.json", "[]", "a.json: holds no row"),
    "rows under a key": ("a.json", '{"data": [{"a": 1}]}', "a.json: .*rows under 'data'"),
    "dict of columns": ("a.json", '{"a": ["x", "y"], "b": ["z", "w"]}', "a.json: .*object of columns"),
    "semicolons": ("a.csv", "prompt;chosen\nx;y\n", "a.csv:1: one column named 'prompt;chosen'.*';'"),
    "missing cell": ("a.csv", "a,b\n1\n", "a.csv:2: 1 cell where the header has 2"),
    "column twice": ("a.csv", "a,a\n1,2\n", "a.csv:1: column 'a' is named twice"),
    "open quote": ("a.csv", 'a,b\n1,2\n"x,3\n', "a.csv:3: .*quote"),
    "extension": ("a.docx", b"x", "a.docx: extension '.docx' is not read; allowed: .jsonl"),
    "no extension": ("data", b"x", r"data: extension '\(none\)' is not read"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_file_gives_one_message_with_its_place(tmp_path: Path, case: str) -> None:
    name, content, expected = BROKEN[case]
    with pytest.raises(DataError, match=expected) as caught:
        rows_of(write(tmp_path, name, content))
    assert str(caught.value).startswith(str(tmp_path)), "the message begins with the file"


def test_cut_off_and_false_gz(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(broken_gz())
    with pytest.raises(DataError, match=r"cut\.jsonl\.gz:\d+: the \.gz ends too early"):
        rows_of(path)
    path.write_bytes(b'{"a": 1}\n')
    with pytest.raises(DataError, match=r"is not a sound \.gz file .*drop \.gz from its name"):
        rows_of(path)


def test_missing_paths_say_what_is_near(tmp_path: Path) -> None:
    write(tmp_path, "rankings.jsonl", "{}\n")
    with pytest.raises(DataError, match=r"no such file or folder; did you mean .*rankings\.jsonl"):
        rows_of(tmp_path / "ranking.jsonl")
    with pytest.raises(DataError, match=r"folder '.*nowhere' does not exist either"):
        rows_of(tmp_path / "nowhere" / "a.jsonl")
    with pytest.raises(DataError, match="no file matches"):
        rows_of(tmp_path / "*.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="folder holds no data file"):
        rows_of(tmp_path / "empty")


def test_bad_rows_can_be_taken_one_by_one(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", b'{"a": 1}\n{"a"\n[1]\n\xff\n{"a": 2}\n')
    bad: list[BadRow] = []
    assert [row.line for row in read_rows(str(path), on_bad=bad.append)] == [1, 5]
    assert [error.code for error in bad] == ["bad_json", "not_an_object", "bad_utf8"]


@given(content=st.binary(max_size=200), name=st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.txt"]))
def test_any_bytes_are_rows_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzz-{name}"
    path.write_bytes(content)
    failure = ""
    try:
        for row in read_rows(str(path)):
            assert isinstance(row.values, dict)
    except DataError as error:
        failure = str(error)
    assert failure.startswith(str(path) if failure else "")


@given(
    text=st.text(alphabet='[]{},:"\\ud83 \n\tabN1.e-', max_size=60),
    name=st.sampled_from(["b.jsonl", "b.json"]),
)
def test_any_json_like_text_is_rows_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzz-{name}"
    path.write_text(text)
    failure = ""
    try:
        list(read_rows(str(path)))
    except DataError as error:
        failure = str(error)
    assert failure.startswith(str(path) if failure else "")
