"""How long reading, checking and tokenising preference pairs takes, and in how much memory, beside TRL.

python -m tests.benchmarks.reading [--pairs 25000 100000] [--runs 3] [--text-tokens 75]

Both sides get one JSON Lines file of pairs made from a seed (prompt, chosen, rejected; a prompt with a response
is about 200 tokens), the tokenizer of the embedded base model and the same cores, each run in a process of its
own with empty caches, the sides in turn. Measured is from the path of the file to what a trainer is given:

- ours: what `make reward` does before training: its check reads the whole file, says what it found and looks for
  held-out prompts, the file's fingerprint is taken, then all is rendered and made the training set
  (`stages.reward`).
- trl: `datasets.load_dataset`, then `RewardTrainer._prepare_dataset` itself: map, map, filter. With
  `dataset_num_proc` at its default (one process), and at the number of cores.

Memory is that of the process and all its children, shared pages counted once: the peak while it works less what
stood there after the imports. "private" leaves out pages of files, which the system takes back when it needs them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

REPOSITORY = Path(__file__).parents[2]
TOKENIZER = REPOSITORY / "data" / "pocket_world" / "base"
SIDES = ("ours", "trl", "trl_all_cores")


class Run(NamedTuple):
    """Of one process and its children: seconds on the clock and of all cores, and the growth of memory in MiB."""

    seconds: float
    cpu_seconds: float
    resident: float
    private: float


def write_pairs(file: Path, num_pairs: int, text_tokens: int, seed: int = 0) -> None:
    """Write pairs whose prompt and whose responses have about `text_tokens` tokens each, all different."""
    from transformers import AutoTokenizer

    from data.pocket_world.raw_text import documents

    source = documents(seed)
    texts = [next(source) for _ in range(3000)]
    ids = AutoTokenizer.from_pretrained(TOKENIZER)(texts)["input_ids"]
    lengths = [len(one) for one in ids]
    rng = random.Random(seed)

    def text() -> str:
        chosen, tokens = [], 0
        while tokens < text_tokens * rng.uniform(0.6, 1.2):
            place = rng.randrange(len(texts))
            chosen.append(texts[place])
            tokens += lengths[place]
        return " ".join(chosen)

    with file.open("w", encoding="utf-8") as stream:
        for number in range(num_pairs):
            row = {"prompt": f"{number}: {text()}", "chosen": f" {text()}", "rejected": f" {text()} {number}"}
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def ours(path: str) -> Iterator[None]:
    """Do what the reward stage does; yields when the imports are done, and when the training set is."""
    import rlhf.feedback.reading
    import rlhf.ranking.batch
    import rlhf.ranking.training
    from rlhf.feedback.mapping import Source
    from rlhf.models.loading import load_tokenizer
    from rlhf.ranking.sharing import longest
    from rlhf.rendering import Renderer
    from rlhf.runs import console
    from rlhf.runs.provenance import data_fingerprints
    from rlhf.settings.reward import RewardSettings
    from stages import _inputs, reward

    tokenizer = load_tokenizer(str(TOKENIZER))
    renderer = Renderer(tokenizer, max_prompt_tokens=512, max_response_tokens=512, context_tokens=1024)
    section = {"train": [{"path": path, "format": "pair"}], "validation": [], "test": []}
    settings = RewardSettings.model_validate(
        {"data": section, "model": {"path": "-"}, "run": {"output": "-"}}
    )
    yield
    console.send_to(sys.stderr)
    sources = [Source(path=path, format="pair")]
    reading = rlhf.feedback.reading.read_rankings(sources)
    _inputs.say_reading("data.train", sources, reading)
    _inputs.check_enough(reading, settings.reward.batch_size, "reward.batch_size")
    _inputs.check_held_out({"train": reading})
    data_fingerprints([path])
    train_set, _ = reward._train_set(settings, reading.records, renderer)
    lengths = [longest(ranking) for ranking in train_set]
    yield
    print(
        f"{len(train_set):,} pairs, {sum(lengths) / len(lengths):.0f} tokens in the longer one",
        file=sys.stderr,
    )


def trl(path: str, num_processes: int | None) -> Iterator[None]:
    """Do what TRL's trainer does to a file, by its own method."""
    from accelerate import PartialState
    from datasets import load_dataset
    from transformers import AutoTokenizer
    from trl import RewardConfig, RewardTrainer

    PartialState(cpu=True)
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    arguments = RewardConfig(
        output_dir=tempfile.gettempdir(), use_cpu=True, max_length=1024, dataset_num_proc=num_processes
    )
    trainer = object.__new__(RewardTrainer)
    yield
    dataset = load_dataset("json", data_files=path, split="train")
    dataset = trainer._prepare_dataset(dataset, tokenizer, arguments, "train")
    yield
    print(f"{len(dataset):,} pairs", file=sys.stderr)


def work(side: str, path: str) -> None:
    """Be the measured process: a line on stdout before the work, one behind it."""
    cores = len(os.sched_getaffinity(0))
    steps = ours(path) if side == "ours" else trl(path, None if side == "trl" else cores)
    next(steps)
    print("begin", flush=True)
    started, used = time.perf_counter(), sum(os.times()[:4])
    next(steps)
    print(time.perf_counter() - started, sum(os.times()[:4]) - used, flush=True)
    next(steps, None)


def memory_of(process: int) -> tuple[float, float]:
    """Resident and private memory of a process and its children in MiB; what is gone by now counts 0."""
    import psutil

    resident = private = 0.0
    try:
        family = [process, *(child.pid for child in psutil.Process(process).children(recursive=True))]
    except psutil.Error:
        return 0.0, 0.0
    for pid in family:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        except OSError:
            continue
        kib = {line.split(":")[0]: float(line.split()[1]) for line in lines}
        resident += kib["Pss"] / 1024
        private += kib["Pss_Anon"] / 1024
    return resident, private


def measure(side: str, file: Path) -> Run:
    """Run one side in a process of its own, with caches of its own that are thrown away."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "HF_HOME": cache, "HF_HUB_OFFLINE": "1", "TMPDIR": cache}
        command = [sys.executable, "-m", "tests.benchmarks.reading", "--work", side, str(file)]
        with subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as child:
            assert child.stdout is not None
            begun = child.stdout.readline()
            assert begun == "begin\n", f"{side} ended before it began"
            before = memory_of(child.pid)
            os.set_blocking(child.stdout.fileno(), False)
            peak, said = before, ""
            while not said:
                time.sleep(0.1)
                now = memory_of(child.pid)
                peak = max(peak[0], now[0]), max(peak[1], now[1])
                said = child.stdout.readline()
                assert said or child.poll() is None, f"{side} ended with status {child.returncode}"
            seconds, cpu_seconds = map(float, said.split())
            return Run(seconds, cpu_seconds, peak[0] - before[0], peak[1] - before[1])


def main() -> None:
    """Print seconds, ratio and memory of every size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, nargs="+", default=[25_000, 100_000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--text-tokens", type=int, default=75)
    parser.add_argument("--sides", nargs="+", default=list(SIDES))
    parser.add_argument("--work", nargs=2)
    options = parser.parse_args()
    if options.work:
        work(*options.work)
        return
    print(
        f"{len(os.sched_getaffinity(0))} cores; medians of {options.runs} runs; memory in MiB above the imports"
    )
    with tempfile.TemporaryDirectory() as folder:
        for num_pairs in options.pairs:
            file = Path(folder) / f"{num_pairs}.jsonl"
            write_pairs(file, num_pairs, options.text_tokens)
            print(f"\n{num_pairs:,} pairs, {file.stat().st_size / 2**20:,.0f} MiB")
            found: dict[str, list[Run]] = {side: [] for side in options.sides}
            for _ in range(options.runs):
                for side, runs in found.items():
                    runs.append(measure(side, file))
            _show(found)


def _show(found: dict[str, list[Run]]) -> None:
    print(
        f"{'':14}{'seconds (min-max)':>24}{'ours / it':>12}{'cpu':>8}{'ours / it':>12}{'resident':>10}{'private':>10}"
    )
    for side, runs in found.items():
        seconds = [run.seconds for run in runs]
        shown = f"{median(seconds):.1f} ({min(seconds):.1f}-{max(seconds):.1f})"
        cpu, resident, private = (median(run[place] for run in runs) for place in range(1, 4))
        ratios = [
            f"{median(one[place] / other[place] for one, other in zip(found['ours'], runs, strict=True)):.2f}"
            if side != "ours" and "ours" in found
            else ""
            for place in range(2)
        ]
        print(
            f"{side:14}{shown:>24}{ratios[0]:>12}{cpu:>8.1f}{ratios[1]:>12}{resident:>10.0f}{private:>10.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
