"""YAML as people mean it: 1.2 booleans, numbers with exponents, no duplicate keys, errors with a line.

PyYAML follows YAML 1.1, where ``no`` is a boolean, ``5e-6`` is text, ``12:30`` is 750 and of two equal keys
the last wins without a word. Here ``true``/``false`` are the only booleans, ``5e-6`` is a number, dates and
times stay text, and a duplicate key is refused.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from rlhf.errors import SettingsError

__all__ = ["dump_yaml", "is_unclosed", "parse_yaml", "read_yaml", "what_is_in", "yaml_files_in"]

MOST_NAMES = 12  # of files in a message

_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^(?:[-+]?(?:0|[1-9][0-9]*(?:_[0-9]+)*)|0o[0-7]+|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:[0-9]+(?:_[0-9]+)*)(?:\.[0-9]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)"
    r"|[-+]?\.[0-9]+(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_RULES: tuple[tuple[str, re.Pattern[str], list[str]], ...] = (
    ("tag:yaml.org,2002:bool", _BOOL, list("tTfF")),
    ("tag:yaml.org,2002:int", _INT, list("-+0123456789")),
    ("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789.")),
    ("tag:yaml.org,2002:null", _NULL, ["~", "n", "N", ""]),
)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with our rules for plain words instead of YAML 1.1's."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 (PyYAML's own way: a class without its parent's rules)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[Hashable, int] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if node.flow_style and _lacks_space(key_node, value_node):
                name, _, rest = key_node.value.partition(":")
                problem = f"'{key}' is a key without a value; write a space behind the colon: {name}: {rest}"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            is_number = isinstance(key, (int, float)) and not isinstance(key, bool) and key == key
            if not is_number and not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"a key must be text or a number, found {key!r}; quote it",
                    key_node.start_mark,
                )
            if key in lines:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key}' is given twice (first on line {lines[key]})", key_node.start_mark
                )
            lines[key] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep=deep)


def _lacks_space(key: yaml.Node, value: yaml.Node) -> bool:
    """Whether ``{a:b}`` stands there, which YAML reads as the key "a:b" of nothing."""
    empty = isinstance(value, yaml.ScalarNode) and value.start_mark.index == value.end_mark.index
    return empty and isinstance(key, yaml.ScalarNode) and key.style is None and ":" in key.value


class _Dumper(yaml.SafeDumper):
    """Writes what YAML 1.1 and `_Loader` both read back as it was: text that either converts is quoted."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)  # list items stand deeper than their key: easier to read


for _tag, _pattern, _first in _RULES:
    _Loader.add_implicit_resolver(_tag, _pattern, _first)
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)
_Dumper.add_representer(tuple, lambda dumper, value: dumper.represent_list(list(value)))


def parse_yaml(text: str, where: str) -> Any:
    """Read one YAML document.

    Args:
        text: the document; empty text is ``None``.
        where: the name of its source, for errors.

    Raises:
        SettingsError: broken YAML, or a key that is neither text nor a number or is given twice; says
            ``where:line``.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}:{mark.line + 1}" if mark else where
        raise SettingsError(_explain(error, text, mark), where=place) from None
    except yaml.YAMLError as error:
        raise SettingsError(f"is not YAML: {error}", where=where) from None
    except RecursionError:
        raise SettingsError("is nested too deeply to be read", where=where) from None


def _explain(error: yaml.MarkedYAMLError, text: str, mark: yaml.Mark | None) -> str:
    """Say a YAML error in one line, with what to do about the commonest ones."""
    problem = error.problem or str(error)
    line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    if "\t" in line:
        return f"{problem}; YAML is indented with spaces, and this line has a tab"
    if "mapping values are not allowed" in problem:
        return (
            f"{problem}; text that holds ': ' needs quotes, and keys of a section need the same indentation"
        )
    if "found another document" in problem:
        return "a second document begins here (---); settings are one document a file"
    if "expected alphabetic or numeric character" in problem and "*" in line:
        return f"{problem}; text that starts with '*' needs quotes"
    return problem


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping; an empty file is an empty mapping.

    Raises:
        SettingsError: a missing, unreadable or broken file, or one that holds something else.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist{what_is_in(Path(path).parent)}") from None
    except IsADirectoryError:
        raise SettingsError(f"{path} is a folder; give a file{what_is_in(Path(path))}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"is not UTF-8 text ({error.reason} at byte {error.start})", where=str(path)
        ) from None
    except OSError as error:
        raise SettingsError(f"cannot be read: {error.strerror}", where=str(path)) from None
    values = parse_yaml(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        found = "a list" if isinstance(values, list) else repr(values)
        raise SettingsError(
            f"holds {found}; settings are 'section:' with 'key: value' lines below", where=str(path)
        )
    return values


def yaml_files_in(folder: str | Path) -> list[str]:
    """The names of a folder's YAML files, sorted; none where there is no such folder."""
    place = Path(folder)
    return sorted(file.name for file in (*place.glob("*.yaml"), *place.glob("*.yml")))


def what_is_in(folder: Path) -> str:
    """The end of a message about a file that is not there: those that are."""
    if not folder.is_dir():
        return f"; there is no folder {folder}"
    names = yaml_files_in(folder)
    shown = ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
    return f"; {folder} has: {shown}" if names else f"; {folder} has no YAML files"


def is_unclosed(text: str) -> bool:
    """Whether text ends within a bracket, a brace or a quote of YAML."""
    try:
        for _ in yaml.parse(text, Loader=yaml.SafeLoader):
            pass
    except yaml.MarkedYAMLError as error:
        return "stream end" in str(error.problem) or "end of stream" in str(error.problem)
    except (yaml.YAMLError, RecursionError):
        return False
    return False


def dump_yaml(values: Any, *, flow: bool = False) -> str:
    """Write plain values as YAML text that `parse_yaml` and any YAML 1.1 reader give back unchanged.

    Args:
        values: dicts, lists, tuples (written as lists), text, numbers, booleans, None.
        flow: write all on one line, as on the command line (``[1, 2]``); otherwise one line a key.
    """
    text = yaml.dump(
        values,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=flow,
        width=1_000_000 if flow else 110,
    )
    return text.removesuffix("\n").removesuffix("\n...") if flow else text
