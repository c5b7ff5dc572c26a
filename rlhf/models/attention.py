"""Which of the library's attention kernels runs."""

from __future__ import annotations

from typing import Any, TypeVar

import torch

__all__ = ["choose_attention"]

# Longest context for which plain attention is chosen: on a CPU it is the faster one for short sequences in
# bf16, and the slower one from some hundred tokens on.
SHORT_CONTEXT = 256

Model = TypeVar("Model", bound=Any)


def choose_attention(model: Model) -> Model:
    """Use plain attention for a model of short context on a CPU; the function is that of the fused kernel.

    And for one that learns what it adds to attention's logits (T5): of the fused kernels not all have a
    gradient there, so another one would compute the log-probabilities while learning than before, and the
    ratio would not be 1 before the first step.
    """
    if getattr(model.config, "relative_attention_num_buckets", None) is not None:
        model.set_attn_implementation("eager")
    length = getattr(model.config, "max_position_embeddings", None)
    on_cpu = not torch.cuda.is_available() and not torch.backends.mps.is_available()
    if on_cpu and isinstance(length, int) and length <= SHORT_CONTEXT:
        model.set_attn_implementation("eager")
    return model
