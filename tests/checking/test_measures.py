"""Token lengths are those of the stage's own renderer; baselines and counts are those by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.checking.baselines import measure_baselines
from rlhf.checking.lengths import Ruler, measure_lengths, spread_of
from rlhf.checking.overview import look_over, script_of
from rlhf.checking.results import Baseline
from rlhf.feedback import Demonstration, Message, Prompt, Ranking, Text
from rlhf.models import load_tokenizer
from rlhf.rendering import Renderer

BASE = "data/pocket_world/base"


def prompt(*turns: str, where: str = "x:1", group: str = "g") -> Prompt:
    roles = (
        ("system", "user", "assistant", "user")
        if turns[0].startswith("Be ")
        else ("user", "assistant", "user")
    )
    messages = tuple(Message(role, text) for role, text in zip(roles, turns, strict=False))
    return Prompt(where, messages, group, where)


def ranking(
    responses: str, ranks: tuple[int | None, ...], text: str = "Why?", annotator: str | None = None
) -> Ranking:
    return Ranking(prompt(text), tuple(responses.split("|")), ranks, annotator=annotator)


@pytest.fixture(scope="module")
def whole() -> Renderer:
    return Renderer(load_tokenizer(BASE))


def test_lengths_are_those_of_the_renderer(whole: Renderer) -> None:
    tokenizer = whole.tokenizer
    limited = Renderer(tokenizer, max_prompt_tokens=12, max_response_tokens=6)
    records = [
        Demonstration(prompt("Who?", where="x:1"), "Ann."),
        Demonstration(
            prompt("Who was it, and when, and where, and who says so, and why?", where="x:2"), "Bob."
        ),
        Demonstration(prompt("When?", where="x:3"), "It was long ago, when Ann and Bob were still young."),
    ]
    lengths = measure_lengths(records, Ruler(BASE, whole, limited))
    prompts = [len(whole.render_prompt(one.prompt.messages)) for one in records]
    responses = [len(whole.render_response(one.response)) for one in records]
    assert lengths.responses is not None
    assert (lengths.prompts.percentiles[100], lengths.prompts.percentiles[5]) == (max(prompts), min(prompts))
    assert lengths.prompts.longest[0] == (prompts[1], "x:2")
    assert lengths.responses.longest[0] == (responses[2], "x:3")
    assert (lengths.prompts.num_over, lengths.responses.num_over) == (1, 1)
    assert (lengths.prompts.limit, lengths.responses.limit) == (12, 6)
    assert any("lost" in line and line.endswith(": 1") for line in lengths.consequences)
    assert any("responses dropped" in line and line.endswith(": 1") for line in lengths.consequences)


def test_nothing_that_is_left_is_said(whole: Renderer) -> None:
    limited = Renderer(whole.tokenizer, max_response_tokens=2)
    lengths = measure_lengths(
        [ranking("a long answer|another long one", (1, 2))], Ruler(BASE, whole, limited)
    )
    assert "none of 1 rankings is left after rendering" in lengths.consequences[0]


def test_texts_and_prompts(whole: Renderer) -> None:
    text = measure_lengths([Text("1", "Ann and Bob.", "g", "x:1")], Ruler(BASE, whole))
    assert text.prompts.percentiles[50] == len(
        whole.tokenizer("Ann and Bob.", add_special_tokens=False)["input_ids"]
    )
    assert measure_lengths([prompt("Who?")], Ruler(BASE, whole)).responses is None


def test_many_records_are_measured_evenly(whole: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlhf.checking.lengths._MEASURED", 4)
    records = [prompt("Who?", where=f"x:{number}") for number in range(10)]
    lengths = measure_lengths(records, Ruler(BASE, whole))
    assert lengths.num_measured == lengths.prompts.num_texts == 4  # 0, 3, 6, 9


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(0, 50))
def test_percentiles_hold_their_share(numbers: list[int], limit: int) -> None:
    spread = spread_of([(number, f"x:{place}") for place, number in enumerate(numbers)], limit)
    for percent, length in spread.percentiles.items():
        assert sum(number <= length for number in numbers) >= percent / 100 * len(numbers)
        assert sum(number < length for number in numbers) < percent / 100 * len(numbers)
    assert spread.num_over == len([number for number in numbers if number > limit])
    assert [length for length, _ in spread.longest] == sorted(numbers, reverse=True)[:3]


def test_baselines_by_hand() -> None:
    rankings = [
        ranking("long one|short", (1, 2)),  # longer and first
        ranking("short|long one", (1, 2), "How?"),  # shorter and first
        ranking("short|long one", (2, 1), "Who?"),  # longer and second
        ranking("same|size", (2, 1), "What?"),  # half, and second
        ranking("one|two", (1, 1), "Tie?"),
    ]
    found = measure_baselines(rankings)
    assert found is not None
    assert (found.num_pairs, found.num_measured, found.agreement) == (4, 5, None)
    shares = {name: one.share for name, one in found.shares.items()}
    assert shares == {"longer_wins": 2.5 / 4, "shorter_wins": 1.5 / 4, "first_wins": 0.5, "last_wins": 0.5}
    longer, shorter = found.shares["longer_wins"], found.shares["shorter_wins"]
    assert (shorter.low, shorter.high) == (1 - longer.high, 1 - longer.low)


def test_position_says_nothing_where_the_columns_are_the_label() -> None:
    found = measure_baselines([ranking("long one|short", (1, 2))], placed=False)
    assert found is not None
    assert set(found.shares) == {"longer_wins", "shorter_wins"}


def test_several_rankings_of_a_prompt_keep_their_responses_apart() -> None:
    rankings = [ranking("long one|short", (1, 2)), ranking("tiny|very long one", (1, 2))]
    found = measure_baselines(rankings)
    assert found is not None
    assert found.shares["longer_wins"].share == 0.5
    assert found.shares["first_wins"].share == 1.0


def test_agreement_of_annotators() -> None:
    labels = {"ann": (1, 2, 3), "bob": (1, 3, 2)}
    found = measure_baselines([ranking("a|bb|ccc", ranks, annotator=name) for name, ranks in labels.items()])
    assert found is not None
    assert isinstance(found.agreement, Baseline)
    assert found.agreement.share == pytest.approx(2 / 3)


def test_only_ties_have_no_baselines() -> None:
    assert measure_baselines([ranking("a|b", (1, 1))]) is None
    assert measure_baselines([ranking("same|same|other", (1, 2, None))]) is None


def test_overview_by_hand() -> None:
    records: list[Any] = [
        ranking("Ja|Nein", (1, 2), annotator="ann"),
        Ranking(
            prompt("Be nice.", "Кто там?", where="x:2", group="h"),
            ("Это я", "Никто"),
            (1, 2),
            annotator="bob",
        ),
        Ranking(
            prompt("Be nice.", "Q", "A", "你好吗", where="x:3"), ("我很好谢谢", "no"), (1, 2), annotator="ann"
        ),
    ]
    found = look_over(records)
    assert (found.num_groups, found.num_with_system, found.num_system_messages) == (2, 2, 1)
    assert found.turns == {1: 2, 2: 1}
    assert found.annotators == {"ann": 2, "bob": 1}
    assert found.scripts == {
        "Latin": pytest.approx(1 / 3),
        "Cyrillic": pytest.approx(1 / 3),
        "Han": pytest.approx(1 / 3),
    }


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Ärger", "Latin"),
        ("مرحبا", "Arabic"),
        ("नमस्ते", "Devanagari"),
        ("ありがとう", "Hiragana"),
        ("1 + 1 = 2 ✓", "no letters"),
        ("한국어", "Hangul"),
        ("", "no letters"),
    ],
)
def test_scripts(text: str, script: str) -> None:
    assert script_of(text) == script
