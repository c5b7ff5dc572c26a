"""The example that is shown is clear, and the same pair whichever of the two is called better."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from rlhf.checking.examples import choose_examples
from rlhf.feedback import Demonstration, Message, Prompt, Ranking, Text

LONG = "a response of many words that goes on for some while so that one can read it, "


def prompt(text: str = "Why?", where: str = "x:1") -> Prompt:
    return Prompt(where, (Message("user", text),), "g", where)


def ranking(
    responses: Sequence[str], ranks: Sequence[int | None], where: str = "x:1", text: str = "Why?"
) -> Ranking:
    return Ranking(prompt(text, where), tuple(responses), tuple(ranks))


def test_best_and_worst_are_those_of_the_ranks() -> None:
    (example,) = choose_examples([ranking(["middle", "worst", "best", "none"], [2, 3, 1, None])])
    assert (example.best, example.worst) == ("best", "worst")
    assert (example.best_rank, example.worst_rank, example.num_responses) == (1, 3, 4)


def test_pairs_that_fit_no_order() -> None:
    pairs = ((0, 1, 0.5), (0, 2, 0.0), (1, 2, 0.5))
    (example,) = choose_examples([Ranking(prompt(), ("a", "b", "c"), (None,) * 3, pairs)])
    assert (example.best, example.worst, example.best_rank) == ("c", "a", None)


def test_what_has_no_order_is_not_shown() -> None:
    tie = ranking(["one", "two"], [1, 1])
    assert choose_examples([tie]) == ()
    (example,) = choose_examples([tie, ranking(["one", "two"], [2, 1], "x:2")])
    assert (example.where, example.best) == ("x:2", "two")


def test_clear_ones_come_first() -> None:
    alike = ranking([LONG + "yes", LONG + "no"], [1, 2], "alike")
    unlike = ranking(
        [LONG, "something else altogether, which shares not one single term with it"], [1, 2], "unlike"
    )
    endless = ranking(
        [LONG * 9, "something else altogether, which shares not one single term with it"], [1, 2], "endless"
    )
    deep = ranking(
        [LONG, "something else altogether, which shares not one single term with it"],
        [1, 2],
        "deep",
        LONG * 9,
    )
    found = [example.where for example in choose_examples([alike, endless, deep, unlike], 4)]
    assert found[0] == "unlike"
    assert [example.where for example in choose_examples([alike, endless, deep, unlike])] == ["unlike"]
    assert len(choose_examples([alike, unlike], 5)) == 2


def test_ranks_that_lie_far_apart_are_clearer() -> None:
    near = ranking(["a b", "c d", "e f"], [1, 2, 1], "near")
    far = ranking(["a b", "c d", "e f"], [1, 2, 3], "far")
    assert choose_examples([near, far])[0].where == "far"


WORDS = st.lists(
    st.sampled_from(["red", "green", "blue", "one", "two", "three"]), min_size=1, max_size=60
).map(" ".join)


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=8))
def test_a_wrong_direction_shows_the_same_pair_the_other_way_round(rows: list[tuple[str, str, str]]) -> None:
    right = [ranking([a, b], [1, 2], f"x:{n}", text) for n, (text, a, b) in enumerate(rows)]
    wrong = [ranking([b, a], [1, 2], f"x:{n}", text) for n, (text, a, b) in enumerate(rows)]
    (shown,), (other,) = choose_examples(right), choose_examples(wrong)
    assert (shown.where, shown.prompt) == (other.where, other.prompt)
    assert (shown.best, shown.worst) == (other.worst, other.best)


def test_large_sources_are_looked_at_evenly() -> None:
    records = [ranking(["a", "b"], [1, 2], f"x:{number}") for number in range(10_000)]
    records[9_995] = ranking(
        [LONG, "something else altogether, which shares not one single term"], [1, 2], "last"
    )
    assert choose_examples(records)[0].where == "last"


def test_the_other_kinds() -> None:
    (asked,) = choose_examples([prompt()])
    assert (asked.prompt, asked.best) == ((("user", "Why?"),), None)
    (shown,) = choose_examples([Demonstration(prompt(), "Because.")])
    assert (shown.prompt, shown.best, shown.worst) == ((("user", "Why?"),), "Because.", None)
    (text,) = choose_examples([Text("1", "Once.", "g", "x:1")])
    assert (text.prompt, text.best) == ((), "Once.")
    assert choose_examples([]) == ()
