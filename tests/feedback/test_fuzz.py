"""Whatever stands in a file, and whatever the source says of it: records, or one error that is the user's.

With `on_bad_row: skip` every row is accounted for: it gives a record, or a note says that it was left out.
"""

from __future__ import annotations

import gzip
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlhf.errors import DataError
from rlhf.feedback import (
    Reading,
    find_oddities,
    read_demonstrations,
    read_prompts,
    read_rankings,
    read_rows,
    read_texts,
)
from rlhf.feedback.codes import CODES
from tests.feedback.bad_files import BAD_FILES, BAD_ROWS
from tests.feedback.real_shapes import DEMONSTRATIONS, RANKINGS, Shape
from tests.feedback.shapes import FINEGRAINED_ROWS, FINEGRAINED_SETTINGS, HH_ROWS, TREE_ROWS

SECONDS = 20.0  # of the processor, for one example: more is a reader that does not end
READERS = {
    "rankings": read_rankings,
    "demonstrations": read_demonstrations,
    "prompts": read_prompts,
    "texts": read_texts,
}
# Rows of rows take long to draw where the machine is busy.
BUSY = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
LONG = settings(BUSY, max_examples=3000)
NAMES = [
    f"x{ending}{gz}"
    for ending in (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt")
    for gz in ("", ".gz")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def read_all(path: Path | str, kind: str, source: dict[str, Any]) -> Reading[Any] | None:
    """Read, or return None where that ends in the user's error; anything else fails."""
    start = time.process_time()
    reading: Reading[Any] | None = None
    failure: DataError | None = None
    try:
        reading = READERS[kind]([{"path": str(path), **source}])
    except DataError as error:
        failure = error
    assert failure is None or (failure.code in CODES and str(path) in str(failure)), repr(failure)
    if reading is not None:
        assert {note.code for note in reading.notes} <= set(CODES)
        assert {note.code for note in find_oddities({"train": reading, "test": reading})} <= set(CODES)
    assert time.process_time() - start < SECONDS
    return reading


def lines_told(reading: Reading[Any]) -> set[int]:
    """The lines that gave a record or have a note that they were left out."""
    wheres = [getattr(one, "prompt", one).where for one in reading]
    wheres += [note.where for note in reading.notes if note.skipped]
    # file:line, and behind it a column or the part of a row
    return {int(where.rpartition("x.jsonl:")[2].partition("#")[0].partition(":")[0]) for where in wheres}


# --- bytes

LETTERS = st.text(alphabet="{}[]:,\"\\ud83 \n\r\tprompteschnjid;|'a1.-NI#\u00e9\ufeff\0", max_size=60).map(
    lambda text: text.encode("utf-8")
)
SAMPLES = [case.content if isinstance(case.content, bytes) else json.dumps(case.content).encode() for case in
           (*BAD_FILES.values(), *BAD_ROWS.values())]  # fmt: skip


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A file of the table of bad files, with one more thing wrong."""
    content = draw(st.sampled_from(SAMPLES))[:3000]
    at = draw(st.integers(0, len(content)))
    return content[:at] + draw(st.binary(max_size=3) | LETTERS) + content[at + draw(st.integers(0, 4)) :]


CONTENTS = st.binary(max_size=100) | LETTERS | broken()


def check_bytes(folder: Path, content: bytes, name: str, packing: str, kind: str, form: str) -> None:
    packed = content
    if packing != "as it is":
        packed = gzip.compress(content, mtime=0)
        packed = packed[: len(packed) // 2] if packing == "cut off" else packed
    path = folder / name
    path.write_bytes(packed)
    skip = {"on_bad_row": "skip", "max_bad": 1.0, "format": form, "text": "prompt"}
    skip |= (
        {"label_values": {1: "first"}}
        if form == "pairwise"
        else {"best": "lowest"}
        if form == "scored"
        else {}
    )
    read_all(path, kind, skip)
    failure = None
    try:
        for row in read_rows(str(path)):
            assert all(isinstance(key, str) for key in row.values)
    except DataError as error:
        failure = error
    assert failure is None or str(failure).startswith(str(path))


BYTES = {
    "content": CONTENTS,
    "name": st.sampled_from(NAMES),
    "packing": st.sampled_from(["as it is", "packed", "packed", "cut off"]),
    "kind": st.sampled_from(list(READERS)),
    "form": st.sampled_from(["canonical", "pair", "transcript", "tree", "text", "pairwise", "scored"]),
}


@BUSY
@given(**BYTES)
def test_any_bytes(folder: Path, **example: Any) -> None:
    check_bytes(folder, **example)


@pytest.mark.slow
@LONG
@given(**BYTES)
def test_any_bytes_for_long(folder: Path, **example: Any) -> None:
    check_bytes(folder, **example)


@BUSY
@given(st.lists(st.binary(max_size=12) | LETTERS | st.just(b'{"text": "a"}'), max_size=12).map(b"\n".join))
def test_every_line_is_accounted_for(folder: Path, content: bytes) -> None:
    def blank(line: bytes) -> bool:
        try:
            return not line.decode("utf-8").strip()
        except UnicodeDecodeError:
            return False

    path = folder / "x.jsonl"
    content = b'{"text": "first"}\n' + content
    path.write_bytes(content)
    reading = read_all(path, "texts", {"format": "text", "on_bad_row": "skip", "max_bad": 1.0})
    assert reading is not None
    lines = {number for number, line in enumerate(content.split(b"\n"), 1) if not blank(line)}
    assert lines_told(reading) == lines
    assert reading.num_rows == len(lines) == len(reading) + sum(note.skipped for note in reading.notes)


# --- rows and mappings

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6)
    | st.sampled_from(["user", "assistant", "first", "N/A", "\n\nHuman: a\n\nAssistant: b", "1", "[1, 2]", "1e999"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["role", "content", "from", "value", "text", "rank", "replies", "type", "a", "prompt"]), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
COLUMNS = [
    "prompt",
    "response",
    "responses",
    "ranks",
    "scores",
    "chosen",
    "rejected",
    "label",
    "annotator",
    "id",
    "group",
    "text",
]
ROWS = st.lists(st.dictionaries(st.sampled_from(COLUMNS), JSON, max_size=8), min_size=1, max_size=4)
PATH = st.sampled_from(
    [*COLUMNS, "prompt.a", "prompt[].content", "responses[0]", "responses[-1].text", "label[]", "chosen[1:]"]
)
BROKEN_PATH = st.sampled_from(
    ["", "a..b", "[", "prompt[", "{prompt", "prompt}", "{}", "{prompt[x]}", ".a", "[]", "prompt[:0]"]
)
SPEC = PATH | st.sampled_from(["{prompt} {label}", "{chosen[]}: {{x}}"]) | BROKEN_PATH
LIST = st.lists(SPEC, max_size=3)
LABEL = st.sampled_from([0, 1, -1, 1.5, "1", "a", "", "<0", ">0", "<=0", "true", "label", "id"])
SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "prompt": SPEC | LIST | st.none(),
    "markers": st.none() | st.sampled_from([{"user": "a", "assistant": "b"}, {"user": "\n\nHuman:", "assistant": "\n\nAssistant:", "start": "user"}, {"user": "a"}, {}]),
    "system": st.none() | SPEC,
    "response": SPEC,
    "responses": SPEC | LIST,
    "ranks": PATH | BROKEN_PATH,
    "scores": SPEC | LIST,
    "best": st.sampled_from([None, "highest", "lowest"]),
    "tie_within": st.sampled_from([0.0, 1.0, -1.0, float("nan"), float("inf")]),
    "missing": st.lists(LABEL, max_size=2),
    "chosen": SPEC,
    "rejected": SPEC,
    "labels": SPEC | LIST,
    "label_values": st.dictionaries(LABEL, st.sampled_from(["first", "second", "tie", "both"]), max_size=4),
    "label_layout": st.sampled_from(["pairs", "annotators", "one_hot"]),
    "annotator": st.none() | PATH | BROKEN_PATH,
    "id": st.none() | PATH,
    "group": st.none() | PATH,
    "text": SPEC,
    "separator": st.sampled_from([None, "", "\n", "x"]),
    "roles": st.dictionaries(st.sampled_from(["a", "first"]), st.sampled_from(["user", "system", "boss"]), max_size=2),
    "replies": st.sampled_from(["best", "all"]),
    "json_columns": st.lists(PATH, max_size=2),
    "split": st.sampled_from([None, "train", "validation", "test"]),
    "validation_fraction": st.sampled_from([0.0, 0.3, 1.0, 1.5]),
    "test_fraction": st.sampled_from([0.0, 0.3]),
    "split_seed": st.integers(0, 3),
    "limit": st.sampled_from([None, 1, 0]),
    "on_bad_row": st.sampled_from(["stop", "skip"]),
    "max_bad": st.sampled_from([0.0, 0.5, 1.0]),
    "preset": st.sampled_from(["hh-rlhf", "nectar", "no-such"]),
}  # fmt: skip
FORMATS = {
    "canonical": {},
    "pair": {},
    "pairwise": {"label_values": {1: "first", ">1": "second", "<1": "tie"}},
    "scored": {"best": "lowest"},
    "transcript": {},
    "tree": {},
    "text": {},
}


@st.composite
def mappings(draw: st.DrawFn) -> dict[str, Any]:
    """A format with a few other settings, so that many of them are allowed together."""
    form = draw(st.sampled_from(list(FORMATS)))
    names = draw(st.lists(st.sampled_from(list(SETTINGS)), max_size=4, unique=True))
    return {"format": form, **FORMATS[form], **{name: draw(SETTINGS[name]) for name in names}}


def check_rows(folder: Path, rows: list[Any], source: dict[str, Any], kind: str) -> None:
    path = folder / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reading = read_all(path, kind, source)
    whole = source.get("split") is None and source.get("limit") is None
    if reading is None or not whole:
        return
    assert reading.num_rows == len(rows), "the bad ones too"
    if kind != "prompts" and "loader" not in source:  # of which equal ones are read once
        assert lines_told(reading) == set(range(1, len(rows) + 1))


@BUSY
@given(rows=ROWS, source=mappings(), kind=st.sampled_from(list(READERS)))
def test_any_rows_by_any_mapping(folder: Path, rows: list[Any], source: dict[str, Any], kind: str) -> None:
    check_rows(folder, rows, source, kind)


@pytest.mark.slow
@LONG
@given(rows=ROWS, source=mappings(), kind=st.sampled_from(list(READERS)))
def test_any_rows_by_any_mapping_for_long(
    folder: Path, rows: list[Any], source: dict[str, Any], kind: str
) -> None:
    check_rows(folder, rows, source, kind)


def test_every_setting_of_a_source_is_tried() -> None:
    from dataclasses import fields

    from rlhf.feedback import Source

    # What other functions do is theirs (tests/feedback/test_adapters.py); the path is tried by itself.
    assert {entry.name for entry in fields(Source)} - {"path", "format", "adapter", "loader"} <= set(SETTINGS)


ADAPTER = """
import json
from pathlib import Path

def give(row):
    return json.loads(row["give"])

def load(path):
    return [json.loads(json.loads(line)["give"]) for line in Path(path).read_text().splitlines()]
"""
ODD = st.recursive(
    st.none()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(categories=("Lu", "Cs", "Cc")), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(COLUMNS), inner, max_size=8),
    max_leaves=20,
)


@BUSY
@given(
    given=st.lists(ODD, min_size=1, max_size=4),
    source=mappings(),
    kind=st.sampled_from(list(READERS)),
    setting=st.sampled_from(["adapter", "loader"]),
)
def test_anything_an_adapter_or_a_loader_gives(
    folder: Path, given: list[Any], source: dict[str, Any], kind: str, setting: str
) -> None:
    (folder / "mine.py").write_text(ADAPTER)
    name = {"adapter": "give", "loader": "load"}[setting]
    rows = [{"give": json.dumps(values)} for values in given]
    check_rows(folder, rows, {**source, setting: f"{folder}/mine.py:{name}"}, kind)


# --- good rows with something wrong

SHAPES: dict[str, Shape] = {
    **{f"{name}, rankings": shape for name, shape in RANKINGS.items()},
    **{f"{name}, demonstrations": shape for name, shape in DEMONSTRATIONS.items()},
    "hh, rankings": Shape({"format": "transcript"}, HH_ROWS, [], []),
    "fine-grained, rankings": Shape(FINEGRAINED_SETTINGS, FINEGRAINED_ROWS, [], []),
    "trees, rankings": Shape({"format": "tree"}, TREE_ROWS, [], []),
    "trees, demonstrations": Shape({"format": "tree"}, TREE_ROWS, [], []),
    "trees, texts": Shape({"format": "tree"}, TREE_ROWS, [], []),
}
WRONG: list[Any] = [
    None,
    True,
    0,
    -1,
    2.5,
    10**30,
    "",
    " ",
    "x",
    "1",
    [],
    {},
    [1],
    ["x"],
    {"x": "y"},
    [[]],
    [{}],
    "\ud83d",
]


def spoil(value: Any, chance: random.Random) -> Any:
    """The same with one thing changed somewhere inside."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(sorted(value))
        changed = dict(value)
        act = chance.random()
        if act < 0.15:
            del changed[key]
        elif act < 0.25:
            changed[key.upper()] = changed.pop(key)
        else:
            changed[key] = spoil(value[key], chance)
        return changed
    if isinstance(value, list) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        act = chance.random()
        if act < 0.15:
            return value[:place] + value[place + 1 :]
        if act < 0.3:
            return value[: place + 1] + value[place:]
        return [*value[:place], spoil(value[place], chance), *value[place + 1 :]]
    if isinstance(value, str) and value and chance.random() < 0.4:
        place = chance.randrange(len(value))
        return (
            value[:place]
            + chance.choice(["", "\n\n", "\n\nHuman:", "\n\nAssistant:", "\0"])
            + value[place + chance.randrange(9) :]
        )
    return chance.choice(WRONG)


def check_shape(folder: Path, name: str, seed: int, times: int) -> None:
    chance, shape = random.Random(seed), SHAPES[name]
    rows: list[Any] = [dict(row) for row in shape.rows]
    for _ in range(times):
        place = chance.randrange(len(rows))
        rows[place] = spoil(rows[place], chance) if isinstance(rows[place], dict) else rows[place]
    kind = name.rpartition(", ")[2] if times % 3 else chance.choice(list(READERS))
    skip = {"on_bad_row": "skip", "max_bad": 1.0}
    check_rows(folder, rows, shape.settings, kind)
    check_rows(folder, rows, {**shape.settings, **skip}, kind)


SPOILED = {"name": st.sampled_from(sorted(SHAPES)), "seed": st.integers(0, 2**32), "times": st.integers(1, 6)}


@settings(BUSY, max_examples=300)
@given(**SPOILED)
def test_spoiled_rows_of_real_shapes(folder: Path, **example: Any) -> None:
    check_shape(folder, **example)


@pytest.mark.slow
@settings(BUSY, max_examples=10_000)
@given(**SPOILED)
def test_spoiled_rows_of_real_shapes_for_long(folder: Path, **example: Any) -> None:
    check_shape(folder, **example)


def test_there_are_as_many_shapes_as_there_are_rows_of_them() -> None:
    assert len(SHAPES) >= 41


# --- paths


@BUSY
@given(st.text(alphabet="/~.*?[]!{}a-\0\n \ud83d\u00e9", max_size=12))
def test_any_path(folder: Path, text: str) -> None:
    for path in (f"{folder}/{text}", f"{folder}/nowhere/{text}", f"~nobody{text}"):
        if ".." in path or "//" in path:
            continue  # the whole disk
        failure = None
        try:
            list(read_rows(path))
        except DataError as error:
            failure = error
        assert failure is None or failure.code in CODES
