"""Wrong versions of the maths, each of which at least one test must catch.

    python tests/maths/mutants.py              # all; last line "N of N mutants caught", exit 0 only then
    python tests/maths/mutants.py losses kl_k  # whose file, old text or story holds one of the words

A test that cannot fail proves nothing. Each entry of wrong_versions.py replaces a piece of source by a
mistake that somebody really made or easily makes, and runs the tests that mirror the file until one fails.
Every mutant runs in a fork of this process, so that torch is imported once.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # when run as a script

from tests.maths.wrong_versions import WRONG_VERSIONS  # noqa: E402  # after the line above

# Before torch is imported: a fork must not inherit a half-alive pool of threads.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"

COPIED = (
    "rlhf/__init__.py",
    "rlhf/maths",
    "rlhf/evaluation",
    "tests/__init__.py",
    "tests/maths",
    "tests/evaluation",
)
SECONDS_PER_MUTANT = 60
# A failing property need not be shrunk here, and one seed is enough to know.
CONFTEST = """
from hypothesis import Phase, settings
settings.register_profile(
    "mutants", deadline=None, derandomize=True, database=None, max_examples=40,
    phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False,
)
settings.load_profile("mutants")
"""


class Mutant(NamedTuple):
    """One wrong version: `old` occurs exactly once in `file`; `story` says which real mistake it is."""

    file: str
    old: str
    new: str
    story: str
    tests: tuple[str, ...] = ()  # default: the test file that mirrors `file`


MUTANTS = tuple(Mutant(file, *entry) for file, entries in WRONG_VERSIONS.items() for entry in entries)


def tests_of(mutant: Mutant) -> tuple[str, ...]:
    """Return the test files that are to catch a mutant."""
    folder, name = Path(mutant.file).parts[1:]
    return mutant.tests or (f"tests/{folder}/test_{name}",)


def check_table() -> None:
    """Raise where a mutant no longer fits the source: its text must occur exactly once."""
    for mutant in MUTANTS:
        found = (ROOT / mutant.file).read_text().count(mutant.old)
        assert found == 1, (
            f"{mutant.file} holds {mutant.old!r} {found} times; the mutant ({mutant.story}) needs it once"
        )
        assert all((ROOT / test).is_file() for test in tests_of(mutant)), f"no tests for {mutant.file}"


def copy_project(target: Path) -> None:
    """Copy the maths, the pure numbers of evaluation and their tests; nothing else is imported by them."""
    for name in COPIED:
        source, destination = ROOT / name, target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, destination, ignore=shutil.ignore_patterns("__pycache__", "report*"))
        else:
            shutil.copy(source, destination)
    (target / "conftest.py").write_text(CONFTEST)
    (target / "pytest.ini").write_text("[pytest]\n")


@contextmanager
def mutated(project: Path, mutant: Mutant) -> Iterator[None]:
    """Apply a mutant to the copy and take it back."""
    path = project / mutant.file
    source = path.read_text()
    path.write_text(source.replace(mutant.old, mutant.new))
    try:
        yield
    finally:
        path.write_text(source)


def run_tests(project: Path, tests: tuple[str, ...]) -> str:
    """Run tests of the copy in a fork until one fails; return its name, or "" if all passed."""
    result = project / "failed.txt"
    result.write_text("")
    child = os.fork()
    if child == 0:
        _run_in_child(project, tests, result)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"no answer in {SECONDS_PER_MUTANT} seconds"
    code, failed = os.WEXITSTATUS(status), result.read_text()
    if code not in (0, 1) or (code == 1) != bool(failed):
        raise RuntimeError(
            f"the tests of the copy could not be run (exit {code}): {(project / 'log.txt').read_text()}"
        )
    return failed


def _run_in_child(project: Path, tests: tuple[str, ...], result: Path) -> None:
    """Become a pytest over the copy; never returns."""
    import pytest

    class FirstFailure:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed and not result.read_text():
                result.write_text(report.nodeid.split("::")[-1])

    signal.alarm(SECONDS_PER_MUTANT)
    log = os.open(project / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(project)
    sys.path.insert(0, str(project))
    for name in [name for name in sys.modules if name.partition(".")[0] in ("rlhf", "tests")]:
        del sys.modules[name]  # or the originals would be tested
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(project),
        "-c",
        str(project / "pytest.ini"),
    ]
    os._exit(int(pytest.main([*options, *tests], plugins=[FirstFailure()])))


def main(words: list[str]) -> int:
    """Run the mutants that hold one of the words (all without words); return the exit status."""
    import hypothesis  # noqa: F401  # imported once, here, for all forks
    import numpy  # noqa: F401
    import torch

    torch.set_num_threads(1)
    # No .pyc: a mutant of the same size and second would be taken for the file before it.
    sys.dont_write_bytecode = True
    check_table()
    chosen = [
        m for m in MUTANTS if not words or any(word in " ".join((m.file, m.old, m.story)) for word in words)
    ]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        copy_project(project)
        every_test = tuple(sorted({test for mutant in chosen for test in tests_of(mutant)}))
        failed = run_tests(project, every_test)
        if failed:
            print(f"{failed} fails without any mutant")
            return 1
        for mutant in chosen:
            start = time.perf_counter()
            with mutated(project, mutant):
                caught_by = run_tests(project, tests_of(mutant))
            if not caught_by:
                survivors.append(mutant)
            seconds = time.perf_counter() - start
            print(
                f"{Path(mutant.file).stem:12} {mutant.story:62} {caught_by or 'SURVIVED'} ({seconds:.1f} s)",
                flush=True,
            )
    for mutant in survivors:
        print(f"survived: {mutant.file}: {mutant.old!r} -> {mutant.new!r} ({mutant.story})")
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants caught")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
