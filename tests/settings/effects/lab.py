"""Runs a stage on tiny models, as from the command line, and keeps what it left."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from rlhf.runs import provenance
from rlhf.settings.layers import resolve_settings
from stages._command import load_schema, run_stage
from tests.settings.effects.baselines import BASELINES
from tests.settings.effects.effect import Before
from tests.settings.effects.seen import Seen
from tests.settings.effects.spies import spying
from tests.stage_data import interrupted_at_a_checkpoint

INTERRUPTED = 130


class Lab:
    """Where one stage is run.

    All runs write to the same folder, the desk, so that their settings are equal; afterwards it is moved
    away. Runs with the values of the baseline are made once and kept.

    Args:
        stage: its name.
        folder: of this lab alone.
        inputs: models and data, see `inputs.write_inputs`.
    """

    def __init__(self, stage: str, folder: Path, inputs: Path) -> None:
        self.stage = stage
        self.module: Any = importlib.import_module(f"stages.{stage}")
        self.schema = load_schema(stage)
        self.inputs = inputs
        self.desk = folder / "desk"
        self.shelf = folder / "shelf"
        self.shelf.mkdir(parents=True)
        self._kept: dict[Any, Any] = {}
        self._count = 0

    def words(self, pairs: Sequence[str] = ()) -> list[str]:
        """The pairs of a command line: the baseline's with `pairs` laid over; the last one of a key counts."""
        told = {pair.split("=")[0]: pair for pair in ("run.root={desk}/runs", *BASELINES[self.stage], *pairs)}
        return [
            pair.replace("{inputs}", str(self.inputs)).replace("{desk}", str(self.desk))
            for pair in told.values()
        ]

    def resolve(self, pairs: Sequence[str] = ()) -> Any:
        """The settings of a command line. Raises SettingsError where they are none."""
        return resolve_settings(self.schema, None, self.words(pairs)).settings

    def baseline(self, given: tuple[str, ...] = (), after: Before | None = None, repeat: int = 0) -> Seen:
        """A run of the baseline with `given`, made once; `repeat` 1 is another one of the same settings."""
        key = (given, after, repeat)
        if key not in self._kept:
            self._kept[key] = self.run(given, given, after)
        found: Seen = self._kept[key]
        return found

    def run(self, pairs: tuple[str, ...], earlier: tuple[str, ...] = (), after: Before | None = None) -> Seen:
        """Run the stage to its end, after an earlier run (of `earlier`) in the same place if there is one."""
        shutil.rmtree(self.desk, ignore_errors=True)
        if after is None:
            self.desk.mkdir()
        else:
            shutil.copytree(self._earlier(earlier, after), self.desk)
        with spying() as notes:
            status, said, complaint = self._call(pairs)
        assert status == 0, f"{self.stage} with {' '.join(pairs)} ended with {status}: {complaint[-2000:]}"
        return Seen(self.stage, self._put_away(), said, notes)

    def drop(self, seen: Seen) -> None:
        """Delete what a run left."""
        shutil.rmtree(seen.desk)

    def _earlier(self, pairs: tuple[str, ...], after: Before) -> Path:
        key = (pairs, "earlier", after)
        if key not in self._kept:
            shutil.rmtree(self.desk, ignore_errors=True)
            with interrupted_at_a_checkpoint() if after == "interrupted" else contextlib.nullcontext():
                status, _, complaint = self._call(pairs)
            assert status == (INTERRUPTED if after == "interrupted" else 0), complaint
            self._kept[key] = self._put_away()
        found: Path = self._kept[key]
        return found

    def _put_away(self) -> Path:
        self._count += 1
        return self.desk.rename(self.shelf / str(self._count))

    def _call(self, pairs: Sequence[str]) -> tuple[int, str, str]:
        """Return the exit status and what went to standard output and standard error."""
        out, err = io.StringIO(), io.StringIO()
        # An empty file: the shipped ones hold the defaults (tests/test_configs.py), and take long to read.
        words = [f"--config={self.inputs}/empty.yaml", *self.words(pairs)]
        gc.freeze()  # a stage collects garbage itself, which takes as long as the rest of it in a full process
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _in_a_hurry():
                run_stage(self.stage, self.schema, self.module.train, check=self.module.check, argv=words)
        except SystemExit as ended:
            return int(ended.code or 0), out.getvalue(), err.getvalue()
        finally:
            gc.unfreeze()
            # The process-wide state keeps the precision of its first stage; real stages run alone.
            sys.modules["accelerate.state"].AcceleratorState._reset_state(reset_partial_state=False)


@contextlib.contextmanager
def _in_a_hurry() -> Iterator[None]:
    """Leave out what no setting changes and what takes about as long as a tiny run: figures, versions, git."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda self, file, **_: file.write("<svg ></svg>"))
        patch.setattr(provenance, "_versions", dict)
        patch.setattr(provenance, "git_state", lambda folder: None)
        yield
