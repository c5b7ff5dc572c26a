"""The loop around the formats: policy for bad rows, ids, limits, splits, and what a reading says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.errors import DataError
from rlhf.feedback import (
    Source,
    build_sources,
    check_no_leak,
    leave_out_known,
    read_demonstrations,
    read_prompts,
    read_rankings,
    read_texts,
    split_by_group,
)
from rlhf.feedback.splits import split_of
from tests.feedback.shapes import FINEGRAINED_ROWS, FINEGRAINED_SETTINGS, write_rows

REPOSITORY = Path(__file__).parents[2]


def demonstrations(number: int) -> list[dict[str, Any]]:
    return [{"prompt": f"question {count}", "response": f"answer {count}"} for count in range(number)]


def test_skip_counts_and_shows_bad_rows(tmp_path: Path) -> None:
    rows = demonstrations(100)
    rows[16] = {"prompt": "x"}
    path = write_rows(tmp_path / "x.jsonl", rows)
    with pytest.raises(DataError, match=r"x\.jsonl:17: no column 'response'.*\(on_bad_row: skip"):
        read_demonstrations([{"path": path}])
    reading = read_demonstrations([{"path": path, "on_bad_row": "skip"}])
    assert (len(reading), reading.num_rows, reading.counts()) == (99, 100, {"missing_column": 1})
    assert reading.notes[0].skipped
    summary = "\n".join(reading.summary())
    assert "100 rows read, 99 records" in summary
    assert "missing_column: 1 (1 left out): " in summary
    assert "x.jsonl:17: no column 'response'" in summary


def test_too_many_bad_rows_stop_all_the_same(tmp_path: Path) -> None:
    rows = demonstrations(100)
    rows[3] = rows[7] = {"prompt": "x"}
    path = write_rows(tmp_path / "x.jsonl", rows)
    expected = (
        r"2 of 100 rows are bad \(missing_column 2\), more than max_bad: 0.01 allows; the first, .*:4: no"
    )
    with pytest.raises(DataError, match=expected):
        read_demonstrations([{"path": path, "on_bad_row": "skip"}])
    assert len(read_demonstrations([{"path": path, "on_bad_row": "skip", "max_bad": 0.02}])) == 98


def test_bad_row_is_counted_once(tmp_path: Path) -> None:
    """What is noted of a row that is then left out does not count."""
    turns = "\n\nHuman: one\n\nHuman: two\n\nAssistant:"
    rows = [{"chosen": turns, "rejected": turns + " x"}, {"chosen": turns + " y", "rejected": turns + " x"}]
    path = write_rows(tmp_path / "x.jsonl", rows)
    reading = read_rankings([{"path": path, "format": "transcript", "on_bad_row": "skip", "max_bad": 0.5}])
    assert reading.counts() == {"repeated_speaker": 2, "empty_response": 1}
    assert {note.where for note in reading.notes if not note.skipped} == {f"{path}:2"}


def test_equal_id_twice(tmp_path: Path) -> None:
    row = {"id": "a", "prompt": "x", "responses": ["1", "2"], "ranks": [1, 2], "annotator": "ann"}
    path = write_rows(tmp_path / "x.jsonl", [row, row | {"annotator": "bob"}])
    assert len(read_rankings([{"path": path}])) == 2, "two annotators may rank one id"
    path = write_rows(tmp_path / "y.jsonl", [row, row])
    with pytest.raises(DataError, match=r"y\.jsonl:2: id 'a' stands at .*y\.jsonl:1 already"):
        read_rankings([{"path": path}])
    path = write_rows(tmp_path / "z.jsonl", demonstrations(3))
    assert len({one.prompt.id for one in read_demonstrations([{"path": path}])}) == 3
    with pytest.raises(DataError, match="ids must differ"):
        read_demonstrations([{"path": path}, {"path": path}])


def test_prompts_are_read_once(tmp_path: Path) -> None:
    rows = [{"prompt": "x", "responses": ["1", "2"], "ranks": [1, 2], "annotator": name} for name in "abc"]
    reading = read_prompts([{"path": write_rows(tmp_path / "x.jsonl", rows)}])
    assert len(reading) == 1
    assert "2 repeats" in reading.notes[-1].message


def test_limit_and_empty_readings(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", demonstrations(10))
    assert len(read_demonstrations([{"path": path, "limit": 3}])) == 3
    (tmp_path / "header.csv").write_text("prompt,response\n")
    with pytest.raises(DataError, match=r"header\.csv: holds no rows"):
        read_demonstrations([{"path": str(tmp_path / "header.csv")}])
    with pytest.raises(DataError, match="format text holds no demonstrations; it can be canonical, "):
        read_demonstrations([{"path": path, "format": "text"}])


def test_inv81_split_of_a_source_is_by_group_and_complete(tmp_path: Path) -> None:
    rows = [row | {"group": f"g{count % 50}"} for count, row in enumerate(demonstrations(400))]
    source = {
        "path": write_rows(tmp_path / "x.jsonl", rows),
        "validation_fraction": 0.2,
        "test_fraction": 0.1,
    }
    parts = {
        name: read_demonstrations([source | {"split": name}]).records
        for name in ("train", "validation", "test")
    }
    check_no_leak(parts)
    assert sum(map(len, parts.values())) == 400
    groups = {name: {one.prompt.group for one in records} for name, records in parts.items()}
    assert len(groups["train"]) > len(groups["validation"]) > 0
    assert len(groups["test"]) > 0
    whole = read_demonstrations([{"path": source["path"]}]).records
    again = split_by_group(whole, Source(**source, split="train").fractions())
    assert again == parts


def test_inv81_leak_is_an_error_with_places(tmp_path: Path) -> None:
    rows = [{"prompt": "Why  is it SO?", "response": "a"}, {"prompt": "why is it so?", "response": "b"}]
    one, two = read_demonstrations([{"path": write_rows(tmp_path / "x.jsonl", rows)}]).records
    with pytest.raises(
        DataError, match=r"1 group of prompts in more than one split.*:1 \(train\) and .*:2 \(test\)"
    ):
        check_no_leak({"train": [one], "test": [two]})


def test_inv81_what_was_trained_on_is_left_out_of_what_is_held_out(tmp_path: Path) -> None:
    """Other spaces and capitals are no other prompt, and another response to it is none either."""
    texts = ["Why is it so?", "What is new?", "why  IS it so?"]
    rows = [{"prompt": text, "response": f"r{number}"} for number, text in enumerate(texts)]
    first, new, again = read_demonstrations([{"path": write_rows(tmp_path / "x.jsonl", rows)}]).records
    assert leave_out_known([again, new], [first]) == [new]
    assert leave_out_known([first, again], [first]) == []
    assert leave_out_known([first, again], []) == [first, again], "twice among held-out ones is no leak"


@given(st.lists(st.text(max_size=5), unique=True, max_size=30), st.integers(0, 100))
def test_split_of_a_group_does_not_depend_on_the_others(groups: list[str], seed: int) -> None:
    fractions = {"validation": 0.3, "train": 0.7}
    together = [split_of(group, fractions, seed) for group in groups]
    assert together == [split_of(group, fractions, seed) for group in groups]
    assert set(together) <= set(fractions)


def test_split_fractions_are_met_and_never_moved() -> None:
    names = [split_of(str(number), {"test": 0.25, "train": 0.75}) for number in range(4000)]
    # The standard deviation of the share is sqrt(0.25 * 0.75 / 4000) = 0.007; four of them.
    assert abs(names.count("test") / 4000 - 0.25) < 0.028
    # Fixed for ever: another division would leak a published test set into training.
    assert [split_of(name, {"test": 0.5, "train": 0.5}) for name in "abcdef"] == [
        "train", "train", "train", "test", "train", "test",
    ]  # fmt: skip
    with pytest.raises(DataError, match="sum to 1"):
        split_of("a", {"test": 0.5, "train": 0.6})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"pth": "x"}, r"pth is not a setting of a source; did you mean path\?"),
        ({"format": "pair"}, "a source needs path"),
        (
            {"path": "x", "format": "pairs"},
            "format is 'pairs'; it can be auto, canonical, transcript, pair, pairwise",
        ),
        ({"path": "x", "split": "dev"}, "split is 'dev'; it can be null, train"),
        (
            {"path": "x", "split": "validation"},
            "split: validation holds none of the groups; set validation_fraction",
        ),
        ({"path": "x", "validation_fraction": 0.1}, "fractions have no effect without split"),
        (
            {"path": "x", "split": "train", "validation_fraction": 0.6, "test_fraction": 0.6},
            "more than 1 together",
        ),
        ({"path": "x", "max_bad": 1.5}, "max_bad is 1.5; a share lies between 0 and 1"),
        ({"path": "x", "limit": 0}, "limit 0 keeps nothing"),
        ({"path": "x", "format": "pairwise"}, "pairwise labels need label_values"),
        (
            {"path": "x", "label_values": {1: "left"}},
            r"label_values\[1\] is 'left'; it can be first, second, tie",
        ),
        ("x.jsonl", "a source is a mapping"),
    ],
)
def test_wrong_settings_of_a_source(settings: Any, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        build_sources([settings])


def test_sources_are_a_list_that_is_not_empty() -> None:
    with pytest.raises(DataError, match="no source of data"):
        build_sources([])
    with pytest.raises(DataError, match="sources are a list"):
        build_sources({"path": "x"})  # type: ignore[arg-type]


def test_texts_from_files_columns_and_templates(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one|two|one")
    reading = read_texts([{"path": str(tmp_path / "a.txt"), "format": "text", "separator": "|"}])
    assert [text.text for text in reading] == ["one", "two", "one"]
    assert reading.records[0].group == reading.records[2].group != reading.records[1].group
    path = write_rows(tmp_path / "dev.json", FINEGRAINED_ROWS)
    template = {"path": path, "format": "text", "text": "{passages[][1:]}\n{question} {gold}"}
    by_question = read_texts([template | {"group": "question"}]).records[1]
    rankings = read_rankings([{"path": path, **FINEGRAINED_SETTINGS, "group": "question"}]).records
    assert by_question.group == rankings[1].prompt.group == "Who bakes?"
    assert read_texts([template]).records[1].text == "Ann bakes.\nWho bakes? Ann."
    with pytest.raises(DataError, match="the text is empty"):
        read_texts([{"path": write_rows(tmp_path / "x.jsonl", [{"text": " "}]), "format": "text"}])


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        | st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": inner})
        | st.fixed_dictionaries({"type": st.just("text"), "text": inner})
    ),
    max_leaves=8,
)
COLUMNS = st.sampled_from(
    [
        *(
            "prompt",
            "responses",
            "ranks",
            "response",
            "chosen",
            "rejected",
            "label",
            "id",
            "replies",
            "scores",
        ),
        *("messages", "a", "b", "score_a", "score_b", "question", "winner", "text", "history"),
    ]
)


@given(
    row=st.dictionaries(COLUMNS, JSON_VALUES, max_size=6),
    settings=st.sampled_from(
        [
            *({"format": form} for form in ("canonical", "pair", "transcript", "tree", "text")),
            {},
            {"label_values": {1: "first", ">1": "second"}},
            {"best": "highest"},
            {"prompt": None},
            {"format": "pairwise", "label_values": {1: "first", ">1": "second"}},
            {
                "format": "pairwise",
                "label_values": {1: "first"},
                "label_layout": "annotators",
                "prompt": None,
            },
            {
                "format": "pairwise",
                "labels": ("id",),
                "label_values": {"id": "tie"},
                "label_layout": "one_hot",
            },
            {"format": "scored", "best": "lowest", "tie_within": 1.0, "missing": (0, "a")},
            {"format": "pair", "prompt": None},
            {"format": "pair", "prompt": ["prompt", "id"], "json_columns": ["id"]},
            {"markers": {"user": "a", "assistant": "b", "start": "user"}},
        ]
    ),
    read=st.sampled_from([read_rankings, read_demonstrations, read_prompts, read_texts]),
)
def test_any_row_is_records_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, row: dict[str, Any], settings: dict[str, Any], read: Any
) -> None:
    path = write_rows(tmp_path_factory.getbasetemp() / "fuzz-row.jsonl", [row])
    failure = None
    try:
        read([{"path": path, **settings}])
    except DataError as error:
        failure = str(error)
    assert failure is None or "fuzz-row.jsonl" in failure


@given(
    rows=st.lists(st.dictionaries(COLUMNS, JSON_VALUES, max_size=6), min_size=1, max_size=8),
    read=st.sampled_from([read_rankings, read_demonstrations, read_prompts, read_texts]),
    on_bad_row=st.sampled_from(["stop", "skip"]),
)
def test_any_rows_are_of_a_shape_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], read: Any, on_bad_row: str
) -> None:
    path = write_rows(tmp_path_factory.getbasetemp() / "fuzz-rows.jsonl", rows)
    failure = None
    try:
        read([{"path": path, "on_bad_row": on_bad_row, "max_bad": 1.0}])
    except DataError as error:
        failure = str(error)
    assert failure is None or "fuzz-rows.jsonl" in failure


def test_feedback_needs_the_standard_library_only() -> None:
    code = (
        "import sys\n"
        "foreign = ['torch', 'transformers', 'datasets', 'pydantic', 'numpy', 'yaml', 'pyarrow']\n"
        "sys.modules.update(dict.fromkeys(foreign))\n"  # None there makes the import fail
        "import rlhf.feedback"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY, timeout=300)
