from __future__ import annotations

import pytest

from stages._command import STAGES
from tests.settings.effects.inputs import write_inputs
from tests.settings.effects.lab import Lab


@pytest.fixture(scope="session")
def labs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Lab]:
    """A lab for each stage, on the same models and data."""
    folder = tmp_path_factory.mktemp("effects")
    write_inputs(folder / "inputs")
    return {stage: Lab(stage, folder / stage, folder / "inputs") for stage in STAGES}
