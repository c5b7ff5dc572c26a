"""The library's only voice: lines, tables and progress bars, on the main process only.

`silence` is called once by a stage on every process but the main one.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TextIO

__all__ = ["Progress", "close_bars", "progress", "quiet_notices", "say", "send_to", "silence", "table"]

_silent = False
_stream: TextIO | None = None
_open: list[Progress] = []


def silence(silent: bool = True) -> None:
    """Say nothing from here on (or speak again)."""
    global _silent
    _silent = silent


def quiet_notices() -> None:
    """Keep back what a library prints when it is imported, where that is no news to anybody here.

    bitsandbytes, which peft imports wherever it is installed, advises to install faster kernels for
    processors; training does not use them.
    """
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def send_to(stream: TextIO | None) -> None:
    """Write to another stream than standard output; None is standard output."""
    global _stream
    _stream = stream


def say(text: str = "") -> None:
    """Print a line, above a progress bar if there is one."""
    if _silent:
        return
    from tqdm import tqdm

    with tqdm.external_write_mode(file=_out()):
        print(text, file=_out(), flush=True)


def table(rows: Sequence[Sequence[Any]], headers: Sequence[str], title: str | None = None) -> None:
    """Print rows under headers, in aligned columns; numbers stand to the right, floats with four digits."""
    if title:
        say(title)
    for line in format_table(rows, headers):
        say(line)


def format_table(rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> list[str]:
    """The lines of a table; None is shown as a dash."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(line[column]) for line in [list(headers), *cells]) for column in range(len(headers))]
    right = [
        all(isinstance(row[column], (int, float)) or row[column] is None for row in rows) and bool(rows)
        for column in range(len(headers))
    ]

    def line(texts: Sequence[str]) -> str:
        padded = (f"{t:>{w}}" if r else f"{t:<{w}}" for t, w, r in zip(texts, widths, right, strict=True))
        return "  ".join(padded).rstrip()

    return [line(headers), line(["-" * width for width in widths]), *(line(row) for row in cells)]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Progress:
    """A progress bar with the numbers that matter; made by `progress`."""

    def __init__(self, total: int | None, label: str, unit: str, done: int) -> None:
        from tqdm import tqdm

        # In a log file every redraw is a line: there, one each 15 seconds is enough.
        interval = 0.2 if _out().isatty() else 15.0
        self._bar = tqdm(
            total=total,
            desc=label,
            unit=f" {unit}",
            initial=done,
            disable=_silent,
            file=_out() if _stream else sys.stderr,
            mininterval=interval,
            maxinterval=interval,
            dynamic_ncols=True,
            leave=True,
        )
        _open.append(self)

    def update(self, count: int = 1, **numbers: float | str) -> None:
        """Move on by `count` and show the numbers, four digits each."""
        if numbers:
            shown = {
                name: value if isinstance(value, str) else f"{value:.4g}" for name, value in numbers.items()
            }
            self._bar.set_postfix(shown, refresh=False)
        self._bar.update(count)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()
        if self in _open:
            _open.remove(self)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def progress(total: int | None, label: str, unit: str = "steps", done: int = 0) -> Progress:
    """Show a progress bar::

    with progress(100, "ppo", "updates") as bar:
        bar.update(1, kl=0.3)

    Args:
        total: how many there are; None when unknown.
        label: what is going on.
        unit: what is counted.
        done: how many were done before (resume).
    """
    return Progress(total, label, unit, done)


def close_bars() -> None:
    """Close the bars that an error left open, so that what is printed next has a line of its own."""
    for bar in list(_open):
        bar.close()


def _out() -> TextIO:
    # Looked up at each call, because tests and notebooks replace sys.stdout.
    return _stream if _stream is not None else sys.stdout
