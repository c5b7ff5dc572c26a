"""What wins too often: a position, the longer response; and whether annotators can be compared."""

from __future__ import annotations

from collections import Counter

from rlhf.feedback.findings.entries import Entry, Places, digest
from rlhf.feedback.findings.tally import Tally
from rlhf.feedback.records import Ranking

__all__ = ["Balance"]

FEWEST = 100  # comparisons or judgements, below which a share says little
POSITION, LENGTH, ANNOTATOR = 0.65, 0.60, 0.65


class Balance:
    """Finds imbalance and one_annotator in one reading.

    A file whose better response always stands first is laid out that way (chosen before rejected) and says
    nothing of a preference for a position.
    """

    def __init__(self, split: str, places: Places, tally: Tally) -> None:
        self._split = split
        self._places = places
        self._tally = tally
        self._start: int | None = None
        self._positions: dict[str, Counter[bool]] = {}  # by file: the first of a pair is better, or not
        self._longer: Counter[bool] = Counter()
        self._judges: Counter[str] = Counter()
        self._judged: dict[int, str] = {}  # prompt to who judged it first
        self._overlaps = False

    def add(self, entry: Entry) -> None:
        """Take one record."""
        record = entry.record
        if not isinstance(record, Ranking):
            return
        self._start = entry.place if self._start is None else self._start
        positions = self._positions.setdefault(self._places.file(entry.place), Counter())
        lengths = [len(response) for response in record.responses]
        for i, j, p in record.comparisons():
            if p == 1.0:
                positions[i < j] += 1
                if lengths[i] != lengths[j]:
                    self._longer[lengths[i] > lengths[j]] += 1
        if record.annotator is not None:
            self._judges[record.annotator] += 1
            first = self._judged.setdefault(digest(str(entry.key)), record.annotator)
            self._overlaps |= first != record.annotator

    def finish(self) -> None:
        """Count what was found."""
        if self._start is not None:
            where = self._places[self._start]
            self._tell_position()
            self._tell_length(where)
            self._tell_judges(where)

    def _tell_position(self) -> None:
        for file, counts in self._positions.items():
            share, total = counts[True] / max(1, counts.total()), counts.total()
            if total < FEWEST or not counts[False]:
                continue
            if max(share, 1 - share) > POSITION:
                which, share = ("first", share) if share > 0.5 else ("second", 1 - share)
                message = f"the {which} of two responses is the better one in {share:.1%} of {total:,} pairs"
                self._tally.add(
                    "imbalance", file, f"{self._split}: {message}; are positions drawn by chance?"
                )

    def _tell_length(self, where: str) -> None:
        total = self._longer.total()
        share = self._longer[True] / max(1, total)
        if total >= FEWEST and max(share, 1 - share) > LENGTH:
            which, share = ("longer", share) if share > 0.5 else ("shorter", 1 - share)
            message = (
                f"the {which} response (in characters) is the better one in {share:.1%} of {total:,} pairs"
            )
            self._tally.add("imbalance", where, f"{self._split}: {message}; a reward model must beat that")

    def _tell_judges(self, where: str) -> None:
        total = self._judges.total()
        if not total:
            return
        name, number = self._judges.most_common(1)[0]
        if len(self._judges) > 1 and total >= FEWEST and number > ANNOTATOR * total:
            message = f"annotator {name} gave {number / total:.1%} of {total:,} judgements"
            self._tally.add("imbalance", where, f"{self._split}: {message}")
        if not self._overlaps:
            many = f"{len(self._judges)} annotators, but" if len(self._judges) > 1 else f"only {name};"
            message = f"{many} no prompt has two, so their agreement cannot be computed"
            self._tally.add("one_annotator", where, f"{self._split}: {message}")
