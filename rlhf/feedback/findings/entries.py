"""One record as the finders see it: where it stands, hashes of its prompt and responses, and its texts."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rlhf.feedback.columns import group_of_messages, group_of_text
from rlhf.feedback.records import Demonstration, Message, Prompt, Ranking, Text

__all__ = ["AnyRecord", "Entry", "Places", "digest", "entries_of"]

AnyRecord = Prompt | Demonstration | Ranking | Text


class Places:
    """``file:line`` of many records in eight bytes each; a place is its number here."""

    def __init__(self) -> None:
        self._packed = array("Q")
        self._files: dict[str, int] = {}
        self._names: list[str] = []

    def add(self, where: str) -> int:
        """Keep a place and return its number."""
        file, _, line = where.rpartition(":")
        if not (file and line.isascii() and line.isdecimal() and len(line) < 12 and line[0] in "123456789"):
            file, line = where, "0"  # no line, or a part behind it: kept as it is
        number = self._files.setdefault(file, len(self._names))
        if number == len(self._names):
            self._names.append(file)
        self._packed.append(number << 40 | int(line))
        return len(self._packed) - 1

    def __getitem__(self, number: int) -> str:
        packed = self._packed[number]
        file, line = self._names[packed >> 40], packed & (1 << 40) - 1
        return f"{file}:{line}" if line else file

    def file(self, number: int) -> str:
        """Return the file of a place."""
        return self._names[self._packed[number] >> 40]


@dataclass(slots=True)
class Entry:
    """A record on its way past the finders; none of them keeps it.

    Args:
        split: name of its reading.
        record: the record itself.
        where: its ``file:line``.
        place: number of `where` in the finders' `Places`.
        key: 64 bits of a hash of the normalised prompt (or text).
        group: the unit that must not straddle splits.
        messages: turns of its prompt; none of a text.
        responses: none, one or K.
        hashes: `digest` of each response, blanks at its ends aside.
        opinion: 0, or the number of records of the same row before it (another annotator's opinion).
    """

    split: str
    record: AnyRecord
    where: str
    place: int
    key: int
    group: str
    messages: tuple[Message, ...]
    responses: tuple[str, ...]
    hashes: list[int]
    opinion: int

    @property
    def annotator(self) -> str | None:
        """Return who judged it, or None."""
        return self.record.annotator if isinstance(self.record, Ranking) else None

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield what a message calls each text of the record, and the text."""
        if isinstance(self.record, Text):
            yield "the text", self.record.text
        for message in self.messages:
            yield f"the prompt ({message.role})", message.content
        for number, response in enumerate(self.responses, 1):
            yield "the response" if len(self.responses) == 1 else f"response {number}", response


def digest(*parts: str) -> int:
    """Return 64 bits of a hash of some texts, the same in every process."""
    joined = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(joined, digest_size=8).digest(), "big")


def entries_of(split: str, records: Iterable[AnyRecord], places: Places) -> Iterator[Entry]:
    """Yield the records of one reading as entries."""
    before: tuple[str, str] | None = None
    opinion, place = 0, 0
    for record in records:
        if isinstance(record, Text):
            messages: tuple[Message, ...] = ()
            key = int(group_of_text(record.text), 16)
            where, name, group = record.where, record.id, record.group
        else:
            prompt = record if isinstance(record, Prompt) else record.prompt
            messages, where, name, group = prompt.messages, prompt.where, prompt.id, prompt.group
            key = int(group_of_messages(messages), 16)
        if isinstance(record, Ranking):
            responses = record.responses
        else:
            responses = (record.response,) if isinstance(record, Demonstration) else ()
        opinion = opinion + 1 if isinstance(record, Ranking) and before == (where, name) else 0
        before = (where, name)
        place = place if opinion else places.add(where)
        hashes = [digest(response.strip()) for response in responses]
        yield Entry(split, record, where, place, key, group, messages, responses, hashes, opinion)
