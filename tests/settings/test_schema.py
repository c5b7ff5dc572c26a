from __future__ import annotations

import pytest

from rlhf.settings.layers import Items, Settings
from rlhf.settings.schema import annotation_at, format_path, known_keys, parse_path


class Item(Settings):
    path: str


class Section(Settings):
    items: Items[Item] = ()
    maybe: Item | None = None
    number: int = 3


class Schema(Settings):
    section: Section = Section()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("run.seed", ("run", "seed")),
        ("data.train[0].path", ("data", "train", 0, "path")),
        ("data.train.0.path", ("data", "train", 0, "path")),
        ("a[0][12]", ("a", 0, 12)),
        ("", None),
        ("a..b", None),
        ("a[x]", None),
        ("a[0]b", None),
    ],
)
def test_paths(text: str, path: tuple[str | int, ...] | None) -> None:
    assert parse_path(text) == path
    if path is not None:
        assert parse_path(format_path(path)) == path


def test_known_keys_name_sections_optional_sections_and_items() -> None:
    assert known_keys(Schema) == [
        "section",
        "section.items",
        "section.items[].path",
        "section.maybe",
        "section.maybe.path",
        "section.number",
    ]


def test_annotation_at() -> None:
    assert annotation_at(Schema, ("section", "items", 3, "path")) is str
    assert annotation_at(Schema, ("section", "maybe", "path")) is str
    assert annotation_at(Schema, ("section", "number", "x")) is None
    assert annotation_at(Schema, ("section", "items", "path")) is None
    assert annotation_at(Schema, ("gone",)) is None
