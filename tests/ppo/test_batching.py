"""The order of prompts, the division into minibatches, and the sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.errors import DataError, SettingsError
from rlhf.ppo.batching import PromptOrder, check_sizes, minibatch_order, own_rows, split_minibatches


def test_every_prompt_comes_once_an_epoch_in_an_order_of_the_seed():
    order = PromptOrder(10, seed=1, rollout_batch_size=4)
    first, second = order.take(0, 10), order.take(10, 10)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert first != list(range(10))
    assert PromptOrder(10, seed=2, rollout_batch_size=4).take(0, 10) != first


def test_inv73_the_position_is_all_that_the_order_needs():
    whole = PromptOrder(10, 1, 4).take(0, 24)
    assert PromptOrder(10, 1, 4).take(8, 16) == whole[8:]


def test_inv69_fewer_prompts_than_a_batch_is_an_error_and_no_hang():
    with pytest.raises(DataError, match=r"3 training prompts are fewer than ppo.rollout_batch_size \(4\)"):
        PromptOrder(3, 1, 4)


@given(st.integers(1, 4), st.integers(1, 20))
def test_inv69_processes_share_the_rows_without_overlap(num_processes, rows_each):
    total = num_processes * rows_each
    shares = [own_rows(total, index, num_processes) for index in range(num_processes)]
    assert sorted(row for share in shares for row in share) == list(range(total))
    assert {len(share) for share in shares} == {rows_each}


@given(st.lists(st.integers(1, 50), min_size=16, max_size=16), st.sampled_from([1, 2, 4]))
def test_inv55_each_row_is_in_one_microbatch_of_one_minibatch(lengths, microbatch_size):
    minibatches = split_minibatches(lengths, 4, microbatch_size)
    assert [sorted(row for part in parts for row in part.tolist()) for parts in minibatches] == [
        list(range(start, start + 4)) for start in range(0, 16, 4)
    ]
    assert {len(part) for parts in minibatches for part in parts} == {microbatch_size}


def test_rows_of_similar_length_share_a_microbatch():
    ((first, second),) = split_minibatches([9, 2, 8, 1], 4, 2)
    assert (first.tolist(), second.tolist()) == ([3, 1], [2, 0])


def test_minibatches_of_all_processes_are_those_of_one():
    """The rows of global minibatch j are the same for any number of processes."""
    for num_processes in (1, 2, 4):
        found = [set() for _ in range(2)]
        for index in range(num_processes):
            rows = own_rows(16, index, num_processes)
            for place, parts in enumerate(split_minibatches([1] * len(rows), 8 // num_processes, 1)):
                found[place] |= {rows[i] for part in parts for i in part.tolist()}
        assert found == [set(range(8)), set(range(8, 16))]


def test_minibatch_order_is_shuffled_after_the_first_epoch():
    assert minibatch_order(8, 1, 1, 0) == list(range(8))
    later = minibatch_order(8, 1, 1, 1)
    assert sorted(later) == list(range(8))
    assert later != list(range(8))
    assert later == minibatch_order(8, 1, 1, 1) != minibatch_order(8, 1, 2, 1)
    assert later != minibatch_order(8, 1, 1, 2), "the third epoch is not the second once more"


def test_sizes_divide_or_are_refused():
    assert check_sizes(16, 8, 2, num_processes=2) == (8, 4, 2)
    assert check_sizes(16, 8, 8, num_processes=2) == (8, 4, 4)  # a process takes no more than its part
    for sizes in [(16, 6, 2, 1), (16, 8, 3, 1), (16, 8, 2, 3), (16, 8, 3, 2)]:
        with pytest.raises(SettingsError, match="is not a multiple of"):
            check_sizes(*sizes)
