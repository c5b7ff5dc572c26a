"""A winner that is named by its model or its text is now the first and now the second response."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rlhf.feedback import read_rankings
from rlhf.feedback.detection import ShapeError
from tests.feedback.detection.test_directions import refused
from tests.feedback.shapes import write_rows
from tests.feedback.test_shapes import said

MODELS = {"prompt": "Q", "response_a": "red", "response_b": "blue"}
WINNERS: dict[str, list[dict[str, Any]]] = {
    "models": [
        {**MODELS, "model_a": "gpt", "model_b": "llama", "winner": "gpt"},
        {**MODELS, "model_a": "llama", "model_b": "gpt", "winner": "gpt"},
        {**MODELS, "model_a": "llama", "model_b": "gpt", "winner": "tie"},
    ],
    "the responses' own texts": [{**MODELS, "preferred": "red"}, {**MODELS, "preferred": "blue"}],
}


@pytest.mark.parametrize("name", WINNERS)
def test_a_winner_named_by_what_moves_from_row_to_row_is_no_label(tmp_path: Path, name: str) -> None:
    """Whatever label_values say of a value would be wrong of some rows; the adapter of the message is right."""
    rows = WINNERS[name]
    path, label = write_rows(tmp_path / "x.jsonl", rows), next(iter(rows[0].keys() & {"winner", "preferred"}))
    for told in ({}, {"labels": label, "label_values": {row[label]: "first" for row in rows}}):
        with pytest.raises(ShapeError, match=f"{label} names .* label_values cannot say which") as caught:
            read_rankings([{"path": path, **told}])
    assert caught.value.code == "label_direction_missing"
    (adapted,) = re.findall(r"return (\{.*?\}), with", str(caught.value))
    (tmp_path / "mine.py").write_text(
        f"def said(row):\n    return None if row[{label!r}] == 'tie' else {adapted}\n"
    )
    told = {
        "adapter": f"{tmp_path}/mine.py:said",
        "labels": label,
        "label_values": {"first": "first", "second": "second"},
    }
    found = read_rankings([{"path": path, **told}])
    assert [said(one) for one in found] == [["red > blue"], ["blue > red"]]


def test_a_winner_named_by_models_that_stand_still_is_a_label_like_any(tmp_path: Path) -> None:
    rows = [{**MODELS, "model_a": "gpt", "model_b": "llama", "winner": one} for one in ("gpt", "llama")]
    path = write_rows(tmp_path / "x.jsonl", rows)
    assert "label_values: {gpt: ?, llama: ?}" in refused(path, "label_direction_missing")
    told = {"labels": "winner", "label_values": {"gpt": "first", "llama": "second"}}
    assert [said(one) for one in read_rankings([{"path": path, **told}])] == [["red > blue"], ["blue > red"]]


@pytest.mark.parametrize("values", ["01", "AB", ("10", "20"), ("yes", "no"), ("True", "False")])
def test_flags_that_stand_beside_a_label_by_chance_are_no_names(tmp_path: Path, values: Any) -> None:
    """In a CSV all are texts, and a label of two values is often that of one of two flags."""
    first, second = values
    lines = [
        f"Q,x,y,{first},{second},{first}",
        f"Q,x,y,{second},{first},{first}",
        f"Q,x,y,{first},{second},{second}",
    ]
    (tmp_path / "x.csv").write_text(
        "\n".join(["prompt,response_1,response_2,is_safe_1,is_safe_2,label", *lines])
    )
    told = {"label_values": {first: "first", second: "second"}}
    found = read_rankings([{"path": str(tmp_path / "x.csv"), **told}])
    assert [said(one) for one in found] == [["x > y"], ["x > y"], ["y > x"]]
