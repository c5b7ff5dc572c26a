"""Put a model's own generation config out of the way for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rlhf.models.inputs import plain_model

__all__ = ["own_generation_config"]


@contextmanager
def own_generation_config(model: Any) -> Iterator[None]:
    """Hide the model's generation config, where it has one, while generating or saving.

    transformers fills what a given configuration leaves open from the model's own: with an empty one there is
    nothing to leak. And it refuses to save a changed config that holds a value which is not in use (`min_p`
    without `do_sample`, `length_penalty` without beams), as many published ones do.
    """
    from transformers import GenerationConfig

    # peft gives the model inside the wrapper's, and leaves it there
    holders = [holder for holder in (model, plain_model(model)) if hasattr(holder, "generation_config")]
    originals = [holder.generation_config for holder in holders]
    for holder in holders:
        holder.generation_config = GenerationConfig()
    try:
        yield
    finally:
        for holder, original in zip(holders, originals, strict=True):
            holder.generation_config = original
