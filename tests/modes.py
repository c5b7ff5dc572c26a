"""Measure what the ways to share memory cost: seconds an update and peak memory, side by side.

    python -m tests.modes [runs]

`runs` holds what `make sft` and `make reward` left, and in `reward_lora` a reward model that is an adapter (README,
"One base in memory"). Five updates a mode, each in a process of its own, one after the other; the first is not
counted. Nothing else should run beside it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean

from rlhf.runs.jsonl import read_jsonl

LORA = ("lora={rank: 16, alpha: 32}", "memory.one_base=true", "scores=[{model: '{run.root}/reward_lora'}]")
MODES = {"separate": (), "critic on the trunk": ("critic.init_from=trunk",), "one base, LoRA": LORA}
SHORT = (
    "ppo.num_updates=5",
    "evaluation.every_updates=null",
    "evaluation.num_prompts=16",
    "checkpoint.every_updates=null",
)


def measure(words: list[str], output: Path) -> tuple[float, float]:
    """Return seconds an update and the peak of the process's memory, MiB."""
    code = (
        "import resource, runpy, sys\n"
        "try:\n    runpy.run_module('stages.ppo', run_name='__main__')\n"
        "finally:\n    print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words, f"run.output={output}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr or done.stdout)
    rows = [row["seconds/update"] for row in read_jsonl(output / "metrics.jsonl") if "seconds/update" in row]
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
    return fmean(rows[1:]), int(done.stdout.split()[-1]) / unit


def main(root: str) -> None:
    """Print a row a mode."""
    print(f"{'mode':24}{'seconds an update':>20}{'ratio':>8}{'peak memory, MiB':>20}")
    base = None
    with tempfile.TemporaryDirectory() as folder:
        for number, (mode, told) in enumerate(MODES.items()):
            seconds, peak = measure([*SHORT, *told, f"run.root={root}"], Path(folder, str(number)))
            base = base or seconds
            print(f"{mode:24}{seconds:20.2f}{seconds / base:8.2f}{peak:20,.0f}", flush=True)


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["runs"]))
