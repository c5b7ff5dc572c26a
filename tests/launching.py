"""Start a module of the tests in several processes (gloo, CPU), as torchrun does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]


def launch(module: str, folder: Path, num_processes: int, *words: str) -> list[dict[str, Any]]:
    """Run ``python -m module FOLDER *words`` in each process; returns what each left as ``left_<rank>.pt``."""
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true"}
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", str(num_processes), "--master_port", "0"]
    command = [sys.executable, *launcher, "--standalone", "-m", module, str(folder), *words]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"left_{rank}.pt", weights_only=True) for rank in range(num_processes)]


def leave() -> None:
    """End this process at once, as the last thing that a launched module does.

    Taking a gloo process group down may deadlock: its destructor holds the GIL and waits for a thread of gloo,
    which waits for the GIL to free the tensor of a finished work (seen with torch 2.13, one launch in some hundred).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
