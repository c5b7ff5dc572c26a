"""The moving average of the weights."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlhf.maths.averaging import update_average
from tests.maths.batches import SEEDS


def test_inv77_by_hand() -> None:
    average = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[4.0]])}
    update_average(average, {"b": torch.tensor([[8.0]]), "a": torch.tensor([3.0, 2.0])}, decay=0.75)
    assert average["a"].tolist() == [1.5, 2.0]  # 0.75 * 1 + 0.25 * 3
    assert average["b"].tolist() == [[5.0]]


@given(SEEDS, st.floats(0.0, 0.999), st.integers(1, 8))
def test_inv77_equals_the_sum_over_all_steps(seed: int, decay: float, steps: int) -> None:
    random = torch.Generator().manual_seed(seed)
    history = [torch.randn(3, generator=random, dtype=torch.float64) for _ in range(steps + 1)]
    average = {"w": history[0].clone()}
    for weights in history[1:]:
        update_average(average, {"w": weights}, decay)
    # decay^n of the start, and (1 - decay) decay^(n - k) of the weights of step k
    expected = decay**steps * history[0]
    for k in range(1, steps + 1):
        expected = expected + (1 - decay) * decay ** (steps - k) * history[k]
    torch.testing.assert_close(average["w"], expected)


def test_inv77_at_0992_half_of_a_change_has_arrived_after_86_iterations() -> None:
    average, weights = {"w": torch.zeros(1)}, {"w": torch.ones(1)}
    for _ in range(86):  # log(0.5) / log(0.992) = 86.3
        update_average(average, weights, 0.992)
    assert average["w"].item() == pytest.approx(1 - 0.992**86, rel=1e-5)
    assert average["w"].item() == pytest.approx(0.5, abs=0.01)


def test_inv77_half_precision_weights_are_averaged_in_float32() -> None:
    average = {"w": torch.ones(1)}
    tensor = average["w"]
    for _ in range(10):
        update_average(average, {"w": torch.tensor([1.0078125], dtype=torch.bfloat16)}, 0.992)
    assert average["w"].dtype == torch.float32
    assert average["w"] is tensor  # in place
    # in bfloat16 a step of 0.008 * 0.0078 would be lost and the average stay at 1
    assert average["w"].item() == pytest.approx(1.0 + 0.0078125 * (1 - 0.992**10), abs=1e-6)


def test_decay_zero_copies() -> None:
    average, weights = {"w": torch.randn(4)}, {"w": torch.randn(4)}
    update_average(average, weights, 0.0)
    torch.testing.assert_close(average["w"], weights["w"])


def test_parameters_get_no_gradient_and_weights_stay() -> None:
    weights = torch.nn.Parameter(torch.tensor([3.0]))
    average = {"w": torch.nn.Parameter(torch.tensor([1.0]))}
    update_average(average, {"w": weights}, 0.5)
    assert average["w"].item() == 2.0
    assert weights.item() == 3.0
    assert average["w"].grad_fn is None


@pytest.mark.parametrize("decay", [-0.1, 1.0, math.nan])
def test_impossible_decays_are_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=f"decay must be at least 0 and below 1, not {decay}"):
        update_average({"w": torch.zeros(1)}, {"w": torch.zeros(1)}, decay)


def test_what_does_not_fit_is_refused_before_anything_is_changed() -> None:
    average = {"a": torch.zeros(1), "b": torch.zeros(1)}
    ones = {"a": torch.ones(1), "b": torch.ones(1)}
    with pytest.raises(ValueError, match=r"only the average has \['b'\], only the weights have \['c'\]"):
        update_average(average, {"a": torch.ones(1), "c": torch.ones(1)}, 0.5)
    with pytest.raises(ValueError, match=r"b: the average has shape \(1,\), the weights \(2,\)"):
        update_average(average, {**ones, "b": torch.ones(2)}, 0.5)
    with pytest.raises(ValueError, match="b: the average is the weights themselves"):
        update_average(average, {**ones, "b": average["b"]}, 0.5)
    assert average == {"a": torch.zeros(1), "b": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"b: an average in torch.bfloat16 .* float32"):
        update_average({**average, "b": torch.zeros(1).bfloat16()}, ones, 0.5)
    assert average["a"].item() == 0.0
