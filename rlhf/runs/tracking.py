"""Experiment trackers beside metrics.jsonl, through accelerate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlhf.errors import SettingsError


def check_trackers(names: Sequence[str]) -> None:
    """Raise SettingsError for a tracker that accelerate does not know or whose package is missing."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    known = sorted(str(name) for name in LOGGER_TYPE_TO_CLASS)
    available = {str(name) for name in get_available_trackers()}
    for name in names:
        if name not in known:
            raise SettingsError(
                f"'{name}' is no tracker; accelerate knows {', '.join(known)}", where="run.trackers"
            )
        if name not in available:
            package = {"comet_ml": "comet_ml", "tensorboard": "tensorboard"}.get(name, name)
            raise SettingsError(
                f"the package of '{name}' is not installed; run `pip install {package}` or leave it out",
                where="run.trackers",
            )


def flat_config(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten settings to dotted keys with values that every tracker takes."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flat_config(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return flat
