"""Lay the settings of a source over those of its preset."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from rlhf.errors import DataError
from rlhf.feedback.preset_table import PRESETS, Preset

__all__ = ["check_preset", "lay_over_preset"]


def _preset(name: Any) -> Preset:
    if isinstance(name, str) and name in PRESETS:
        return PRESETS[name]
    near = get_close_matches(str(name).lower(), PRESETS, n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise DataError(f"there is no preset {name!r}{hint} (there are: {', '.join(sorted(PRESETS))})")


def lay_over_preset(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a source with those of its preset below them.

    Raises:
        DataError: an unknown preset, with the nearest.
    """
    name = entry.get("preset")
    return dict(entry) if name is None else {**_preset(name).settings, **entry}


def check_preset(name: str, settings: Mapping[str, Any]) -> None:
    """Check that a preset which is named is known and has an effect.

    Raises:
        DataError: an unknown preset, or one of which no setting is in use.
    """
    preset = _preset(name).settings
    if not any(settings[key] == value for key, value in preset.items()):
        raise DataError(
            f"preset {name!r} has no effect: every setting of it ({', '.join(preset)}) is another one here; "
            "drop preset, or those (in Python, build_sources lays a mapping over its preset)"
        )
