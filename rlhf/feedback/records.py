"""What a line of feedback becomes: a prompt, a demonstration, a ranking, or plain text (stations 1 and 2).

Every record is frozen, checked when it is made, and keeps the `where` (``file:line``) it came from.
A `Reading` is what a reader hands back: the records, and a note for everything odd (`rlhf.feedback.notes`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from rlhf.errors import DataError
from rlhf.feedback.notes import Note, shown_places
from rlhf.feedback.numbers import number_of

if TYPE_CHECKING:
    from rlhf.feedback.detection import Detection

__all__ = [
    "ROLES",
    "Demonstration",
    "Message",
    "Packed",
    "Prompt",
    "Ranking",
    "Reading",
    "Text",
]

ROLES = ("system", "user", "assistant")

T = TypeVar("T")


class Packed:
    """A dataclass with slots that is pickled as the call that makes it, at half the cost of its state."""

    __slots__ = ()
    _values: ClassVar[Any]

    def __init_subclass__(cls) -> None:
        slots: tuple[str, ...] = cls.__dict__.get("__slots__", ())
        if slots:  # the class without them comes first
            cls._values = attrgetter(*slots)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._values(self)


@dataclass(frozen=True, slots=True)
class Message(Packed):
    """One turn of a conversation.

    Args:
        role: system, user or assistant.
        content: its text, as written (never stripped).
    """

    role: str
    content: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise DataError(f"role {self.role!r} is not one of {', '.join(ROLES)}")
        if not isinstance(self.content, str):
            raise DataError(f"a message's content must be text, not {type(self.content).__name__}")


@dataclass(frozen=True, slots=True)
class Prompt(Packed):
    """What a response answers.

    Args:
        id: unique in its reading; survives into samples.jsonl.
        messages: the turns so far, oldest first; the last is the user's, a system message only comes first.
        group: the unit that may not straddle train and validation (default: a hash of the normalised text).
        where: ``file:line`` of its row, for messages.
        columns: every field of the row that was not made into the record (task, family ...), for judges.
        repeats: how many times an epoch of training sees it, see `rlhf.feedback.mixture`.
    """

    id: str
    messages: tuple[Message, ...]
    group: str
    where: str
    columns: Mapping[str, Any] = field(default_factory=dict, hash=False)
    repeats: int = 1

    def __post_init__(self) -> None:
        if not self.messages:
            raise DataError("a prompt needs at least one message", self.where)
        if self.messages[-1].role != "user":
            raise DataError(
                f"a prompt ends with the user's turn, not the {self.messages[-1].role}'s", self.where
            )
        if any(message.role == "system" for message in self.messages[1:]):
            raise DataError("a system message may only come first", self.where)

    def as_dicts(self) -> list[dict[str, str]]:
        """Return the messages as ``[{"role": ..., "content": ...}]``, for chat templates and judges."""
        return [{"role": message.role, "content": message.content} for message in self.messages]


@dataclass(frozen=True, slots=True)
class Demonstration(Packed):
    """A prompt with a response to imitate."""

    prompt: Prompt
    response: str


@dataclass(frozen=True, slots=True)
class Ranking(Packed):
    """K responses to one prompt with what one annotator thought of them.

    Args:
        prompt: what they answer.
        responses: K >= 2 texts.
        ranks: one a response: 1 is best, equal numbers are a tie, None is unranked. All None where the
            labels are pairwise and fit no order (`pairs` is then all there is).
        pairs: ``(i, j, p)`` with p in {1.0, 0.5, 0.0} that response i beats response j, for sources that
            label pairs; they, not the ranks, are then the truth.
        annotator: who, or None where the source does not say.
        strengths: how much better the better one is, a number from 0 up (0 for a tie) or None where it is not
            known, one for each of `comparisons()` in their order; None where the source says none.
    """

    prompt: Prompt
    responses: tuple[str, ...]
    ranks: tuple[int | None, ...]
    pairs: tuple[tuple[int, int, float], ...] | None = None
    annotator: str | None = None
    strengths: tuple[float | None, ...] | None = None

    def __post_init__(self) -> None:
        where, size = self.prompt.where, len(self.responses)
        if size < 2:
            raise DataError(
                f"'responses' holds {size} response{'s' * (size != 1)}; a ranking needs at least 2", where
            )
        if len(self.ranks) != size:
            raise DataError(
                f"{len(self.ranks)} ranks for {size} responses; each response needs one (or null)", where
            )
        for rank in self.ranks:
            if rank is not None and (type(rank) is not int or rank < 1):
                raise DataError(
                    f"rank {rank!r} is not a whole number from 1 (best) up, or null; other ranks are read by "
                    "format: scored, with best: lowest",
                    where,
                )
        for i, j, p in self.pairs or ():
            if not (0 <= i < size and 0 <= j < size and i != j) or p not in (0.0, 0.5, 1.0):
                raise DataError(f"pair ({i}, {j}, {p}) does not compare two of the {size} responses", where)
        if not self.comparisons():
            raise DataError("nothing is compared: fewer than 2 responses are ranked", where)
        if self.strengths is not None:
            _check_strengths(self.strengths, self.comparisons(), where)

    def comparisons(self) -> list[tuple[int, int, float]]:
        """Return every compared pair as ``(i, j, p)``: p = 1.0 if response i is the better, 0.5 if they tie.

        The better response always comes first; a tie keeps the order of the responses. From `pairs` where the
        source labelled pairs, else from `ranks` (pairs with an unranked response are not compared).
        """
        if self.pairs is not None:
            return [(j, i, 1.0) if p == 0.0 else (i, j, p) for i, j, p in self.pairs]
        found = []
        for (i, first), (j, second) in combinations(enumerate(self.ranks), 2):
            if first is None or second is None:
                continue
            found.append((i, j, 0.5) if first == second else (i, j, 1.0) if first < second else (j, i, 1.0))
        return found


def _check_strengths(
    strengths: tuple[float | None, ...], compared: list[tuple[int, int, float]], where: str
) -> None:
    if len(strengths) != len(compared):
        raise DataError(f"{len(strengths)} strengths for {len(compared)} compared pairs", where)
    for (_, _, p), strength in zip(compared, strengths, strict=True):
        if strength is not None and not (math.isfinite(strength) and strength >= 0.0):
            raise DataError(f"strength {strength!r} is no number from 0 up", where)
        if strength and p == 0.5:
            raise DataError(f"strength {strength!r} of a tie, which has none", where)


@dataclass(frozen=True, slots=True)
class Text(Packed):
    """A document to pre-train on; `group` and `repeats` as in `Prompt`."""

    id: str
    text: str
    group: str
    where: str
    repeats: int = 1


@dataclass(frozen=True)
class Reading(Generic[T]):
    """The records of some sources and the notes taken while reading them.

    Args:
        records: in the order of the sources, files and lines; many stand on disk, see `rlhf.feedback.shelf`.
        notes: everything odd; nothing is left out of `records` without a note.
        num_rows: rows met in the files, the skipped ones included.
        detections: what was found out about the sources of format auto, in their order.
    """

    records: Sequence[T]
    notes: list[Note] = field(default_factory=list)
    num_rows: int = 0
    detections: list[Detection] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[T]:
        return iter(self.records)

    def counts(self) -> dict[str, int]:
        """Return how many notes there are of each code, most frequent first."""
        counts: Counter[str] = Counter()
        for note in self.notes:
            counts[note.code] += note.count
        return dict(counts.most_common())

    def summary(self, places: int = 3) -> list[str]:
        """Return one line a code for people: how often, where first, and whether rows were left out."""
        lines = [f"{number_of(self.num_rows, 'rows')} read, {number_of(len(self.records), 'records')}"]
        for code, number in self.counts().items():
            notes = [note for note in self.notes if note.code == code]
            skipped = sum(note.count for note in notes if note.skipped)
            shown = shown_places([note.where for note in notes[:places]]) + (
                " ..." if number > places else ""
            )
            lines.append(f"{code}: {number:,}{f' ({skipped:,} left out)' if skipped else ''}: {shown}")
            lines.append(f"    {notes[0].where}: {notes[0].message}")
        return lines
