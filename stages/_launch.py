"""``accelerate launch`` as make needs it: the stage's own exit status, and no traceback of the launcher.

``python -m stages._launch --config_file configs/accelerate/one_process.yaml -m stages.sft ...`` does what
``accelerate launch`` with the same words does, which works as well; but there a mistake in the settings ends
in the launcher's traceback, below which the message that matters scrolls out of sight, and Ctrl-C kills the
launcher before the stage has said how to go on. And without a GPU a stage gets all cores of the machine; the
bare ``accelerate launch`` gives it one, unless OMP_NUM_THREADS says otherwise.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from types import FrameType
from typing import Any

from rlhf.errors import SettingsError
from stages._accelerate_config import read_accelerate_config


def main(words: list[str]) -> int:
    """Launch a stage and wait for it; returns its exit status, or 2 where the config is no good."""
    from accelerate.commands.launch import launch_command, launch_command_parser

    arguments = launch_command_parser().parse_args(words)
    config = None
    if arguments.config_file:
        try:
            config = read_accelerate_config(arguments.config_file, arguments.num_processes)
        except SettingsError as error:
            print(error, file=sys.stderr)
            return 2
    if arguments.num_cpu_threads_per_process is None and "OMP_NUM_THREADS" not in os.environ:
        arguments.num_cpu_threads_per_process = _threads_per_process(arguments, config)
    if config is not None and config.use_cpu:
        os.environ["ACCELERATE_USE_CPU"] = "true"  # which accelerate itself does for a single process only
    # The agent that watches several processes reports each one it stops; the stage has said why already.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    # Ctrl-C reaches the stage by itself (same terminal); the launcher has to wait for its last words.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.signal(signal.SIGTERM, _pass_on)
    try:
        launch_command(arguments)
    except subprocess.CalledProcessError as error:
        return _status(error.returncode)
    except Exception as error:
        # What torch's agent raises for several processes: a SignalException or a ChildFailedError.
        if hasattr(error, "sigval"):
            return _status(-error.sigval)
        if not hasattr(error, "failures"):
            raise
        first = min(error.failures.values(), key=lambda failure: failure.timestamp)
        return _status(first.exitcode)
    return 0


def _threads_per_process(arguments: Any, config: Any) -> int:
    """Share this machine's cores among its processes; without a GPU accelerate would use one core."""
    import psutil

    def setting(name: str) -> int:
        return int(getattr(arguments, name) or getattr(config, name, None) or 1)

    logical = psutil.cpu_count() or 1
    may_use = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    cores = min(psutil.cpu_count(logical=False) or logical, may_use)
    return max(1, cores * setting("num_machines") // setting("num_processes"))


def _pass_on(number: int, frame: FrameType | None) -> None:
    """Give a signal to the processes that were launched: a kill of the launcher is meant for the stage."""
    import psutil

    for child in psutil.Process().children():
        child.send_signal(number)


def _status(code: int) -> int:
    """A process that a signal ended has minus its number; shells say 128 plus it."""
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
