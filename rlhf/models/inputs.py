"""What a forward pass needs beside the ids, and what it must not do."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

__all__ = [
    "accepts_logits_to_keep",
    "context_tokens",
    "disable_dropout",
    "forward_inputs",
    "inputs_of",
    "position_ids_from_mask",
    "takes_position_ids",
]


def position_ids_from_mask(attention_mask: torch.Tensor) -> torch.Tensor:
    """Number the real tokens of each row from 0, wherever the padding stands.

    Args:
        attention_mask: (B, T), bool or integer, True counts.

    Returns:
        (B, T) int64; padding before the first real token is 0, padding after the last repeats the last
        number.

    >>> position_ids_from_mask(torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]]))
    tensor([[0, 0, 0, 1],
            [0, 1, 2, 2]])

    """
    return (attention_mask.long().cumsum(dim=-1) - 1).clamp(min=0)


def forward_inputs(
    model: nn.Module,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    position_ids: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    """Build the keyword arguments of a full (cache-free) forward that does not depend on the padding's side.

    Position ids are left out for architectures that take none (ALiBi, relative positions).

    Args:
        model: any transformer of the library, also inside a DDP or peft wrapper.
        input_ids: (B, T).
        attention_mask: (B, T), True counts; or (B, 1, T, T), True where the third's token sees the fourth's.
        position_ids: (B, T); from a (B, T) mask when not given.

    """
    whole = attention_mask.dim() == 4
    if position_ids is None:
        assert not whole, "a mask of pairs does not say which token stands where"
        position_ids = position_ids_from_mask(attention_mask)
    mask = _additive(attention_mask, model) if whole else attention_mask.long()
    inputs = {"input_ids": input_ids, "attention_mask": mask}
    if takes_position_ids(model):
        inputs["position_ids"] = position_ids
    return inputs


def _additive(allowed: torch.Tensor, model: nn.Module) -> torch.Tensor:
    """Turn a bool mask into what is added to the attention's logits, in their type."""
    kind = allowed.device.type
    autocast = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if autocast else next(model.parameters()).dtype
    return torch.zeros_like(allowed, dtype=dtype).masked_fill_(~allowed, torch.finfo(dtype).min)


def takes_position_ids(model: nn.Module) -> bool:
    """Say whether the architecture's forward has a `position_ids` argument."""
    return "position_ids" in inspect.signature(type(plain_model(model)).forward).parameters


def accepts_logits_to_keep(model: nn.Module) -> bool:
    """Say whether the model's own forward can project the vocabulary on the last positions only."""
    return "logits_to_keep" in inspect.signature(type(plain_model(model)).forward).parameters


def context_tokens(model: nn.Module) -> int | None:
    """Return the most tokens that a model reads at once; None where its config names no limit.

    Of RoBERTa's positions some are not for tokens: the first one stands behind the padding's.
    """
    inner = plain_model(model)
    limit: int | None = getattr(getattr(inner, "config", None), "max_position_embeddings", None)
    tables = (getattr(module, "position_embeddings", None) for module in inner.modules())
    padding = [table.padding_idx for table in tables if isinstance(table, nn.Embedding)]
    if limit is None or not padding or padding[0] is None:
        return limit
    return limit - padding[0] - 1


def plain_model(model: Any) -> Any:
    """Strip DDP and peft: the `PreTrainedModel` inside (LoRA layers stay where they were put)."""
    inner = getattr(model, "module", model)
    return inner.get_base_model() if hasattr(inner, "get_base_model") else inner


def disable_dropout(model: nn.Module) -> None:
    """Set every dropout of the model to zero, in place, so that train mode computes what eval mode does.

    RLHF compares the policy with its own past: with dropout the ratio is not 1 before the first step, and the
    KL against the reference is not 0 (Huang et al. 2024, arXiv:2403.17031, detail 7). Many architectures hold
    plain numbers instead of modules (attention_dropout, hidden_dropout, layerdrop ...), and some read their
    config at every forward (Falcon, GPT-Neo): all of these are zeroed too, so a saved model has none either.
    """
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        _zero_dropout_numbers(module)
        config = getattr(module, "config", None)
        if hasattr(config, "to_dict"):
            _zero_dropout_numbers(config)


def _zero_dropout_numbers(holder: Any) -> None:
    for name, value in list(vars(holder).items()):
        if isinstance(value, float) and "drop" in name:
            setattr(holder, name, 0.0)


@contextmanager
def inputs_of(module: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Collect what a module is given inside: the input of a model's last layer is the last hidden state."""
    seen: list[torch.Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        yield seen
    finally:
        handle.remove()
