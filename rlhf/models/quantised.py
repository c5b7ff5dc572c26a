"""4-bit weights below adapters: QLoRA (Dettmers et al. 2023, arXiv:2305.14314), by bitsandbytes.

The frozen linear layers are held as 4-bit NormalFloat in blocks of 64, whose scales are quantised too
("double quantisation"; sections 2 and 3 of the paper); products are computed in the model's own type.
Embeddings, norms, the output layer and score heads stay as they are, and adapters are float32. A model is
first loaded whole, in main memory, and goes to the device layer by layer; an adapter below the new one is
merged before the rounding, not after.

Adapters are trained on rounded weights but merged onto the model's own: it is loaded again for that. What is
saved therefore differs from what was trained by the rounding, as does an adapter put on the whole model.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from rlhf.errors import SettingsError
from rlhf.models.quiet import quiet_library

__all__ = [
    "check_quantiser",
    "is_quantised",
    "merged_onto_whole",
    "num_weights",
    "quantise",
    "reload_of",
    "shown_as_quantised",
    "stores_transposed",
]

Reload = Callable[[], Any]

_RELOAD = "_whole_model"
_BLOCK = 64


def check_quantiser(device: torch.device | None = None) -> None:
    """Try it: is bitsandbytes there, and does it work where the models are going to be?

    Args:
        device: where; None is the device of this process.

    Raises:
        SettingsError: it is not, or does not; says what to do.
    """
    device = _device() if device is None else device
    instead = "or set lora.quantize=null, which keeps the weights whole"
    if importlib.util.find_spec("bitsandbytes") is None:
        raise SettingsError(
            "4bit needs bitsandbytes, which is not installed: pip install 'rlhf[4bit]' (or bitsandbytes), "
            f"{instead}",
            where="lora.quantize",
        )
    try:
        with quiet_library(), _quiet_bitsandbytes(), torch.no_grad():
            layer = _quantised_layer(nn.Linear(_BLOCK, _BLOCK), device, torch.float32)
            works = bool(torch.isfinite(layer(torch.ones(1, _BLOCK, device=device))).all())
    except Exception as error:  # whatever a library without a backend for this machine raises
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        works, found = False, f": {reason}"
    else:
        found = ""
    if not works:
        raise SettingsError(
            f"bitsandbytes is installed but does not work on {device.type!r} here{found}; install a build "
            f"for this machine (python -m bitsandbytes says what it finds), {instead}",
            where="lora.quantize",
        )


@contextmanager
def _quiet_bitsandbytes() -> Iterator[None]:
    """Keep back its advice to install faster kernels for processors, which training does not use."""
    logger = logging.getLogger("bitsandbytes")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _device() -> torch.device:
    from accelerate import PartialState

    device: torch.device = PartialState().device
    return device


def quantise(model: Any, *, reload: Reload, keep: tuple[str, ...] = ()) -> Any:
    """Round the weights of a model's linear layers to 4 bits, in place, on the device of this process.

    Args:
        model: a plain `PreTrainedModel`; frozen from now on.
        reload: gives the same model again with whole weights, for merging.
        keep: names of modules that stay as they are with all inside, such as a score head; the output layer
            does too, and what the architecture keeps in float32 (T5's `wo` turns its input into the type of
            its weight, which would cut it to whole numbers).

    Returns:
        The model.

    Raises:
        SettingsError: bitsandbytes is missing or does not work here.
    """
    device = _device()
    check_quantiser(device)
    kept = {id(model.get_output_embeddings())}
    whole = set(getattr(model, "_keep_in_fp32_modules", None) or ())
    below = tuple(f"{name}." for name in keep)
    for name, module in list(model.named_modules()):
        if id(module) in kept or name in keep or name.startswith(below) or whole & {*name.split(".")}:
            continue
        if not _is_linear(module):
            continue
        dtype = module.weight.dtype
        model.set_submodule(name, _quantised_layer(module, device, dtype))
    model.requires_grad_(False)
    setattr(model, _RELOAD, reload)
    return model


def _is_linear(module: nn.Module) -> bool:
    return type(module) is nn.Linear or type(module).__name__ == "Conv1D"


def stores_transposed(model: nn.Module) -> bool:
    """Say whether a model has, or had before it was rounded, GPT-2's Conv1D, whose weight is (in, out)."""
    kinds = {getattr(module, "source_cls", type(module)) for module in model.modules()}
    return any(kind.__name__ == "Conv1D" for kind in kinds)


def _quantised_layer(layer: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """Make a linear layer (or a Conv1D) one of 4 bits; the original may be forgotten then."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    weight = layer.weight.detach()
    weight = weight if type(layer) is nn.Linear else weight.T.contiguous()
    with torch.device("meta"):
        made: Any = Linear4bit(
            weight.shape[1],
            weight.shape[0],
            bias=layer.bias is not None,
            compute_dtype=dtype,
            compress_statistics=True,
            quant_type="nf4",
        )
    options: dict[str, Any] = {"blocksize": _BLOCK, "compress_statistics": True, "quant_type": "nf4"}
    made.weight = Params4bit(weight, requires_grad=False, **options).to(device)
    if layer.bias is not None:
        made.bias = nn.Parameter(layer.bias.detach().to(device), requires_grad=False)
    # It would repack the weight in place for inference on processors, which training cannot read.
    made.support_avx512bf16_for_cpu = False
    made.source_cls = type(layer)
    return made.train(layer.training)


def is_quantised(model: nn.Module) -> bool:
    """Say whether a model has layers of 4 bits."""
    return any(hasattr(parameter, "quant_state") for parameter in model.parameters())


def reload_of(model: Any) -> Reload | None:
    """Return what gives the whole model again, for one that `quantise` rounded; None where nothing does."""
    found: Reload | None = getattr(model, _RELOAD, None)  # an adapter's wrapper looks in the model below it
    return found


@contextmanager
def shown_as_quantised(model: Any) -> Iterator[None]:
    """Let peft see that a model's layers are of 4 bits, which it looks up by a flag of the library's loader.

    The flag does not stay: trainers that see it change adapters' types by themselves.
    """
    if not is_quantised(model):
        yield
        return
    model.is_loaded_in_4bit = True
    try:
        yield
    finally:
        del model.is_loaded_in_4bit


def merged_onto_whole(adapted: Any) -> Any:
    """Return the whole model, loaded again, with the adapters of a quantised one added; in main memory."""
    from rlhf.models.adapter_folders import merge_adapter

    reload = reload_of(adapted)
    if reload is None:
        raise ValueError("nothing gives the whole weights of this model, on which its adapters are merged")
    with torch.random.fork_rng(), TemporaryDirectory() as folder:  # what is new in it is drawn, and replaced
        with quiet_library():
            adapted.save_pretrained(folder, save_embedding_layers=False)
        return merge_adapter(reload(), folder, setting="lora.merge").train(adapted.training)


def num_weights(parameter: nn.Parameter) -> int:
    """Count the numbers in a parameter: two in each byte where it is of 4 bits."""
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else int(state.shape.numel())
