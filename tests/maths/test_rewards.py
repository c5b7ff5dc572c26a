"""From scores to token rewards."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlhf.maths.rewards import (
    clip_scores,
    last_token_index,
    replace_missing_eos_score,
    subtract_missing_eos_penalty,
    token_rewards,
)
from tests.maths.batches import SEEDS, poisoned, random_batch

ENDED = torch.tensor([True, False])


def slow_rewards(scores, kl, mask, kl_coef: float) -> list[list[float]]:
    """Each response on its own: walk its tokens, remember the last that counts, put the score there."""
    rewards = []
    for score, of_response, counts in zip(scores.tolist(), kl.tolist(), mask.tolist(), strict=True):
        row, last = [0.0] * len(counts), None
        for t, counted in enumerate(counts):
            if counted:
                row[t] = -kl_coef * of_response[t]
                last = t
        if last is not None:
            row[last] += score
        rewards.append(row)
    return rewards


def test_by_hand() -> None:
    kl = torch.tensor([[1.0, 2.0, 7.0], [4.0, 5.0, 6.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    rewards = token_rewards(torch.tensor([10.0, -10.0]), kl, mask, 0.5)
    assert rewards.tolist() == [[-0.5, 10 - 1.0, 0.0], [-2.0, -2.5, -10 - 3.0]]


@given(SEEDS, st.booleans())
def test_inv31_score_on_last_valid_token(seed: int, gaps: bool) -> None:
    batch = random_batch(seed, gaps=gaps)
    rewards = token_rewards(batch.scores, batch.kl, batch.mask, 0.1)
    expected = torch.tensor(slow_rewards(batch.scores, batch.kl, batch.mask, 0.1), dtype=torch.float64)
    torch.testing.assert_close(rewards, expected)


@given(SEEDS)
def test_inv31_rewards_add_up_to_score_minus_kl(seed: int) -> None:
    batch = random_batch(seed)
    rewards = token_rewards(batch.scores, batch.kl, batch.mask, 0.3)
    torch.testing.assert_close(rewards.sum(1), batch.scores - 0.3 * (batch.kl * batch.mask).sum(1))
    assert (rewards[~batch.mask] == 0).all()


def test_inv31_place_does_not_depend_on_truncation() -> None:
    mask = torch.ones(
        1, 4, dtype=torch.bool
    )  # cut: every place is a token and the last one is not an end token
    assert token_rewards(torch.tensor([3.0]), torch.zeros(1, 4), mask, 0.1).tolist() == [[0.0, 0.0, 0.0, 3.0]]


def test_inv20_the_end_token_carries_the_score_and_its_own_kl() -> None:
    # three tokens and the end token: the mask holds four, and the score is on the end token, not before it
    mask = torch.tensor([[True, True, True, True, False, False]])
    rewards = token_rewards(torch.tensor([1.0]), torch.ones(1, 6), mask, 0.25)
    assert rewards.tolist() == [[-0.25, -0.25, -0.25, 0.75, 0.0, 0.0]]


@given(SEEDS)
def test_inv32_padding_never_contributes(seed: int) -> None:
    batch = random_batch(seed, gaps=True)
    clean = token_rewards(batch.scores, batch.kl, batch.mask, 0.1)
    for poison in (float("nan"), float("inf"), 123.0):
        dirty = token_rewards(batch.scores, poisoned(batch.kl, batch.mask, poison), batch.mask, 0.1)
        assert torch.equal(dirty, clean)


def test_inv28_empty_response_and_first_token() -> None:
    # only the end token; nothing at all
    mask = torch.tensor([[True, False, False], [False, False, False]])
    assert last_token_index(mask).tolist() == [0, 0]
    rewards = token_rewards(torch.tensor([2.0, 5.0]), torch.ones(2, 3), mask, 0.5)
    assert rewards.tolist() == [[1.5, 0.0, 0.0], [0.0, 0.0, 0.0]]


def test_last_token_index_of_each_length() -> None:
    assert last_token_index(torch.ones(4, 4, dtype=torch.bool).tril()).tolist() == [0, 1, 2, 3]
    assert last_token_index(torch.tensor([[True, False, True, False]])).tolist() == [2]


def test_inv22_subtract_lowers_and_replace_overwrites() -> None:
    scores = torch.tensor([2.0, 3.0])
    assert subtract_missing_eos_penalty(scores, ENDED, 1.5).tolist() == [2.0, 1.5]
    assert replace_missing_eos_score(scores, ENDED, -1.0).tolist() == [2.0, -1.0]
    assert scores.tolist() == [2.0, 3.0]  # the scores that were given are logged: they must not change


def test_inv22_applies_to_the_score_before_the_kl_penalty() -> None:
    # replaced by -1 and then penalised by 0.5 * 2 nats: -2; a replacement afterwards would forget the KL
    replaced = replace_missing_eos_score(torch.tensor([3.0]), torch.tensor([False]), -1.0)
    rewards = token_rewards(replaced, torch.tensor([[1.0, 1.0]]), torch.ones(1, 2, dtype=torch.bool), 0.5)
    assert rewards.sum().item() == pytest.approx(-2.0)


def test_inv37_clip_limits_the_score_not_the_kl() -> None:
    scores = clip_scores(torch.tensor([-9.0, -0.5, 0.5, 9.0]), 1.0)
    assert scores.tolist() == [-1.0, -0.5, 0.5, 1.0]
    rewards = token_rewards(scores, torch.full((4, 1), 20.0), torch.ones(4, 1, dtype=torch.bool), 1.0)
    assert rewards.squeeze(1).tolist() == [-21.0, -20.5, -19.5, -19.0]  # far beyond the limit


def test_inv37_no_limit_changes_nothing() -> None:
    scores = torch.tensor([-9.0, 9.0])
    assert torch.equal(clip_scores(scores, None), scores)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_impossible_limit_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        clip_scores(torch.zeros(2), limit)


def test_shapes_that_do_not_fit_are_refused() -> None:
    mask = torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match="do not fit"):
        token_rewards(torch.zeros(3), torch.zeros(2, 3), mask, 0.1)
    with pytest.raises(ValueError, match="mask"):
        token_rewards(torch.zeros(2), torch.zeros(2, 3), mask[:, :1], 0.1)
    with pytest.raises(TypeError, match="boolean"):
        subtract_missing_eos_penalty(torch.zeros(2), torch.ones(2), 1.0)
    with pytest.raises(TypeError, match="boolean"):
        replace_missing_eos_score(torch.zeros(2), torch.ones(2), 1.0)
