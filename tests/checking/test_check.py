"""A check reports every bad row of every source, says what training would do, and never stops half way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlhf.checking.check import read_all
from rlhf.checking.lines import report_lines, visible
from rlhf.checking.results import CheckReport, Problem
from rlhf.errors import DataError
from rlhf.feedback.mapping import Source
from tests.checking.made import check, ranking, subject
from tests.feedback.shapes import HH_ROWS, write_rows

GOOD = [ranking(f"Why {number}?") for number in range(4)]
EMPTY = ranking("Which?", "", "bad")
UNRANKED = ranking("Where?", ranks=[1, None])


def found(report: CheckReport) -> dict[str, Problem]:
    return {problem.code: problem for problem in report.problems}


def test_fine_data_is_ok(tmp_path: Path) -> None:
    report = check(subject(tmp_path / "x.jsonl", GOOD))
    (source,) = report.sources
    assert (source.num_rows, source.num_records, source.failure, source.policy) == (4, 4, None, "")
    assert (report.exit_code, report.verdict) == (0, "OK")


def test_all_bad_rows_are_reported_although_training_stops_at_the_first(tmp_path: Path) -> None:
    rows = [EMPTY, *GOOD, EMPTY, UNRANKED]
    report = check(subject(tmp_path / "x.jsonl", rows))
    problems = found(report)
    assert (problems["empty_response"].number, problems["empty_response"].level) == (2, "error")
    assert [place.rpartition(":")[2] for place in problems["empty_response"].places] == ["1", "6"]
    assert problems["bad_rank"].places[0].endswith("x.jsonl:7")
    assert (report.exit_code, report.verdict) == (1, "2 problems")
    assert report.sources[0].policy.startswith("3 of 7 rows are bad: training stops at the first")
    assert report.sources[0].num_records == 4


def test_rows_that_the_source_leaves_out_are_no_errors(tmp_path: Path) -> None:
    rows = [EMPTY, *GOOD]
    report = check(subject(tmp_path / "x.jsonl", rows, on_bad_row="skip", max_bad=0.2))
    assert found(report)["empty_response"].level == "skipped"
    assert (report.exit_code, report.verdict) == (0, "OK, 1 kind of bad row left out")
    assert "training leaves them out" in report.sources[0].policy


def test_more_bad_rows_than_the_source_allows_are_errors(tmp_path: Path) -> None:
    rows = [EMPTY, *GOOD]
    report = check(subject(tmp_path / "x.jsonl", rows, on_bad_row="skip", max_bad=0.19))
    assert found(report)["empty_response"].level == "error"
    assert report.exit_code == 1
    assert "training stops" in report.sources[0].policy


def test_rows_that_are_all_bad_are_reported_one_by_one(tmp_path: Path) -> None:
    report = check(subject(tmp_path / "x.jsonl", [EMPTY, UNRANKED], format="canonical"))
    assert {code: problem.number for code, problem in found(report).items()} == {
        "empty_response": 1,
        "bad_rank": 1,
    }
    assert (report.sources[0].num_records, report.exit_code) == (0, 1)
    assert report.sources[0].examples == ()


def test_a_file_of_which_no_line_is_json(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("{oh\n[no\n")
    report = check(
        subject(tmp_path / "y.jsonl", GOOD), replace_path(subject(tmp_path / "z.jsonl", GOOD), path)
    )
    assert found(report)["bad_json"].number == 2
    assert report.exit_code == 1


def replace_path(one: Any, path: Path) -> Any:
    from dataclasses import replace

    return replace(one, source=replace(one.source, path=str(path)))


def test_a_source_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    good = subject(tmp_path / "x.jsonl", GOOD)
    report = check(replace_path(good, tmp_path / "no.jsonl"), good)
    assert "no such file" in str(report.sources[0].failure)
    assert report.sources[1].num_records == 4
    assert (report.exit_code, report.verdict) == (2, "1 of 2 sources could not be checked")


def test_a_direction_that_is_not_said_fails(tmp_path: Path) -> None:
    rows = [{"prompt": "Q", "response_a": "x", "response_b": "y", "label": number % 2} for number in range(4)]
    report = check(subject(tmp_path / "x.jsonl", rows))
    assert report.exit_code == 2
    assert "label_values" in str(report.sources[0].failure)


def test_notes_are_warnings(tmp_path: Path) -> None:
    report = check(subject(tmp_path / "x.jsonl", HH_ROWS[2:], format="transcript"))
    assert found(report)["marker_in_response"].level == "warning"
    assert report.exit_code == 0
    assert report.verdict.startswith("OK, ")


def test_a_leak_between_splits_is_an_error(tmp_path: Path) -> None:
    train = subject(tmp_path / "x.jsonl", GOOD)
    test = subject(tmp_path / "y.jsonl", [ranking("Why 1?"), ranking("New?")], part="data.test")
    report = check(train, test)
    assert [problem.code for problem in report.across if problem.level == "error"] == ["leak"]
    assert (report.exit_code, report.verdict) == (1, "1 problem")


def test_two_sources_of_one_list_are_no_splits(tmp_path: Path) -> None:
    first = subject(tmp_path / "x.jsonl", GOOD)
    second = subject(tmp_path / "y.jsonl", [ranking("Why 1?", "other", "words")])
    assert not [problem for problem in check(first, second).problems if problem.level == "error"]


def test_an_id_that_two_sources_of_a_list_have(tmp_path: Path) -> None:
    first = subject(tmp_path / "x.jsonl", [ranking("One?", id="1"), ranking("Two?", id="2")])
    second = subject(tmp_path / "y.jsonl", [ranking("Three?", id="2")])
    problem = found(check(first, second))["equal_id"]
    assert (problem.level, problem.number) == ("error", 1)
    assert problem.places[0].endswith("y.jsonl:1")
    assert "equal_id" not in found(
        check(first, subject(tmp_path / "z.jsonl", [ranking("Three?", id="2")], part="data.test"))
    )


def test_reading_all_keeps_what_cannot_be_read_on_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="file is empty"):
        (tmp_path / "x.jsonl").write_text("")
        read_all(Source(path=str(tmp_path / "x.jsonl"), format="canonical"), "rankings")
    one = Source(path=write_rows(tmp_path / "y.jsonl", GOOD), split="test", test_fraction=1e-9)
    with pytest.raises(DataError, match="falls into split"):
        read_all(one, "rankings")


def test_lines_say_it_all(tmp_path: Path) -> None:
    rows = [
        *({"q": "Is it?", "a": "yes", "b": "no", "verdict": verdict} for verdict in (1, 1, 2, 0)),
        {"q": "Is it?", "a": "yes", "b": "no", "verdict": 7},
    ]
    mapping = {
        "format": "pairwise",
        "prompt": "q",
        "responses": ["a", "b"],
        "labels": "verdict",
        "label_values": {1: "first", 2: "second", 0: "tie"},
    }
    lines = report_lines(check(subject(tmp_path / "x.jsonl", rows, **mapping)))
    text = "\n".join(lines)
    assert "5 rows read, 4 rankings" in lines[0]
    for meaning in ("0 = tie (1 row)", "1 = first (2 rows)", "2 = second (1 row)", "7 = nothing (1 row)"):
        assert f"  reading     label {meaning}" in lines
    assert "label_values: {1: first, 2: second, 0: tie}" in text
    assert "ties        1 of 4 comparisons (25.0%)" in text
    assert "  ERROR       unknown_label  1 left out:" in text
    assert "training    1 of 5 rows are bad: training stops at the first" in text
    assert "tokens      not counted: no model is there" in text
    assert lines[-1] == "1 problem"


def test_control_characters_are_not_sent_to_the_terminal(tmp_path: Path) -> None:
    rows = [ranking("Why?", "go\x1b[2Jod\r\nline", "bad")]
    text = "\n".join(report_lines(check(subject(tmp_path / "x.jsonl", rows))))
    assert "\x1b" not in text
    assert "    | go\\x1b[2Jod\n    | line" in text


def test_half_a_letter_is_an_escape() -> None:
    assert visible("a\ud83d你\tb\nc") == "a\\ud83d你\tb\nc"


def test_the_mapping_can_be_pasted(tmp_path: Path) -> None:
    import yaml

    from rlhf.feedback.mapping import build_sources

    one = subject(tmp_path / "x.jsonl", HH_ROWS, on_bad_row="skip", max_bad=0.5)
    (report,) = check(one).sources
    (source,) = build_sources(yaml.safe_load(report.mapping))
    assert (source.format, source.on_bad_row, source.max_bad) == ("transcript", "skip", 0.5)


def test_the_document_is_plain_json(tmp_path: Path) -> None:
    from rlhf.checking.document import to_document

    report = check(subject(tmp_path / "x.jsonl", [*GOOD, EMPTY]))
    document = json.loads(json.dumps(to_document(report)))
    (source,) = document["sources"]
    assert (document["verdict"], document["exit_code"], document["num_errors"]) == ("1 problem", 1, 1)
    assert (source["name"], source["kind"], source["num_rows"], source["num_records"]) == (
        "data.train",
        "rankings",
        5,
        4,
    )
    assert source["problems"][0]["code"] == "empty_response"
    assert source["examples"][0]["prompt"][0]["role"] == "user"
    assert (source["examples"][0]["best"], source["examples"][0]["worst"]) == ("good", "bad")
    assert source["rankings"]["sizes"] == {"2": 4}
    assert source["baselines"]["shares"]["longer_wins"]["share"] == 1.0
    assert source["why_no_lengths"] == "no model is there"
