"""Move a reward model's zero inside its own weights, so that every loader sees the same scores."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from rlhf.models.adapters import has_adapter
from rlhf.models.heads import own_copy, score_layer, set_score_bias
from rlhf.models.values import backbone, sequence_scores

__all__ = ["norm_before_head", "recentre"]

# Below the backbone; OPT's is one floor further down.
NORM_NAMES = ("ln_f", "norm", "final_layer_norm", "final_layernorm", "norm_f", "decoder.final_layer_norm")


@torch.no_grad()
def recentre(model: Any, shift: float) -> None:
    """Subtract `shift` from every score, in place; rankings do not change.

    InstructGPT (2203.02155, section 3.5) sets the bias so that demonstrations score 0 on average. Heads
    without a bias (GPT-2's and most decoders') are shifted through the final layer norm in front of them:
    adding
    -shift * w / |w|^2 to the norm's bias changes the score w . h by exactly -shift, at every position and
    also where this project is not installed. Where there is no such bias (RMS norm), the head gets one, which
    `load_reward_model` restores.

    Args:
        model: a reward model; one with an adapter is shifted in what the adapter holds whole, its score head
            and, where `norm_before_head` is among it, that norm.
        shift: what the mean score is now, and shall be 0.

    """
    head = score_layer(model)
    if head.bias is None and _shift_final_norm(model, head, shift):
        return
    set_score_bias(model, -shift)


def norm_before_head(model: Any) -> str | None:
    """Return the name, in a reward model, of the norm that `recentre` shifts; None: it gives the head a bias.

    An adapter that holds this norm can be centred so that every loader sees the same scores.
    """
    for name in NORM_NAMES:
        norm = _below(backbone(model), name)
        if isinstance(norm, nn.LayerNorm) and norm.bias is not None:
            return f"{model.base_model_prefix}.{name}"
    return None


def _shift_final_norm(model: Any, head: Any, shift: float) -> bool:
    """Try the exact fold; undo it and return False where the architecture does something after its norm."""
    norm = _final_norm(model)
    weight = head.weight[0].float()
    if norm is None or not weight.any() or norm.bias.shape != weight.shape:
        return False
    ids = torch.zeros(1, 2, dtype=torch.long, device=weight.device)
    mask = torch.ones_like(ids, dtype=torch.bool)
    before, kept = sequence_scores(model, ids, mask), norm.bias.clone()
    norm.bias -= (shift * weight / weight.square().sum()).to(norm.bias.dtype)
    moved = sequence_scores(model, ids, mask) - before
    if torch.allclose(moved, torch.full_like(moved, -shift), atol=1e-3 * max(1.0, abs(shift))):
        return True
    norm.bias.copy_(kept)
    return False


def _final_norm(model: Any) -> Any | None:
    for name in NORM_NAMES:
        found = _below(backbone(model), name)
        norm = own_copy(found)
        if isinstance(norm, nn.LayerNorm) and norm.bias is not None:
            shared = has_adapter(model) and norm is found  # the base's own, which others use too
            return None if shared else norm
    return None


def _below(module: Any, name: str) -> Any | None:
    """Return the module of a dotted name; None where there is none."""
    for part in name.split("."):
        module = getattr(module, part, None)
    return module
