"""Arrows point down only, heavy libraries stay where they are needed, and the library has no voice but one."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

# Lowest first. A module imports from its own tier and from those before it, never from those after it.
TIERS = (
    {"errors"},
    {"user_code"},
    {"maths", "feedback"},
    {
        "templates",
        "pairs",
        "seq2seq",
        "layouts",
        "encoding",
        "rendered",
        "renderer",
        "rendering",
        "shared_ids",
        "models",
    },
    {"functions", "generation", "sampling", "rollout", "scoring"},
    {"settings"},
    {"runs"},
    {"evaluation", "training"},
    {"sft", "pretraining", "ranking", "ppo"},
    {"checking"},
    {"stages"},
)
# Third-party libraries that may be imported only below these paths.
AT_HOME = {
    "trl": ("rlhf/sft.py", "rlhf/sft/"),
    "peft": ("rlhf/models/",),
    "yaml": ("rlhf/settings/",),
    "pydantic": ("rlhf/settings/",),
    "tqdm": ("rlhf/runs/console.py",),
    "matplotlib": ("rlhf/evaluation/",),
}
HEAVY = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "accelerate",
    "matplotlib",
    "pandas",
    "pyarrow",
    "numpy",
)


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (REPOSITORY / folder).rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module imported anywhere in a file, inside functions too, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import on line {node.lineno}"
            assert node.module is not None
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def part_of(path: Path) -> str:
    """The part of the house a file belongs to: ``ppo`` for rlhf/ppo/update.py, ``stages`` for stages/sft.py."""
    first, *rest = path.relative_to(REPOSITORY).with_suffix("").parts
    return first if first == "stages" else rest[0]


def house_imports(path: Path) -> Iterator[tuple[str, int]]:
    """The parts of the house that a file imports."""
    for module, line in imports(ast.parse(path.read_text(encoding="utf-8"))):
        words = module.split(".")
        if words[0] == "stages":
            yield "stages", line
        elif words[0] == "rlhf" and len(words) > 1:
            yield words[1], line


def tier_of(part: str) -> int:
    found = [index for index, tier in enumerate(TIERS) if part in tier]
    assert found, f"{part} stands on no floor: give it its place in TIERS"
    return found[0]


def test_all_files_are_looked_at() -> None:
    parts = {part_of(path) for path in sources("rlhf", "stages")} - {"__init__"}
    assert parts >= {
        "maths",
        "feedback",
        "models",
        "ppo",
        "ranking",
        "evaluation",
        "runs",
        "settings",
        "stages",
    }
    for part in parts:
        tier_of(part)


@pytest.mark.parametrize(
    "path", sources("rlhf", "stages"), ids=lambda path: str(path.relative_to(REPOSITORY))
)
def test_arrows_point_down(path: Path) -> None:
    if path == REPOSITORY / "rlhf" / "__init__.py":
        assert list(house_imports(path)) == []
        return
    part = part_of(path)
    upwards = [
        f"line {line}: {part} imports {other}"
        for other, line in house_imports(path)
        if other != part and tier_of(other) > tier_of(part)
    ]
    assert upwards == []


def test_no_two_parts_import_each_other() -> None:
    arrows = {
        (part_of(path), other)
        for path in sources("rlhf", "stages")
        for other, _ in house_imports(path)
        if part_of(path) not in (other, "__init__")
    }
    assert [pair for pair in sorted(arrows) if pair[::-1] in arrows] == []


@pytest.mark.parametrize("library", AT_HOME)
def test_third_parties_stay_at_home(library: str) -> None:
    strangers = []
    for path in sources("rlhf", "stages"):
        name = str(path.relative_to(REPOSITORY))
        for module, line in imports(ast.parse(path.read_text(encoding="utf-8"))):
            if module.split(".")[0] == library and not name.startswith(AT_HOME[library]):
                strangers.append(f"{name}:{line}")
    assert strangers == []


def test_the_library_has_no_argv_no_environment_and_one_voice() -> None:
    found = []
    for path in sources("rlhf"):
        name = str(path.relative_to(REPOSITORY))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.unparse(node) if isinstance(node, (ast.Attribute, ast.Name)) else ""
            is_print = isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
            if text in ("sys.argv", "os.environ", "os.getenv") or (
                is_print and name != "rlhf/runs/console.py"
            ):
                found.append(f"{name}:{node.lineno}: {text or 'print'}")
    assert found == []


# --- what is really imported, in processes where the rest does not exist


def run_python(code: str, *options: str) -> None:
    done = subprocess.run(
        [sys.executable, *options, "-c", f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr


def test_rlhf_and_feedback_need_the_standard_library_only() -> None:
    # -S: no site-packages, so nothing but the standard library can be found.
    modules = [
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
        for path in sources("rlhf/feedback")
    ]
    assert len(modules) > 5
    run_python("".join(f"import {module}\n" for module in ("rlhf", "rlhf.errors", *modules)), "-S")


BLOCKER = """
import importlib.abc, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)
sys.meta_path.insert(0, Blocker())
"""


def test_maths_needs_torch_only() -> None:
    others = (
        "transformers",
        "trl",
        "peft",
        "datasets",
        "accelerate",
        "pydantic",
        "yaml",
        "matplotlib",
        "tqdm",
    )
    modules = [
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
        for path in sources("rlhf/maths")
    ]
    assert "rlhf.maths.losses" in modules
    code = f"BLOCKED = {others!r}\n{BLOCKER}" + "".join(f"import {module}\n" for module in modules)
    run_python(code)


def test_settings_and_stages_start_without_heavy_libraries() -> None:
    # A typing mistake must be answered at once, not after ten seconds of imports.
    stages = [path.stem for path in sources("stages") if not path.stem.startswith("__")]
    assert {"sft", "reward", "ppo", "_command"} <= set(stages)
    code = "".join(f"import stages.{stage}\n" for stage in stages)
    run_python(f"BLOCKED = {HEAVY!r}\n{BLOCKER}{code}")
