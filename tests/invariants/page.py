"""The table as a page (tests/INVARIANTS.md) and as text, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap

from tests.invariants.finding import ROOT, Test
from tests.invariants.table import NOT_APPLICABLE, NUMBERS, SOURCES, STATEMENTS

PAGE = ROOT / "tests" / "INVARIANTS.md"
ENOUGH = 76  # of the 82 have to be held by tests

Holders = Mapping[int, Sequence[Test]]
Outcomes = Mapping[str, str]  # node id to passed, failed, skipped; missing: it did not run

_HEAD = """# The invariants of RLHF with PPO, and the tests that hold them

Each is a trap that a published implementation fell into. `make invariants` runs the tests below and says which of
them hold; an invariant is held only if every test that carries its number passes. Written by
`python -m tests.invariants --write`: do not edit.

Sources:
"""


def mistakes(holders: Holders) -> list[str]:
    """Say which numbers have neither tests nor reason, or both, or do not exist."""
    found = [f"{number} has neither a test nor a reason" for number in missing(holders)]
    found += [f"{number} has a reason and tests" for number in NOT_APPLICABLE if number in holders]
    found += [
        f"{test.node_id} speaks of invariant {number}, which does not exist"
        for number in sorted(holders.keys() - set(NUMBERS))
        for test in holders[number]
    ]
    return found


def missing(holders: Holders) -> list[int]:
    """Return the numbers that have neither tests nor reason."""
    return [number for number in NUMBERS if number not in holders and number not in NOT_APPLICABLE]


def write_page(holders: Holders) -> str:
    """Return the page: number, statement, tests or reason; no outcomes, so that it changes with the tests only."""
    lines = [f"- {name}: {what}" for name, what in SOURCES.items()]
    lines += ["", "| | what holds | held by |", "|---|---|---|"]
    for number in NUMBERS:
        cell = "<br>".join(
            f"[{test.file.removeprefix('tests/')}]({test.file.removeprefix('tests/')}) `{test.name}`"
            for test in holders.get(number, [])
        )
        if number in NOT_APPLICABLE:
            cell = f"does not apply: {NOT_APPLICABLE[number]}"
        lines.append(
            f"| {number} | {STATEMENTS[number].replace('|', chr(92) + '|')} | {cell or 'nothing yet'} |"
        )
    return _HEAD + "\n".join(lines) + "\n"


def is_held(number: int, holders: Holders, outcomes: Outcomes) -> bool:
    """Return whether an invariant has tests and all of them passed."""
    tests = holders.get(number, [])
    return number not in NOT_APPLICABLE and bool(tests) and all(
        outcomes.get(test.node_id) == "passed" for test in tests
    )  # fmt: skip


def write_table(holders: Holders, outcomes: Outcomes) -> str:
    """Return the table with outcomes, for people who look at a terminal."""
    lines = []
    for number in NUMBERS:
        word = "NOT HELD"
        if number in NOT_APPLICABLE:
            word = "does not apply"
        elif is_held(number, holders, outcomes):
            word = "held"
        head = f"{number:2}  {word}: "
        lines += wrap(head + STATEMENTS[number], 118, subsequent_indent=" " * 4, break_on_hyphens=False)
        if number in NOT_APPLICABLE:
            reason = f"because {NOT_APPLICABLE[number]}"
            lines += wrap(reason, 118, initial_indent=" " * 6, subsequent_indent=" " * 6)
        for test in holders.get(number, []):
            lines.append(f"      {outcomes.get(test.node_id, 'did not run'):7} {test.node_id}")
    return "\n".join(lines)


def count(holders: Holders, outcomes: Outcomes) -> tuple[int, int]:
    """Return how many invariants are held and how many do not apply."""
    return sum(is_held(number, holders, outcomes) for number in NUMBERS), len(NOT_APPLICABLE)


def is_enough(num_held: int, num_not_applicable: int) -> bool:
    """Return whether enough are held, and all of those that apply."""
    return num_held >= ENOUGH and num_held + num_not_applicable == len(NUMBERS)
