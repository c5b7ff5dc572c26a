"""Running mean and spread of the scores."""

from __future__ import annotations

import json
import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlhf.maths.moments import RunningMoments
from rlhf.maths.rewards import token_rewards
from tests.maths.batches import SEEDS
from tests.maths.ranks import Ranks


def random_scores(seed: int, number: int, mean: float = 37.0, spread: float = 0.5) -> torch.Tensor:
    """Float32 scores of a reward model whose zero is anywhere."""
    return mean + spread * torch.randn(number, generator=torch.Generator().manual_seed(seed))


def updated(*batches: torch.Tensor) -> RunningMoments:
    """Moments that have seen the batches."""
    moments = RunningMoments()
    for batch in batches:
        moments.update(batch)
    return moments


def test_by_hand() -> None:
    moments = updated(torch.tensor([1.0, 3.0]), torch.tensor([5.0, 7.0, 9.0]))
    # mean 5; squares 16 + 4 + 0 + 4 + 16 = 40, over 5
    assert (moments.mean, moments.count) == (5.0, 5)
    assert moments.std == pytest.approx(math.sqrt(8))
    expected = [(1 - 5) / math.sqrt(8), (11 - 5) / math.sqrt(8)]
    assert moments.normalise(torch.tensor([1.0, 11.0])).tolist() == pytest.approx(expected)


def test_before_any_update_scores_are_as_they_were() -> None:
    moments, scores = RunningMoments(), torch.tensor([0.1, -7.3])
    assert (moments.mean, moments.std, moments.count) == (0.0, 1.0, 0)
    assert torch.equal(moments.normalise(scores), scores)


@given(SEEDS, st.lists(st.integers(0, 7), min_size=1, max_size=5), st.sampled_from([0.0, 37.0, -1e4]))
def test_inv37_equal_the_moments_of_all_batches_put_together(
    seed: int, sizes: list[int], mean: float
) -> None:
    scores = random_scores(seed, sum(sizes), mean)
    moments = updated(*scores.split(sizes))
    assert moments.count == sum(sizes)
    if scores.numel():
        values = scores.double().tolist()
        assert moments.mean == pytest.approx(statistics.fmean(values), rel=1e-12)
        assert moments.std == pytest.approx(statistics.pstdev(values), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("cut", [(3, 5), (0, 8), (2, 2, 4), (1, 7, 0)])
def test_inv37_every_rank_has_the_moments_of_the_scores_of_all(cut: tuple[int, ...]) -> None:
    batches = [random_scores(seed, 8, mean=10.0 * seed) for seed in range(3)]

    def work(rank: int, reduce) -> dict[str, float]:
        moments = RunningMoments()
        for batch in batches:
            moments.update(batch.split(list(cut))[rank], reduce)
        return moments.state_dict()

    states = Ranks(len(cut)).run(work)
    assert all(state == states[0] for state in states)  # to the last bit
    assert states[0] == pytest.approx(updated(torch.cat(batches)).state_dict())


def test_inv37_the_score_alone_is_normalised_and_a_nat_costs_the_same() -> None:
    mask, kl = torch.ones(2, 3, dtype=torch.bool), torch.full((2, 3), 0.5)
    for spread in (0.1, 1.0, 100.0):
        moments = updated(torch.tensor([-spread, spread]))
        rewards = token_rewards(moments.normalise(torch.tensor([-spread, spread])), kl, mask, 0.2)
        # -1 and 1, minus 0.2 * 3 * 0.5
        assert rewards.sum(1).tolist() == pytest.approx([-1.3, 0.7])


@given(SEEDS, st.integers(8, 64), st.sampled_from([0.0, 37.0, -500.0]), st.sampled_from([0.01, 1.0, 50.0]))
def test_inv38_calibrated_scores_have_mean_zero_std_one_and_the_same_ranking(
    seed: int, number: int, mean: float, spread: float
) -> None:
    scores = random_scores(seed, number, mean, spread)
    moments = updated(scores)  # once, on the responses of the reference; frozen from here on
    normalised = moments.normalise(scores)
    assert abs(normalised.mean().item()) < 1e-3
    assert normalised.std(correction=0).item() == pytest.approx(1.0, abs=1e-5)
    order = scores.argsort(stable=True)
    assert (normalised[order].diff() >= 0).all()
    clearly = scores[order].diff() > 1e-4 * spread
    assert (normalised[order].diff()[clearly] > 0).all()


def test_inv38_frozen_moments_do_not_follow_later_scores() -> None:
    moments = updated(torch.tensor([0.0, 2.0]))
    before = moments.state_dict()
    assert moments.normalise(torch.tensor([101.0, 1.0])).tolist() == [100.0, 0.0]
    assert moments.state_dict() == before


@pytest.mark.parametrize("score", [0.0, 0.1, -7.3, 1e4])
def test_a_constant_score_gives_zero_and_the_first_that_differs_its_distance(score: float) -> None:
    moments = updated(torch.full((7,), score), torch.full((3,), score))
    assert moments.normalise(torch.full((2,), score)).tolist() == [0.0, 0.0]
    assert moments.normalise(torch.tensor([score + 2])).item() == pytest.approx(2.0, rel=1e-3)


def test_rounding_is_no_spread() -> None:
    score = torch.tensor([100.0])
    scores = torch.cat([score, torch.nextafter(score, torch.tensor([200.0]))])
    assert scores[0] != scores[1]
    assert updated(scores).normalise(scores).abs().max() < 1e-4


def test_a_single_score_gives_zero() -> None:
    assert updated(torch.tensor([3.5])).normalise(torch.tensor([3.5])).tolist() == [0.0]


def test_many_updates_far_from_zero_keep_their_digits() -> None:
    # E[x^2] - E[x]^2 in float32 has no digit left here
    batches = [random_scores(seed, 16, mean=1e4, spread=0.1) for seed in range(50)]
    everything = torch.cat(batches).double()
    assert updated(*batches).std == pytest.approx(everything.std(correction=0).item(), rel=1e-6)


def test_inv73_state_is_saved_as_text_and_restored_to_the_last_bit() -> None:
    first = updated(random_scores(1, 9), random_scores(2, 5))
    second = updated(torch.tensor([77.0]))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.state_dict() == first.state_dict()
    for moments in (first, second):
        moments.update(random_scores(3, 4))
    assert second.state_dict() == first.state_dict()
    assert isinstance(second.count, int)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_inv42_scores_that_are_not_finite_surface_on_every_rank_and_change_nothing(bad: float) -> None:
    parts = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, bad])]

    def work(rank: int, reduce) -> tuple[str, dict[str, float]]:
        moments = RunningMoments()
        try:
            moments.update(parts[rank], reduce)
        except ValueError as error:
            return str(error), moments.state_dict()
        return "", moments.state_dict()

    for message, state in Ranks().run(work):
        assert "scores must be finite" in message
        assert state == RunningMoments().state_dict()


@pytest.mark.parametrize("key", ["count", "mean", "sum_of_squares"])
def test_a_state_that_cannot_be_one_is_refused(key: str) -> None:
    moments = updated(torch.tensor([1.0, 2.0]))
    state = moments.state_dict()
    for bad in [math.nan] + ([-1.0] if key != "mean" else []):
        with pytest.raises(ValueError, match="no state of running moments"):
            moments.load_state_dict({**state, key: bad})
        assert moments.state_dict() == state


def test_normalised_scores_are_float32_without_a_gradient_into_the_moments() -> None:
    moments = RunningMoments()
    moments.update(torch.tensor([1.0, 2.0], dtype=torch.bfloat16, requires_grad=True))
    assert moments.normalise(torch.tensor([1.0], dtype=torch.bfloat16)).dtype == torch.float32
    assert isinstance(moments.mean, float)
