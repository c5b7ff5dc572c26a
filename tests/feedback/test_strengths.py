"""How strong a preference is: where each format has it, what is refused, what is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlhf.errors import DataError
from rlhf.feedback import Message, Prompt, Ranking, Reading, Source, count_rankings, read_rankings
from tests.feedback.real_shapes import user
from tests.feedback.shapes import write_rows

SIGNED: dict[str, Any] = {
    "format": "pairwise",
    "responses": ["a", "b"],
    "label_values": {"<0": "first", 0: "tie", ">0": "second"},
    "strength_from": "labels",
}
TEXTS = {"prompt": "Q", "a": "x", "b": "y"}
THREE = {"prompt": "Q", "responses": ["x", "y", "z"]}
PAIR = {"prompt": "Q", "chosen": "x", "rejected": "y"}
COLUMN: dict[str, Any] = {"format": "pair", "strength_from": "column", "strengths": "margin"}
RATED: dict[str, Any] = {
    "format": "pair",
    "strength_from": "scores",
    "scores": ["good", "bad"],
    "best": "highest",
}


def read(tmp_path: Path, rows: list[dict[str, Any]], **settings: Any) -> Reading[Ranking]:
    return read_rankings([{"path": write_rows(tmp_path / "x.jsonl", rows), **settings}])


def compared(ranking: Ranking) -> list[tuple[str, str, float | None]]:
    """What is better, what is worse, how strong."""
    assert ranking.strengths is not None
    texts = ranking.responses
    pairs = zip(ranking.comparisons(), ranking.strengths, strict=True)
    return [(texts[i], texts[j], strength) for (i, j, _), strength in pairs]


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, str, float | None]]]] = {
    # case: (settings, row, what is compared)
    "a signed label of the first": (SIGNED, {**TEXTS, "label": -3}, [("x", "y", 3.0)]),
    "a signed label of the second, as a CSV has it": (SIGNED, {**TEXTS, "label": "2"}, [("y", "x", 2.0)]),
    "a signed tie": (SIGNED, {**TEXTS, "label": 0}, [("x", "y", 0.0)]),
    "a margin beside chosen and rejected": (COLUMN, {**PAIR, "margin": 0.5}, [("x", "y", 0.5)]),
    "a margin in a list of one": (COLUMN, {**PAIR, "margin": [2]}, [("x", "y", 2.0)]),
    "words": (
        {**COLUMN, "strength_values": {"slightly": 1, "significantly": 3}},
        {**PAIR, "margin": "significantly"},
        [("x", "y", 3.0)],
    ),
    "a margin beside transcripts": (
        {**COLUMN, "format": "transcript"},
        {"chosen": "\n\nHuman: Q\n\nAssistant: x", "rejected": "\n\nHuman: Q\n\nAssistant: y", "margin": 4},
        [("x", "y", 4.0)],
    ),
    "a column beside labels": (
        {**SIGNED, "strength_from": "column", "strengths": "sure"},
        {**TEXTS, "label": 1, "sure": 7},
        [("y", "x", 7.0)],
    ),
    "canonical, one a pair": (
        {},
        {**THREE, "ranks": [2, 1, 3], "strengths": [1, 2.5, 4]},
        [("y", "x", 1.0), ("x", "z", 2.5), ("y", "z", 4.0)],
    ),
    "canonical, an unranked response and a tie": (
        {},
        {**THREE, "ranks": [1, None, 1], "strengths": [None, 0, None]},
        [("x", "z", 0.0)],
    ),
    "scores": (
        {"format": "scored", "best": "highest", "strength_from": "scores", "tie_within": 1},
        {**THREE, "scores": [1, 5, "4"]},
        [("y", "x", 4.0), ("z", "x", 3.0), ("y", "z", 0.0)],
    ),
    "a score is missing": (
        {"format": "scored", "best": "lowest", "strength_from": "scores"},
        {**THREE, "scores": [1, None, 4]},
        [("x", "z", 3.0)],
    ),
    "ratings of chosen and rejected": (RATED, {**PAIR, "good": 4.5, "bad": "2"}, [("x", "y", 2.5)]),
    "ratings of which the lowest is best": (
        {**RATED, "best": "lowest"},
        {**PAIR, "good": 1, "bad": 3},
        [("x", "y", 2.0)],
    ),
    "one of a pair has no rating": (RATED, {**PAIR, "good": 4.5, "bad": None}, [("x", "y", None)]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_strengths_stand_by_what_is_compared(tmp_path: Path, case: str) -> None:
    settings, row, expected = CASES[case]
    (ranking,) = read(tmp_path, [row], **settings).records
    assert compared(ranking) == expected


def test_annotators_each_have_their_own(tmp_path: Path) -> None:
    settings = {**SIGNED, "labels": "votes[].score", "label_layout": "annotators"}
    row = {**TEXTS, "votes": [{"score": -3}, {"score": None}, {"score": 1}]}
    assert [compared(one) for one in read(tmp_path, [row], **settings).records] == [
        [("x", "y", 3.0)],
        [("y", "x", 1.0)],
    ]
    column = {**settings, "strength_from": "column", "strengths": "sure"}
    found = read(tmp_path, [{**row, "sure": [5, 6, None]}], **column).records
    assert [compared(one) for one in found] == [[("x", "y", 5.0)], [("y", "x", None)]]


PRESETS: dict[str, tuple[list[dict[str, Any]], list[list[float | None]]]] = {
    "helpsteer2-preference": (
        [{"prompt": "c", "response_1": "a", "response_2": "b", "preference_strength": -2}],
        [[2.0]],
    ),
    "helpsteer3": ([{"context": [user("c")], "response1": "a", "response2": "b", "overall_preference": 3}], [[3.0]]),
    "helpsteer3-annotators": (
        [
            {
                "context": [user("c")],
                "response1": "a",
                "response2": "b",
                "individual_preference": [{"score": score} for score in (-2, 0, 1)],
            }
        ],
        [[2.0], [0.0], [1.0]],
    ),
    "summarize_from_feedback": (
        [
            {
                "info": {"id": str(number), "post": "p", "title": "t", "subreddit": "s"},
                "summaries": [{"text": "a"}, {"text": "b"}],
                "choice": 1,
                "worker": "w",
                "extra": {"confidence": confidence},
            }
            for number, confidence in enumerate((9, None))
        ],
        [[9.0], [None]],
    ),
    "webgpt": (
        [{"question": {"full_text": "q"}, "answer_0": "a", "answer_1": "b", "score_0": -0.5, "score_1": 0.5}],
        [[1.0]],
    ),
    "trl-lib-ultrafeedback_binarized": (
        [
            {
                "chosen": [user("q"), {"role": "assistant", "content": "a"}],
                "rejected": [user("q"), {"role": "assistant", "content": "b"}],
                "score_chosen": 8.5,
                "score_rejected": 6.0,
            }
        ],
        [[2.5]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_of_sets_that_say_it(tmp_path: Path, preset: str) -> None:
    rows, expected = PRESETS[preset]
    assert [list(one.strengths or ()) for one in read(tmp_path, rows, preset=preset).records] == expected


def test_what_no_source_says_is_none(tmp_path: Path) -> None:
    rows = [{**PAIR, "margin": 2, "strengths": 3}]
    assert read(tmp_path, rows, format="pair").records[0].strengths is None
    assert read(tmp_path, [{**THREE, "ranks": [1, 2, 3]}]).records[0].strengths is None


def test_unknown_ones_and_those_of_ties_are_counted(tmp_path: Path) -> None:
    rows = [{**PAIR, "margin": 2.0}, {**PAIR, "margin": None}, {**PAIR, "margin": 1}]
    reading = read(tmp_path, rows, **COLUMN)
    assert [one.strengths for one in reading.records] == [(2.0,), (None,), (1.0,)]
    assert reading.counts() == {"missing_strength": 1}
    facts = count_rankings(reading)
    assert (facts.num_strengths, facts.strength_range) == (2, (1.0, 1.5, 2.0))
    assert facts.lines()[-1] == "strengths: 1 to 2, mean 1.5, of 2 untied comparisons"
    odd = read(tmp_path, [{**THREE, "ranks": [1, 1, 2], "strengths": [2, 1, 1]}])
    assert (odd.counts(), odd.records[0].strengths) == ({"strength_of_tie": 1}, (0.0, 1.0, 1.0))
    assert "strength 2 of a tie (responses 1 and 2); taken for 0" in odd.notes[0].message
    assert count_rankings(odd).num_strengths == 2, "that of a tie is none"


def test_columns_of_strengths_are_not_shown_to_judges(tmp_path: Path) -> None:
    assert read(tmp_path, [{**PAIR, "margin": 2, "topic": "t"}], **COLUMN).records[0].prompt.columns == {
        "topic": "t"
    }
    assert read(tmp_path, [{**PAIR, "good": 2, "bad": 1}], **RATED).records[0].prompt.columns == {}
    transcript = {
        "chosen": "\n\nHuman: Q\n\nAssistant: x",
        "rejected": "\n\nHuman: Q\n\nAssistant: y",
        "margin": 4,
    }
    assert read(tmp_path, [transcript], **{**COLUMN, "format": "transcript"}).records[0].prompt.columns == {}


BAD_ROWS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "below 0": (COLUMN, {**PAIR, "margin": -1}, "strength -1 in 'margin' is below 0.*strength_from: labels"),
    "text": (COLUMN, {**PAIR, "margin": "big"}, r"strength 'big' in 'margin' is no number.*strength_values: \{'big': 1\}"),
    "not a number": (COLUMN, {**PAIR, "margin": "nan"}, "strength 'nan' in 'margin' is no number"),
    "a boolean": (COLUMN, {**PAIR, "margin": True}, "is no number"),
    "an object": (COLUMN, {**PAIR, "margin": {"m": 1}}, "strength an object in 'margin' is no number"),
    "two for one pair": (COLUMN, {**PAIR, "margin": [1, 2]}, "2 strengths in 'margin'; 1 are needed, one for each pair"),
    "one for three pairs": ({}, {**THREE, "ranks": [1, 2, 3], "strengths": 1}, "1 strengths in 'strengths'; 3 are needed"),
    "no such column": (COLUMN, {**PAIR, "margn": 1}, "no column 'margin'; did you mean 'margn'"),
    "a word that has no number": (
        {**COLUMN, "strength_values": {"slightly": 1}},
        {**PAIR, "margin": "hugely"},
        r"strength 'hugely' in 'margin' is none of strength_values \(slightly\)",
    ),
    "a rejected response with the better score": (
        RATED,
        {**PAIR, "good": 1, "bad": 2},
        "'chosen' has score 1 and 'rejected' 2, of which the highest is best: which of the two is better",
    ),
    "the same, where the lowest is best": ({**RATED, "best": "lowest"}, {**PAIR, "good": 2, "bad": 1}, "which of the two is better"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_strengths_are_named_with_their_place(tmp_path: Path, case: str) -> None:
    settings, row, message = BAD_ROWS[case]
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, [row], **settings)
    assert str(caught.value).startswith(f"{tmp_path / 'x.jsonl'}:1: ")


WRONG_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "another word": ({"strength_from": "abs"}, "strength_from is 'abs'; it can be null, column, labels, scores"),
    "a column that is not read": ({"strengths": "margin"}, "strengths is only read where strength_from is column, not null"),
    "values that are not read": ({"strength_values": {"a": 1}}, "strength_values is only read where strength_from is column"),
    "below 0": ({"strength_from": "column", "strength_values": {"a": -1}}, r"strength_values\['a'\] is -1; .* from 0 up"),
    "text": ({"strength_from": "column", "strength_values": {"a": "1"}}, r"strength_values\['a'\] is '1'"),
    "labels of another format": ({"format": "pair", "strength_from": "labels"}, "labels is only read where format is pairwise, not pair"),
    "a tree": ({"format": "tree", "strength_from": "column"}, "column is only read where format is canonical, pairwise, scored, pair, transcript"),
    "no scores": ({"format": "canonical", "strength_from": "scores"}, "scores is only read where format is scored, pair, transcript, not canonical"),
    "direction of a pair's scores": ({"format": "pair", "strength_from": "scores"}, "strength_from: scores needs best: highest or lowest"),
    "distance of a pair's scores": ({**RATED, "tie_within": 1.0}, "tie_within is only read where format is scored"),
    "no columns": ({"strength_from": "column", "strengths": ()}, "strengths is an empty list"),
    **{
        f"labels {values}": ({**SIGNED, "label_values": values}, "labels below 0 must all say one side")
        for values in (
            {0: "first", 1: "second"},
            {1: "first", 2: "second"},
            {"<0": "first", ">0": "first"},
            {-1: "first", 1: "tie"},
            {-1: "first", 0: "second", 1: "second"},
            {-1: "first", -2: "second", 1: "second"},
            {"<1": "first", ">1": "second", 1: "tie"},
            {"A>B": "first", "B>A": "second"},
        )
    },
    "one_hot": (
        {**SIGNED, "labels": ("x", "y"), "label_layout": "one_hot", "label_values": {"x": "first", "y": "second"}},
        "name a column by strength_from: column",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_SETTINGS)
def test_settings_that_would_mislead_are_refused(case: str) -> None:
    settings, message = WRONG_SETTINGS[case]
    with pytest.raises(DataError, match=message):
        Source(path="a", **settings)


@pytest.mark.parametrize(
    "values",
    [
        {"<0": "second", ">0": "first"},
        {-1: "first", "1": "second"},
        {"<-0.5": "first", ">0.5": "second", 0: "tie"},
    ],
)
def test_signed_labels_point_either_way(values: dict[Any, Any]) -> None:
    assert Source(path="a", **{**SIGNED, "label_values": values}).strength_from == "labels"


@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        ((1.0, 2.0), "2 strengths for 1 compared pairs"),
        ((-1.0,), "strength -1.0 is no number from 0 up"),
        ((float("nan"),), "strength nan is no number"),
    ],
)
def test_a_record_checks_its_strengths(strengths: tuple[float, ...], message: str) -> None:
    prompt = Prompt("p", (Message("user", "q"),), "g", "f:1")
    with pytest.raises(DataError, match=message):
        Ranking(prompt, ("x", "y"), (1, 2), strengths=strengths)
    with pytest.raises(DataError, match=r"strength 1.0 of a tie, which has none"):
        Ranking(prompt, ("x", "y"), (1, 1), strengths=(1.0,))
