"""The tables of wrong versions fit the source; a sample of them is caught (all of them: `make mutants`)."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.table import MUTANTS, ROOT, Mutant, check_table, one_of_each_file

COVERED = ("rlhf/maths", "rlhf/ranking", "rlhf/training", "rlhf/feedback/findings")
SINGLE = (
    "rollout",
    "sampling",
    "scoring",
    "functions",
    "rendering",
    "renderer",
    "encoding",
    "templates",
    "sft",
    "feedback/columns",
    "feedback/conversations",
    "feedback/files",
    "feedback/jsontext",
    "feedback/labels",
    "feedback/numbers",
    "feedback/paths",
    "feedback/reading",
    "feedback/rows",
    "feedback/scores",
    "feedback/splits",
    "feedback/tables",
    "feedback/transcripts",
    "feedback/trees",
    "feedback/turns",
)


def test_every_mutant_fits_the_source() -> None:
    check_table()


def test_no_mutant_is_counted_twice_and_each_changes_something() -> None:
    changes = Counter((mutant.file, mutant.old, mutant.new) for mutant in MUTANTS)
    assert max(changes.values()) == 1
    assert all(mutant.old != mutant.new for mutant in MUTANTS)
    stories = Counter((mutant.file, mutant.story) for mutant in MUTANTS)
    assert max(stories.values()) == 1


def test_every_file_that_can_be_quietly_wrong_has_mutants() -> None:
    files = {path.relative_to(ROOT) for folder in COVERED for path in Path(ROOT, folder).glob("*.py")}
    files = {str(path) for path in files if path.name != "__init__.py"} | {f"rlhf/{n}.py" for n in SINGLE}
    assert files <= {mutant.file for mutant in MUTANTS}


def test_mutants_name_their_tests_or_are_tested_by_the_file_that_mirrors_theirs() -> None:
    assert Mutant("rlhf/ranking/batch.py", "", "", "").caught_by == ("tests/ranking/test_batch.py",)
    assert Mutant("rlhf/sft.py", "", "", "").caught_by == ("tests/test_sft.py",)
    assert Mutant("rlhf/sft.py", "", "", "", ("tests/test_scoring.py",)).caught_by == (
        "tests/test_scoring.py",
    )


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.mutants", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_one_mutant_of_each_file_is_caught() -> None:
    done = run("--sample")
    assert done.returncode == 0, done.stdout + done.stderr
    count = len(one_of_each_file())
    assert done.stdout.splitlines()[-1] == f"{count} of {count} mutants caught"


NO_MISTAKE = """
import sys
from tests.mutants import __main__ as tool
from tests.mutants.table import Mutant
old, new = "return logprobs - ref_logprobs", "return (logprobs - ref_logprobs)"
tool.MUTANTS = (Mutant("rlhf/maths/kl.py", old, new, "no mistake"), Mutant("rlhf/maths/kl.py", old, "return 0", "0"))
sys.exit(tool.main([]))
"""


@pytest.mark.slow
def test_what_no_test_catches_is_named_and_is_a_failure() -> None:
    command = [sys.executable, "-c", NO_MISTAKE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "1 of 2 mutants caught"
    assert "survived: rlhf/maths/kl.py: 'return logprobs - ref_logprobs'" in done.stdout
