"""A place for a run, whose locks are let go afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs.opening import OPEN, kill


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "runs" / "ppo"
    while OPEN:
        kill(OPEN.pop())
