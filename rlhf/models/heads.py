"""The head that turns hidden states into scores: where it is, how it starts, and its bias."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rlhf.errors import ModelError
from rlhf.models.encoders import reads_pairs
from rlhf.models.inputs import plain_model

__all__ = [
    "HEAD_NAMES",
    "added_bias",
    "head_names",
    "initialise_head",
    "keep_head_in_float32",
    "own_copy",
    "restore_score_bias",
    "score_head",
    "score_layer",
    "set_score_bias",
]

HEAD_NAMES = ("score", "classifier", "classification_head")
BIAS_FLAG = (
    "score_head_has_bias"  # in config.json, for heads that got a bias which the architecture does not have
)


def score_head(model: Any) -> nn.Module:
    """Return the module that turns a hidden state into the score; an adapter's own where it has one.

    Raises:
        ModelError: the architecture has none of the known heads.

    """
    inner = plain_model(model)
    for name in HEAD_NAMES:
        head = getattr(inner, name, None)
        if isinstance(head, nn.Module):
            return own_copy(head)
    raise ModelError(f"{type(inner).__name__} has no score head ({' or '.join(HEAD_NAMES)})")


def score_layer(model: Any) -> Any:
    """Return the last linear layer of the score head: the head itself, or the end of a head of several."""
    head = score_head(model)
    return getattr(head, "out_proj", head)  # RoBERTa's, ELECTRA's, BART's and T5's


def head_names(model: Any) -> tuple[str, ...]:
    """Return the name of the score head in a plain model, as adapters list it."""
    return tuple(name for name in HEAD_NAMES if isinstance(getattr(model, name, None), nn.Module))


def own_copy(module: Any) -> Any:
    """Return what an adapter holds in a module's place; the module itself where it holds nothing."""
    copies = getattr(module, "modules_to_save", None)
    return module if copies is None else copies[module.active_adapters[0]]


def initialise_head(model: Any) -> None:
    """Draw the head's weight from N(0, 1/(width + 1)); in place, from torch's global generator."""
    head = score_layer(model)
    nn.init.normal_(head.weight, std=1.0 / math.sqrt(head.in_features + 1))
    if head.bias is not None:
        nn.init.zeros_(head.bias)


def keep_head_in_float32(model: Any) -> None:
    """Hold the head's own parameters in float32 whatever the backbone's type is.

    A reader of pairs applies its head itself, so that the head is also told to read what comes in another
    type.
    """
    score_head(model).float()
    if reads_pairs(plain_model(model).config):
        score_head(model).register_forward_pre_hook(_in_float32)


def _in_float32(head: nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(tensor.float() for tensor in given)


def set_score_bias(model: Any, bias: float) -> None:
    """Give the head a bias; where its class has none, the config tells `load_reward_model` to look for it."""
    head = score_layer(model)
    if head.bias is None:
        head.bias = nn.Parameter(torch.zeros(head.out_features, device=head.weight.device))
        setattr(plain_model(model).config, BIAS_FLAG, True)
    with torch.no_grad():
        head.bias += bias


def added_bias(model: Any) -> float | None:
    """Return the bias that `set_score_bias` gave to an architecture without one; None where it did not."""
    if not getattr(plain_model(model).config, BIAS_FLAG, False):
        return None
    return float(score_layer(model).bias.detach())


def restore_score_bias(model: Any, folder: str) -> None:
    """Put back a bias that `set_score_bias` added to an architecture without one, in place."""
    if not getattr(model.config, BIAS_FLAG, False):
        return
    from safetensors import safe_open

    for file in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            names: list[str] = list(tensors.keys())
            for name in names:
                if name.endswith(tuple(f"{head}.bias" for head in HEAD_NAMES)):
                    set_score_bias(model, float(tensors.get_tensor(name)))
                    return
    raise ModelError(f"{folder!r} says its score head has a bias, but its weights hold none")
