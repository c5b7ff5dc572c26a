"""Which tests carry which numbers, read from the test files without importing them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_NUMBER = re.compile(r"(?:^|_)inv_?0*([1-9]\d*)(?![0-9])")


class Test(NamedTuple):
    """A test function and the invariants that its name speaks of."""

    __test__ = False  # for pytest, which would collect it

    file: str  # from the top of the repository
    name: str  # Class::function where it is in a class
    numbers: tuple[int, ...]

    @property
    def node_id(self) -> str:
        return f"{self.file}::{self.name}"


def numbers_in(name: str) -> tuple[int, ...]:
    """Return the numbers in a test's name, in order, each once.

    >>> numbers_in("test_inv01_inv9_ratio_is_1_and_inv_33_too")
    (1, 9, 33)
    """
    return tuple(dict.fromkeys(int(number) for number in _NUMBER.findall(name)))


def find_tests(root: Path = ROOT) -> list[Test]:
    """Return all tests below `root`/tests that carry a number, by file and place in it."""
    found = []
    for path in sorted((root / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        for name in _test_functions(tree.body):
            numbers = numbers_in(name.rpartition("::")[2])
            if numbers:
                found.append(Test(path.relative_to(root).as_posix(), name, numbers))
    return found


def _test_functions(body: Iterable[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _test_functions(node.body, f"{prefix}{node.name}::")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
            yield prefix + node.name


def holders_of(tests: Iterable[Test]) -> dict[int, list[Test]]:
    """Return for each number the tests that carry it."""
    found: dict[int, list[Test]] = {}
    for test in tests:
        for number in test.numbers:
            found.setdefault(number, []).append(test)
    return found
