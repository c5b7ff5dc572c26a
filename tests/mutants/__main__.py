"""Wrong versions of the project, each of which at least one test must catch.

    python -m tests.mutants              # all; last line "N of N mutants caught", exit 0 only then
    python -m tests.mutants losses kl_k  # whose file, old text or story holds one of the words
    python -m tests.mutants --sample     # one of each file

A test that cannot fail proves nothing. Each entry of the tables (tests/maths/wrong_versions.py and the files
beside this one) replaces a piece of source by a mistake that somebody really made or easily makes, and runs the
tests that are to notice until one fails. All this happens in copies of the project: the sources stay as they are.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.mutants.forks import SECONDS_PER_MUTANT, copy_project, import_heavy, outcome, start_tests
from tests.mutants.table import MUTANTS, Mutant, check_table, one_of_each_file


class Task(NamedTuple):
    """Some tests to run in a copy, with a mutant in it or as it is."""

    mutant: Mutant | None
    tests: tuple[str, ...]


class Done(NamedTuple):
    """What came out of a task: the test that failed ("": none), and how long it took."""

    task: Task
    failed: str
    seconds: float


def every_test(chosen: Sequence[Mutant]) -> list[str]:
    """Return all tests that the mutants name, each once: a file stands for its functions."""
    named = {test for mutant in chosen for test in mutant.caught_by}
    return sorted(test for test in named if "::" not in test or test.partition("::")[0] not in named)


def run_tasks(tasks: Iterable[Task], projects: Sequence[Path]) -> Iterator[Done]:
    """Run tasks, one at a time in each copy of the project, and give them back as they finish."""
    waiting, free = iter(tasks), list(projects)
    running: dict[int, tuple[Task, Path, str, float]] = {}
    while True:
        while free and (task := next(waiting, None)) is not None:
            project = free.pop()
            source = _put_in(project, task.mutant)
            seconds = SECONDS_PER_MUTANT if task.mutant else 10 * SECONDS_PER_MUTANT
            child = start_tests(project, task.tests, seconds)
            running[child] = (task, project, source, time.perf_counter())
        if not running:
            return
        child, status = os.wait()
        task, project, source, start = running.pop(child)
        if task.mutant is not None:
            (project / task.mutant.file).write_text(source)
        free.append(project)
        yield Done(task, outcome(project, status), time.perf_counter() - start)


def _put_in(project: Path, mutant: Mutant | None) -> str:
    """Write the wrong version into a copy; return what stood there."""
    if mutant is None:
        return ""
    path = project / mutant.file
    source = path.read_text()
    path.write_text(source.replace(mutant.old, mutant.new))
    return source


def main(arguments: Sequence[str]) -> int:
    """Run the mutants that are asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="only mutants whose file, text or story holds one of these")
    parser.add_argument("--sample", action="store_true", help="only one mutant of each file")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time (default: cores)")
    options = parser.parse_args(arguments)
    check_table()
    chosen = [
        mutant
        for mutant in (one_of_each_file() if options.sample else MUTANTS)
        if not options.words
        or any(word in f"{mutant.file} {mutant.old} {mutant.story}" for word in options.words)
    ]
    import_heavy()
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory() as folder:
        projects = [Path(folder) / str(number) for number in range(max(1, options.jobs))]
        for project in projects:
            project.mkdir()
            copy_project(project)
        return _run(chosen, projects)


def _run(chosen: Sequence[Mutant], projects: Sequence[Path]) -> int:
    tests = every_test(chosen)
    parts = [tuple(tests[number :: len(projects)]) for number in range(len(projects))]
    for done in run_tasks((Task(None, part) for part in parts if part), projects):
        if done.failed:
            print(f"{done.failed} fails without any mutant")
            return 1
    survivors = []
    for done in run_tasks((Task(mutant, mutant.caught_by) for mutant in chosen), projects):
        mutant = done.task.mutant
        assert mutant is not None
        if not done.failed:
            survivors.append(mutant)
        file = mutant.file.removeprefix("rlhf/").removesuffix(".py")
        print(f"{file:18} {mutant.story:62} {done.failed or 'SURVIVED'} ({done.seconds:.1f} s)", flush=True)
    for mutant in survivors:
        print(f"survived: {mutant.file}: {mutant.old!r} -> {mutant.new!r} ({mutant.story})")
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants caught")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
