"""Find what is wrong in JSON text that `json` would take: only read when something is, so it may be slow."""

from __future__ import annotations

import re

__all__ = ["find_refused"]

# A text in quotes; what opens, closes or divides; a word or a number.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_MOST_DIGITS = 4000  # Python's limit is 4,300, and can be set


def find_refused(text: str, position: int) -> int:
    """Return where the first thing stands that is refused in the JSON value at `position`.

    That is a key for the second time in its object, NaN or Infinity, half a surrogate pair, or a number of
    thousands of digits; `position` itself if there is none.
    """
    objects: list[set[str] | None] = []  # the keys so far of each open object; None: an open list
    expects_key = False
    for token in _TOKEN.finditer(text, position):
        found = token.group()
        if found in "{[":
            objects.append(set() if found == "{" else None)
        elif found in "}]" and objects:
            objects.pop()
        elif found[0] == '"':
            keys = objects[-1] if objects and expects_key else None
            half = next((match for match in _ESCAPE.finditer(found) if match.group(1)), None)
            if half is not None:
                return token.start() + half.start()
            if keys is not None and found in keys:
                return token.start()
            if keys is not None:
                keys.add(found)
        elif found.lstrip("-") in ("NaN", "Infinity") or len(found) > _MOST_DIGITS:
            return token.start()
        expects_key = found in "{,"
    return position
