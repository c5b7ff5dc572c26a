"""Every shape of public preference data is read into the records that it means, best response first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlhf.errors import DataError
from rlhf.feedback import Prompt, Ranking, read_demonstrations, read_prompts, read_rankings
from rlhf.feedback.preset_table import PRESETS
from tests.feedback.real_shapes import DEMONSTRATIONS, RANKINGS, Shape
from tests.feedback.shapes import write_rows


def dialogue(prompt: Prompt) -> str:
    return " / ".join(f"{turn.role}: {turn.content}" for turn in prompt.messages)


def said(ranking: Ranking) -> list[str]:
    texts = ranking.responses
    return [f"{texts[i]} {'=' if p == 0.5 else '>'} {texts[j]}" for i, j, p in ranking.comparisons()]


def source(tmp_path: Path, shape: Shape) -> dict[str, Any]:
    return {"path": write_rows(tmp_path / "x.jsonl", shape.rows), **shape.settings}


@pytest.mark.parametrize("name", RANKINGS)
def test_shape_of_rankings(tmp_path: Path, name: str) -> None:
    shape = RANKINGS[name]
    rankings = read_rankings([source(tmp_path, shape)]).records
    assert [dialogue(ranking.prompt) for ranking in rankings] == shape.prompts
    assert [said(ranking) for ranking in rankings] == shape.says
    if shape.annotators:
        assert [ranking.annotator for ranking in rankings] == shape.annotators


@pytest.mark.parametrize("name", RANKINGS)
def test_prompts_are_those_of_the_rankings(tmp_path: Path, name: str) -> None:
    shape = RANKINGS[name]
    prompts = read_prompts([source(tmp_path, shape)]).records
    assert [dialogue(prompt) for prompt in prompts] == list(dict.fromkeys(shape.prompts))


@pytest.mark.parametrize("name", DEMONSTRATIONS)
def test_shape_of_demonstrations(tmp_path: Path, name: str) -> None:
    shape = DEMONSTRATIONS[name]
    found = read_demonstrations([source(tmp_path, shape)]).records
    assert [dialogue(one.prompt) for one in found] == shape.prompts
    assert [one.response for one in found] == shape.says


def test_every_preset_has_a_shape() -> None:
    shown = {shape.settings.get("preset") for shape in (*RANKINGS.values(), *DEMONSTRATIONS.values())}
    assert set(PRESETS) == shown - {None}
    assert len(RANKINGS) >= 25


# The polarity table of real sets: settings, and the labels of a win of the first, of the second, of a tie.
SIGNED = {"<0": "first", 0: "tie", ">0": "second"}
POLARITY: dict[str, tuple[dict[Any, str], tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]] = {
    "Auto-J": ({0: "first", 1: "second", 2: "tie"}, (0, 0.0, "0"), (1,), (2,)),
    "SHP": ({1: "first", 0: "second"}, (1,), (0,), ()),
    "PandaLM, FineGrainedRLHF": ({1: "first", 2: "second", 0: "tie"}, (1,), (2,), (0,)),
    "LLMBar, alpaca_farm": ({1: "first", 2: "second"}, (1, "1"), (2,), ()),
    "PKU, summarize_from_feedback": ({0: "first", 1: "second"}, (0,), (1,), ()),
    "HelpSteer, signed": (SIGNED, (-3, -1, "-2", -0.5), (1, 3, "3"), (0, 0.0, "0", -0.0)),
    "webgpt, one score": ({">0": "first", "<0": "second", 0: "tie"}, (0.25,), (-1.0,), (0.0,)),
    "AlpacaEval": ({1.0: "first", 2.0: "second", 1.5: "tie"}, (1, 1.0, "1.0", "1"), (2.0, 2), (1.5, "1.50")),
    "AlpacaEval, keys as text": ({"1.0": "first", "2.0": "second", "1.5": "tie"}, (1, 1.0), (2,), (1.5,)),
    "AlpacaEval, weighted": ({"<1.5": "first", ">1.5": "second", 1.5: "tie"}, (1.02,), (1.98,), (1.5,)),
    "JudgeBench": ({"A>B": "first", "B>A": "second", "A=B": "tie"}, ("A>B",), ("B>A",), ("A=B",)),
    "Arena": (
        {"model_a": "first", "model_b": "second", "tie": "tie", "tie (bothbad)": "tie"},
        ("model_a",),
        ("model_b",),
        ("tie", "tie (bothbad)"),
    ),
    "Tulu": (
        {
            "a-is-better": "first",
            "a-is-slightly-better": "first",
            "b-is-better": "second",
            "b-is-slightly-better": "second",
            "tie": "tie",
        },
        ("a-is-better", "a-is-slightly-better"),
        ("b-is-better", "b-is-slightly-better"),
        ("tie",),
    ),
    "UKP crowd": ({"a1": "first", "a2": "second", "equal": "tie"}, ("a1",), ("a2",), ("equal",)),
}


@pytest.mark.parametrize("name", POLARITY)
def test_polarity_of_labels(tmp_path: Path, name: str) -> None:
    values, *labels = POLARITY[name]
    rows = [{"prompt": "Q", "a": "x", "b": "y", "label": label} for group in labels for label in group]
    expected = [text for text, group in zip(("x > y", "y > x", "x = y"), labels, strict=True) for _ in group]
    path = write_rows(tmp_path / "x.jsonl", rows)
    settings = {"format": "pairwise", "responses": ["a", "b"], "label_values": values}
    found = read_rankings([{"path": path, **settings}])
    assert [said(ranking) for ranking in found] == [[text] for text in expected]


@pytest.mark.parametrize("name", POLARITY)
def test_label_that_no_value_names_is_refused(tmp_path: Path, name: str) -> None:
    values = POLARITY[name][0]
    path = write_rows(tmp_path / "x.jsonl", [{"prompt": "Q", "a": "x", "b": "y", "label": "unsure"}])
    settings = {"format": "pairwise", "responses": ["a", "b"], "label_values": values}
    with pytest.raises(
        DataError, match=r"x\.jsonl:1: unknown label 'unsure' in 'label'; label_values has \{"
    ):
        read_rankings([{"path": path, **settings}])


@pytest.mark.parametrize(
    ("ranks", "best", "expected"),
    [
        ([1.0, 2.0], "lowest", "x > y"),  # Nectar
        ([1, 0], "lowest", "y > x"),  # Open Assistant: 0 is best
        ([0, 0], "lowest", "x = y"),
        ([1, 0], "highest", "x > y"),
    ],
)
def test_polarity_of_ranks_and_scores(tmp_path: Path, ranks: list[float], best: str, expected: str) -> None:
    path = write_rows(tmp_path / "x.jsonl", [{"prompt": "Q", "responses": ["x", "y"], "rank": ranks}])
    (ranking,) = read_rankings([{"path": path, "format": "scored", "scores": "rank", "best": best}])
    assert said(ranking) == [expected]
