"""The direction of a label or a score is read where it is certain, and refused with what to write where not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rlhf.feedback import BadRow, Ranking, Source, read_demonstrations, read_prompts, read_rankings
from rlhf.feedback.detection import ShapeError, detect_source
from rlhf.settings.yaml_file import parse_yaml
from tests.feedback.shapes import FINEGRAINED_ROWS, write_rows
from tests.feedback.test_shapes import POLARITY, said

PAIR = {"prompt": "Q", "a": "x", "b": "y"}


def refused(path: str, code: str, **settings: Any) -> str:
    with pytest.raises(ShapeError) as caught:
        read_rankings([{"path": path, **settings}])
    assert caught.value.code == code, str(caught.value)
    assert caught.value.where == f"{path}:1"
    return str(caught.value)


def filled_in(message: str, **answers: str) -> dict[str, Any]:
    """The mapping in a message as YAML reads it, each question mark of a setting replaced by an answer."""
    lines = message[message.index("  - path: ") :].splitlines()
    for name, answer in answers.items():
        lines = [re.sub(rf"({name}: )\S.*?(?=  #|$)", rf"\g<1>{answer}", line) for line in lines]
    (mapping,) = parse_yaml("\n".join(lines), "x.yaml")
    assert isinstance(mapping, dict)
    return mapping


@pytest.mark.parametrize("name", POLARITY)
def test_labels_of_the_polarity_table_are_refused_without_and_right_with_their_meaning(
    tmp_path: Path, name: str
) -> None:
    values, *labels = POLARITY[name]
    given = [label for group in labels for label in group]
    path = write_rows(tmp_path / "x.jsonl", [PAIR | {"label": label} for label in given])
    message = refused(path, "label_direction_missing")
    assert "looks like two responses (a, b) and a label, but which response a label calls better" in message
    assert "responses: [a, b]  # first is a, second is b" in message
    expected = [text for text, group in zip(("x > y", "y > x", "x = y"), labels, strict=True) for _ in group]
    with_meaning = read_rankings([{"path": path, "label_values": values}])
    assert [said(ranking) for ranking in with_meaning] == [[text] for text in expected]
    key, outcome = next(iter(values.items()))
    meaning = {"first": "a is better", "second": "b is better", "tie": "tie"}[outcome]
    assert f"label {key}: {meaning}" in with_meaning.detections[0].line()
    answer = "{" + ", ".join(f"{key!r}: {outcome}" for key, outcome in values.items()) + "}"
    pasted = read_rankings([filled_in(message, label_values=answer)])
    assert [said(ranking) for ranking in pasted] == [[text] for text in expected]
    assert pasted.detections == [], "what is pasted is complete"


def test_message_shows_the_counts_of_the_whole_file_a_row_and_the_mapping(tmp_path: Path) -> None:
    rows = [PAIR | {"label": label} for label in [0] * 250 + [1] * 40 + [2] * 7]
    path = write_rows(tmp_path / "x.jsonl", rows)
    assert refused(path, "label_direction_missing") == (
        f"{path}:1: looks like two responses (a, b) and a label, but which response a label calls better is "
        "not guessed\n"
        "  label: 0 in 250 rows, 1 in 40, 2 in 7\n"
        f"  e.g. {path}:1: a 'x', b 'y', label 0\n"
        "  say it with label_values (the set's card tells; or read a few rows and judge):\n"
        f"  - path: {path}\n"
        "    format: pairwise\n"
        "    responses: [a, b]  # first is a, second is b\n"
        "    label_values: {0: ?, 1: ?, 2: ?}  # each one: first, second or tie"
    )


def test_mapping_that_is_pasted_without_an_answer_says_what_is_missing(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", [PAIR | {"label": 1}])
    mapping = filled_in(refused(path, "label_direction_missing"), label_values='{1: "?"}')
    with pytest.raises(ValueError, match=r"label_values\[1\] is '\?'; it can be first, second, tie"):
        read_rankings([mapping])


def test_labels_of_many_values_are_asked_for_by_their_sides(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", [PAIR | {"label": number / 10} for number in range(-20, 21)])
    message = refused(path, "label_direction_missing")
    assert 'label_values: {"<0": ?, 0: ?, ">0": ?}' in message
    assert "and 29 other values" in message
    path = write_rows(tmp_path / "x.jsonl", [PAIR | {"label": 1 + number / 30} for number in range(31)])
    assert 'label_values: {"<?": ?, "?": ?, ">?": ?}' in refused(path, "label_direction_missing")


def test_labels_of_pairs_and_of_annotators_and_one_column_an_outcome(tmp_path: Path) -> None:
    message = refused(write_rows(tmp_path / "x.jsonl", FINEGRAINED_ROWS), "label_direction_missing")
    assert "looks like 4 responses (prediction 1, prediction 2, prediction 3, prediction 4)" in message
    assert "preference: 0 3 times, 1 7 times, 2 2 times" in message
    assert "prompt: question  # passages stands beside it and is not read" in message
    row = PAIR | {"annotator1": 1, "annotator2": 2}
    message = refused(write_rows(tmp_path / "x.jsonl", [row]), "label_direction_missing")
    mapping = filled_in(message, label_values="{1: first, 2: second}")
    assert [said(one) for one in read_rankings([mapping])] == [["x > y"], ["y > x"]]
    rows = [PAIR | {"a_wins": number, "b_wins": 1 - number} for number in (0, 1)]
    message = refused(write_rows(tmp_path / "x.jsonl", rows), "label_direction_missing")
    mapping = filled_in(message, label_values="{a_wins: first, b_wins: second}")
    assert [said(one) for one in read_rankings([mapping])] == [["y > x"], ["x > y"]]


CERTAIN: dict[str, tuple[dict[str, Any], list[str]]] = {
    # what a row says, in words that name the better column
    "winner": ({**PAIR, "winner": "a"}, ["x > y"]),
    "the second": ({**PAIR, "winner": "b"}, ["y > x"]),
    "a tie": ({**PAIR, "winner": "tie"}, ["x = y"]),
    "better_response": ({"prompt": "Q", "response_1": "x", "response_2": "y", "better_response": "response_2"}, ["y > x"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CERTAIN)
def test_label_that_names_the_better_column_is_read(tmp_path: Path, name: str) -> None:
    row, expected = CERTAIN[name]
    rows = [row, {**row, **({"winner": "a"} if "winner" in row else {"better_response": "response_1"})}]
    reading = read_rankings([{"path": write_rows(tmp_path / "x.jsonl", rows)}])
    assert [said(ranking) for ranking in reading] == [expected, ["x > y"]]
    assert reading.detections[0].shape == "two responses and a label"


NOT_CERTAIN: dict[str, dict[str, Any]] = {
    "a label may be of anything": {**PAIR, "label": "a"},
    "the column names the worse one": {**PAIR, "worse_choice": "a"},
    "the column names what is not chosen": {**PAIR, "not_chosen": "a"},
    "other letters": {**PAIR, "winner": "A"},
    "names of models": {"prompt": "Q", "response_a": "x", "response_b": "y", "winner": "model_a"},
    "words": {**PAIR, "preference": "first one"},
    "a tie of another kind": {**PAIR, "winner": "both bad"},
    "a number": {"prompt": "Q", "response_0": "x", "response_1": "y", "better_response_id": 1},
    "a number as text": {**PAIR, "choice": "1"},
    "true": {**PAIR, "preferred": True},
    "votes of two people": {"prompt": "Q", "answer_1": "x", "answer_2": "y", "vote_1": 1, "vote_2": 2},
    "votes for the pairs of three": {"prompt": "Q", "responses": ["x", "y", "z"], "vote": [1, 2, 2]},
}


@pytest.mark.parametrize(
    "label",
    [
        "second_choice", "wrong_choice", "dis_preferred", "second_best", "incorrect_choice", "losing_choice", "last_choice",
        "runner_up_choice", "never_chosen", "fewest_wins", "unpreferred", "almost_best", "choice_reason",
    ],
)  # fmt: skip
def test_a_word_that_is_not_known_may_turn_what_a_label_says(tmp_path: Path, label: str) -> None:
    rows = [{**PAIR, label: one} for one in ("a", "b")]
    with pytest.raises(ShapeError) as caught:
        read_rankings([{"path": write_rows(tmp_path / "x.jsonl", rows)}])
    assert caught.value.code in ("label_direction_missing", "shape_unknown")


@pytest.mark.parametrize(
    "label", ["winner", "better", "overall_preference", "the_preferred_response", "human_choice", "is_better"]
)
def test_words_that_change_nothing_leave_a_label_certain(tmp_path: Path, label: str) -> None:
    rows = [{**PAIR, label: one} for one in ("a", "b")]
    reading = read_rankings([{"path": write_rows(tmp_path / "x.jsonl", rows)}])
    assert [said(ranking) for ranking in reading] == [["x > y"], ["y > x"]]


@pytest.mark.parametrize("name", NOT_CERTAIN)
def test_label_that_does_not_literally_say_which_is_refused(tmp_path: Path, name: str) -> None:
    refused(write_rows(tmp_path / "x.jsonl", [NOT_CERTAIN[name]]), "label_direction_missing")


def test_number_of_the_best_of_several_is_read_by_no_format(tmp_path: Path) -> None:
    row = {"prompt": "Q", **{f"sample{number}": f"text {number}" for number in range(4)}, "best": 2}
    message = refused(write_rows(tmp_path / "x.jsonl", [row]), "shape_unknown")
    assert "4 responses (sample0, sample1, sample2, sample3) and one label a row (best)" in message


SCORES: dict[str, dict[str, Any]] = {
    "a list of ranks": {"prompt": "Q", "responses": ["x", "y"], "rank": [1, 2]},
    "a list of scores": {"prompt": "Q", "texts": ["x", "y"], "rating": [1.0, 2.0]},
    "objects with a rank": {"prompt": "Q", "answers": [{"text": "x", "rank": 1}, {"text": "y", "rank": 2}]},
    "columns of scores": {**PAIR, "score_a": 1, "score_b": 2},
    "columns of stars": {"prompt": "Q", "answer 1": "x", "answer 2": "y", "stars 1": 1, "stars 2": 2},
    "columns of votes": {**PAIR, "votes_a": 1, "votes_b": 12},
    "columns of votes, and those for a tie": {**PAIR, "votes_a": 0, "votes_b": 1, "votes_tie": 3},
    "columns of a vote that count": {**PAIR, "a_vote": "1", "b_vote": "12"},
    "a list of votes": {"prompt": "Q", "responses": ["x", "y"], "votes": [1, 12]},
    "our own form under another name of the prompt": {"question": "Q", "responses": ["x", "y"], "ranks": [1, 2]},
}  # fmt: skip


def test_few_scores_that_are_no_numbers_do_not_hide_the_others(tmp_path: Path) -> None:
    rows = [{**PAIR, "votes_a": 12, "votes_b": 3}] * 3 + [{**PAIR, "votes_a": "NA", "votes_b": 3}]
    path = write_rows(tmp_path / "x.jsonl", rows)
    message = refused(path, "score_direction_missing")
    with pytest.raises(BadRow, match=r"x\.jsonl:4: .*missing"):
        read_rankings([filled_in(message, best="highest")])
    skipped = read_rankings([{**filled_in(message, best="highest"), "on_bad_row": "skip", "max_bad": 0.3}])
    assert [said(ranking) for ranking in skipped] == [["x > y"]] * 3


@pytest.mark.parametrize("name", SCORES)
def test_scores_and_ranks_are_refused_without_and_right_with_their_better_end(
    tmp_path: Path, name: str
) -> None:
    path = write_rows(tmp_path / "x.jsonl", [SCORES[name]])
    message = refused(path, "score_direction_missing")
    assert "best: ?  # highest (a rating, votes) or lowest (a rank with 1 or 0 for the best)" in message
    for best, expected in (("lowest", "x > y"), ("highest", "y > x")):
        for settings in ({"path": path, "best": best}, filled_in(message, best=best)):
            (ranking,) = read_rankings([settings])
            assert said(ranking) == [expected]


def test_several_scores_are_all_named(tmp_path: Path) -> None:
    answers = [{"text": "x", "rank": 1, "votes": 5}, {"text": "y", "rank": 2, "votes": 3}]
    path = write_rows(tmp_path / "x.jsonl", [{"prompt": "Q", "answers": answers}])
    message = refused(path, "score_direction_missing")
    assert "scores: ?  # answers[].rank or answers[].votes" in message
    assert "answers[].rank: 1 to 2 in 1 row\n  answers[].votes: 3 to 5 in 1 row" in message
    refused(path, "several_shapes", best="highest")
    (ranking,) = read_rankings([{"path": path, "scores": "answers[].votes", "best": "highest"}])
    assert said(ranking) == ["x > y"]


def test_two_labels_are_both_named(tmp_path: Path) -> None:
    row = PAIR | {"better": 0, "safer": 1}
    message = refused(write_rows(tmp_path / "x.jsonl", [row]), "several_shapes")
    assert "better and safer could each be the label" in message
    assert "labels: ?  # better or safer" in message


BETTER_AND_WORSE = {
    "chosen and rejected": ("chosen", "rejected"),
    "the first": ("chosen_response", "rejected_response"),
    "the other way round": ("response_chosen", "response_rejected"),
    "better": ("better_answer", "worse_answer"),
    "preferred": ("preferred", "dispreferred"),
}


@pytest.mark.parametrize("name", BETTER_AND_WORSE)
def test_columns_that_say_it_themselves(tmp_path: Path, name: str) -> None:
    better, worse = BETTER_AND_WORSE[name]
    row = {"prompt": "Q", worse: "y", better: "x", "chosen_model": "m", "rejected_model": "n"}
    source = {"path": write_rows(tmp_path / "x.jsonl", [row])}
    (ranking,) = read_rankings([source])
    assert said(ranking) == ["x > y"]
    assert read_demonstrations([source]).records[0].response == "x"


def test_chosen_and_rejected_that_name_columns_are_no_responses(tmp_path: Path) -> None:
    row = PAIR | {"chosen": "a", "rejected": "b"}
    refused(write_rows(tmp_path / "x.jsonl", [row]), "label_direction_missing", labels="rejected")
    (ranking,) = read_rankings([{"path": write_rows(tmp_path / "x.jsonl", [row]), "labels": "chosen"}])
    assert said(ranking) == ["x > y"]


def test_responses_that_repeat_the_prompt_are_refused(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "x.jsonl", [{"prompt": "Q: why?", "chosen": "Q: why? So.", "rejected": "Q: why? No."}]
    )
    assert "chosen begins with the text of prompt in 1 of 1 row" in refused(path, "several_shapes")


def test_pairs_that_another_column_calls_ties_are_refused(tmp_path: Path) -> None:
    row = {"input": "Q", "chosen": "x", "rejected": "y", "status": "tie"}
    path = write_rows(tmp_path / "x.jsonl", [row | {"status": "unchanged"}, row])
    message = refused(path, "several_shapes")
    assert f"status says tie in 1 of 2 rows (the first: {path}:2)" in message
    assert len(read_rankings([filled_in(message)])) == 2, "what is pasted reads them so"
    path = write_rows(tmp_path / "y.jsonl", [{"prompt": "tie", "chosen": "Draw", "rejected": "equal"}])
    assert len(read_rankings([{"path": path}])) == 1, "that is what people say"


def test_ratings_that_are_called_ranks_are_refused(tmp_path: Path) -> None:
    """Stars, 5 is best: read as ranks, the worst response would be trained on as the best."""
    rows = [
        {"prompt": f"q{n}", "responses": ["good", "bad"], "ranks": [4, 3] if n % 2 else [5, 1]}
        for n in range(20)
    ]
    path = write_rows(tmp_path / "stars.jsonl", rows)
    message = refused(path, "score_direction_missing")
    assert "20 of 20 lists do not rank their responses from 1" in message
    (first, *_) = read_rankings([{**filled_in(message, best="highest")}]).records
    assert first.ranks == (1, 2)
    assert read_rankings([{"path": path, "format": "canonical"}]).records[0].ranks == (5, 1), "said is said"


def test_a_few_rankings_that_have_lost_their_best_are_still_ranks(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"q{n}", "responses": ["a", "b", "c"], "ranks": [1, 3, 2] if n else [2, None, 3]}
        for n in range(20)
    ]
    path = write_rows(tmp_path / "x.jsonl", rows)
    assert read_rankings([{"path": path}]).records[0].ranks == (2, None, 3)


BINARIZED = {"chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "yes"}],
             "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "no"}]}  # fmt: skip


def test_scores_that_call_the_rejected_response_better_are_refused_wherever_they_stand(
    tmp_path: Path,
) -> None:
    def rows(wrong: int) -> list[dict[str, Any]]:
        return [
            {**BINARIZED, "score_chosen": 2.0 if n == wrong else 8.0, "score_rejected": 5.0}
            for n in range(230)
        ]

    early = write_rows(tmp_path / "early.jsonl", rows(6))
    with pytest.raises(
        ShapeError, match=r"say the other one in 1 of 200 rows, first at .*early\.jsonl:7"
    ) as caught:
        read_rankings([{"path": early}])
    assert caught.value.code == "several_shapes"
    assert len(read_rankings([{"path": early, "format": "pair", "prompt": None}])) == 230
    late = write_rows(tmp_path / "late.jsonl", rows(220))
    with pytest.raises(
        BadRow,
        match=r"late\.jsonl:221: score_chosen and score_rejected call the response in 'rejected' better",
    ):
        read_rankings([{"path": late}])
    skipped = read_rankings([{"path": late, "on_bad_row": "skip"}])
    assert (len(skipped), skipped.counts()) == (229, {"scores_contradict": 1})


@pytest.mark.parametrize(
    ("lists", "told"), [([[1, 2, 0], [2, 0, 1]], True), ([[1, 3, 2]], True), ([[1, 2, 2]], False)]
)
def test_an_order_of_places_is_said_to_be_perhaps_one(
    tmp_path: Path, lists: list[list[int]], told: bool
) -> None:
    """[1, 2, 0] may say that the second is best, or that the third has rank 0."""
    rows = [{"prompt": "q", "candidates": ["a", "b", "c"], "ranking": places} for places in lists]
    message = refused(write_rows(tmp_path / "x.jsonl", rows), "score_direction_missing")
    assert ("an adapter has to turn it into ranks" in message) is told


def test_rows_of_a_csv_are_told_as_well(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("prompt,a,b,label\nQ,x,y,0\nR,x,y,1\n")
    message = refused_csv(tmp_path / "x.csv")
    assert "label_values: {0: ?, 1: ?}" in message
    found = read_rankings([{"path": str(tmp_path / "x.csv"), "label_values": {0: "second", 1: "first"}}])
    assert [ranking_text(ranking) for ranking in found] == ["y > x", "x > y"]
    (tmp_path / "y.csv").write_text('prompt,responses,ranks\nQ,"[""x"", ""y""]","[2, 1]"\n')
    (ranking,) = read_rankings([{"path": str(tmp_path / "y.csv")}])
    assert said(ranking) == ["y > x"]
    found = detect_source(Source(path=str(tmp_path / "y.csv")), "rankings")
    assert found.settings["json_columns"] == ("responses", "ranks")
    assert len(read_prompts([{"path": str(tmp_path / "x.csv")}])) == 2


def test_mapping_of_a_refusal_says_which_columns_are_json(tmp_path: Path) -> None:
    row = {"prompt": '["Q"]', "a": '["x"]', "b": '["y"]', "label": 1}
    message = refused(write_rows(tmp_path / "x.jsonl", [row]), "label_direction_missing")
    assert "json_columns: [prompt, a, b]" in message
    (ranking,) = read_rankings([filled_in(message, label_values="{1: first}")])
    assert said(ranking) == ["x > y"]


def refused_csv(path: Path) -> str:
    with pytest.raises(ShapeError, match="looks like two responses") as caught:
        read_rankings([{"path": str(path)}])
    return str(caught.value)


def ranking_text(ranking: Ranking) -> str:
    (text,) = said(ranking)
    return text


def test_scores_are_found_beside_many_that_are_missing(tmp_path: Path) -> None:
    """Where it is said what stands for a missing one, and where a CSV's cells are empty."""
    for nothing, told in (("N/A", {"missing": ["N/A"]}), ("", {})):
        lines = [f"Q{n},x,y,{5 if n < 2 else nothing},{1 if n < 2 else nothing}" for n in range(8)]
        (tmp_path / "x.csv").write_text("\n".join(["prompt,response_1,response_2,score_1,score_2", *lines]))
        source = {"path": str(tmp_path / "x.csv"), "best": "highest", "on_bad_row": "skip", "max_bad": 1.0}
        found = read_rankings([{**source, **told}])
        assert [said(one) for one in found] == [["x > y"]] * 2
