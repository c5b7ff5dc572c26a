"""Print the list: each setting of each stage, and what is shown of it."""

from __future__ import annotations

from tests.settings.effects.listing import lines

if __name__ == "__main__":
    for line in lines():
        print(line)
