"""Time that passes."""

from __future__ import annotations

import time
from types import TracebackType

__all__ = ["Stopwatch", "format_seconds"]


class Stopwatch:
    """Wall-clock seconds since it was started::

    with Stopwatch() as watch:
        ...
    watch.seconds
    """

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._stop: float | None = None

    def __enter__(self) -> Stopwatch:
        self._start, self._stop = time.monotonic(), None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds from the start until the end of the ``with`` block, or until now while it goes on."""
        return (time.monotonic() if self._stop is None else self._stop) - self._start


def format_seconds(seconds: float) -> str:
    """Say a duration as people do: ``8 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
