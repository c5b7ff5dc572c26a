"""Ctrl-C and SIGTERM end a run after the update that is going on, with a checkpoint."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import torch
from accelerate import Accelerator

from rlhf.runs import console
from rlhf.runs.folder import RunFolder


@contextlib.contextmanager
def stops_gracefully(run: RunFolder) -> Iterator[None]:
    """Turn the first Ctrl-C into `run.stop_requested`; a second one stops at once.

    SIGTERM does the same through `run.handles_stop`. Outside the main thread nothing is changed.
    """

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        if run.stop_requested:
            raise KeyboardInterrupt
        run.stop_requested = True
        with contextlib.suppress(RuntimeError):  # the signal came in the middle of another print
            console.say("stopping after this update, with a checkpoint; Ctrl-C again stops at once")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, on_interrupt)
    run.handles_stop = True
    try:
        yield
    finally:
        run.handles_stop = False
        signal.signal(signal.SIGINT, before)


def any_requested(wanted: bool, accelerator: Accelerator) -> bool:
    """Return whether any process wants to stop; all processes get the same answer."""
    asked = torch.tensor(float(wanted), device=accelerator.device)
    total: torch.Tensor = accelerator.reduce(asked, "sum")
    return bool(total > 0)
