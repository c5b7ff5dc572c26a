"""Sequences on disk: they behave like lists, leave nothing behind, and hardly grow in memory."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import tracemalloc
from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.errors import DataError, RunError
from rlhf.feedback import shelf
from rlhf.feedback.records import Demonstration, Message, Prompt, Ranking, Text
from rlhf.feedback.shelf import Ledger, Shelf, join, pick, shelve

MANY = [f"item {number}" for number in range(3000)]
PROMPT = Prompt(
    "a", (Message("system", "s"), Message("user", "é\n🙂")), "g", "f:1", {"x": [1, None]}, repeats=2
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few items are already too many for memory, and a few bytes for the buffer."""
    monkeypatch.setattr(shelf, "KEPT_IN_MEMORY", 2)
    monkeypatch.setattr(shelf, "_BUFFER_BYTES", 100)


def test_few_items_stay_a_list_and_many_do_not() -> None:
    assert isinstance(shelve(iter(MANY[:1000])), list)
    assert isinstance(shelve(iter(MANY[:1001])), Shelf)
    assert shelve([]) == []


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "make", [shelve, lambda x: pick(shelve(x), range(len(x))), lambda x: join([x[:9], [], x[9:]])]
)
def test_it_behaves_like_a_list(make: object) -> None:
    found: Sequence[str] = make(MANY)  # type: ignore[operator]
    assert not isinstance(found, list)
    assert len(found) == len(MANY)
    assert list(found) == MANY
    assert found == MANY
    assert MANY.__eq__(found) is NotImplemented  # so that the list asks the sequence
    assert found != MANY[:-1]
    assert found != [*MANY[:-1], "another"]
    assert [found[0], found[-1], found[1234], found[-3000]] == [MANY[0], MANY[-1], MANY[1234], MANY[0]]
    for places in (slice(5), slice(-3, None), slice(None, None, 700), slice(2, 2), slice(None, None, -1)):
        assert found[places] == MANY[places]
    for place in (3000, -3001):
        with pytest.raises(IndexError):
            found[place]
    assert "item 7" in found
    assert found.index("item 2999") == 2999
    assert pickle.loads(pickle.dumps(found)) == MANY


@pytest.mark.usefixtures("small")
def test_it_is_read_while_it_is_written() -> None:
    growing: Shelf[str] = Shelf()
    for number, item in enumerate(MANY[:300]):
        growing.append(item)
        assert growing[number] == item
        assert growing[number // 2] == MANY[number // 2]


@pytest.mark.parametrize(
    "record",
    [
        PROMPT,
        Demonstration(PROMPT, "yes"),
        Ranking(PROMPT, ("a", "b", "c"), (1, None, 2), None, "ann"),
        Ranking(PROMPT, ("a", "b"), (None, None), ((0, 1, 0.5),)),
        Text("i", "t", "g", "w", 3),
    ],
)
@pytest.mark.usefixtures("small")
def test_records_come_back_equal_and_of_their_kind(record: object) -> None:
    found = shelve([record] * 3)
    assert [found[0], found[2]] == [record, record]
    assert type(found[0]) is type(record)
    assert found[1] is not record


def test_no_folder_lists_the_file_and_it_is_gone_with_the_sequence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    descriptors = len(os.listdir("/proc/self/fd"))
    found = shelve(f"{'x' * 1000}{number}" for number in range(3000))
    assert found[2999].endswith("2999")
    assert len(os.listdir("/proc/self/fd")) == descriptors + 1
    assert list(tmp_path.iterdir()) == []
    del found
    assert len(os.listdir("/proc/self/fd")) == descriptors


FORKED = """
import os
from rlhf.feedback.shelf import shelve

found = shelve(f"{'x' * 1000}{number}" for number in range(3000))
child = os.fork()
if child == 0:
    ok = all(found[place].endswith(f"x{place}") for place in range(2999, -1, -1))
    os._exit(0 if ok else 1)
assert all(item.endswith(f"x{place}") for place, item in enumerate(found))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_a_forked_process_reads_beside_its_parent() -> None:
    # In a process without threads: a fork of this one could wait for the lock of a thread that it does not have.
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=300)


def test_a_full_disk_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RunError, match=r"cannot be put into .*: No space left on device; .*TMPDIR"):
        shelve("x" * 10_000 for _ in range(2000))


def test_what_no_file_can_hold_is_one_message() -> None:
    with pytest.raises(DataError, match="let adapters and loaders return rows of texts"):
        shelve(lambda: None for _ in range(2000))


def test_memory_hardly_grows_with_what_is_put_there() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        found = shelve(f"{'x' * 1000}{number}" for number in range(count))
        sum(len(item) for item in found)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(5000)
    # Beside the 8 bytes of its place, which an array grows to in steps, nothing stays of an item.
    assert peak(20_000) - peak(5000) < 15_000 * 20


def test_a_choice_of_a_list_is_a_list_and_may_repeat() -> None:
    assert pick(["a", "b", "c"], [2, 0, 0]) == ["c", "a", "a"]
    assert isinstance(pick(["a"], array("Q", [0])), list)


@given(st.lists(st.text(max_size=3)))
def test_a_ledger_numbers_as_a_dictionary_would(texts: list[str]) -> None:
    ledger, numbers = Ledger(), {}
    for text in texts:
        assert (text in ledger) == (text in numbers)
        assert ledger.number(text) == numbers.setdefault(text, len(numbers))
    assert len(ledger) == len(numbers)


def test_a_ledger_of_many_grows_and_forgets_nothing() -> None:
    ledger = Ledger()
    assert [ledger.number(text) for text in MANY * 2] == [*range(3000), *range(3000)]
    assert "another" not in ledger
    assert ledger.number(b"item 1") == ledger.number("item 1") == 1


def test_a_ledger_needs_some_28_bytes_a_text() -> None:
    ledger = Ledger()
    for number in range(50_000):
        ledger.number(str(number))
    size = sum(part.buffer_info()[1] * part.itemsize for part in (ledger._halves, ledger._table))
    assert size / len(ledger) < 30
