"""Findings that no single row shows: duplicates, contradictions, leaks between splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from rlhf.checking.problems import group_findings
from rlhf.checking.results import Level, Problem
from rlhf.feedback.findings import find_oddities, level_of
from rlhf.feedback.notes import Note
from rlhf.feedback.records import Ranking, Reading, Text

__all__ = ["Joined", "find_across"]


class Joined(Sequence[Any]):
    """Several sequences as one, without a copy."""

    def __init__(self, parts: Sequence[Sequence[Any]]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[Any]:
        for part in self.parts:
            yield from part

    @overload
    def __getitem__(self, place: int) -> Any: ...

    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...

    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        place = place + len(self) if place < 0 else place
        for part in self.parts:
            if 0 <= place < len(part):
                return part[place]
            place -= len(part)
        raise IndexError("no such record")


def find_across(parts: Mapping[str, Sequence[Reading[Any]]]) -> tuple[Problem, ...]:
    """Look for what stands between rows, within and between the lists of sources.

    Args:
        parts: the readings of the sources of each list, by its name (``data.train``). Only lists of ``data``
            are compared with each other: what PPO goes on learning beside them may repeat them.
    """
    findings: list[tuple[Level, Note]] = []
    joined: dict[str, Reading[Any]] = {}
    for name, readings in parts.items():
        findings += [("error", note) for note in _equal_ids(readings)]
        joined[name] = Reading(
            readings[0].records if len(readings) == 1 else Joined([one.records for one in readings]),
            [note for one in readings for note in one.notes],
            sum(one.num_rows for one in readings),
        )
    splits = {name.removeprefix("data."): one for name, one in joined.items() if name.startswith("data.")}
    others = [{name: one} for name, one in joined.items() if not name.startswith("data.")]
    for group in (splits, *others):
        findings += [(level_of(note.code), note) for note in find_oddities(group)]
    return group_findings(findings)


def _equal_ids(readings: Sequence[Reading[Any]]) -> Iterator[Note]:
    """Yield a note for each id that two sources of a list have; a reader, which reads them as one, stops."""
    seen: set[int] = set()  # hashes: the ids themselves may not fit into memory
    for number, reading in enumerate(readings):
        own: set[int] = set()
        for record in reading.records if len(readings) > 1 else ():
            if isinstance(record, Text):  # nothing looks a text up by its id
                break
            prompt = getattr(record, "prompt", record)
            key = hash((prompt.id, record.annotator if isinstance(record, Ranking) else None))
            if number and key in seen:
                message = f"id {prompt.id!r} stands in an earlier source of the list already; ids must differ"
                yield Note("equal_id", prompt.where, message, skipped=True, bad=True)
            own.add(key)
        seen |= own
