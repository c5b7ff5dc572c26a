"""Write `rlhf/feedback/PRESETS.md` from the presets: ``python -m tests.feedback.preset_page``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rlhf.feedback.preset_table import PRESETS, Preset

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parents[2] / "rlhf" / "feedback" / "PRESETS.md"


def page() -> str:
    """Return the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Presets"
    yield ""
    yield "Mappings of known sets and shapes, by name: `preset: shp` in a source of data. A preset is nothing but settings of a"
    yield "source (`rlhf/feedback/preset_table.py`); what is given beside it wins. The files are named by `path`, as for any source."
    yield "Written by `python -m tests.feedback.preset_page`. Where it says from memory, the direction is what we remember of"
    yield "the set's card: neither card nor data could be looked at on the hub. See that the best response of a few rows is the better one before a long training (`rlhf check`)."
    yield ""
    yield "| preset | for | what the labels say | where that is documented | not read, or refused |"
    yield "|---|---|---|---|---|"
    for name, preset in PRESETS.items():
        cells = (
            f"`{name}`",
            preset.about,
            (preset.direction or "the columns' names say it") + _strength(preset),
            preset.documented.replace("card", "the set's card, from memory"),
            preset.note,
        )
        yield "| " + " | ".join(cells) + " |"


def _strength(preset: Preset) -> str:
    told = preset.settings
    words = {
        None: "",
        "labels": "; strength: the label's distance from 0",
        "scores": "; strength: the difference of the scores",
        "column": f"; strength: {told.get('strengths')}",
    }
    return words[told.get("strength_from")]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
