"""The folder of a run: what it was told, where it comes from, what it measured, where it can go on from.

::

    runs/ppo/
      config.yaml        the resolved settings; this file repeats the run
      provenance.json    status, command, versions, git, machine, data fingerprints
      metrics.jsonl      one row a step
      samples.jsonl      one row a sampled response
      warnings.jsonl     one row a trouble that the run's numbers gave away; missing where there was none
      checkpoints/       step_000040/ ... complete or absent
      summary.json       the run's own numbers, written at its end
      (the model)        a plain Hugging Face folder

Running a stage again simply works: a finished run in the same place is moved to ``<folder>.previous`` (then
``.previous2`` and so on). A run that was killed is taken up at its last checkpoint, if its settings are the
same; if they are not, it is moved to ``<folder>.unfinished``.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from rlhf.errors import RunError
from rlhf.runs.clock import Stopwatch
from rlhf.runs.existing import clear, decide, find_checkpoints, read_facts, take_lock
from rlhf.runs.files import finish_folder, plain, read_json, write_json, write_text
from rlhf.runs.jsonl import JsonlFile
from rlhf.runs.manifest import write_manifest
from rlhf.runs.provenance import data_fingerprints, now, provenance
from rlhf.settings.yaml_file import dump_yaml

__all__ = ["RunFolder"]


class RunFolder:
    """An open run. Make one with `RunFolder.open`; all processes hold one, only the main one writes.

    Attributes:
        path: the folder.
        is_main: whether this process writes.
        resume_from: the checkpoint folder to go on from, or None when the run starts at the beginning.
        metrics: ``metrics.append({"step": 3, "ppo/kl": 0.1})``.
        samples: ``samples.append({"id": ..., "response": ...})``.
        warnings: ``warnings.append({"code": ..., "step": 3, "text": ...})``.
        stop_requested: set by SIGTERM when `handles_stop` is True: write a checkpoint and raise
            KeyboardInterrupt.
        handles_stop: a stage that looks at `stop_requested` says so here; others are stopped at once.
    """

    def __init__(
        self, path: Path, *, is_main: bool, wait: Callable[[], None], lock: TextIO | None = None
    ) -> None:
        self.path = path
        self.is_main = is_main
        self.resume_from: Path | None = None
        self.metrics = JsonlFile(path / "metrics.jsonl", enabled=is_main)
        self.samples = JsonlFile(path / "samples.jsonl", enabled=is_main)
        self.warnings = JsonlFile(path / "warnings.jsonl", enabled=is_main)
        self.stop_requested = False
        self.handles_stop = False
        self._wait = wait
        self._lock = lock
        self._moved: Path | None = None  # where the older run went that this one found in its place
        self._watch = Stopwatch()
        self._facts: dict[str, Any] = {}

    @classmethod
    def open(
        cls,
        path: str | Path,
        config: Mapping[str, Any],
        *,
        stage: str,
        resume: bool | str = "auto",
        keep_previous: bool = True,
        command: Sequence[str] = (),
        is_main: bool = True,
        num_processes: int = 1,
        wait: Callable[[], None] = lambda: None,
    ) -> RunFolder:
        """Start a run in a folder, or take up the one that is in it.

        Args:
            path: the folder; made if missing.
            config: the resolved settings as plain values; written as ``config.yaml``.
            stage: name of the stage.
            resume: ``"auto"`` goes on with an unfinished run that has a checkpoint and the same settings, and
                starts anew otherwise; True goes on from the last checkpoint or raises; False starts anew.
            keep_previous: move a finished run to ``<path>.previous`` instead of deleting it.
            command: the words of the command line, for the provenance.
            is_main: whether this process writes.
            num_processes: how many processes hold this run.
            wait: waits for all processes (``accelerator.wait_for_everyone``).

        Raises:
            RunError: another process writes there, the folder holds other things than a run, or there is
                nothing to resume.
        """
        path = Path(path)
        lock, checkpoint, moved = None, None, None
        if is_main:
            lock, checkpoint = decide(path, config, stage, resume)
            if checkpoint is None:
                if lock is not None:
                    lock.close()
                moved = clear(path, keep_previous)
                lock = take_lock(path)
        run = cls(path, is_main=is_main, wait=wait, lock=lock)
        run._moved = moved
        if is_main:
            run._begin(config, stage, command, num_processes, checkpoint)
        wait()
        run._read_facts()
        return run

    def _read_facts(self) -> None:
        """Learn what the main process decided."""
        try:
            self._facts = read_json(self.path / "provenance.json")
        except OSError:
            raise RunError(
                f"a process does not see {self.path}; "
                "several machines need a run.root on a disk that all of them share"
            ) from None
        resumed = self._facts["resumed_from"]
        self.resume_from = self.path / resumed if resumed else None

    def _begin(
        self,
        config: Mapping[str, Any],
        stage: str,
        command: Sequence[str],
        num_processes: int,
        checkpoint: Path | None,
    ) -> None:
        """Write what is known at the start."""
        earlier = read_facts(self.path) if checkpoint else {}
        seed = config.get("run", {}).get("seed")
        facts = {
            "stage": stage,
            "status": "running",
            "started": earlier.get("started", now()),
            "ended": None,
            "seconds": earlier.get("seconds", 0.0),
            "resumed_from": str(checkpoint.relative_to(self.path)) if checkpoint else None,
            **provenance(command, seed, num_processes),
            "data": earlier.get("data", {}),
        }
        write_text(self.path / "config.yaml", dump_yaml(plain(config)))
        write_json(self.path / "provenance.json", facts)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of this run, with those of the sessions before it was resumed."""
        return float(self._facts.get("seconds", 0.0)) + self._watch.seconds

    def fingerprint_data(self, paths: Iterable[str | Path], named: Mapping[str, str] | None = None) -> None:
        """Note size and SHA-256 of the data files in the provenance.

        `named` are fingerprints of data that is in no file of ours (sets on the hub), by name.

        Raises:
            RunError: data is not what it was when the run began (before it was resumed, say).
        """
        if not self.is_main:
            return
        found = data_fingerprints(paths)
        found |= {name: {"fingerprint": text} for name, text in (named or {}).items()}
        for name, facts in self._facts["data"].items():
            if name in found and found[name] != facts:
                raise RunError(
                    f"{name} has changed since the run in {self.path} began; run.resume=false starts anew"
                )
        self._facts["data"] = {**self._facts["data"], **found}
        self._write_facts(self._facts["status"])

    @contextlib.contextmanager
    def checkpoint(self, step: int) -> Iterator[Path]:
        """Fill ``checkpoints/step_<step>``, which appears complete or not at all; for every process.

        A list of its files is added, by which a later run recognises one that was damaged since.
        """
        goal = self.path / "checkpoints" / f"step_{step:06d}"
        partial = goal.with_name(f".{goal.name}.partial")
        if self.is_main:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        self._wait()
        try:
            yield partial
            self._wait()
            if self.is_main:
                write_manifest(partial)
                finish_folder(partial, goal)
                # Known now, so that a killed run does not lose the time it took until here.
                self._write_facts("running")
        except BaseException:
            if self.is_main:
                shutil.rmtree(partial, ignore_errors=True)
            raise
        self._wait()

    def prune_checkpoints(self, keep: int) -> None:
        """Delete all but the newest `keep` checkpoints."""
        if self.is_main:
            for folder in find_checkpoints(self.path)[:-keep]:
                shutil.rmtree(folder)

    def write_summary(self, numbers: Mapping[str, Any]) -> None:
        """Write the run's own numbers as ``summary.json``, with its stage and seconds."""
        if self.is_main:
            write_json(
                self.path / "summary.json",
                {"stage": self._facts["stage"], "seconds": self.seconds, **numbers},
            )

    def give_back(self) -> Path | None:
        """Put the older run back where it was, if this one has nothing to show yet; returns where that is."""
        shown = (self.metrics.path, self.samples.path)
        if self._moved is None or find_checkpoints(self.path) or any(map(Path.exists, shown)):
            return None
        self._close()
        shutil.rmtree(self.path)
        self._moved.rename(self.path)
        self._moved = None
        return self.path

    def finish(self, status: str = "finished") -> None:
        """Close the files and note how the run ended: finished, interrupted or failed."""
        try:
            if self.is_main and self.path.exists():
                self._write_facts(status, ended=now())
        finally:
            self._close()

    def _close(self) -> None:
        """Close the files, and let others into the folder."""
        for file in (self.metrics, self.samples, self.warnings):
            file.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _write_facts(self, status: str, ended: str | None = None) -> None:
        self._facts["status"] = status
        write_json(self.path / "provenance.json", {**self._facts, "seconds": self.seconds, "ended": ended})
