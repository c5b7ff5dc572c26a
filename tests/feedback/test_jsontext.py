"""JSON that `json` would take and we do not: refused, at the very column."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.errors import DataError
from rlhf.feedback.jsonplaces import find_refused
from rlhf.feedback.jsontext import decode_line, decode_values

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(value=PLAIN, ascii_only=st.booleans(), indent=st.sampled_from([None, 0, 2]))
def test_json_comes_back_as_it_was(value: Any, ascii_only: bool, indent: int | None) -> None:
    line = json.dumps(value, ensure_ascii=ascii_only)
    assert decode_line(f" {line}\r\n", "x:1") == value
    items = [value] if not isinstance(value, list) else value
    if items:
        text = json.dumps(items, ensure_ascii=ascii_only, indent=indent)
        assert [item for _, item in decode_values(text, "x")] == items


REFUSED = {
    # text: what is refused
    '{"a": 1, "a": 2}': '"a": 2',
    '{"a": {"b": 1}, "c": {"b": 1, "a": 2}, "b": 3, "c": 4}': '"c": 4',
    '{"a": "a", "b": ["a", "a"], "c": {"a": 1, "a": 2}}': '"a": 2',
    '[{"a": 1}, {"a": 2}, {"a": 3, "a": 4}]': '"a": 4',
    '{"NaN": "NaN", "b": [1, NaN]}': "NaN]",
    '{"a": -Infinity}': "-Infinity",
    '{"a": "\\\\ud83d", "b": "x\\ud83d"}': '\\ud83d"}',
    '{"a": "\\ud83d\\ude00", "b": "\\ude00"}': '\\ude00"}',
    '{"a": "\\ud83d\\ud83d\\ude00"}': "\\ud83d\\ud83d",
    '{"a": ' + "1" * 5000 + "}": "1" * 5000 + "}",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused_at_its_column(text: str) -> None:
    column = text.rindex(REFUSED[text])
    assert find_refused(text, 0) == column
    with pytest.raises(DataError) as caught:
        decode_line(text, "x:7")
    assert (caught.value.where, caught.value.code) == (f"x:7:{column + 1}", "bad_json")
    with pytest.raises(DataError) as caught:
        decode_values(f'[{{"ok": 1}},\n {text}]', "x")
    assert caught.value.where == f"x:2:{column + 2}"


@given(PLAIN)
def test_nothing_is_refused_in_good_json(value: Any) -> None:
    assert find_refused(json.dumps(value), 0) == 0


def test_deep_nesting_is_named() -> None:
    with pytest.raises(DataError, match="nested too deep: near"):
        decode_line("[" * 100_000, "x:1")
