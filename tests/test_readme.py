"""The README is a test file: its targets, configs, settings and links exist, and its marked blocks run.

A fenced block right after the line ``<!-- runs in the tests -->`` is run: shell blocks in bash at the top of the
repository, python blocks with this Python.
"""

from __future__ import annotations

import os
import re
import shlex
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlhf.settings.layers import resolve_settings
from stages._command import STAGES, load_schema

REPOSITORY = Path(__file__).parents[1]
README = REPOSITORY / "README.md"
MARK = "<!-- runs in the tests -->"
FENCE = re.compile(
    r"(?:^(?P<mark>" + re.escape(MARK) + r")\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)


def readme() -> str:
    return README.read_text(encoding="utf-8")


def blocks() -> list[tuple[str, str, bool]]:
    """Kind, text and whether it is run, of every fenced block."""
    return [(match["kind"], match["text"], match["mark"] is not None) for match in FENCE.finditer(readme())]


def commands() -> Iterator[list[str]]:
    """The words of every shell command of the README, without comments and prompts, variables filled in."""
    for kind, text, _ in blocks():
        if kind in ("sh", "bash", "shell", "console"):
            variables: dict[str, str] = {}
            for line in text.replace("\\\n", " ").splitlines():
                filled = string.Template(line.removeprefix("$ ")).safe_substitute(variables)
                words = shlex.split(filled, comments=True)
                if words and words[0] == "for":
                    variables[words[1]] = words[3]  # the first turn of the loop
                elif words and re.match(r"[A-Z]+=", words[0]):
                    variables.update([words[0].split("=", 1)])
                elif words:
                    yield words


def make_commands() -> list[list[str]]:
    return [words[1:] for words in commands() if words[0] == "make"]


def targets() -> set[str]:
    text = (REPOSITORY / "Makefile").read_text()
    return set(re.findall(r"^([a-z-]+):.*## ", text, flags=re.M))


def test_the_two_commands_are_there() -> None:
    assert ["all"] in make_commands()
    assert ["test"] in make_commands()


def test_every_make_target_exists() -> None:
    named = {
        word for words in make_commands() for word in words if "=" not in word and not word.startswith("-")
    }
    named |= set(re.findall(r"`make ([a-z-]+)", readme()))
    assert named <= targets()


def test_settings_of_the_make_commands_exist() -> None:
    for words in make_commands():
        variables = dict(word.split("=", 1) for word in words if "=" in word)
        pairs = [pair for pair in shlex.split(variables.get("ARGS", "")) if "=" in pair]
        for stage in [word for word in words if word in STAGES]:
            config = REPOSITORY / variables.get("CONFIG", "configs")
            config = config if config.suffix in (".yaml", ".yml") else config / f"{stage}.yaml"
            resolve_settings(load_schema(stage), config if config.exists() else None, pairs)
        if "all" in words:
            schemas = {name: load_schema(name) for name in STAGES}
            resolve_settings(schemas["ppo"], REPOSITORY / "configs/ppo.yaml", pairs, schemas)


def test_every_file_it_names_exists() -> None:
    text = readme()
    named = set(re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)[^)]*\)", text))
    named |= set(re.findall(r"\b((?:configs|data|stages|tests|rlhf)/[\w./-]*\w)", text))
    made_by_running = ("data/mine", "configs/mine", "configs/my", "data/my")
    missing = [
        name
        for name in sorted(named)
        if not name.startswith(made_by_running)
        and not list(REPOSITORY.glob(name))
        and not list(REPOSITORY.glob(f"{name}*"))
    ]
    assert missing == []


def test_every_module_it_runs_exists() -> None:
    for module in re.findall(r"python -m ((?:stages|rlhf|data|tests)[\w.]*)", readme()):
        path = REPOSITORY / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or path.is_dir(), module


RUN = [(kind, text) for kind, text, marked in (blocks() if README.exists() else []) if marked]


def test_some_blocks_run() -> None:
    assert RUN, f"put the line {MARK} right above the fence of a block that can run in seconds"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "text"), RUN, ids=[text.splitlines()[0][:50] for _, text in RUN])
def test_a_block_runs(kind: str, text: str) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-c", text] if kind == "python" else ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
