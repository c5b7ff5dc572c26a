"""LoRA: train a small difference, keep it as an adapter or merge it into the weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from rlhf.errors import ModelError
from rlhf.models.quantised import (
    is_quantised,
    merged_onto_whole,
    quantise,
    shown_as_quantised,
    stores_transposed,
)
from rlhf.models.quiet import quiet_library
from rlhf.models.seq2seq import is_encoder_decoder

__all__ = [
    "LoraSpec",
    "add_lora",
    "freeze_kept",
    "has_adapter",
    "is_adapter_folder",
    "kept_whole",
    "merged_copy",
]


@dataclass(frozen=True)
class LoraSpec:
    """What peft needs to know; see `configs/sft.yaml` for the meaning of each number."""

    rank: int
    alpha: float
    dropout: float = 0.0
    target_modules: tuple[str, ...] | None = None  # None: every linear layer but the output head
    quantize: Literal["4bit"] | None = (
        None  # how the frozen weights below are held, see rlhf.models.quantised
    )


def add_lora(
    model: Any,
    spec: LoraSpec,
    *,
    keep_trainable: tuple[str, ...] = (),
    keep_whole: tuple[str, ...] = (),
    revision: str | None = None,
    reload: Callable[[], Any] | None = None,
) -> Any:
    """Freeze the model and add trainable low-rank adapters (Hu et al. 2021, arXiv:2106.09685).

    Where `spec` says so, the frozen weights are rounded to 4 bits first.

    Args:
        model: a `PreTrainedModel`.
        spec: rank, scale, dropout and places of the adapters.
        keep_trainable: full names of modules that are trained whole, such as a fresh score head.
        keep_whole: names of modules that are part of the adapter and are not trained: what changes in them
            later is saved with it.
        revision: of the model on the hub, noted in what is saved.
        reload: gives the same model again, for merging adapters that were trained on rounded weights.

    Raises:
        SettingsError: 4 bits are asked for, and bitsandbytes is missing or does not work here.
        ModelError: no module of the model has one of the names in `spec.target_modules`.

    """
    from peft import LoraConfig, get_peft_model

    transposed = stores_transposed(model)
    if spec.quantize is not None and not is_quantised(model):
        if reload is None:
            raise ValueError("weights that are rounded need reload, which gives them back")
        quantise(model, keep=keep_trainable, reload=reload)
    config = LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,  # type: ignore[arg-type]  # a float works too
        lora_dropout=spec.dropout,
        target_modules=list(spec.target_modules) if spec.target_modules else "all-linear",
        modules_to_save=[*keep_trainable, *keep_whole] or None,
        exclude_modules=_inside(model, keep_trainable) or None,
        task_type="SEQ_CLS" if keep_trainable else _task_of(model),
        fan_in_fan_out=transposed,  # GPT-2's: peft must know to merge it right
    )
    try:
        with quiet_library(), shown_as_quantised(model):
            adapted = get_peft_model(model, config, revision=revision)
    except ValueError as error:
        raise ModelError(f"LoRA found nothing to adapt: {error}", where="lora.target_modules") from error
    freeze_kept(adapted, {*keep_whole})
    return adapted


def _task_of(model: Any) -> str | None:
    """Return peft's name for what a model does; None for a transformer without an output layer."""
    if model.get_output_embeddings() is None:
        return None
    return "SEQ_2_SEQ_LM" if is_encoder_decoder(model.config) else "CAUSAL_LM"


def _inside(model: nn.Module, names: tuple[str, ...]) -> list[str]:
    """Return the names of modules and of all that they are made of."""
    below = tuple(f"{name}." for name in names)
    return [name for name, _ in model.named_modules() if name in names or name.startswith(below)]


def kept_whole(model: nn.Module) -> set[str]:
    """Return the names of modules that are whole in the adapter, beside its low-rank differences."""
    found: Any = model
    return {name for config in found.peft_config.values() for name in config.modules_to_save or ()}


def freeze_kept(model: nn.Module, names: set[str]) -> None:
    """Take modules that are whole in the adapter out of training, in place."""
    for name, parameter in model.named_parameters():
        if any(f"{kept}.modules_to_save." in name for kept in names):
            parameter.requires_grad_(False)


def has_adapter(model: nn.Module) -> bool:
    """Say whether peft wraps the model."""
    return hasattr(model, "peft_config") and hasattr(model, "merge_and_unload")


def merged_copy(model: Any) -> Any:
    """Return a plain model with the adapters added to the weights; the given model is left as it is.

    A copy, because un-merging in place would not give back the same bits and training goes on after a
    checkpoint. Adapters on weights of 4 bits are added to the whole ones, which are loaded again, in main
    memory.
    """
    if is_quantised(model):
        return merged_onto_whole(model)
    with quiet_library():
        return copy.deepcopy(model).merge_and_unload()


def is_adapter_folder(path: str | Path) -> bool:
    """Say whether a local folder holds an adapter instead of a whole model."""
    return (Path(path) / "adapter_config.json").is_file()
