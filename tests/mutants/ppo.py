from __future__ import annotations

from tests.maths.wrong_versions import Entry

WRONG_VERSIONS: dict[str, list[Entry]] = {}
