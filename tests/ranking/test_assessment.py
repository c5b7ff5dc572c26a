from __future__ import annotations

from typing import Any

import pytest

from rlhf.feedback.records import Message, Prompt, Ranking
from rlhf.ranking.assessment import (
    assess_baselines,
    assess_scores,
    correlation,
    judge_rankings,
    labeler_agreement,
    score_rankings,
)
from rlhf.rendering import Renderer, render_rankings
from tests.helpers import tiny_reward_model, tiny_tokenizer
from tests.ranking.test_batch import ranking


def test_accuracies_by_hand() -> None:
    items = [ranking([1, 2, 3], [5, 4, 3]), ranking([1, 1], first=70)]
    found = assess_scores([[3.0, 1.0, 2.0], [0.0, 0.0]], items, judged=[[0.9, 0.5, 0.1], [0.2, 0.1]])
    # labels: (0,1) right, (0,2) right, (1,2) wrong; the tie does not count
    assert found["pair_accuracy_labels"] == pytest.approx(2 / 3)
    # the judge also orders the second prompt, where equal scores count one half
    assert found["pair_accuracy_judge"] == pytest.approx(2.5 / 4)
    assert found["judge_accuracy_labels"] == 1.0
    assert (found["num_pairs"], found["score_mean"]) == (3, 1.2)


def test_inv81_labelers_of_one_prompt_are_one_prompt_of_the_interval() -> None:
    items = [ranking([1, 2, 3]), ranking([3, 2, 1], first=70)]  # the same prompt
    found = assess_scores([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]], items)
    assert (found["num_pairs"], found["num_prompts"]) == (6, 1)
    assert found["pair_accuracy_labels"] == 0.5


def test_without_a_judge_nothing_of_a_judge() -> None:
    found = assess_scores([[1.0, 0.0]], [ranking([1, 2])])
    assert not [name for name in found if "judge" in name]


def test_baselines() -> None:
    found = assess_baselines([ranking([1, 2, 3], [5, 4, 6])])
    assert found["longer_wins"] == pytest.approx(1 / 3)
    assert found["first_wins"] == 1.0


def labelled(
    annotator: str | None, responses: tuple[str, ...], ranks: tuple[int, ...], where: str = "f:1"
) -> Ranking:
    return Ranking(Prompt("p", (Message("user", "q"),), "g", where), responses, ranks, None, annotator)


def test_agreement_finds_the_same_responses_in_another_order() -> None:
    found = labeler_agreement(
        [
            labelled("a", ("x", "y", "z"), (1, 2, 3)),
            labelled("b", ("z", "x", "y"), (1, 3, 2)),
            labelled("a", ("x", "v"), (1, 2)),
        ]
    )
    assert found["labeler_agreement"] == 0.0
    assert labeler_agreement([labelled("a", ("x", "y"), (1, 2))]) == {}


def test_who_judged_a_pair_several_times_counts_once_with_what_they_mostly_said() -> None:
    def agreement(*ranks_of: tuple[str, tuple[int, ...]]) -> Any:
        rows = [labelled(name, ("x", "y", "z")[: len(ranks)], ranks) for name, ranks in ranks_of]
        for order in (rows, rows[::-1]):  # the last row counts no more than the first
            found = labeler_agreement(order)
        assert found == labeler_agreement(rows)
        return found.get("labeler_agreement"), found.get("labeler_agreement_low")

    first, second = (1, 2), (2, 1)
    assert agreement(("ann", first), ("ann", second), ("bob", second)) == (None, None)
    assert agreement(("ann", first), ("ann", second), ("ann", first), ("bob", second))[0] == 0.0
    assert agreement(("ann", first), ("ann", first), ("bob", first), ("bob", first))[0] == 1.0
    # Ann is of two minds about x and y alone; Bob agrees with her on x, z and not on y, z: 1 of 2.
    assert agreement(("ann", (1, 2, 3)), ("ann", (2, 1, 3)), ("bob", (1, 3, 2)))[0] == 0.5


def test_rows_without_a_name_are_no_second_labeler() -> None:
    """A copy of a row agrees with it in everything; that says nothing of how far people agree."""
    row = labelled(None, ("x", "y"), (1, 2), "f:1")
    copies = [labelled(None, ("x", "y"), (1, 2), f"f:{line}") for line in (2, 3)]
    turned = labelled(None, ("y", "x"), (1, 2), "f:4")
    assert labeler_agreement([row, *copies]) == {}
    assert labeler_agreement([row, turned]) == {}  # or the copies' absence alone would make it 0
    named = [labelled("a", ("x", "y"), (1, 2), "f:5"), labelled("b", ("x", "y"), (2, 1), "f:6")]
    assert labeler_agreement([row, *copies, *named, *copies])["labeler_agreement"] == 0.0


def test_opinions_of_one_row_are_different_labelers() -> None:
    first = [labelled(None, ("x", "y"), ranks) for ranks in ((1, 2), (1, 2), (2, 1))]
    found = labeler_agreement(first)
    assert found["labeler_agreement"] == pytest.approx(
        1 / 3
    )  # of the pairs of people 1-2 agree, 1-3 and 2-3 not
    again = [labelled(None, ("x", "y"), (2, 1), "f:9")]  # another row: whose is it?
    assert labeler_agreement([*first, *again]) == found
    assert labeler_agreement([*first, *again, *first]) == found  # read twice, it is still three people's


def test_inv81_equal_responses_have_no_right_order_and_are_left_out() -> None:
    """The second and third response are one text; whoever was called the better of them is not asked."""
    item = ranking([1, 2, 3])
    item.response_ids[2] = item.response_ids[1]
    found = assess_scores([[2.0, 1.0, 1.0]], [item])
    assert (found["pair_accuracy_labels"], found["num_pairs"]) == (1.0, 2)
    assert assess_baselines([item])["first_wins"] == 1.0


@pytest.mark.parametrize(
    ("lengths", "expected"), [((2, 3, 5, 6), 1.0), ((6, 5, 3, 2), -1.0), ((2, 5, 3, 6), 0.6)]
)
def test_inv43_correlation_of_score_and_length_is_reported(lengths: tuple[int, ...], expected: float) -> None:
    """About their mean 2, 3, 5, 6 are -2, -1, 1, 2, squares 10; with 3 and 5 turned round 4 - 1 - 1 + 4 = 6."""
    items = [ranking([1, 2], list(lengths[:2])), ranking([1, 2], list(lengths[2:]), first=70)]
    found = assess_scores([[2.0, 3.0], [5.0, 6.0]], items)
    assert found["score_length_correlation"] == pytest.approx(expected)


def test_inv43_correlation() -> None:
    assert correlation([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == pytest.approx(-1.0)
    assert correlation([1.0, 1.0], [1.0, 2.0]) == 0.0


def test_inv63_scores_are_measured_without_dropout_and_the_mode_stays() -> None:
    model, items = tiny_reward_model(tiny_tokenizer(), resid_pdrop=0.5), [ranking([1, 2, 3]), ranking([1, 2])]
    expected = score_rankings(model.eval(), items, 2)
    assert [len(of_prompt) for of_prompt in expected] == [3, 2]
    assert not model.training
    assert score_rankings(model.train(), items, 2) == expected
    assert model.training


def test_inv42_the_judge_sees_each_response_with_its_own_prompt() -> None:
    renderer = Renderer(tiny_tokenizer())
    items = []
    for name, answers in (("first", ("a", "b", "c")), ("second", ("d", "e"))):
        prompt = Prompt(name, (Message("user", name),), name, "f:1", {"name": name})
        items += render_rankings([Ranking(prompt, answers, tuple(range(1, len(answers) + 1)))], renderer)
    seen: list[tuple[str, str]] = []

    def judge(prompts: list[list[dict[str, str]]], responses: list[str], name: list[str]) -> list[Any]:
        assert [prompt[0]["content"] for prompt in prompts] == name
        seen.extend(zip(name, responses, strict=True))
        return [{"score": float(number)} for number in range(len(responses))]

    assert judge_rankings(judge, items, "judge") == [[0.0, 1.0, 2.0], [3.0, 4.0]]
    assert seen == [("first", "a"), ("first", "b"), ("first", "c"), ("second", "d"), ("second", "e")]
