"""From what the user names to sources of data: a stage's YAML, a folder of them, or data itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from rlhf.checking.results import Kind, Subject
from rlhf.errors import SettingsError
from rlhf.feedback.mapping import Source
from rlhf.settings.layers import Items, Settings, resolve_settings
from rlhf.settings.schema import fields_of
from rlhf.settings.shared import SourceSettings
from rlhf.settings.yaml_file import dump_yaml, read_yaml, yaml_files_in
from stages._command import STAGES, load_schema, pairs_for
from stages._hints import refuse_cut_pairs

__all__ = ["KINDS", "Checked", "find_subjects", "is_config", "stage_of"]

KINDS: tuple[Kind, ...] = get_args(Kind)
# Where each stage's sources stand, and what is read from them.
_PARTS: Mapping[str, Mapping[str, Kind]] = {
    "base": {"data.train": "texts"},
    "sft": {"data.train": "demonstrations", "data.validation": "demonstrations"},
    "reward": {"data.train": "rankings", "data.validation": "rankings", "data.test": "rankings"},
    "ppo": {
        "data.train": "prompts",
        "data.validation": "prompts",
        "ptx.text": "texts",
        "ptx.demonstrations": "demonstrations",
        "evaluation.text.text": "texts",
    },
    "report": {"data.test": "prompts"},
}


class Checked(NamedTuple):
    """What is checked together.

    Args:
        config: the YAML, None where data itself was named.
        stage: whose settings these are; "" for data itself.
        settings: the stage's, None for data itself.
        subjects: the sources, in the order of the settings.
        notes: what is text of the stage but no source: generators.
    """

    config: str | None
    stage: str
    settings: Any
    subjects: tuple[Subject, ...]
    notes: tuple[str, ...] = ()


def is_config(place: str) -> bool:
    """Say whether a path names settings: a YAML file, or a folder of such."""
    return place.endswith((".yaml", ".yml")) or bool(yaml_files_in(place))


def find_subjects(place: str, pairs: Sequence[str], kind: Kind | None, stage: str | None) -> list[Checked]:
    """Return the sources that a path stands for, those of each stage together.

    Args:
        place: a stage's YAML, a folder of such files, or a file, folder or glob of data (or a hub id).
        pairs: ``key=value`` over the YAML, or settings of the one source.
        kind: what is to be read from data itself.
        stage: whose settings the YAML holds; None: its sections tell.

    Raises:
        SettingsError: the two do not fit together; what is wrong with the settings.
    """
    refuse_cut_pairs(pairs)
    is_yaml = place.endswith((".yaml", ".yml"))
    if not is_config(place) or (kind is not None and not is_yaml):  # a folder of data may hold a YAML file
        return [_of_data(place, pairs, kind, stage)]
    if kind is not None:
        raise SettingsError(f"--as says what a file of data holds, and {place} is settings; drop it")
    if is_yaml:
        return [_of_config(place, pairs, stage, [])]
    names = yaml_files_in(place)
    found = [(str(Path(place, name)), stage_of(str(Path(place, name)))) for name in names]
    chosen = [(config, told) for config, told in found if stage in (None, told)]
    if not chosen:
        raise SettingsError(f"{place} holds no settings of the {stage} stage (it has: {', '.join(names)})")
    others = [told for _, told in chosen]
    return [
        _of_config(config, pairs, told, [one for one in others if one != told]) for config, told in chosen
    ]


def _of_data(place: str, pairs: Sequence[str], kind: Kind | None, stage: str | None) -> Checked:
    if kind is None:
        raise SettingsError(
            f"{place} is no YAML file of settings; for a file or folder of data say what to read from it: "
            f"--as {', --as '.join(KINDS)}"
        )
    if stage is not None:
        raise SettingsError(f"--stage is about settings, and {place} is data; drop it")
    return Checked(None, "", None, (Subject(place, place, kind, _source(place, pairs)),))


class _Alone(Settings):
    """One source in a list, as in the settings of a stage: its preset lies below what is given."""

    source: Items[SourceSettings] = ()


def _source(place: str, pairs: Sequence[str]) -> Source:
    item = dump_yaml([{"path": place}], flow=True)
    try:
        resolved = resolve_settings(
            _Alone, None, [f"source={item}", *(f"source[0].{pair}" for pair in pairs)]
        )
    except SettingsError as error:  # people did not write source[0].format but format
        raise SettingsError(str(error).replace("source[0].", "").replace("source[0]", "a source")) from None
    return resolved.settings.source[0].build()


def _of_config(config: str, pairs: Sequence[str], stage: str | None, others: Sequence[str]) -> Checked:
    stage = stage or stage_of(config)
    mine, skipped = pairs_for(stage, pairs)
    if skipped and not others:
        raise SettingsError(f"command line: {skipped[0]} is for another stage; {config} is for {stage}")
    schemas: dict[str, type[Settings]] = {name: load_schema(name) for name in others}
    settings = resolve_settings(load_schema(stage), config, mine, schemas).settings
    return Checked(config, stage, settings, tuple(_subjects(stage, settings)), tuple(_notes(stage, settings)))


def _subjects(stage: str, settings: Any) -> Iterator[Subject]:
    for part, kind in _PARTS[stage].items():
        for number, source in enumerate(_at(settings, part) or ()):
            yield Subject(f"{part}[{number}]", part, kind, source.build())


def _notes(stage: str, settings: Any) -> Iterator[str]:
    for section in ("data", "ptx", "evaluation.text"):
        name = getattr(_at(settings, section), "generator", None)
        if name is not None:
            yield f"{section}.generator: {name} makes texts of its own; they are not checked"


def _at(settings: Any, key: str) -> Any:
    """Return what stands at a dotted key; None where a section on the way is null or not there."""
    for step in key.split("."):
        settings = getattr(settings, step, None)
    return settings


def stage_of(config: str) -> str:
    """Return whose settings a YAML file holds, by its sections, else by its name (``mine_reward.yaml``).

    Raises:
        SettingsError: neither says it.
    """
    keys = set(map(str, read_yaml(config)))
    fitting = [stage for stage in STAGES if keys <= set(fields_of(load_schema(stage)))]
    by_name = [stage for stage in STAGES if Path(config).stem.split("_")[-1] == stage]
    own = [stage for stage in STAGES if stage in keys and stage != "base"] or [*keys & {"base"}]
    for told in (fitting, [stage for stage in own if not fitting or stage in fitting], by_name):
        if len(told) == 1:
            return told[0]
    known = ", ".join(stage for stage in STAGES)
    raise SettingsError(
        f"{config} could be settings of several stages; say which: --stage and one of {known}"
        if fitting
        else f"{config} is settings of no stage (sections: {', '.join(sorted(keys)) or 'none'}); "
        f"--stage says which one is meant: {known}"
    )
