"""A source's settings as YAML to paste; written by hand, since the library of feedback needs no other."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from rlhf.feedback.detection.found import Detection
from rlhf.feedback.mapping import Source
from rlhf.feedback.preset_table import PRESETS

__all__ = ["FILL_IN", "defaults", "mapping_yaml", "settings_of", "settings_yaml"]

_PLAIN = re.compile(r"[A-Za-z_/.~][\w./*~-]*(?: [\w./*~-]+)*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~", ".nan", ".inf"}


class _FillIn:
    """Stands in a mapping where only a person knows what to write."""

    def __repr__(self) -> str:
        return "?"


FILL_IN = _FillIn()


def defaults() -> dict[str, Any]:
    """Return the default of each setting of a source but `path`, which has none."""
    return {
        entry.name: entry.default_factory() if entry.default_factory is not MISSING else entry.default
        for entry in fields(Source)
        if entry.name != "path"
    }


def settings_of(source: Source) -> dict[str, Any]:
    """Return path and the settings that are no defaults: `build_sources` makes this source of them again."""
    preset = {} if source.preset is None else PRESETS[source.preset].settings
    usual = {**defaults(), **preset}
    plain = defaults()
    found: dict[str, Any] = {"path": source.path}
    for name in plain:
        value = getattr(source, name)
        if value != plain[name] or value != usual[name]:
            found[name] = value
    return found


def mapping_yaml(found: Detection | Source) -> str:
    """Return the mapping of a source as an item of a list of sources in YAML, path first.

    `build_sources` makes an equal source of what YAML reads in it.
    """
    return settings_yaml(settings_of(found.source if isinstance(found, Detection) else found))


def settings_yaml(settings: Mapping[str, Any], comments: Mapping[str, str] | None = None) -> str:
    """Return settings as an item of a list in YAML, one line each, with comments behind some."""
    lines = []
    for name, value in settings.items():
        comment = (comments or {}).get(name)
        lines.append(f"{name}: {_flow(value)}" + (f"  # {comment}" if comment else ""))
    return "- " + "\n  ".join(lines) + "\n"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return _number(value)
    return _text(value) if isinstance(value, str) else repr(value)


def _number(value: int | float) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    text = repr(value)
    # YAML 1.1 wants a dot and a sign: 1e-05 would be text to some readers.
    return text if "e" not in text or "." in text else text.replace("e", ".0e")


def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(
        sign if sign.isprintable() else f"\\U{ord(sign):08X}" if ord(sign) > 0xFFFF else f"\\u{ord(sign):04x}"
        for sign in quoted
    )
