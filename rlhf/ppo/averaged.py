"""The running average of the policy's weights (EMA), and putting it in the policy's place for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from rlhf.maths.averaging import update_average
from rlhf.models.saving import unwrap_model
from rlhf.ppo.parts import Parts


def advance_average(parts: Parts, decay: float) -> None:
    """Take the policy's weights of this update into the average; nothing where there is none."""
    if parts.average is not None:
        weights = unwrap_model(parts.learner).policy_weights()
        update_average(parts.average, {name: weight.detach() for name, weight in weights.items()}, decay)


@contextmanager
def using_average(parts: Parts, wanted: bool) -> Iterator[None]:
    """Give the policy its averaged weights while inside, bitwise its own again afterwards."""
    if not wanted or parts.average is None:
        yield
        return
    weights = unwrap_model(parts.learner).policy_weights()
    kept = {name: weight.detach().clone() for name, weight in weights.items()}
    try:
        put_in_place(weights, parts.average)
        yield
    finally:
        put_in_place(weights, kept)


@torch.no_grad()
def put_in_place(weights: Mapping[str, torch.Tensor], values: Mapping[str, torch.Tensor]) -> None:
    """Copy `values` into the tensors of the same names; their names are the same."""
    assert weights.keys() == values.keys()
    for name, value in values.items():
        weights[name].copy_(value)
