"""Values laid over each other: which layer each comes from, and what was wrong on the way."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from rlhf.errors import SettingsError
from rlhf.settings import problems, schema
from rlhf.settings.yaml_file import is_unclosed, parse_yaml

__all__ = ["COMMAND_LINE", "DEFAULT", "Overlay", "as_tuples", "origin_of"]

COMMAND_LINE = "command line"
DEFAULT = "default"
ROOT = "{run.root}"


def as_tuples(value: Any) -> Any:
    """Lists as tuples, at any depth: what YAML can write and a frozen, strict model can hold."""
    if isinstance(value, list):
        return tuple(as_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: as_tuples(item) for key, item in value.items()}
    return value


class Overlay:
    """Values laid over each other, with where each came from and what was wrong so far."""

    def __init__(self, settings_type: type[BaseModel], config: str | None) -> None:
        self.settings_type = settings_type
        self.config = config
        self.values: dict[str, Any] = _defaults(settings_type)
        self.origins: dict[str, str] = {}
        self.replaced: dict[str, tuple[Any, str]] = {}
        self.given: dict[schema.KeyPath, str] = {}
        # Who said that a section or an item is there; keys that are not given come from the defaults.
        self.made: dict[schema.KeyPath, str] = {}
        # What could not be laid, with the key it most likely meant: checks of the sections around it would
        # judge values that nobody asked for.
        self.unlaid: dict[schema.KeyPath, str | None] = {}
        self.skipped: list[str] = []
        self.mistakes: list[str] = []

    def add_file(self, values: dict[str, Any]) -> None:
        """Lay the values of the YAML file over what is there."""
        assert self.config is not None
        known = self._without_unknown((), values, self.config)
        self._lay((), known, self.config)

    def add_pair(self, pair: str, other_stages: Mapping[str, type[BaseModel]]) -> None:
        """Lay a ``key=value`` pair over what is there, unless only another stage knows its key."""
        key, equals, text = pair.partition("=")
        path = schema.parse_path(key.strip().removeprefix("--"))
        if not equals or path is None:
            self.mistakes.append(f"{COMMAND_LINE}: '{pair}' is not key=value, as in run.seed=3")
            return
        if self.given.setdefault(path, pair) != pair:
            self._note(f"{COMMAND_LINE}: {key} is given twice: {self.given[path]} and {pair}", path)
            return
        try:
            annotation = schema.annotation_at(self.settings_type, path)
            if annotation is not None:
                self._lay_pair(path, _read_value(text, annotation, key))
            elif not self._known_elsewhere(path, pair, text, other_stages):
                self._note_unknown(path, COMMAND_LINE)
        except SettingsError as error:
            self._note(str(error), path)

    def _note(self, mistake: str, path: schema.KeyPath) -> None:
        """Note why a value was not laid."""
        self.mistakes.append(mistake)
        self.unlaid.setdefault(path, None)

    def _note_unknown(self, path: schema.KeyPath, where: str) -> None:
        self._note(problems.unknown_key(self.settings_type, path, where), path)
        self.unlaid[path] = schema.nearest_key(self.settings_type, path)

    def _known_elsewhere(
        self, path: schema.KeyPath, pair: str, text: str, other_stages: Mapping[str, type[BaseModel]]
    ) -> bool:
        """Note a pair that belongs to another stage, and check its value there."""
        places = {name: schema.annotation_at(other, path) for name, other in other_stages.items()}
        places = {name: annotation for name, annotation in places.items() if annotation is not None}
        key = schema.format_path(path)
        for annotation in places.values():
            value = _read_value(text, annotation, key)
            mistake = _mistake(annotation, value)
            # A section given in part is judged by its own stage, which knows the rest of it.
            if mistake is not None and schema.section_in(annotation) is None:
                self.mistakes += problems.describe(mistake, annotation, lambda _: COMMAND_LINE, path)
                break
        if places:
            self.skipped.append(pair)
        return bool(places)

    def _without_unknown(self, path: schema.KeyPath, values: Any, where: str) -> Any:
        """`values` less the keys that no section knows, each of which is noted as a mistake."""
        annotation = schema.annotation_at(self.settings_type, path)
        if isinstance(values, list) and schema.item_in(annotation) is not None:
            return [self._without_unknown((*path, index), item, where) for index, item in enumerate(values)]
        if not isinstance(values, dict) or schema.section_in(annotation) is None:
            return values
        known = {}
        for key, value in values.items():
            if schema.annotation_at(self.settings_type, (*path, str(key))) is None:
                self._note_unknown((*path, str(key)), where)
            else:
                known[key] = self._without_unknown((*path, key), value, where)
        return known

    def _lay_pair(self, path: schema.KeyPath, value: Any) -> None:
        value = self._without_unknown(path, value, COMMAND_LINE)
        for length, step in enumerate(path):
            here = _get(self.values, path[:length])
            if isinstance(step, int) and not (isinstance(here, (list, tuple)) and step < len(here)):
                count = len(here) if isinstance(here, (list, tuple)) else 0
                name = schema.format_path(path[:length])
                items = f"{count} item{'s' * (count != 1)}"
                self._note(f"{COMMAND_LINE}: {schema.format_path(path)}: {name} has {items}", path)
                return
        self._lay(path, value, COMMAND_LINE)

    def _lay(self, path: schema.KeyPath, value: Any, origin: str) -> None:
        """Lay a value over what stands at `path`: a section key by key, anything else as a whole."""
        is_section = schema.section_in(schema.annotation_at(self.settings_type, path)) is not None
        if is_section and isinstance(value, dict):
            if not isinstance(_get(self.values, path), dict):
                self._put_section(path, origin)
            for key, item in value.items():
                self._lay((*path, key), item, origin)
            return
        key, before = schema.format_path(path), _get(self.values, path)
        if origin == COMMAND_LINE and not isinstance(before, dict):
            self.replaced[key] = (before, origin_of(self.origins, path))
        self._put(path, value, origin)
        if isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    self._put_section((*path, index), origin)
                    self._lay((*path, index), item, origin)

    def _put_section(self, path: schema.KeyPath, origin: str) -> None:
        """Begin a section; keys that are not given keep their defaults, and say so."""
        self._put(path, {}, DEFAULT)
        self.made[path] = origin

    def _put(self, path: schema.KeyPath, value: Any, origin: str) -> None:
        """Replace what stands at `path`, and the story of all that stood below it."""
        key = schema.format_path(path)
        for known in [
            name for name in self.origins if name == key or name.startswith((f"{key}.", f"{key}["))
        ]:
            del self.origins[known]
        for made in [known for known in self.made if known[: len(path)] == path]:
            del self.made[made]
        self.origins[key] = origin
        _set(self.values, path, copy.deepcopy(value))

    def validate(self) -> Any:
        """Check all of it; raise what is wrong, or return the settings.

        Raises:
            SettingsError: with every mistake so far, one a line.
        """
        mistake = _mistake(self.settings_type, self.values)
        if mistake is not None:
            self.mistakes += problems.describe(mistake, self.settings_type, self._where, unlaid=self.unlaid)
        if self.mistakes:
            raise SettingsError("\n".join(dict.fromkeys(self.mistakes)))
        settings = self.settings_type.model_validate(self.values)
        values = settings.model_dump(by_alias=True)
        root = values["run"]["root"] if "root" in values.get("run", {}) else None
        if root is not None:
            if ROOT in root:
                raise SettingsError(
                    f"run.root is '{root}'; it cannot stand for itself", where=self._where(("run", "root"))
                )
            settings = self.settings_type.model_validate(_replace_root(values, root))
        return settings

    def _where(self, path: schema.KeyPath) -> str:
        """The layers that had a hand in what stands at `path`, the highest first."""
        origins = [origin_of(self.origins, path), self.made.get(path, DEFAULT)]
        key = schema.format_path(path)
        below = (name for name in self.origins if not key or name.startswith((f"{key}.", f"{key}[")))
        origins += [self.origins[name] for name in below]
        order = [origin for origin in (COMMAND_LINE, self.config) if origin in origins]
        return " and ".join(order) if order else (self.config or "settings")


def _defaults(section: type[BaseModel]) -> dict[str, Any]:
    """The defaults of a section as plain values; a setting without one is absent."""
    values: dict[str, Any] = {}
    for name, field in schema.fields_of(section).items():
        default = field.get_default(call_default_factory=True, validated_data={})
        nested = schema.section_in(field.annotation)
        if isinstance(default, BaseModel):
            values[name] = default.model_dump(by_alias=True)
        elif not field.is_required():
            values[name] = copy.deepcopy(default)
        elif nested is not None:
            values[name] = _defaults(nested)
    return values


def _get(values: Any, path: schema.KeyPath) -> Any:
    for step in path:
        if isinstance(step, int):
            values = values[step] if isinstance(values, (list, tuple)) and step < len(values) else None
        else:
            values = values.get(step) if isinstance(values, dict) else None
    return values


def _set(values: dict[str, Any], path: schema.KeyPath, value: Any) -> None:
    """Put a value at `path`, making the sections on the way that are not set yet."""
    place: Any = values
    for step, following in itertools.pairwise(path):
        inner = place[step] if isinstance(step, int) else place.get(step)
        if isinstance(inner, tuple):
            inner = list(inner)
        elif not isinstance(inner, (dict, list)):
            inner = [] if isinstance(following, int) else {}
        place[step] = inner
        place = inner
    place[path[-1]] = value


def origin_of(origins: Mapping[str, str], path: schema.KeyPath) -> str:
    """Say which layer a path comes from: the one of its nearest noted parent, else the defaults."""
    for length in range(len(path), -1, -1):
        origin = origins.get(schema.format_path(path[:length]))
        if origin is not None:
            return origin
    return DEFAULT


def _read_value(text: str, annotation: Any, key: str) -> Any:
    """The value of ``key=text``: YAML, or in a text field the text itself where YAML means another type."""
    broken: SettingsError | None = None
    try:
        value = parse_yaml(text, f"{COMMAND_LINE}: {key}")
    except SettingsError as error:
        value, broken = text, error
    if value is not None and _mistake(annotation, value) is not None and _mistake(annotation, text) is None:
        return text
    if broken is not None and _mistake(annotation, text) is not None:
        remedy = "; close its bracket, brace or quote" if is_unclosed(text) else ""
        if remedy:
            remedy += f", and put the whole pair in single quotes inside ARGS: ARGS=\"'{key}=...'\""
        raise SettingsError(
            f"'{text}' is not a YAML value ({broken.message}){remedy}", where=f"{COMMAND_LINE}: {key}"
        )
    return value


def _mistake(annotation: Any, value: Any) -> ValidationError | None:
    """What is wrong with a value where `annotation` is expected."""
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    adapter: TypeAdapter[Any] = TypeAdapter(annotation, config=None if is_model else ConfigDict(strict=True))
    try:
        adapter.validate_python(as_tuples(value))
    except ValidationError as error:
        return error
    return None


def _replace_root(value: Any, root: str) -> Any:
    if isinstance(value, str):
        return value.replace(ROOT, root)
    if isinstance(value, dict):
        return {key: _replace_root(item, root) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_replace_root(item, root) for item in value)
    return value
