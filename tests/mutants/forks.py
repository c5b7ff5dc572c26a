"""Run tests of a copy of the project in a fork of this process, which has the heavy libraries imported."""

from __future__ import annotations

import compileall
import gc
import importlib
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from py_compile import PycInvalidationMode

from tests.mutants.table import ROOT

COPIED = ("pyproject.toml", "configs", "data", "rlhf", "stages", "tests")
SECONDS_PER_MUTANT = 120
# What the tests import beside the project itself; importing it takes longer than most tests.
HEAVY = (
    "accelerate",
    "datasets",
    "hypothesis",
    "numpy",
    "peft",
    "pydantic",
    "pytest",
    "torch",
    "transformers.generation",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.gpt2.modeling_gpt2",
    "transformers.models.llama.modeling_llama",
    "transformers.trainer",
    "trl.trainer.sft_trainer",
)


def import_heavy() -> None:
    """Import what every fork needs, as `tests/conftest.py` would; nothing of the project itself."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # A fork must not inherit a half-alive pool of threads, nor a thread of the allocator.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    for name in HEAVY:
        importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)
    gc.freeze()  # what is imported is never garbage; looking through it again would cost each fork most of its time


def copy_project(target: Path) -> None:
    """Copy the project and compile it; what is compiled is taken for a source of the same content only."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target / name)
    for name in ("rlhf", "stages", "tests"):
        compileall.compile_dir(target / name, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)


def start_tests(project: Path, tests: Sequence[str], seconds: int) -> int:
    """Fork a pytest over some tests of a copy until one fails; return its process id."""
    (project / "failed.txt").write_text("")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            _become_pytest(project, tests, seconds)
        finally:
            os._exit(70)
    return child


def outcome(project: Path, status: int) -> str:
    """Return from a fork's exit status the test that failed first, or "" if all passed.

    Raises:
        RuntimeError: pytest could not do its work; a wrong version must at least be importable.

    """
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) == signal.SIGALRM:
            return "no answer in time"
        raise RuntimeError(f"the tests of the copy were killed by signal {os.WTERMSIG(status)}")
    code, failed = os.WEXITSTATUS(status), (project / "failed.txt").read_text()
    if code not in (0, 1) or (code == 1) != bool(failed):
        log = (project / "log.txt").read_text()
        raise RuntimeError(f"the tests of the copy could not be run (exit {code}): {log}")
    return failed


def _become_pytest(project: Path, tests: Sequence[str], seconds: int) -> None:
    """Turn this process into a pytest over the copy; never returns."""
    import pytest

    signal.alarm(seconds)
    log = os.open(project / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(project)
    sys.path[:] = [str(project), *(path for path in sys.path if path not in ("", str(ROOT)))]
    os.environ["PYTHONPATH"] = str(project)  # for processes that a test starts
    for name in [name for name in sys.modules if name.partition(".")[0] in ("rlhf", "tests")]:
        del sys.modules[name]  # or the originals would be tested
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = [
        "-x",
        "-q",
        "--assert=plain",
        "-p",
        "no:cacheprovider",
        "--basetemp",
        str(project / "basetemp"),
    ]
    places = ["--rootdir", str(project), "-c", str(project / "pyproject.toml")]
    os._exit(int(pytest.main([*options, *places, *tests], plugins=[_Plugin(project / "failed.txt")])))


class _Plugin:
    """Note the first failure, and spend no time on making it small."""

    def __init__(self, result: Path) -> None:
        self.result = result

    def pytest_collection(self) -> None:
        """Replace the tests' own profile: a failing property need not be shrunk, one seed is enough to know."""
        from hypothesis import Phase, settings

        phases = [Phase.explicit, Phase.generate]
        settings.register_profile(
            "mutants", deadline=None, derandomize=True, database=None, max_examples=40, phases=phases,
            report_multiple_bugs=False,
        )  # fmt: skip
        settings.load_profile("mutants")

    def pytest_runtest_logreport(self, report: object) -> None:
        """Write down the name of the first test that fails."""
        if report.failed and not self.result.read_text():  # type: ignore[attr-defined]
            self.result.write_text(report.nodeid.partition("::")[2])  # type: ignore[attr-defined]
