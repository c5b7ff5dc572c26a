"""Folders of an SFT model and of a reward adapter on it, for two architectures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.adapters import write_reward_adapter, write_sft


@pytest.fixture(params=["gpt2", "llama"])
def sft(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    return write_sft(tmp_path / "sft", request.param)


@pytest.fixture
def reward(tmp_path: Path, sft: str) -> str:
    return write_reward_adapter(tmp_path / "reward", sft)
