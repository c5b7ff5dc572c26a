"""Divide records into splits by group: what belongs together stays together, whatever the order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from math import isclose
from typing import TypeVar

from rlhf.errors import DataError
from rlhf.feedback.records import Demonstration, Prompt, Ranking, Text
from rlhf.feedback.shelf import Ledger, pick

__all__ = ["check_no_leak", "group_of", "leave_out_known", "place_of", "split_by_group", "split_of"]

Record = TypeVar("Record", Prompt, Demonstration, Ranking, Text)


def split_of(group: str, fractions: Mapping[str, float], seed: int = 0) -> str:
    """Return the name of the split that a group falls into.

    It depends on the group's name, the fractions (in their order) and the seed only: adding or taking away
    records moves no other record.

    Args:
        group: name of the group.
        fractions: share of the groups of each split; they sum to 1.
        seed: another number draws another division.

    Raises:
        DataError: if the fractions do not sum to 1.
    """
    total = sum(fractions.values())
    if not isclose(total, 1.0, abs_tol=1e-9) or min(fractions.values()) < 0:
        raise DataError(
            f"split fractions must be at least 0 and sum to 1, not {dict(fractions)}", code="bad_source"
        )
    place = place_of(group, str(seed))
    last = ""
    for name, fraction in fractions.items():
        if place < fraction:
            return name
        place -= fraction
        last = name if fraction > 0 else last
    return last  # rounding left a hair above the sum


def place_of(group: str, draw: str) -> float:
    """Return a number in [0, 1), uniform over groups, that the names of the group and the draw decide."""
    digest = hashlib.sha256(f"{draw}:{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_by_group(
    records: Iterable[Record], fractions: Mapping[str, float], seed: int = 0
) -> dict[str, list[Record]]:
    """Divide records into splits, all of a group into the same one.

    Args:
        records: any of the four kinds.
        fractions: share of the *groups* of each split, e.g. ``{"validation": 0.1, "train": 0.9}``.
        seed: another number draws another division.

    Returns:
        The records of each split, in their order; a small source may leave one empty.

    Raises:
        DataError: if the fractions do not sum to 1.
    """
    found: dict[str, list[Record]] = {name: [] for name in fractions}
    for record in records:
        found[split_of(group_of(record), fractions, seed)].append(record)
    return found


def group_of(record: Prompt | Demonstration | Ranking | Text) -> str:
    """Return the group of a record of any kind."""
    return record.prompt.group if isinstance(record, (Demonstration, Ranking)) else record.group


def leave_out_known(
    held_out: Sequence[Record], known: Iterable[Prompt | Demonstration | Ranking | Text]
) -> Sequence[Record]:
    """Return the held-out records of groups that have no record among `known` ones, which were trained on.

    Public sets hold prompts of the training part in their test part again (hh-rlhf does); numbers on those
    would be too good.
    """
    if not held_out:
        return held_out
    groups = Ledger()
    for record in known:
        groups.number(group_of(record))
    return pick(held_out, [i for i, record in enumerate(held_out) if group_of(record) not in groups])


def _where(record: Prompt | Demonstration | Ranking | Text) -> str:
    return record.prompt.where if isinstance(record, (Demonstration, Ranking)) else record.where


def check_no_leak(splits: Mapping[str, Sequence[Prompt | Demonstration | Ranking | Text]]) -> None:
    """Check that no group has records in two splits.

    Raises:
        DataError: with the number of groups in both and where the first are.
    """
    first: dict[str, tuple[str, str]] = {}
    shared: dict[str, str] = {}
    for name, records in splits.items():
        for record in records:
            group = group_of(record)
            split, where = first.setdefault(group, (name, _where(record)))
            if split != name and group not in shared:
                shared[group] = f"{where} ({split}) and {_where(record)} ({name})"
    if shared:
        places = "; ".join(list(shared.values())[:3])
        many = "s" if len(shared) > 1 else ""
        raise DataError(
            f"{len(shared)} group{many} of prompts in more than one split, so held-out numbers would be "
            f"too good: {places}; split one source by split and its fractions, or set group",
            code="leak",
        )
