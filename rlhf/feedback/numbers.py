"""Numbers as data files write them: as numbers, or as text that spells one; nothing else becomes a number."""

from __future__ import annotations

import math
import re
from typing import Any

__all__ = ["number_in", "number_of", "spelled"]

_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


def number_in(value: Any) -> float | None:
    """Return a finite number, or the one that a text spells (a CSV's "4.5"); None for anything else.

    >>> number_in(2), number_in(" 4.5 "), number_in("N/A"), number_in(True), number_in(float("nan"))
    (2.0, 4.5, None, None, None)
    """
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value := value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def spelled(value: Any) -> str:
    """Return a label as a key to compare by: the YAML's 1, the JSON's 1.0 and a CSV's "1" are one label.

    Text with a leading zero or plus ("007") stays what it is, and true is not 1.

    >>> spelled(1), spelled(1.0), spelled("1.0"), spelled("1.50"), spelled("007"), spelled(True)
    ('1', '1', '1', '1.5', '007', 'true')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return value
    number = None if isinstance(value, int) else number_in(value)
    if number is None:
        return str(value)
    return str(int(number)) if number.is_integer() else repr(number)


def number_of(number: int, what: str) -> str:
    """Return how many there are of what: "1 row", "2 rows".

    >>> number_of(1, "rows"), number_of(2000, "rows")
    ('1 row', '2,000 rows')
    """
    return f"{number:,} {what.removesuffix('s') if number == 1 else what}"
