"""An average of the weights over training, steadier than the last weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch


@torch.no_grad()
def update_average(
    average: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], decay: float
) -> None:
    """Move an exponential moving average of weights one step towards them, in place.

    average = decay * average + (1 - decay) * weights. Start it with a float32 copy of the weights: in half
    precision a step of (1 - decay) is less than the last digit, and the average would never move.

    Args:
        average: Tensors by name, float32 or wider; changed in place, on their device and in their dtype.
        weights: Tensors of the same names and shapes, any floating dtype and device.
        decay: In [0, 1). Weights as old as 1 / (1 - decay) steps still count; 0 copies.

    Raises:
        ValueError: ``decay`` is outside [0, 1), names or shapes differ, an average is in half precision, or
            it is the weights themselves instead of a copy. Nothing is changed then.

    Source:
        Ouyang et al. 2022 (arXiv:2203.02155), appendix C.4: a decay of 0.992, once an iteration.

    >>> average, weights = {"w": torch.tensor([1.0])}, {"w": torch.tensor([3.0])}
    >>> update_average(average, weights, decay=0.75)
    >>> average  # 0.75 * 1 + 0.25 * 3
    {'w': tensor([1.5000])}
    """
    if not 0.0 <= decay < 1.0:
        raise ValueError(f"decay must be at least 0 and below 1, not {decay}")
    if average.keys() != weights.keys():
        only_average, only_weights = sorted(average.keys() - weights), sorted(weights.keys() - average)
        raise ValueError(
            f"an average and its weights must have the same names; only the average has {only_average}, only "
            f"the weights have {only_weights}"
        )
    for name, tensor in average.items():
        _check_pair(name, tensor, weights[name])
    for name, tensor in average.items():
        tensor.lerp_(weights[name].to(tensor), 1.0 - decay)


def _check_pair(name: str, average: torch.Tensor, weights: torch.Tensor) -> None:
    if average.shape != weights.shape:
        raise ValueError(
            f"{name}: the average has shape {tuple(average.shape)}, the weights {tuple(weights.shape)}"
        )
    if torch.promote_types(average.dtype, torch.float32) != average.dtype:
        raise ValueError(f"{name}: an average in {average.dtype} would lose its steps; keep it in float32")
    if average.numel() and average.data_ptr() == weights.data_ptr():
        raise ValueError(f"{name}: the average is the weights themselves; start it with a copy of them")
