"""The table of wrong versions fits the source, and every one of them is caught."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.maths import mutants


def test_every_mutant_fits_the_source() -> None:
    mutants.check_table()


def test_no_mutant_is_counted_twice_and_each_changes_something() -> None:
    changes = Counter((mutant.file, mutant.old, mutant.new) for mutant in mutants.MUTANTS)
    assert max(changes.values()) == 1
    assert all(mutant.old != mutant.new for mutant in mutants.MUTANTS)


def test_every_file_of_the_maths_has_mutants() -> None:
    folder = Path(mutants.ROOT, "rlhf/maths")
    files = {f"rlhf/maths/{path.name}" for path in folder.glob("*.py") if path.name != "__init__.py"}
    assert files <= {mutant.file for mutant in mutants.MUTANTS}


@pytest.mark.slow
def test_every_mutant_is_caught() -> None:
    done = subprocess.run([sys.executable, mutants.__file__], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    count = len(mutants.MUTANTS)
    assert done.stdout.splitlines()[-1] == f"{count} of {count} mutants caught"
