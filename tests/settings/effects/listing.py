"""All settings of all stages, from their schemas, and the entries that show them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from rlhf.settings import schema
from stages._command import STAGES, load_schema
from tests.settings.effects import of_base, of_ppo, of_report, of_reward, of_sft, sources
from tests.settings.effects.effect import Entry, Refused, Shown

ENTRIES: dict[str, tuple[Entry, ...]] = {
    "base": of_base.ENTRIES,
    "sft": of_sft.ENTRIES,
    "reward": of_reward.ENTRIES,
    "ppo": of_ppo.ENTRIES,
    "report": of_report.ENTRIES,
}


@cache
def settings_of(section: type[schema.Section]) -> list[str]:
    """Every key that can be given a value: all but the sections that are always there.

    A section that may be null is a setting itself (`lora`), and so is a list of sections (`data.train`).
    """
    return [key for key in schema.known_keys(section) if not _is_plain_section(section, key)]


def _is_plain_section(section: type[schema.Section], key: str) -> bool:
    annotation = schema.annotation_at(section, schema.parse_path(key.replace("[]", "[0]")) or ())
    return isinstance(annotation, type) and issubclass(annotation, schema.BaseModel)


@cache
def source_keys(stage: str) -> dict[str, str]:
    """The settings of sources of data: key -> the field of a source."""
    found = {}
    for key in settings_of(load_schema(stage)):
        path = schema.parse_path(key.replace("[]", "[0]")) or ()
        _, owner = schema.section_at(load_schema(stage), path[:-1])
        if owner is sources.SourceSettings:
            found[key] = str(path[-1])
    return found


def missing(stage: str) -> list[str]:
    """Settings without an entry."""
    shown = {entry.key for entry in ENTRIES[stage]} | set(source_keys(stage))
    return [key for key in settings_of(load_schema(stage)) if key not in shown]


def dangling(stage: str) -> list[str]:
    """Entries of settings that the stage does not have."""
    known = set(settings_of(load_schema(stage)))
    return [entry.key for entry in ENTRIES[stage] if entry.key not in known]


def broken_link(entry: Shown, root: Path) -> str | None:
    """Say what is wrong with the test that an entry names; None where nothing is."""
    name, _, test = entry.by.partition("::")
    if not (root / name).is_file():
        return f"{name} does not exist"
    text = (root / name).read_text(encoding="utf-8")
    functions = {node.name: node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
    function = functions.get(test)
    if function is None:
        return f"{name} has no {test}"
    if any(word in ast.unparse(mark) for mark in function.decorator_list for word in ("skip", "xfail")):
        return f"{entry.by} is skipped"
    source = ast.get_source_segment(text, function) or ""
    marks = " ".join(map(ast.unparse, function.decorator_list))
    last = entry.key.rpartition(".")[2]
    return None if re.search(rf"\b{last}\b", f"{marks} {source}") else f"{entry.by} does not name {last}"


def lines() -> Iterator[str]:
    """The list: each setting with what its tests show."""
    num_settings = num_shown = 0
    for stage in STAGES:
        keys = settings_of(load_schema(stage))
        told = {key: list(_said_of(stage, key)) for key in keys}
        num_settings += len(keys)
        num_shown += sum(bool(words) for words in told.values())
        yield f"{stage}: {len(keys)} settings"
        for key, found in told.items():
            yield from (f"  {key:34} {words}" for words in found or ["NOT SHOWN"])
    yield f"{num_shown} of {num_settings} settings shown"


def _said_of(stage: str, key: str) -> Iterator[str]:
    fields = source_keys(stage)
    if key in fields:
        yield sources.words(stage, key, fields[key])
    for entry in ENTRIES[stage]:
        if entry.key == key:
            yield _words(entry)


def _words(entry: Entry) -> str:
    if isinstance(entry, Shown):
        return f"{entry.says} ({entry.by})"
    return f"{entry.to}: {'refused: ' * isinstance(entry, Refused)}{entry.says}"
