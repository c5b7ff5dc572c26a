"""Findings over whole readings: repeats, leaks, contradictions, broken texts; what no row shows by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from rlhf.feedback.codes import CODES, Code, level_of
from rlhf.feedback.findings.balance import Balance
from rlhf.feedback.findings.contents import Contents
from rlhf.feedback.findings.entries import Entry, Places, entries_of
from rlhf.feedback.findings.judgements import Judgements
from rlhf.feedback.findings.near import NearDuplicates
from rlhf.feedback.findings.repeats import Repeats
from rlhf.feedback.findings.tally import Tally
from rlhf.feedback.notes import Note
from rlhf.feedback.records import Reading

__all__ = ["CODES", "Code", "find_oddities", "level_of"]


class _Finder(Protocol):
    def add(self, entry: Entry) -> None: ...


def find_oddities(readings: Mapping[str, Reading[Any]], *, near: bool = True) -> list[Note]:
    """Return what is odd about some readings and their records taken together.

    Every record is looked at once, and of each only hashes and its place are kept (some 300 bytes; with
    `near`, up to 100 MB for the held-out prompts besides). The order of the records changes no count.

    Args:
        readings: by their names in `data` (train, validation, test). Those but train are held out.
        near: whether to look for held-out prompts that nearly are training prompts (`findings.near`).

    Returns:
        Notes, errors before warnings, then by code. Of each code the first 20 occurrences have a note of
        their own; `count` of the last one is how many it stands for, so that the counts are complete.
        `level_of` and `CODES` say what a code means and what to do. Nothing is left out of the readings.
    """
    places, tally = Places(), Tally()
    repeats, judgements = Repeats(places, tally), Judgements(places, tally)
    nearly = [NearDuplicates(places, tally)] if near and len(readings) > 1 and "train" in readings else []
    # Held-out records first: their prompts are few enough to keep an index of.
    for split in sorted(readings, key=lambda name: name == "train"):
        reading = readings[split]
        contents = Contents({(note.code, note.where) for note in reading.notes}, tally)
        balance = Balance(split, places, tally)
        finders: list[_Finder] = [repeats, judgements, contents, balance, *nearly]
        for entry in entries_of(split, reading.records, places):
            for finder in finders:
                finder.add(entry)
        balance.finish()
    judgements.finish()
    for finder in nearly:
        finder.finish()
    return tally.notes()
