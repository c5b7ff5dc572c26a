"""The table of invariants: complete, up to date, and held only by what passed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.invariants import __main__ as command
from tests.invariants.finding import Test, find_tests, holders_of, numbers_in
from tests.invariants.page import PAGE, count, is_enough, is_held, missing, mistakes, write_page, write_table
from tests.invariants.table import NOT_APPLICABLE, NUMBERS, STATEMENTS

ONE, TWO = (
    Test("tests/test_a.py", "test_inv01_x", (1,)),
    Test("tests/test_a.py", "test_inv01_inv02_y", (1, 2)),
)
HOLDERS = holders_of([ONE, TWO])


def test_the_page_is_up_to_date() -> None:
    told = "python -m tests.invariants --write brings it up to date"
    assert PAGE.read_text(encoding="utf-8") == write_page(holders_of(find_tests())), told


def test_every_invariant_has_a_test_or_a_reason() -> None:
    assert mistakes(holders_of(find_tests())) == []


def test_every_number_has_one_line_and_few_do_not_apply() -> None:
    assert tuple(STATEMENTS) == NUMBERS == tuple(range(1, 83))
    assert all("\n" not in text and len(text) > 40 for text in STATEMENTS.values())
    assert len(set(STATEMENTS.values())) == 82
    assert set(NOT_APPLICABLE) <= set(NUMBERS)
    assert len(NOT_APPLICABLE) <= 6
    assert all(len(reason) > 40 for reason in NOT_APPLICABLE.values())


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("test_inv31_score_on_last_valid_token", (31,)),
        ("test_inv01_inv9_inv_33_of_bfloat16", (1, 9, 33)),
        ("test_same_seed_inv16_and_inv73_resume_inv16", (16, 73)),
        ("test_inverse_of_inv", ()),
        ("test_minv3_is_no_number", ()),
    ],
)
def test_numbers_are_read_from_a_name(name: str, numbers: tuple[int, ...]) -> None:
    assert numbers_in(name) == numbers


def test_numbers_in_names_have_two_digits() -> None:
    """So that a search for inv08 finds them all."""
    assert [test.node_id for test in find_tests() if re.search(r"inv_?\d(?!\d)", test.name)] == []


def test_tests_are_found_in_files_and_classes_only(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "sub"
    folder.mkdir(parents=True)
    (folder / "test_a.py").write_text(
        "def test_inv05_one():\n    def test_inv06_inside(): ...\n"
        "class TestAll:\n    def test_inv07_two(self): ...\n"
        "async def test_inv08_three(): ...\ndef test_no_number(): ...\ndef helper_inv09(): ...\n"
    )
    (folder / "helpers.py").write_text("def test_inv10_is_not_collected(): ...\n")
    assert [test.node_id for test in find_tests(tmp_path)] == [
        "tests/sub/test_a.py::test_inv05_one",
        "tests/sub/test_a.py::TestAll::test_inv07_two",
        "tests/sub/test_a.py::test_inv08_three",
    ]


def test_an_invariant_is_held_only_if_all_of_its_tests_passed() -> None:
    passed = {ONE.node_id: "passed", TWO.node_id: "passed"}
    assert is_held(1, HOLDERS, passed)
    assert count(HOLDERS, passed) == (2, len(NOT_APPLICABLE))
    for outcome in ("failed", "skipped"):
        other = {**passed, TWO.node_id: outcome}
        assert not is_held(1, HOLDERS, other)
        assert f"{outcome} {' ' * (7 - len(outcome))}{TWO.node_id}" in write_table(HOLDERS, other)
    assert not is_held(2, HOLDERS, {ONE.node_id: "passed"}), "a test that did not run holds nothing"
    assert not is_held(3, HOLDERS, passed)
    number = next(iter(NOT_APPLICABLE))
    assert not is_held(number, {number: [ONE]}, passed), "a reason is no test"


def test_enough_is_76_and_every_one_that_applies() -> None:
    assert is_enough(80, 2)
    assert is_enough(76, 6)
    assert not is_enough(79, 2)
    assert not is_enough(75, 7)


def test_mistakes_are_named() -> None:
    number = next(iter(NOT_APPLICABLE))
    found = mistakes({number: [ONE], 83: [TWO], 1: [ONE]})
    assert f"{number} has a reason and tests" in found
    assert "tests/test_a.py::test_inv01_inv02_y speaks of invariant 83, which does not exist" in found
    assert "2 has neither a test nor a reason" in found
    assert missing({number: [ONE] for number in NUMBERS if number != 7}) == [7]


class Report:
    """What pytest reports of one phase of one test."""

    def __init__(self, nodeid: str, when: str, outcome: str) -> None:
        self.nodeid, self.when, self.outcome = nodeid, when, outcome
        self.passed, self.failed = outcome == "passed", outcome == "failed"


def test_the_worst_of_phases_and_parameters_counts() -> None:
    recorder = command.Recorder()
    for report in (
        Report("a::good[1]", "setup", "passed"),
        Report("a::good[1]", "call", "passed"),
        Report("a::good[2]", "call", "passed"),
        Report("a::one_bad[1]", "call", "failed"),
        Report("a::one_bad[2]", "call", "passed"),
        Report("a::one_left_out[x]", "setup", "skipped"),
        Report("a::one_left_out[y]", "call", "passed"),
        Report("a::breaks_after", "call", "passed"),
        Report("a::breaks_after", "teardown", "failed"),
        Report("a::never_called", "setup", "passed"),
    ):
        recorder.pytest_runtest_logreport(report)  # type: ignore[arg-type]
    expected_failure = Report("a::expected", "call", "skipped")
    expected_failure.wasxfail = "reason"  # type: ignore[attr-defined]
    recorder.pytest_runtest_logreport(expected_failure)  # type: ignore[arg-type]
    assert recorder.outcomes == {
        "a::good": "passed",
        "a::one_bad": "failed",
        "a::one_left_out": "skipped",
        "a::breaks_after": "failed",
        "a::expected": "skipped",
    }


@pytest.mark.parametrize(("broken", "status", "last"), [(None, 0, "80 of 82"), (31, 1, "79 of 82")])
def test_last_line_and_exit_status(
    broken: int | None, status: int, last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    tests = [Test("t.py", f"test_inv{n}", (n,)) for n in NUMBERS if n not in NOT_APPLICABLE]
    outcomes = {test.node_id: "failed" if test.numbers == (broken,) else "passed" for test in tests}
    monkeypatch.setattr(command, "find_tests", lambda: tests)
    monkeypatch.setattr(command, "run_tests", lambda tests: outcomes)
    monkeypatch.setattr(command, "PAGE", tmp_path / "PAGE.md")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    assert command.main([]) == status
    assert capsys.readouterr().out.splitlines()[-1] == f"{last} held, {len(NOT_APPLICABLE)} do not apply"
    assert (tmp_path / "PAGE.md").read_text() == write_page(holders_of(tests))
    assert command.main(["--write"]) == 0
    monkeypatch.setattr(command, "find_tests", lambda: tests[1:])
    assert command.main([]) == command.main(["--write"]) == 1
    assert "1 has neither a test nor a reason" in capsys.readouterr().out
