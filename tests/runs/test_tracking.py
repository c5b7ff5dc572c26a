"""Experiment trackers: which are known, and what they are told."""

from __future__ import annotations

import pytest

from rlhf.errors import SettingsError
from rlhf.runs.tracking import check_trackers, flat_config


def test_trackers_that_are_missing_or_unknown_are_named(monkeypatch):
    check_trackers(["tensorboard"])
    with pytest.raises(
        SettingsError, match=r"run.trackers: 'notebook' is no tracker; accelerate knows .*wandb"
    ):
        check_trackers(["notebook"])
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", list)
    with pytest.raises(SettingsError, match="pip install wandb"):
        check_trackers(["wandb"])


def test_flat_config_has_plain_values():
    assert flat_config({"a": {"b": 1, "c": None}, "d": (1, 2)}) == {"a.b": 1, "a.c": "None", "d": "(1, 2)"}
