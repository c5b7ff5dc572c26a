"""Settings in three layers: defaults < YAML file < ``key=value``; all mistakes reported together.

A schema is a frozen pydantic model; its sections are its fields::

    class SftSettings(Settings):
        run: RunSettings = RunSettings(output="{run.root}/sft")
        sft: SftTrainingSettings = SftTrainingSettings()

    resolved = resolve_settings(SftSettings, config="configs/sft.yaml", overrides=["sft.epochs=3"])
    resolved.settings.sft.epochs    # 3.0
    resolved.origin("sft.epochs")   # "command line"

How values are read:

- A YAML section is laid over the defaults key by key; a list replaces the list below it. ``null`` is "not
  set".
- ``key=value`` reads the value as YAML (``run.trackers=[tensorboard]``, ``lora={rank: 8}``, ``lora=null``,
  ``data.train[0].limit=100``); in a text field the value is the text itself (``run.name=7``).
- ``{run.root}`` in any text is replaced by ``run.root``, so that one setting moves all stages together.
- Types are strict: ``"3"`` is no number and ``no`` is text; but a whole number may stand for any number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator

from rlhf.settings import schema
from rlhf.settings.overlay import DEFAULT, Overlay, as_tuples, origin_of
from rlhf.settings.yaml_file import dump_yaml, read_yaml

__all__ = ["Items", "Resolved", "Settings", "describe_layers", "resolve_settings", "settings_to_yaml"]

T = TypeVar("T")
Items = tuple[T, ...]
"""A list in YAML; settings are frozen, so it is a tuple in Python."""


class Settings(BaseModel):
    """A section of settings, or all settings of a stage: frozen, without unknown keys, strict about types.

    Lists from YAML arrive as tuples, so a field for several values is ``Items[X]`` (``tuple[X, ...]``).
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _lists_areas_tuples(cls, values: Any) -> Any:
        return as_tuples(values)


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Resolved(Generic[S]):
    """Settings with the story of each value.

    Args:
        settings: what the stage runs on.
        config: the YAML file, if any.
        origins: dotted key -> the layer it comes from; a key that is absent comes from its nearest parent
            here, and from the defaults if none is.
        replaced: dotted key -> (value, layer) that the command line replaced.
        skipped: ``key=value`` pairs that only other stages know.
    """

    settings: S
    config: str | None
    origins: Mapping[str, str]
    replaced: Mapping[str, tuple[Any, str]]
    skipped: tuple[str, ...] = ()

    def origin(self, key: str) -> str:
        """Say which layer a dotted key comes from: ``default``, the YAML's path or ``command line``."""
        path = schema.parse_path(key) or ()
        return origin_of(self.origins, path)


def resolve_settings(
    settings_type: type[S],
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    other_stages: Mapping[str, type[Settings]] | None = None,
) -> Resolved[S]:
    """Lay YAML and ``key=value`` pairs over the defaults and check the result.

    Args:
        settings_type: the stage's schema.
        config: a YAML file; None is defaults only.
        overrides: ``dotted.key=value`` pairs, each key once, laid on in this order.
        other_stages: schemas by stage name. A pair whose key only they know is skipped (its value is checked
            all the same, so that ``make all`` stops at once and not at the third stage). None skips nothing.

    Raises:
        SettingsError: with every unknown key, wrong value and missing setting that was found, one a line.
    """
    layers = Overlay(settings_type, str(config) if config else None)
    if config is not None:
        layers.add_file(read_yaml(config))
    for pair in overrides:
        layers.add_pair(pair, other_stages or {})
    settings = layers.validate()
    return Resolved(settings, layers.config, layers.origins, layers.replaced, tuple(layers.skipped))


def settings_to_yaml(settings: Settings) -> str:
    """Write settings as YAML that `resolve_settings` reads back to the same settings."""
    return dump_yaml(settings.model_dump(by_alias=True))


def describe_layers(resolved: Resolved[Any]) -> list[str]:
    """Say every setting, its value and which layer it comes from, one a line and aligned.

    In lists of sections (data sources) what is left at its default is not shown.
    """
    rows = list(_leaves((), resolved.settings.model_dump(by_alias=True)))
    shown = [
        (schema.format_path(path), dump_yaml(value, flow=True), _story(resolved, path))
        for path, value in rows
        if not any(isinstance(step, int) for step in path) or origin_of(resolved.origins, path) != DEFAULT
    ]
    widths = [
        min(max((len(row[column]) for row in shown), default=0), limit)
        for column, limit in ((0, 40), (1, 44))
    ]
    lines = [f"{key:<{widths[0]}}  {value:<{widths[1]}}  {story}" for key, value, story in shown]
    return lines + [f"{pair}  (skipped: a setting of another stage)" for pair in resolved.skipped]


def _leaves(path: schema.KeyPath, value: Any) -> Iterable[tuple[schema.KeyPath, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves((*path, key), item)
    elif isinstance(value, tuple) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _leaves((*path, index), item)
    else:
        yield path, value


def _story(resolved: Resolved[Any], path: schema.KeyPath) -> str:
    origin = origin_of(resolved.origins, path)
    before = resolved.replaced.get(schema.format_path(path))
    if before is None or before[0] is None:
        return origin
    return f"{origin} ({before[1]}: {dump_yaml(before[0], flow=True)})"
