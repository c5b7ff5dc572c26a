"""All wrong versions, and whether they still fit the source."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.maths.wrong_versions import WRONG_VERSIONS as MATHS
from tests.mutants.checking import WRONG_VERSIONS as CHECKING
from tests.mutants.directions import WRONG_VERSIONS as DIRECTIONS
from tests.mutants.feedback import WRONG_VERSIONS as FEEDBACK
from tests.mutants.findings import WRONG_VERSIONS as FINDINGS
from tests.mutants.models import WRONG_VERSIONS as MODELS
from tests.mutants.ppo import WRONG_VERSIONS as PPO
from tests.mutants.ppo_core import WRONG_VERSIONS as PPO_CORE
from tests.mutants.ppo_models import WRONG_VERSIONS as PPO_MODELS
from tests.mutants.ppo_run import WRONG_VERSIONS as PPO_RUN
from tests.mutants.pretraining import WRONG_VERSIONS as PRETRAINING
from tests.mutants.ranking import WRONG_VERSIONS as RANKING
from tests.mutants.rendering import WRONG_VERSIONS as RENDERING
from tests.mutants.rollout import WRONG_VERSIONS as ROLLOUT
from tests.mutants.shelves import WRONG_VERSIONS as SHELVES
from tests.mutants.training import WRONG_VERSIONS as TRAINING

ROOT = Path(__file__).resolve().parents[2]
TABLES = (
    MATHS,
    CHECKING,
    DIRECTIONS,
    FEEDBACK,
    FINDINGS,
    MODELS,
    PPO,
    PPO_CORE,
    PPO_MODELS,
    PPO_RUN,
    PRETRAINING,
    RANKING,
    RENDERING,
    ROLLOUT,
    SHELVES,
    TRAINING,
)
# Who tests a file that no test file mirrors.
TESTED_BY = {
    "rlhf/rollout.py": ("tests/test_rollout.py", "tests/test_rollout_ids.py"),
    "rlhf/generation.py": ("tests/test_rollout.py", "tests/test_rollout_ids.py"),
    "rlhf/shared_ids.py": ("tests/test_scoring.py",),
    "rlhf/scoring.py": (
        "tests/test_scoring.py",
        "tests/test_scoring_ids.py",
        "tests/test_scoring_sources.py",
    ),
    "rlhf/sampling.py": ("tests/test_sampling.py", "tests/test_rollout.py", "tests/test_rollout_ids.py"),
    "rlhf/rendering.py": ("tests/test_rendering.py", "tests/test_rendering_limits.py"),
    "rlhf/rendered.py": ("tests/test_rendering.py", "tests/test_rendering_limits.py"),
    "rlhf/renderer.py": ("tests/test_rendering.py", "tests/test_rendering_limits.py"),
    "rlhf/encoding.py": ("tests/test_rendering.py", "tests/test_rendering_limits.py"),
    "rlhf/templates.py": ("tests/test_rendering.py", "tests/test_templates.py"),
    "rlhf/models/generation_config.py": (
        "tests/models/test_saving.py",
        "tests/test_sampling.py",
        "tests/test_rollout_leftovers.py",
    ),
    "rlhf/feedback/splits.py": ("tests/feedback/test_mixture.py",),
    "rlhf/feedback/reading.py": ("tests/feedback/test_mixture.py", "tests/feedback/test_reading.py"),
    "rlhf/feedback/findings/orders.py": (
        "tests/feedback/findings/test_orders.py",
        "tests/feedback/findings/test_judgements.py",
    ),
    "rlhf/models/adapters.py": ("tests/models/test_saving.py",),
    "rlhf/models/centring.py": ("tests/models/test_values.py",),
    "rlhf/models/heads.py": ("tests/models/test_values.py",),
    "rlhf/models/padding.py": ("tests/models/test_loading.py",),
    "rlhf/pretraining/samples.py": ("tests/pretraining/test_training.py",),
    "rlhf/training/order.py": ("tests/training/test_plan.py",),
}


class Mutant(NamedTuple):
    """One wrong version: `old` occurs exactly once in `file`; `story` says which real mistake it is."""

    file: str
    old: str
    new: str
    story: str
    tests: tuple[str, ...] = ()  # files or file::function; default: the test file that mirrors `file`

    @property
    def caught_by(self) -> tuple[str, ...]:
        """Return the tests of which one is to fail."""
        folder, name = str(Path(self.file).parent).removeprefix("rlhf").strip("/"), Path(self.file).name
        mirror = f"tests/{folder}/test_{name}" if folder else f"tests/test_{name}"
        return self.tests or TESTED_BY.get(self.file, (mirror,))


MUTANTS = tuple(
    Mutant(file, *entry) for table in TABLES for file, entries in table.items() for entry in entries
)


def one_of_each_file() -> list[Mutant]:
    """Return the first mutant of every file: a sample that is quick to check."""
    first: dict[str, Mutant] = {}
    for mutant in MUTANTS:
        first.setdefault(mutant.file, mutant)
    return list(first.values())


def check_table() -> None:
    """Raise where a mutant no longer fits the source: its text must occur once, its tests must exist."""
    for mutant in MUTANTS:
        found = (ROOT / mutant.file).read_text().count(mutant.old)
        assert found == 1, (
            f"{mutant.file} holds {mutant.old!r} {found} times; the mutant ({mutant.story}) needs it once"
        )
        for test in mutant.caught_by:
            file, _, function = test.partition("::")
            there = (ROOT / file).is_file() and f"def {function}" in (ROOT / file).read_text()
            assert there, f"there is no {test}, which is to catch {mutant.file}: {mutant.story}"
