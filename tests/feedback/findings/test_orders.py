"""Whether comparisons fit an order: by hand, and against every order there is."""

from __future__ import annotations

from itertools import combinations, product

from hypothesis import given
from hypothesis import strategies as st

from rlhf.feedback.findings.orders import find_disorder

COMPARISONS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.sampled_from([0.0, 0.5, 1.0])), max_size=9
).map(lambda found: [one for one in found if one[0] != one[1]])


def fits_an_order(comparisons: list[tuple[int, int, float]]) -> bool:
    """The definition: there are levels such that better is higher and a tie is level."""
    return any(
        all(
            (level[i - 1] > level[j - 1])
            if p == 1.0
            else (level[i - 1] < level[j - 1])
            if p == 0.0
            else level[i - 1] == level[j - 1]
            for i, j, p in comparisons
        )
        for level in product(range(4), repeat=4)
    )


def test_cycle_of_three_is_told_from_its_smallest_number() -> None:
    # 2 > 1, 1 > 4, 4 > 2; 3 is below all
    disorder = find_disorder([(2, 1, 1.0), (1, 4, 1.0), (2, 4, 0.0), (1, 3, 1.0), (2, 3, 1.0)])
    assert (disorder.cycle, disorder.contradictions, disorder.tied_cycle) == ((1, 4, 2, 1), (), ())


def test_shortest_of_two_cycles() -> None:
    four = [(1, 2, 1.0), (2, 3, 1.0), (3, 4, 1.0), (4, 1, 1.0)]
    assert find_disorder(four).cycle == (1, 2, 3, 4, 1)
    assert len(find_disorder([*four, (5, 6, 1.0), (6, 7, 1.0), (7, 5, 1.0)]).cycle) == 4


def test_ties_that_fit_no_order() -> None:
    # a = b, b = c, a > c
    disorder = find_disorder([(1, 2, 0.5), (2, 3, 0.5), (1, 3, 1.0)])
    assert (disorder.cycle, disorder.tied_cycle, disorder.signs) == ((), (1, 3, 2, 1), ">==")
    assert find_disorder([(1, 2, 0.5), (2, 3, 0.5), (1, 3, 0.5)]).tied_cycle == ()
    assert find_disorder([(1, 2, 1.0), (2, 3, 0.5), (1, 3, 1.0)]).tied_cycle == ()


def test_pairs_with_two_labels_are_contradictions_and_make_no_cycle() -> None:
    disorder = find_disorder([(1, 2, 1.0), (2, 1, 1.0), (2, 3, 1.0), (3, 1, 1.0), (4, 3, 0.5), (3, 4, 1.0)])
    assert (disorder.contradictions, disorder.cycle) == (((1, 2), (3, 4)), ())
    assert find_disorder([(1, 2, 1.0), (2, 1, 0.0), (1, 2, 1.0)]).contradictions == ()


@given(COMPARISONS)
def test_something_is_found_where_no_order_fits_and_only_there(
    comparisons: list[tuple[int, int, float]],
) -> None:
    disorder = find_disorder(comparisons)
    assert bool(disorder.contradictions or disorder.cycle or disorder.tied_cycle) is not fits_an_order(
        comparisons
    )


@given(COMPARISONS, st.randoms(use_true_random=False))
def test_what_is_found_holds_and_depends_on_no_order_of_the_comparisons(
    comparisons: list[tuple[int, int, float]], chance: object
) -> None:
    disorder = find_disorder(comparisons)
    labels = {(i, j): p for i, j, p in comparisons} | {(j, i): 1.0 - p for i, j, p in comparisons}
    assert all(labels[i, j] == 1.0 for i, j in zip(disorder.cycle, disorder.cycle[1:], strict=False))
    steps = list(zip(disorder.tied_cycle, disorder.tied_cycle[1:], strict=False))
    assert [labels[step] for step in steps] == [1.0 if sign == ">" else 0.5 for sign in disorder.signs]
    assert not steps or (">" in disorder.signs and "=" in disorder.signs)
    shuffled = list(comparisons)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert find_disorder(shuffled) == disorder
    assert find_disorder([(j, i, 1.0 - p) for i, j, p in comparisons]) == disorder


def test_no_cycle_in_any_order_of_five() -> None:
    for levels in product(range(3), repeat=5):
        pairs = [
            (i, j, 0.5 if levels[i] == levels[j] else float(levels[i] > levels[j]))
            for i, j in combinations(range(5), 2)
        ]
        disorder = find_disorder(pairs)
        assert (disorder.cycle, disorder.tied_cycle, disorder.contradictions) == ((), (), ())
