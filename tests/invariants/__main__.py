"""Run every test that carries the number of an invariant, and say which of the 82 hold.

    python -m tests.invariants            # run, print the table, bring tests/INVARIANTS.md up to date
    python -m tests.invariants --write    # the page alone, nothing is run

Last line: "N of 82 held, M do not apply"; exit status 0 only where N is at least 76 and N + M is 82.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import pytest

from tests.invariants.finding import ROOT, Test, find_tests, holders_of
from tests.invariants.page import PAGE, Holders, count, is_enough, mistakes, write_page, write_table
from tests.invariants.table import NUMBERS

_WORSE = {"passed": 0, "skipped": 1, "failed": 2}


class Recorder:
    """Note how each test ended: the worst of its phases and of its parameters."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:  # setting up is no result
            return
        name = report.nodeid.partition("[")[0]
        outcome = "skipped" if hasattr(report, "wasxfail") and not report.failed else report.outcome
        self.outcomes[name] = max(self.outcomes.get(name, "passed"), outcome, key=_WORSE.__getitem__)


def run_tests(tests: Sequence[Test]) -> dict[str, str]:
    """Run these tests in this process, showing progress; returns how each ended, by node id."""
    recorder = Recorder()
    os.chdir(ROOT)
    options = ["-p", "no:cacheprovider", "--rootdir", str(ROOT), "--tb", "short"]
    pytest.main([*options, *(test.node_id for test in tests)], plugins=[recorder])
    return recorder.outcomes


def bring_up_to_date(holders: Holders) -> None:
    """Write the page where it is not what it should be."""
    page = write_page(holders)
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
        PAGE.write_text(page, encoding="utf-8")
        print(f"written: {PAGE.relative_to(ROOT)}")


def main(words: Sequence[str] | None = None) -> int:
    """Do what the words say and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.invariants", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write tests/INVARIANTS.md and run nothing")
    write_only = parser.parse_args(words).write
    tests = find_tests()
    holders = holders_of(tests)
    wrong = mistakes(holders)
    if write_only:
        bring_up_to_date(holders)
        print("\n".join(wrong) or f"{len(tests)} tests carry the numbers of the invariants")
        return 1 if wrong else 0
    outcomes = run_tests(tests)
    print(f"\n{write_table(holders, outcomes)}\n")
    print("".join(f"{line}\n" for line in wrong), end="")
    bring_up_to_date(holders)
    num_held, num_not_applicable = count(holders, outcomes)
    print(f"{num_held} of {len(NUMBERS)} held, {num_not_applicable} do not apply")
    return 0 if is_enough(num_held, num_not_applicable) and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
