"""Shipped YAML files are the reference: every key of the schema, a comment on each, and they resolve."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from rlhf.settings import schema
from rlhf.settings.layers import resolve_settings
from rlhf.settings.yaml_file import read_yaml
from stages._command import STAGES, load_schema

REPOSITORY = Path(__file__).parents[1]
CONFIGS = REPOSITORY / "configs"


def stage_of(path: Path) -> str:
    """The stage of a file: its stem, or the one word of its stem that is a stage's name; recipes are PPO's."""
    if path.parent.name == "recipes":
        return "ppo"
    words = [word for word in re.split(r"[._-]", path.stem) if word in STAGES]
    assert len(words) == 1, f"{path.name}: the name has to hold one of {', '.join(STAGES)}"
    return words[0]


ALL = sorted(path for path in CONFIGS.rglob("*.y*ml") if path.parent.name != "accelerate")
RECIPES = [path for path in ALL if path.parent.name == "recipes"]
FILES = [path for path in ALL if path not in RECIPES]
BY_NAME = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIGS)))


def test_how_many_files_are_visited() -> None:
    names = [str(path.relative_to(CONFIGS)) for path in FILES]
    assert {f"{stage}.yaml" for stage in STAGES} <= set(names)
    assert {f"smoke/{stage}.yaml" for stage in STAGES} <= set(names)
    # A new file is counted here by hand, so that one that the search misses is noticed.
    assert len(names) == 16
    assert len(list((CONFIGS / "accelerate").glob("*.yaml"))) == 4
    assert len(RECIPES) == 5


def missing_keys(
    section: type[BaseModel], values: dict[str, Any], path: schema.KeyPath = ()
) -> Iterator[str]:
    """Settings of a schema that a file leaves out; an optional section may be null, items of lists may be short."""
    for name, field in schema.fields_of(section).items():
        here = (*path, name)
        if name not in values:
            yield schema.format_path(here)
            continue
        nested = schema.section_in(field.annotation)
        if nested is not None and values[name] is not None:
            yield from missing_keys(nested, values[name], here)


@BY_NAME
def test_every_key_of_the_schema_is_there_and_no_other(path: Path) -> None:
    settings_type = load_schema(stage_of(path))
    assert list(missing_keys(settings_type, read_yaml(path))) == []
    resolve_settings(settings_type, path)  # unknown keys and wrong values raise


@BY_NAME
def test_the_order_is_that_of_the_schema(path: Path) -> None:
    settings_type = load_schema(stage_of(path))
    values = read_yaml(path)
    assert list(values) == list(schema.fields_of(settings_type))
    for name, field in schema.fields_of(settings_type).items():
        section = schema.section_in(field.annotation)
        if section is not None and isinstance(values[name], dict):
            assert list(values[name]) == list(schema.fields_of(section)), name


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_holds_what_differs_with_its_place_in_the_paper(path: Path) -> None:
    resolved = resolve_settings(load_schema("ppo"), path)
    main = resolve_settings(load_schema("ppo"), CONFIGS / "ppo.yaml").settings
    assert resolved.settings.run.output != main.run.output  # type: ignore[attr-defined]
    text = path.read_text(encoding="utf-8")
    assert re.search(r"arXiv:\d{4}\.\d{5}", text)
    bare = [line for line in text.splitlines() if re.match(r" +[a-z_]+: ", line) and "  # " not in line]
    assert bare == []


@BY_NAME
def test_every_setting_has_a_comment_above_or_beside_it(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    bare = []
    for number, line in enumerate(lines):
        match = re.match(
            r"^( *)([a-z_]+):(.*)$", line
        )  # keys of list items start with '- ' or stand below one
        if match is None or inside_a_list(lines, number):
            continue
        indent, key, rest = match.groups()
        opens_a_section = not rest.strip() and number + 1 < len(lines) and "- " not in lines[number + 1]
        above = lines[number - 1].strip().startswith("#") if number else False
        if not (opens_a_section or above or "#" in rest):
            bare.append(f"{path.name}:{number + 1}: {indent}{key}")
    assert bare == []


def inside_a_list(lines: list[str], number: int) -> bool:
    """Whether a line stands in an item of a list: a line above it that is less deep starts with '- '."""
    depth = len(lines[number]) - len(lines[number].lstrip())
    for line in reversed(lines[:number]):
        if not line.strip() or line.strip().startswith("#"):
            continue
        here = len(line) - len(line.lstrip())
        if here < depth:
            if line.strip().startswith("- "):
                return True
            depth = here
    return False


@pytest.mark.parametrize("stage", STAGES)
def test_the_main_file_holds_the_defaults(stage: str) -> None:
    settings_type = load_schema(stage)
    shipped = leaves(resolve_settings(settings_type, CONFIGS / f"{stage}.yaml").settings.model_dump())
    defaults = leaves(resolve_settings(settings_type).settings.model_dump())
    # Who writes a short YAML of their own gets what the long one says.
    assert [
        f"{key}: {shipped.get(key)} in configs/{stage}.yaml, {defaults.get(key)} in rlhf/settings"
        for key in {**shipped, **defaults}
        if shipped.get(key) != defaults.get(key)
    ] == []


def leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found.update(
            leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
        )
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_smoke_runs_stay_in_their_own_folder(stage: str) -> None:
    settings = resolve_settings(load_schema(stage), CONFIGS / "smoke" / f"{stage}.yaml").settings
    assert settings.run.root == "runs/smoke"  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", sorted((CONFIGS / "accelerate").glob("*.yaml")), ids=lambda path: path.stem)
def test_accelerate_understands_its_files(path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    processes = {"one_process": 1, "cpu_two_processes": 2, "several_gpus": 2, "several_machines": 16}
    assert config.num_processes == processes[path.stem]
    assert config.use_cpu is (path.stem == "cpu_two_processes")


@pytest.mark.parametrize("path", sorted((CONFIGS / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_what_a_recipe_says_for_the_small_world_is_a_command(path: Path) -> None:
    """Of the size of a run in configs/ppo.yaml, or hours would go by."""
    said = re.search(r'make ppo CONFIG=(\S+) ARGS="(.*?)"', path.read_text(encoding="utf-8"), re.DOTALL)
    assert said is not None
    assert CONFIGS.parent / said[1] == path
    words = said[2].replace("\\\n#", " ").split()
    settings = resolve_settings(load_schema("ppo"), path, words).settings
    main = resolve_settings(load_schema("ppo"), CONFIGS / "ppo.yaml").settings
    for name in ("num_updates", "rollout_batch_size", "learning_rate"):
        assert getattr(settings.ppo, name) == getattr(main.ppo, name)  # type: ignore[attr-defined]
