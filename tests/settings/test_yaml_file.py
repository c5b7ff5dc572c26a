from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rlhf.errors import SettingsError
from rlhf.settings.yaml_file import dump_yaml, is_unclosed, parse_yaml, read_yaml

AS_WRITTEN = [
    ("5e-6", 5e-6),
    ("1e5", 1e5),
    ("1.", 1.0),
    (".5", 0.5),
    ("-3", -3),
    ("20_000", 20_000),
    ("0x1f", 31),
    ("0o17", 15),
    (".inf", math.inf),
    ("true", True),
    ("False", False),
    ("null", None),
    ("~", None),
    ("", None),
    # what YAML 1.1 makes something else of
    ("no", "no"),
    ("on", "on"),
    ("Y", "Y"),
    ("12:30", "12:30"),
    ("2023-01-01", "2023-01-01"),
    ("007", "007"),
    ("1_", "1_"),
    ("'3'", "3"),
    ("{'0:first'}", {"0:first": None}),
    ("{http://x: 1}", {"http://x": 1}),
]


@pytest.mark.parametrize(("text", "value"), AS_WRITTEN)
def test_plain_words_are_read_as_people_mean_them(text: str, value: object) -> None:
    found = parse_yaml(f"key: {text}", "here")["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "mine.yaml:4: 'c' is given twice (first on line 3)"),
        ("a: 1\nb: [1\n", "mine.yaml:3: expected ',' or ']'"),
        ("a:\n\tb: 1\n", "mine.yaml:2: .* this line has a tab"),
        ("a: b: c\n", "mine.yaml:1: .* needs quotes"),
        ("true: 1\n", "mine.yaml:1: a key must be text or a number, found True"),
        ("a: *.jsonl\n", "mine.yaml:1: .* starts with '\\*' needs quotes"),
        ("a: !!python/name:os.system\n", "mine.yaml:1: could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", "mine.yaml:2: a second document begins here"),
        (
            "a: {0:first}\n",
            "mine.yaml:1: '0:first' is a key without a value; write a space .* colon: 0: first",
        ),
        ("a: " + 3000 * "[", "mine.yaml: is nested too deeply"),
    ],
)
def test_broken_yaml_says_file_and_line(text: str, message: str) -> None:
    with pytest.raises(
        SettingsError, match=message.replace("(", "\\(").replace(")", "\\)").replace("]", "\\]")
    ):
        parse_yaml(text, "mine.yaml")


def test_a_file_is_a_mapping(tmp_path) -> None:
    file = tmp_path / "mine.yaml"
    for text, message in [("- 1\n", "holds a list"), ("just text", "holds 'just text'")]:
        file.write_text(text)
        with pytest.raises(SettingsError, match=message):
            read_yaml(file)
    file.write_text("# only a comment\n")
    assert read_yaml(file) == {}


def test_unreadable_files_are_named(tmp_path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.yaml does not exist"):
        read_yaml(tmp_path / "missing.yaml")
    with pytest.raises(SettingsError, match="is a folder"):
        read_yaml(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("a: caf\xe9\n".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"latin\.yaml: is not UTF-8 text"):
        read_yaml(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("names", "place", "message"),
    [
        ([], "gone/ppo.yaml", "gone/ppo.yaml does not exist; there is no folder gone"),
        ([], "mine/ppo.yaml", "mine/ppo.yaml does not exist; mine has no YAML files"),
        (
            ["b.yaml", "a.yml", "notes.txt"],
            "mine/ppo.yaml",
            "mine/ppo.yaml does not exist; mine has: a.yml, b.yaml",
        ),
        (["b.yaml", "a.yml", "notes.txt"], "mine", "mine is a folder; give a file; mine has: a.yml, b.yaml"),
    ],
)
def test_a_file_that_is_not_there_is_answered_with_those_that_are(
    tmp_path, monkeypatch, names, place, message
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for name in names:
        (tmp_path / "mine" / name).touch()
    with pytest.raises(SettingsError) as caught:
        read_yaml(place)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["[{function:", "{rank: 8", "'a", '"x y', "[", "[{a: 'b}]"])
def test_unclosed(text: str) -> None:
    assert is_unclosed(text)


@pytest.mark.parametrize("text", ["[1]", "a]", "don't", "a [b", "{a: [1}", "*", "", "3"])
def test_closed(text: str) -> None:
    assert not is_unclosed(text)


def test_numbers_are_keys_as_they_are_values() -> None:
    """Labels are numbers too: {1.5: tie}."""
    assert parse_yaml("{1.0: first, 1.5: tie, -2: second}", "mine") == {
        1.0: "first",
        1.5: "tie",
        -2: "second",
    }
    assert parse_yaml(dump_yaml({1.5: "tie"}), "dumped") == {1.5: "tie"}
    for text, shown in (("1: a\n1.0: b\n", "'1.0' is given twice"), (".nan: a\n", "found nan")):
        with pytest.raises(SettingsError, match=shown):
            parse_yaml(text, "mine")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path) -> None:
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfrun: 1\n")
    assert read_yaml(tmp_path / "bom.yaml") == {"run": 1}


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
WORDS = st.sampled_from(
    [text for text, _ in AS_WRITTEN] + ["yes", "1:2:3", "<<", "=", "1e3", "nan", "{a}", "- b"]
)
VALUES = st.recursive(
    SCALARS | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | WORDS, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES, st.booleans())
def test_what_is_dumped_is_read_back(value: object, flow: bool) -> None:
    assert parse_yaml(dump_yaml(value, flow=flow), "dumped") == value


@given(st.text(max_size=12) | WORDS)
def test_text_stays_text_for_other_readers_too(text: str) -> None:
    # config.yaml is opened by people's own scripts, which follow YAML 1.1.
    assert yaml.safe_load(dump_yaml({"key": text})) == {"key": text}


def test_a_tuple_is_a_list() -> None:
    assert dump_yaml({"a": (1, 2)}, flow=True) == "{a: [1, 2]}"
