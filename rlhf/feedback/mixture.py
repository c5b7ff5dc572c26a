"""How much of each source an epoch of training reads: the setting `weight`.

An epoch reads every record of a source floor(weight) times, and those of a share of its groups, as large as
the rest of the weight, once more. Which groups these are depends on their names and `split_seed` only: adding
records moves no other one, the annotators of a prompt stay together, and every epoch and every resumed run
has the same.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from rlhf.feedback.mapping import Source
from rlhf.feedback.notes import Note
from rlhf.feedback.records import Demonstration, Prompt, Ranking, Text
from rlhf.feedback.shelf import pick
from rlhf.feedback.splits import group_of, place_of

__all__ = ["Weigher", "epoch_of", "repeats_of", "repeats_of_group", "weight_notes"]

T = TypeVar("T")
Record = TypeVar("Record", Prompt, Demonstration, Ranking, Text)


def repeats_of_group(group: str, weight: float, seed: int) -> int:
    """Return how many times an epoch reads the records of a group."""
    whole = int(weight)
    return whole + (place_of(group, f"weight/{seed}") < weight - whole)


def repeats_of(record: object) -> int:
    """Return how many times an epoch sees a record, or what was rendered of one."""
    prompt = getattr(record, "prompt", None)
    found: int = getattr(record if prompt is None else prompt, "repeats", 1)
    return found


def epoch_of(items: Sequence[T]) -> Sequence[T]:
    """Return what an epoch reads: the items, each as often as its prompt (or its text) says."""
    places = array("Q", (place for place, item in enumerate(items) for _ in range(repeats_of(item))))
    return items if len(places) == len(items) else pick(items, places)


class Weigher:
    """Gives records of one source their `repeats`, leaves out those with none, and counts both."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.num_given = self.num_kept = self.num_read = 0

    def __call__(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield the records that an epoch reads at all."""
        weight, seed = self.source.weight, self.source.split_seed
        if weight == 1:
            yield from records
            return
        for record in records:
            repeats = repeats_of_group(group_of(record), weight, seed)
            self.num_given += 1
            self.num_kept += repeats > 0
            self.num_read += repeats
            if repeats:
                yield record if repeats == 1 else _with_repeats(record, repeats)

    def words(self) -> str:
        """Say in a few words what came of the weight."""
        weight = f"weight {self.source.weight:g} of {self.source.path}"
        if self.source.weight < 1:
            return f"{weight}: {self.num_kept:,} of {self.num_given:,} kept"
        return f"{weight}: {self.num_given:,} read {self.num_read:,} times an epoch"


def weight_notes(weighers: Iterable[Weigher]) -> list[Note]:
    """Return one note on all weights, none where no source has any."""
    told = [one for one in weighers if one.source.weight != 1]
    if not told:
        return []
    return [Note("weight", told[0].source.path, "; ".join(one.words() for one in told))]


def _with_repeats(record: Record, repeats: int) -> Record:
    if isinstance(record, (Demonstration, Ranking)):
        return replace(record, prompt=replace(record.prompt, repeats=repeats))
    return replace(record, repeats=repeats)
