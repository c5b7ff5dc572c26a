"""What is said beside a mapping to fill in: the set this may be, what is not read, what is not found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlhf.feedback.detection.known import presets_that_read
from rlhf.feedback.detection.looks import Look
from rlhf.feedback.detection.prompts import context_beside
from rlhf.feedback.detection.refusals import listed
from rlhf.feedback.detection.yaml_text import FILL_IN
from rlhf.feedback.preset_table import PRESETS

__all__ = ["unsaid"]


def unsaid(look: Look, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return settings to fill in that were not found, and what to say beside the mapping to paste."""
    told: dict[str, str] = {}
    lacking: dict[str, Any] = {}
    presets = presets_that_read(look)
    if presets:
        sets = listed(dict.fromkeys(PRESETS[name].about.partition(",")[0] for name in presets), "or")
        told["hint"] = f"  if this is {sets}: preset: {listed(presets, 'or')}\n"
    context = context_beside(look, settings.get("prompt"))
    if context is not None:
        told["prompt"] = f"{context} stands beside it and is not read: join them if it belongs to the prompt"
    if "prompt" not in settings and not look.given("prompt") and "prompt" not in look.names:
        lacking["prompt"] = FILL_IN
        told["prompt"] = "its column, or a template such as '{title} {body}'"
    return lacking, told
