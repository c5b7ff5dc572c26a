"""What all stages share: read the command line, say the settings, open the run, end with one clear message.

A stage script ends with::

    if __name__ == "__main__":
        run_stage("sft", SftSettings, train, check=check)

Its exit status is 0, 1 (a bug of ours, with its traceback), 2 (the user's mistake, one message on standard
error), 130 (Ctrl-C) or 143 (SIGTERM).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NoReturn, TypeVar

from rlhf.errors import UserError
from rlhf.runs import console
from rlhf.runs.clock import format_seconds
from rlhf.runs.existing import find_checkpoints
from rlhf.runs.folder import RunFolder
from rlhf.settings import schema
from rlhf.settings.layers import Resolved, Settings, describe_layers, resolve_settings, settings_to_yaml
from rlhf.settings.overlay import COMMAND_LINE
from stages._environment import environment_mistake, how_it_goes_on
from stages._hints import refuse_cut_pairs, refuse_other_config
from stages._processes import check_precision, process_state, refuse_sharding

__all__ = ["STAGES", "load_schema", "pairs_for", "run_stage"]

STAGES = ("base", "sft", "reward", "ppo", "report")
USER_MISTAKE, INTERRUPTED, TERMINATED = 2, 130, 143
MAIN_SPEAKS_FIRST_SECONDS = 10.0

S = TypeVar("S", bound=Settings)


class Terminated(KeyboardInterrupt):
    """SIGTERM: somebody, or the cluster, wants this process to end."""


def load_schema(stage: str) -> type[Settings]:
    """The settings of a stage: ``rlhf.settings.sft.SftSettings`` for ``sft``."""
    module = importlib.import_module(f"rlhf.settings.{stage}")
    schema: type[Settings] = getattr(module, f"{stage.capitalize()}Settings")
    return schema


def pairs_for(stage: str, pairs: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part the pairs into those for a stage and those for another one alone.

    ``model.path=my/base`` is for every stage that knows the key, ``sft:model.path=my/base`` for the SFT stage
    only.
    """
    mine, others = [], []
    for pair in pairs:
        name, colon, rest = pair.partition(":")
        if colon and name == stage:
            mine.append(rest)
        elif colon and name in STAGES:
            others.append(pair)
        else:
            mine.append(pair)
    return mine, others


def run_stage(
    stage: str,
    settings_type: type[S],
    train: Callable[..., None],
    *,
    check: Callable[[S], object] | None = None,
    argv: Sequence[str] | None = None,
) -> NoReturn:
    """Run a stage from the command line and end the process with its status.

    Args:
        stage: its name, which is also that of its section, its YAML and its make target.
        settings_type: its schema.
        train: does the work; called on every process with the settings, the open run and what `check`
            returned, if that is anything. Heavy imports go inside.
        check: looks at data and paths without loading a model and raises `UserError`; always called first,
            and the last thing that ``--dry-run`` does. It returns the data that it read, so that nothing is
            read twice, or None.
        argv: the words after the program's name; those of this process when None.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    sys.exit(_Command(stage, settings_type, train, check, words).run())


class _Command:
    """One call of a stage."""

    def __init__(
        self,
        stage: str,
        settings_type: type[Settings],
        train: Callable[..., None],
        check: Callable[..., object] | None,
        words: list[str],
    ) -> None:
        self.stage = stage
        self.settings_type = settings_type
        self.train = train
        self.check = check
        self.words = words
        self.folder: RunFolder | None = None
        self.resolved: Resolved[Settings] | None = None
        self.terminated = False  # by SIGTERM; a stage may answer that, or Ctrl-C, with a checkpoint first
        # accelerate launch and torchrun number the processes before any of our code runs.
        self.rank = int(os.environ.get("RANK", "0"))

    def run(self) -> int:
        """Do all of it; returns the exit status."""
        console.silence(self.rank != 0)
        console.quiet_notices()
        before = signal.signal(signal.SIGTERM, self._on_sigterm)
        try:
            self._run()
            return 0
        except UserError as error:
            return self._end("failed", self._with_place(error) + self._what_is_left(), USER_MISTAKE)
        except KeyboardInterrupt as error:
            terminated = self.terminated or isinstance(error, Terminated)
            return self._end("interrupted", self._how_to_go_on(), TERMINATED if terminated else INTERRUPTED)
        except Exception as error:
            message = environment_mistake(error, self.folder, self.resolved)
            if message is None:
                self._end("failed", "", 1)
                raise
            return self._end("failed", message, USER_MISTAKE)
        finally:
            signal.signal(signal.SIGTERM, before)

    def _run(self) -> None:
        options = _parser(self.stage).parse_intermixed_args(self.words)
        if options.dry_run:
            console.send_to(sys.stderr)  # standard output is the YAML and nothing else
        resolved = self.resolved = self._resolve(options)
        console.say(f"{self.stage}: settings (defaults < {options.config} < command line)")
        for line in describe_layers(resolved):
            console.say(f"  {line}")
        settings = resolved.settings
        refuse_sharding()
        read = self.check(settings) if self.check is not None else None
        if options.dry_run:
            if self.rank == 0:
                print(settings_to_yaml(settings), end="")
            console.send_to(None)
            return
        self._train(settings, read)

    def _resolve(self, options: argparse.Namespace) -> Resolved[Settings]:
        refuse_cut_pairs(options.pairs)
        schemas = {name: load_schema(name) for name in STAGES if name != self.stage}
        refuse_other_config(options.config, self.stage, {**schemas, self.stage: self.settings_type})
        pairs, skipped = pairs_for(self.stage, options.pairs)
        others = {}
        if options.ignore_other_stages:
            others = schemas
        else:
            pairs, skipped = pairs + skipped, []  # here they are mistakes
        resolved: Resolved[Settings] = resolve_settings(self.settings_type, options.config, pairs, others)
        return dataclasses.replace(resolved, skipped=(*resolved.skipped, *skipped))

    def _train(self, settings: Settings, read: object) -> None:
        from accelerate.utils import set_seed

        run = settings.run  # type: ignore[attr-defined]
        state = process_state()
        training: Any = getattr(settings, self.stage, None)
        if hasattr(training, "mixed_precision"):
            key = f"{self.stage}.mixed_precision"
            check_precision(state.device.type, training.mixed_precision, key)
        self.folder = RunFolder.open(
            run.output,
            settings.model_dump(by_alias=True),
            stage=self.stage,
            resume=run.resume,
            keep_previous=run.keep_previous,
            command=["python", "-m", f"stages.{self.stage}", *self.words],
            is_main=state.is_main_process,
            num_processes=state.num_processes,
            wait=state.wait_for_everyone,
        )
        set_seed(run.seed)
        self.train(settings, self.folder, *([] if read is None else [read]))
        self.folder.finish()
        console.say(f"{self.stage}: done in {format_seconds(self.folder.seconds)}; see {self.folder.path}")

    def _with_place(self, error: UserError) -> str:
        """The message, after the layers that say the settings it is about, where it starts with one."""
        key = str(error).split(":", 1)[0].split(" ", 1)[0]
        if self.resolved is None or not self._is_setting(key):
            return str(error)
        # "scores[0].model: with memory.one_base ...": either may be the wrong one. What comes after a
        # semicolon is advice, and what stands in quotes a value.
        said = re.sub(r"'[^']*'", "", str(error).split(";", 1)[0])
        keys = [key, *filter(self._is_setting, re.findall(r"\w[\w\[\]]*(?:\.[\w\[\]]+)+", said))]
        origins = {self.resolved.origin(key) for key in keys}
        layers = [layer for layer in (COMMAND_LINE, self.resolved.config) if layer in origins]
        return f"{' and '.join(map(str, layers))}: {error}" if layers else str(error)

    def _is_setting(self, key: str) -> bool:
        path = schema.parse_path(key)
        return path is not None and schema.annotation_at(self.settings_type, path) is not None

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self.terminated = True
        if self.folder is not None and self.folder.handles_stop and not self.folder.stop_requested:
            self.folder.stop_requested = True
        else:
            raise Terminated

    def _how_to_go_on(self) -> str:
        if self.folder is None:
            return f"{self.stage}: stopped before it began"
        if find_checkpoints(self.folder.path):
            return (
                f"{self.stage}: stopped; the same command again {how_it_goes_on(self.folder, self.resolved)}"
            )
        return f"{self.stage}: stopped before its first checkpoint; the same command again starts anew"

    def _what_is_left(self) -> str:
        """From where a run that failed on the way would go on."""
        if self.folder is None or not find_checkpoints(self.folder.path):
            return ""
        return (
            f"\nonce that is mended, the same command {how_it_goes_on(self.folder, self.resolved)}"
            " (with other settings: only with run.resume=true)"
        )

    def _end(self, status: str, message: str, code: int) -> int:
        """Say why it ended, once, and note it in the run's folder."""
        console.close_bars()
        console.send_to(None)
        if self.folder is not None:
            with contextlib.suppress(OSError):  # a full disk; the run counts as unfinished anyway
                returned = self.folder.give_back()
                if returned is None:
                    self.folder.finish(status)
                else:
                    message += f"\nthe older run is back in {returned}"
        if self.rank != 0 and code == USER_MISTAKE:
            # Most mistakes are found by all processes, and the launcher stops the rest when the first one
            # ends: wait for the main process to say it. Who is still here afterwards is the only one that
            # knows.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            time.sleep(MAIN_SPEAKS_FIRST_SECONDS)
            print(f"process {self.rank}: {message}", file=sys.stderr, flush=True)
        elif self.rank == 0 and message:
            print(message, file=sys.stderr, flush=True)
        return code


def _parser(stage: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m stages.{stage}",
        description=f"The {stage} stage. Settings: defaults < YAML file < key=value pairs.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "pairs", nargs="*", metavar="key=value", help=f"settings, as in {stage}.name=value run.seed=3"
    )
    parser.add_argument("--config", default=f"configs/{stage}.yaml", help="YAML file (default: %(default)s)")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check settings, data and paths, print the resolved YAML and stop",
    )
    parser.add_argument(
        "--ignore-other-stages",
        action="store_true",
        help="skip pairs that only another stage knows (make all gives the same pairs to every stage)",
    )
    return parser
