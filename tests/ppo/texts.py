"""Rows of text for the tests of PPO-ptx."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from torch import Tensor

from rlhf.models.inputs import forward_inputs
from rlhf.ppo.ptx import TextRow


def forward_of(model: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """Ids and mask to logits, through whatever wraps the model."""
    return lambda ids, mask: model(**forward_inputs(model, ids, mask), use_cache=False).logits[:, :-1]


def uneven_rows(count: int, seed: int = 0) -> list[TextRow]:
    """Rows of 2 to 20 tokens, of which 1 to all but one are given."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        length = draw.randint(2, 20)
        rows.append(TextRow([draw.randrange(5, 400) for _ in range(length)], draw.randint(1, length - 1)))
    return rows
