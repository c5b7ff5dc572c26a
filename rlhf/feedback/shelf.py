"""Sequences that need not fit into memory, and what is kept of each of their items while they are read.

`shelve` makes a list of few items and puts many into a file without a name, which is gone when the sequence
is (whatever ends the process). `pick` chooses items of a sequence without copying them. A `Ledger` knows what
it has met by hashes, never by the texts. In memory stay 8 bytes for each item of a shelf or a choice, and
about 28 for each entry of a ledger.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
import weakref
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, chain, islice
from typing import Any, TypeVar, overload

from rlhf.errors import DataError, RunError

__all__ = ["KEPT_IN_MEMORY", "Ledger", "Shelf", "join", "pick", "shelve", "writing_to_disk"]

KEPT_IN_MEMORY = 1000
"""Up to so many items stay a list."""

_BUFFER_BYTES = 1 << 20

T = TypeVar("T")


def shelve(items: Iterable[T]) -> Sequence[T]:
    """Return items as a sequence: a list where they are at most `KEPT_IN_MEMORY`, else one on disk.

    Raises:
        RunError: the disk is full.
        DataError: an item holds something that no file can (an open file, a function of an adapter's).
    """
    iterator = iter(items)
    few = list(islice(iterator, KEPT_IN_MEMORY + 1))
    if len(few) <= KEPT_IN_MEMORY:
        return few
    shelf: Shelf[T] = Shelf()
    for item in chain(few, iterator):
        shelf.append(item)
    return shelf


@contextmanager
def writing_to_disk() -> Iterator[None]:
    """Turn a disk that is full, or takes no file, into a RunError."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"data that does not fit into memory cannot be put into {tempfile.gettempdir()}: "
            f"{error.strerror or error}; free space there, or name another folder by the environment "
            "variable TMPDIR"
        ) from error


def pick(items: Sequence[T], places: Iterable[int]) -> Sequence[T]:
    """Return the items at some places, which may repeat; of a list a list, of a longer sequence a view."""
    if isinstance(items, list):
        return [items[place] for place in places]
    return _Picked(items, array("Q", places))


def join(parts: Iterable[Sequence[T]]) -> Sequence[T]:
    """Return the items of several sequences, one sequence after the other, without copying them."""
    return _Joined(list(parts))


class _Lazy(Sequence[T]):
    """What every sequence of ours does like a list: slices, equality, and a pickle that is one."""

    def _item(self, place: int) -> T:
        raise NotImplementedError

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[T]: ...
    def __getitem__(self, place: int | slice) -> T | Sequence[T]:
        if isinstance(place, slice):
            places = range(*place.indices(len(self)))
            chosen = pick(self, places)
            return chosen if len(places) > KEPT_IN_MEMORY else list(chosen)
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        return self._item(place % len(self))

    def __iter__(self) -> Iterator[T]:
        return map(self._item, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process (unless it was forked) has no part in the file: it is given the items.
        return list, (list(self),)


class Shelf(_Lazy[T]):
    """Items one after the other in a file that no folder lists; append to it, and read it in any order.

    Forked processes and threads read it side by side: none moves a position that another one uses.
    """

    def __init__(self) -> None:
        self._starts = array("Q", [0])
        self._buffer = bytearray()  # what is not in the file yet
        self._file: int | None = None  # its descriptor
        self._written = 0  # bytes in the file

    def append(self, item: T) -> None:
        """Put an item behind the others; errors as in `shelve`."""
        try:
            self._buffer += pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise DataError(
                f"a record holds what cannot be put on disk ({error}); let adapters and loaders return rows "
                "of texts, numbers, lists and mappings"
            ) from error
        self._starts.append(self._written + len(self._buffer))
        if len(self._buffer) > _BUFFER_BYTES:
            self._flush()

    def _flush(self) -> None:
        with writing_to_disk():
            if self._file is None:
                with tempfile.TemporaryFile(prefix="rlhf-") as file:
                    self._file = os.dup(file.fileno())
                weakref.finalize(self, os.close, self._file)
            rest = memoryview(self._buffer)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        self._written = self._starts[-1]
        self._buffer = bytearray()

    def __len__(self) -> int:
        return len(self._starts) - 1

    def _item(self, place: int) -> T:
        start, end = self._starts[place], self._starts[place + 1]
        if start >= self._written:
            found = bytes(self._buffer[start - self._written : end - self._written])
        else:
            assert self._file is not None
            found = os.pread(self._file, end - start, start)
        item: T = pickle.loads(found)
        return item


class _Picked(_Lazy[T]):
    """A view of some items of another sequence."""

    def __init__(self, items: Sequence[T], places: array[int]) -> None:
        self._items = items
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def _item(self, place: int) -> T:
        return self._items[self._places[place]]


class _Joined(_Lazy[T]):
    """Sequences one after the other."""

    def __init__(self, parts: Sequence[Sequence[T]]) -> None:
        self._parts = parts
        self._starts = list(accumulate(map(len, parts), initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def _item(self, place: int) -> T:
        part = bisect_right(self._starts, place) - 1
        return self._parts[part][place - self._starts[part]]


class Ledger:
    """Numbers things in the order in which they are met, and gives what is met again its number.

    Things are told apart by 128 bits of a hash of their texts (or bytes), which chance does not make equal.
    """

    def __init__(self) -> None:
        self._halves = array("Q")  # two a thing
        self._table = array("i", [-1]) * 1024

    def __len__(self) -> int:
        return len(self._halves) // 2

    def __contains__(self, thing: str | bytes) -> bool:
        return self._table[self._slot(*_hash(thing))] >= 0

    def number(self, thing: str | bytes) -> int:
        """Return the number of a thing; that of a new one is what `len` was before."""
        halves = _hash(thing)
        slot = self._slot(*halves)
        if self._table[slot] < 0:
            self._table[slot] = len(self)
            self._halves.extend(halves)
            if 3 * len(self) > 2 * len(self._table):
                self._grow()
            return len(self) - 1
        return self._table[slot]

    def _slot(self, first: int, second: int) -> int:
        """Return the place in the table where a thing stands, or would."""
        table, halves, last = self._table, self._halves, len(self._table) - 1
        slot = first & last
        while (number := table[slot]) >= 0:
            if halves[2 * number] == first and halves[2 * number + 1] == second:
                break
            slot = (slot + 1) & last
        return slot

    def _grow(self) -> None:
        self._table = array("i", [-1]) * (2 * len(self._table))
        for number in range(len(self)):
            slot = self._slot(self._halves[2 * number], self._halves[2 * number + 1])
            self._table[slot] = number


def _hash(thing: str | bytes) -> tuple[int, int]:
    data = thing.encode("utf-8", "surrogatepass") if isinstance(thing, str) else thing
    digest = hashlib.blake2b(data, digest_size=16).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")
