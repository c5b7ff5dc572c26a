"""What annotators said that cannot all be so: contradictions, cycles, ties that fit no order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from rlhf.feedback.choices import TIES
from rlhf.feedback.findings.entries import Entry, Places, digest
from rlhf.feedback.findings.orders import Disorder, find_disorder
from rlhf.feedback.findings.tally import Tally
from rlhf.feedback.records import Ranking

__all__ = ["Judgements"]

Comparisons = tuple[tuple[int, int, float], ...]
_Name = tuple[int, str | None, tuple[int, int] | None]  # prompt, annotator, and of a nameless one which


class _Kept(NamedTuple):
    """What is kept of a ranking: its place, eight bytes a response, and its comparisons."""

    place: int
    hashes: bytes
    comparisons: Comparisons
    fits: bool  # no order is in doubt: it came as ranks

    def responses(self) -> list[int]:
        """Return the hashes of the responses."""
        return [int.from_bytes(self.hashes[at : at + 8], "big") for at in range(0, len(self.hashes), 8)]


class Judgements:
    """Finds contradiction, cycle, intransitive_tie, equal_responses and tie_in_column.

    All rows of one annotator about one prompt are taken together, and so are all rows without a name (but
    not the several opinions that one row has). Responses are the same where their texts are, but for blanks
    at their ends.
    """

    def __init__(self, places: Places, tally: Tally) -> None:
        self._places = places
        self._tally = tally
        self._kept: dict[_Name, _Kept | list[_Kept]] = {}
        self._shapes: dict[Comparisons, Comparisons] = {}  # equal ones are kept once

    def add(self, entry: Entry) -> None:
        """Take one record."""
        record = entry.record
        if not isinstance(record, Ranking):
            return
        hashes = entry.hashes
        if len(set(hashes)) < len(hashes) and not entry.opinion:
            self._note_equal(entry, hashes, record)
        comparisons = tuple(record.comparisons())
        if len(comparisons) == 1 and comparisons[0][2] != 0.5:
            self._note_tie(entry, record)
        comparisons = self._shapes.setdefault(comparisons, comparisons)
        packed = b"".join(value.to_bytes(8, "big") for value in hashes)
        kept = _Kept(entry.place, packed, comparisons, record.pairs is None)
        # A second opinion without a name is another person's, so it joins no other row.
        own = (entry.place, entry.opinion) if entry.opinion and record.annotator is None else None
        name = (digest(entry.split, str(entry.key)), record.annotator, own)
        before = self._kept.setdefault(name, kept)
        if isinstance(before, list):
            before.append(kept)
        elif before is not kept:
            self._kept[name] = [before, kept]

    def _note_tie(self, entry: Entry, record: Ranking) -> None:
        for name, value in record.prompt.columns.items():
            if isinstance(value, str) and value.strip().lower() in TIES:
                self._tally.add("tie_in_column", entry.where, f"{name} is {value!r}, and it is not read")

    def _note_equal(self, entry: Entry, hashes: list[int], record: Ranking) -> None:
        strict = {frozenset((hashes[i], hashes[j])) for i, j, p in record.comparisons() if p != 0.5}
        if any(len(pair) == 1 for pair in strict):
            return  # one is called better than itself: the reader says so (same_responses)
        value, number = Counter(hashes).most_common(1)[0]
        first = hashes.index(value) + 1
        self._tally.add("equal_responses", entry.where, f"response {first} stands {number} times")

    def finish(self) -> None:
        """Count what was found."""
        contradictions: list[tuple[str | None, str, str]] = []
        for (_, annotator, _), kept in self._kept.items():
            rows = kept if isinstance(kept, list) else [kept]
            if len(rows) == 1 and rows[0].fits:
                continue
            numbers: dict[int, int] = {}  # of responses, in the order in which they come
            disorder = find_disorder(_compared(rows, numbers))
            self._tell_cycles(disorder, annotator, rows)
            for pair in disorder.contradictions:
                where, message = self._contradiction(rows, numbers, pair)
                contradictions.append((annotator, where, message))
        people = Counter(annotator or "not recorded" for annotator, _, _ in contradictions)
        shown = ", ".join(f"{name} {number:,}" for name, number in people.most_common(10))
        for _, where, message in contradictions:
            self._tally.add("contradiction", where, f"{message} (contradictions by annotator: {shown})")

    def _tell_cycles(self, disorder: Disorder, annotator: str | None, rows: list[_Kept]) -> None:
        nodes = disorder.cycle or disorder.tied_cycle
        if not nodes:
            return
        code = "cycle" if disorder.cycle else "intransitive_tie"
        signs = ">" * (len(nodes) - 1) if disorder.cycle else disorder.signs
        way = "".join(f"{node}{sign}" for node, sign in zip(nodes, f"{signs} ", strict=True)).strip()
        who = "the annotator is not recorded" if annotator is None else f"annotator {annotator}"
        places = dict.fromkeys(self._places[row.place] for row in rows)
        several = f", numbered as they come in {', '.join(list(places)[:5])}" if len(places) > 1 else ""
        self._tally.add(code, self._places[rows[0].place], f"responses {way}{several}; {who}")

    def _contradiction(
        self, rows: list[_Kept], numbers: dict[int, int], pair: tuple[int, int]
    ) -> tuple[str, str]:
        said: dict[str, int] = {}
        for row in rows:
            own = [numbers[value] for value in row.responses()]
            for i, j, p in row.comparisons:
                if {own[i], own[j]} == set(pair):
                    better = "a tie" if p == 0.5 else "the one" if own[i] == pair[0] else "the other"
                    said.setdefault(better, row.place)
        where = self._places[min(said.values())]
        ways = " and ".join(f"{label} ({self._places[place]})" for label, place in said.items())
        return where, f"of the same two responses to the same prompt the better is {ways}"


def _compared(rows: list[_Kept], numbers: dict[int, int]) -> Iterator[tuple[int, int, float]]:
    """Yield all comparisons by the numbers of the responses, counted from 1; `numbers` is filled."""
    for row in rows:
        own = [numbers.setdefault(value, len(numbers) + 1) for value in row.responses()]
        for i, j, p in row.comparisons:
            yield own[i], own[j], p
