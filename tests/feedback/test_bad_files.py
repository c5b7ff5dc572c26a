"""Every kind of bad file of `bad_files` ends in its one message."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import Any

import pytest

from rlhf.errors import DataError
from rlhf.feedback import read_demonstrations, read_prompts, read_rankings, read_texts
from rlhf.feedback.codes import CODES
from tests.feedback.bad_files import BAD_FILES, BAD_PATHS, BAD_ROWS, GOOD, PAIR, BadFile, pair, reply, tree
from tests.feedback.shapes import write_rows

READ = {
    "rankings": read_rankings,
    "demonstrations": read_demonstrations,
    "prompts": read_prompts,
    "texts": read_texts,
}


def failure_of(path: Path | str, settings: dict[str, Any]) -> DataError:
    read = READ[settings.get("read", "rankings")]
    source = {key: value for key, value in settings.items() if key != "read"}
    with pytest.raises(DataError) as caught:
        read([{"path": str(path), **source}])
    return caught.value


def check_message(error: DataError, path: Path, case: BadFile) -> None:
    message = str(error)
    assert error.code in case.code.split("|"), (error.code, message)
    assert message.startswith(f"{path}{case.place}"), message
    assert case.place or message.startswith(f"{path}: "), message
    at = 0
    for piece in case.says:
        found = [message.find(one, at) for one in piece.split("|")]
        assert max(found) >= 0, f"{piece!r} is not (in this order) in {message!r}"
        at = max(found)
    assert len(message) < 700, message
    assert "\n" not in message, "one line"


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file(tmp_path: Path, case: str) -> None:
    path = BAD_FILES[case].write(tmp_path)
    check_message(failure_of(path, BAD_FILES[case].settings), path, BAD_FILES[case])


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_row(tmp_path: Path, case: str) -> None:
    path = BAD_ROWS[case].write(tmp_path)
    check_message(failure_of(path, BAD_ROWS[case].settings), path, BAD_ROWS[case])


def fail(number: int) -> Any:
    def failing(*arguments: Any, **options: Any) -> Any:
        raise OSError(number, errno.errorcode[number])

    return failing


def make_bad_path(folder: Path, case: str, patch: pytest.MonkeyPatch) -> str:
    """Bring about what the case says, and return the path."""
    good = folder / "rankings.jsonl"
    good.write_bytes(GOOD)
    if case == "nothing there":
        return str(folder / "ranking.jsonl")
    if case == "folder is missing too":
        return str(folder / "nowhere" / "x.jsonl")
    if case.startswith("folder"):
        path = folder / ("x.jsonl" if "named" in case else "empty")
        path.mkdir()
        (path / "notes.md").write_text("x")
        return str(path)
    if case == "link to itself":
        (folder / "loop.jsonl").symlink_to(folder / "loop.jsonl")
        return str(folder / "loop.jsonl")
    if case == "no permission":  # root may read everything
        patch.setattr(Path, "open", denied)
    elif case == "gone while it is read":
        monkey = Path.open

        def gone(path: Path, *arguments: Any) -> Any:
            path.unlink()
            return monkey(path, *arguments)

        patch.setattr(Path, "open", gone)
    elif case == "disk that fails":
        patch.setattr(Path, "open", lambda path, *arguments: io.BufferedReader(Failing()))
    return {
        "pattern without a match": str(folder / "*.csv"),
        "empty path": " ",
        "name with a zero byte": str(folder / "a\0b.jsonl"),
        "name that is too long": str(folder / ("x" * 300 + ".jsonl")),
        "user who does not exist": "~no-such-user/x.jsonl",
    }.get(case, str(good))


def denied(path: Path, *arguments: Any) -> Any:
    raise PermissionError(errno.EACCES, "Permission denied")


class Failing(io.RawIOBase):
    """A file on a disk that fails."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("case", BAD_PATHS)
def test_bad_path(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, expected = BAD_PATHS[case]
    path = make_bad_path(tmp_path, case, monkeypatch)
    with pytest.raises(DataError, match=expected) as caught:
        read_rankings([{"path": path}])
    assert caught.value.code == code
    assert str(caught.value).startswith(f"{path}: ")


def test_there_are_more_than_forty_kinds_and_all_their_codes_are_known() -> None:
    every = [*BAD_FILES.values(), *BAD_ROWS.values()]
    assert len(every) + len(BAD_PATHS) >= 40
    codes = {code for case in every for code in case.code.split("|")} | {
        code for code, _ in BAD_PATHS.values()
    }
    assert codes <= set(CODES)
    # Each error of a reader that the catalogue has comes up here (adapters' have their own tests).
    elsewhere = {
        "bad_row",
        "bad_data",
        "bad_source",
        "bad_function",
        "adapter_failed",
        "nothing_left",
        "lone_surrogate",
    }
    elsewhere |= {code for code in CODES if code.startswith("hub_")}
    shapes = {"label_direction_missing", "score_direction_missing", "shape_unknown", "several_shapes"}
    findings = {"leak", "group_leak", "cycle"}
    assert {
        code for code, entry in CODES.items() if entry.level == "error"
    } - elsewhere - shapes - findings <= codes


@pytest.mark.parametrize("case", [case for case in BAD_ROWS if BAD_ROWS[case].place])
def test_bad_row_can_be_skipped_counted_and_shown(tmp_path: Path, case: str) -> None:
    """Beside good rows (in a file of their own) the bad ones are left out with the same code and message."""
    bad = BAD_ROWS[case]
    path = bad.write(tmp_path)
    settings = dict(bad.settings) | {"on_bad_row": "skip", "max_bad": 1.0}
    read = READ[settings.pop("read", "rankings")]
    source = {"path": str(path), **settings}
    if isinstance(bad.content, bytes) or len(bad.content) == 1:  # and nothing is left
        with pytest.raises(DataError, match="none of 1 rows gives a record") as caught:
            read([source])
        assert caught.value.code == "nothing_read"
        return
    reading = read([source])
    (note,) = [note for note in reading.notes if note.skipped]
    assert note.code in bad.code.split("|")
    assert f"{note.where}".startswith(f"{path}{bad.place}")
    assert len(reading) == reading.num_rows - 1


def test_stop_is_the_default_and_says_how_to_skip(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", pair(chosen=""))
    error = failure_of(path, PAIR)
    assert str(error) == f"{path}:2: chosen is empty (on_bad_row: skip leaves such rows out)"


@pytest.mark.parametrize(("max_bad", "fits"), [(0.2, True), (0.19, False), (0.0, False), (1.0, True)])
def test_skip_goes_on_up_to_its_limit(tmp_path: Path, max_bad: float, fits: bool) -> None:
    good, bad = pair(chosen="")
    rows = [bad, *({**good, "prompt": f"p{number}"} for number in range(3)), {"chosen": "a"}]
    rows += [{**good, "prompt": f"q{number}"} for number in range(5)]
    path = write_rows(tmp_path / "x.jsonl", rows)
    source = {"path": path, **PAIR, "on_bad_row": "skip", "max_bad": max_bad}
    if not fits:
        error = failure_of(path, source)
        assert error.code == "too_many_bad_rows"
        assert "2 of 10 rows are bad (empty_response 1, missing_column 1)" in str(error)
        return
    reading = read_rankings([source])
    assert (len(reading), reading.num_rows) == (8, 10)
    assert reading.counts() == {"empty_response": 1, "missing_column": 1}
    assert [(note.where, note.skipped) for note in reading.notes] == [
        (f"{path}:1", True),
        (f"{path}:5", True),
    ]


ODD_ADAPTER = """
def half(row):
    return {**row, "chosen": "half \\ud83d"}

def both(row):
    return [{**row, "chosen": "c"}, {**row, "prompt": "other"}]
"""


def test_half_a_surrogate_of_an_adapter(tmp_path: Path) -> None:
    """No file can hold it, and no tokenizer takes it."""
    (tmp_path / "mine.py").write_text(ODD_ADAPTER)
    path = write_rows(tmp_path / "x.jsonl", pair())
    error = failure_of(path, PAIR | {"adapter": f"{tmp_path}/mine.py:half"})
    assert error.code == "lone_surrogate"
    assert str(error).startswith(rf"{path}:1: 'chosen' has half a surrogate pair ('half \ud83d')")


def test_limit_cuts_what_one_row_gives(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ODD_ADAPTER)
    path = write_rows(tmp_path / "x.jsonl", pair())
    source = {"path": path, **PAIR, "adapter": f"{tmp_path}/mine.py:both"}
    assert [len(read_rankings([source | {"limit": limit}])) for limit in (1, 2, 3, None)] == [1, 2, 3, 4]


def test_row_that_gives_no_record_is_noted(tmp_path: Path) -> None:
    rows = [*tree(reply("a", rank=0), reply("b", rank=1)), *tree(reply("a"))]
    path = write_rows(tmp_path / "x.jsonl", rows)
    reading = read_rankings([{"path": path, "format": "tree"}])
    (note,) = reading.notes
    assert (note.code, note.where, note.skipped, reading.num_rows) == ("no_record", f"{path}:2", True, 2)


GOOD_BYTES = {
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, "x.jsonl"),
    "windows line ends": (GOOD.replace(b"\n", b"\r\n"), "x.jsonl"),
    "blank lines": (b"\n" + GOOD + b"\n\n", "x.jsonl"),
    "no line end": (GOOD[:-1], "x.jsonl"),
    "list": (b"[" + GOOD + b"]", "x.json"),
    "lines in .json": (GOOD * 1, "x.json"),
}


@pytest.mark.parametrize("case", GOOD_BYTES)
def test_what_is_no_error(tmp_path: Path, case: str) -> None:
    content, name = GOOD_BYTES[case]
    (tmp_path / name).write_bytes(content)
    assert read_rankings([{"path": str(tmp_path / name)}]).records[0].responses == ("a", "b")


@pytest.mark.parametrize(
    "text", ["2023-01-01", "NA", "None", "null", "nan", "007", "1e5", "true", "-1", "12:30", " x "]
)
@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.tsv"])
def test_text_stays_what_it_is(tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / name
    if name == "x.jsonl":
        write_rows(path, [{"prompt": text, "chosen": text, "rejected": "b"}])
    else:
        comma = "\t" if name == "x.tsv" else ","
        path.write_text(f"prompt{comma}chosen{comma}rejected\n{text}{comma}{text}{comma}b\n")
    (ranking,) = read_rankings([{"path": str(path), "format": "pair"}])
    assert (ranking.prompt.messages[0].content, ranking.responses) == (text, (text, "b"))
