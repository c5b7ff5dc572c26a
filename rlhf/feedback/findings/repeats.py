"""What comes twice: rows, prompts, and prompts or groups in more than one split."""

from __future__ import annotations

from rlhf.feedback.findings.entries import Entry, Places, digest
from rlhf.feedback.findings.tally import Tally
from rlhf.feedback.records import Ranking

__all__ = ["Repeats"]

_KEPT = "; their groups differ, so it is not left out of evaluation: drop group:, or name a coarser one"
_LEFT_OUT = "; evaluation leaves the held-out ones out"


class Repeats:
    """Finds duplicate_row, duplicate_prompt, leak, group_leak and held_out_overlap.

    It needs the records of train last: a leak is between them and a held-out split, an overlap between two
    held-out ones.
    A prompt is the same where case, spacing and the way letters are composed do not tell it from another.
    A row is the same where prompt, responses, what is said of them and who says so are; the order of the
    responses does not matter. Several annotators' rows of one prompt are no duplicates.
    """

    def __init__(self, places: Places, tally: Tally) -> None:
        self._places = places
        self._tally = tally
        self._rows: dict[int, int] = {}  # hash of split and content to the first place
        self._prompts: dict[int, int] = {}
        self._first: dict[int, tuple[str, int, str]] = {}  # prompt to split, place and group
        self._groups: dict[str, tuple[str, int]] = {}
        self._told: set[tuple[str, int | str]] = set()

    def add(self, entry: Entry) -> None:
        """Take one record."""
        if not entry.opinion:
            self._find_duplicates(entry)
            self._find_leaks(entry)

    def _find_duplicates(self, entry: Entry) -> None:
        annotator = entry.annotator or ""
        row = digest(entry.split, str(entry.key), annotator, _content(entry))
        prompt = digest(entry.split, str(entry.key), annotator)
        first = self._rows.setdefault(row, entry.place)
        if first != entry.place:
            self._tally.add("duplicate_row", entry.where, f"is the row {self._places[first]} again")
        elif (asked := self._prompts.setdefault(prompt, entry.place)) != entry.place:
            self._tally.add("duplicate_prompt", entry.where, f"asks what {self._places[asked]} asks")

    def _find_leaks(self, entry: Entry) -> None:
        split, place, group = self._first.setdefault(entry.key, (entry.split, entry.place, entry.group))
        if split != entry.split:
            code = "leak" if entry.split == "train" else "held_out_overlap"
            remedy = "" if code != "leak" else _LEFT_OUT if group == entry.group else _KEPT
            message = f"this {split} prompt is {entry.split}'s {entry.where}{remedy}"
            self._tell_once(code, entry.key, place, message)
        if int_or_none(entry.group) == entry.key:  # the default: nothing but the prompt itself
            return
        split, place = self._groups.setdefault(entry.group, (entry.split, entry.place))
        if split != entry.split and entry.split == "train":
            message = (
                f"group {entry.group[:40]!r} of {split} has {entry.split}'s {entry.where} too{_LEFT_OUT}"
            )
            self._tell_once("group_leak", entry.group, place, message)

    def _tell_once(self, code: str, name: int | str, place: int, message: str) -> None:
        if (code, name) not in self._told:
            self._told.add((code, name))
            self._tally.add(code, self._places[place], message)


def int_or_none(group: str) -> int | None:
    """Return the number that a default group is the hexadecimal form of."""
    try:
        return int(group, 16) if len(group) == 16 else None
    except ValueError:
        return None


def _content(entry: Entry) -> str:
    """Return a text that is the same for the same responses and the same opinion of them."""
    record = entry.record
    if not isinstance(record, Ranking):
        return str(entry.hashes)
    hashes = entry.hashes
    said = sorted(
        (*(sorted((hashes[i], hashes[j])) if p == 0.5 else (hashes[i], hashes[j])), p)
        for i, j, p in record.comparisons()
    )
    return f"{sorted(hashes)} {said}"
