"""A mapping as YAML is read back as the source that it was, by our reader and by PyYAML's own."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rlhf.feedback import Source, build_sources
from rlhf.feedback.detection import mapping_yaml
from rlhf.feedback.preset_table import PRESETS
from rlhf.settings.yaml_file import parse_yaml
from tests.settings.effects.sources import ALL_TOLD

TEXT = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\t:#{}[]'\"\\,&*?|->%@`~ yno1.0e"),
    min_size=1,
)
# A column's name; with brackets, dots or braces in it, it would be a path or a template.
NAME = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="[]{}.")
    | st.sampled_from("\n\t:#'\"\\,&*?|->%@`~ yno10e"),
    min_size=1,
)


def both_ways(source: Source) -> None:
    text = mapping_yaml(source)
    assert text.startswith("- path: ")
    for read in (yaml.safe_load(text), parse_yaml(text, "x.yaml")):
        assert build_sources(read) == [source]


@pytest.mark.parametrize("told", [{}, *ALL_TOLD])
def test_every_setting_comes_back(told: dict[str, Any]) -> None:
    both_ways(Source(path="data/mine.jsonl", **told))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_come_back_with_and_without_their_name(name: str) -> None:
    both_ways(Source(path="a", **PRESETS[name].settings))
    both_ways(build_sources([{"path": "a", "preset": name}])[0])
    text = mapping_yaml(build_sources([{"path": "a", "preset": name}])[0])
    assert all(f"  {key}: " in text for key in PRESETS[name].settings), "every setting is there to be seen"


def test_default_in_place_of_a_presets_setting_comes_back() -> None:
    (source,) = build_sources([{"path": "a", "preset": "shp", "group": None}])
    assert "group: null" in mapping_yaml(source)
    both_ways(source)


def test_how_it_looks() -> None:
    source = Source(
        path="data/my file.jsonl",
        format="pairwise",
        prompt=("title", "a: b"),
        responses=("response_a", "answers[0].text"),
        label_values={"<0": "first", 0: "tie", 1.5: "second", "no": "tie"},
        group=None,
        on_bad_row="skip",
    )
    assert mapping_yaml(source) == (
        "- path: data/my file.jsonl\n"
        "  format: pairwise\n"
        '  prompt: [title, "a: b"]\n'
        '  responses: [response_a, "answers[0].text"]\n'
        '  label_values: {"<0": first, 0: tie, 1.5: second, "no": tie}\n'
        "  on_bad_row: skip\n"
    )


@given(
    texts=st.tuples(TEXT, NAME, NAME, NAME, NAME, TEXT),
    number=st.floats(0, allow_infinity=False),
)
def test_any_text_comes_back(texts: tuple[str, ...], number: float) -> None:
    path, prompt, first, second, label, marker = texts
    both_ways(
        Source(
            path=path,
            format="scored",
            best="highest",
            prompt=prompt,
            responses=(first, second),
            scores=label,
            missing=(marker, number),
            tie_within=number,
            roles={first: second},
        )
    )
