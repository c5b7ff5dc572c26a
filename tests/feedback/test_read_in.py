"""Every setting of a source is read by the format that it is given with, or refused."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest

from rlhf.errors import DataError
from rlhf.feedback import Source, read_demonstrations, read_prompts, read_rankings, read_texts
from rlhf.feedback.choices import Format
from rlhf.feedback.mapping_checks import _READ_IN
from tests.feedback.shapes import write_rows

FORMATS: dict[str, dict[str, Any]] = {
    **{form: {} for form in get_args(Format) if form != "auto"},
    "pairwise": {"label_values": {0: "first", 1: "second"}},
    "scored": {"best": "highest"},
}
TEXTS = {
    "prompt": "Q",
    "response": "a",
    "chosen": "a",
    "rejected": "b",
    "text": "t",
    "system": "s",
    "name": "n",
}
LISTS = {"responses": ["x", "y"], "ranks": [1, 2], "label": 0, "scores": [2, 1]}
SIDES = {"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"}
REPLIES = [{"text": text, "role": "assistant", "rank": rank} for rank, text in enumerate("xy")]
ROWS: dict[str, dict[str, Any]] = {
    "transcript": {**TEXTS, **SIDES},
    "tree": {"text": "Q", "role": "prompter", "replies": REPLIES, "name": "n"},
}
ANOTHER: dict[str, Any] = {
    "markers": {"user": "Q", "assistant": "A:"},
    "system": "name",
    "roles": {"parrot": "assistant"},
    "label_values": {0: "second", 1: "first"},
    "label_layout": "one_hot",
    "best": "lowest",
    "tie_within": 9.0,
    "missing": (2,),
    "replies": "all",
}
# Read by all formats: of the file, of every row, of the records.
EVERYWHERE = {
    "path", "hub", "preset", "adapter", "loader", "json_columns", "format", "group", "separator", "split",
    "validation_fraction", "test_fraction", "split_seed", "limit", "weight", "on_bad_row", "max_bad",
}  # fmt: skip
STRENGTHS = {"strength_from", "strengths", "strength_values"}  # tests/feedback/test_strengths.py
READERS = (read_rankings, read_demonstrations, read_prompts, read_texts)
EACH = [(name, form) for name in _READ_IN for form in FORMATS]


def test_every_setting_is_told_apart() -> None:
    assert {entry.name for entry in fields(Source)} == EVERYWHERE | STRENGTHS | set(_READ_IN)


def outcomes(path: str, settings: dict[str, Any]) -> list[str]:
    """What each of the readers makes of the file: records, or a message."""
    found = []
    for read in READERS:
        try:
            made = repr(list(read([{"path": path, **settings}]).records))
            # What is left over for judges differs by every column that is named, read or not.
            found.append(re.sub(r"columns=\{.*?\}, repeats", "repeats", made))
        except DataError as error:
            found.append(str(error))
    return found


@pytest.mark.parametrize(("name", "form"), EACH)
def test_a_setting_changes_what_is_read_or_is_refused(tmp_path: Path, name: str, form: str) -> None:
    row = ROWS.get(form, {**TEXTS, **LISTS})
    if name == "roles":
        row = row | {"prompt": [{"role": "parrot", "content": "hm"}, {"role": "user", "content": "Q"}]}
    path = write_rows(tmp_path / "x.jsonl", [row])
    usual = {"format": form, **FORMATS[form]}
    changed = usual | {name: ANOTHER.get(name, "name")}
    if form not in _READ_IN[name]:
        with pytest.raises(
            DataError, match=rf"{name} is only read where format is|{name}.*, and format {form}"
        ):
            Source(path=path, **changed)
        return
    assert outcomes(path, usual) != outcomes(path, changed)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"ranks": "r"}, "ranks is only read where format is canonical, not pair|shape"),
        ({"replies": "all"}, "replies is only read where format is tree, not pair"),
    ],
)
def test_what_the_format_that_was_found_does_not_read_is_refused(
    tmp_path: Path, told: dict[str, Any], expected: str
) -> None:
    path = write_rows(tmp_path / "x.jsonl", [{"prompt": "Q", "chosen": "a", "rejected": "b"}])
    assert len(read_rankings([{"path": path}])) == 1
    with pytest.raises(DataError, match=expected):
        read_rankings([{"path": path, **told}])


def test_one_description_of_pairs_serves_prompts_too(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", [{"prompt": "Q", "good": "a", "bad": "b", "text": "t"}])
    source = {"path": path, "chosen": "good", "rejected": "bad"}
    assert read_rankings([source]).records[0].responses == ("a", "b")
    assert [one.messages[0].content for one in read_prompts([source])] == ["Q"]


def test_strength_from_is_taken_where_the_format_is_found(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", [{"prompt": "Q", "chosen": "a", "rejected": "b", "margin": 2}])
    (one,) = read_rankings([{"path": path, "strength_from": "column", "strengths": "margin"}])
    assert one.strengths == (2.0,)
