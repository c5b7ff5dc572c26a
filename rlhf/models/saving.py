"""Write a model as a plain Hugging Face folder that anyone can load without this project."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from rlhf.models.adapters import has_adapter, merged_copy
from rlhf.models.generation_config import own_generation_config
from rlhf.models.quiet import quiet_library

__all__ = ["save_model", "unwrap_model"]

GENERATION_FILE = "generation_config.json"


def unwrap_model(model: Any) -> Any:
    """Strip what accelerate and torch.compile put around a model; adapters stay."""
    while hasattr(model, "module") or hasattr(model, "_orig_mod"):
        model = model.module if hasattr(model, "module") else model._orig_mod
    return model


def save_model(
    model: Any,
    tokenizer: Any,
    folder: str | Path,
    *,
    card: str | None = None,
    stop_token_ids: Sequence[int] = (),
    opening: Sequence[int] = (),
    dtype: torch.dtype | None = None,
    keep_adapter: bool = False,
) -> None:
    """Write weights (safetensors), config, tokenizer, template, generation config and model card.

    Everything is first written beside the goal and then moved file by file, weights last, so a crash or a
    full disk leaves the folder's earlier model whole. Other files in the folder are not touched. Call it on
    one process.

    Args:
        model: the trained model, possibly inside accelerate's or peft's wrappers; it is not changed.
        tokenizer: saved with its chat template.
        folder: where to; made if missing.
        card: text of README.md, with its YAML header.
        stop_token_ids: every token that ends a response, kept in the generation config.
        opening: what an encoder-decoder's decoder reads before a response (one or two ids), kept there too,
            so that everyone's `generate` begins as ours did; () for others.
        dtype: type of the saved weights; the model's own when None.
        keep_adapter: leave LoRA as an adapter instead of merging it into the weights.

    Raises:
        OSError: the disk is full or the folder cannot be written; what was there before is still there.

    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plain = unwrap_model(model)
    if has_adapter(plain) and not keep_adapter:
        plain = merged_copy(plain)
    if dtype is not None and plain.dtype != dtype:
        plain = copy.deepcopy(plain).to(dtype)
    staging = Path(tempfile.mkdtemp(prefix=".saving-", dir=folder))
    try:
        with quiet_library():
            _write_parts(plain, tokenizer, staging, card, tuple(stop_token_ids), tuple(opening))
        _move_into_place(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write_parts(
    model: Any,
    tokenizer: Any,
    folder: Path,
    card: str | None,
    stop_token_ids: tuple[int, ...],
    opening: tuple[int, ...],
) -> None:
    told = _told_to_generate(model, tokenizer, stop_token_ids, opening) if model.can_generate() else None
    with own_generation_config(model):
        model.save_pretrained(folder)
    if told is not None and not has_adapter(model):
        told.to_json_file(folder / GENERATION_FILE)
    tokenizer.save_pretrained(folder)
    if card is not None:
        (folder / "README.md").write_text(card, encoding="utf-8")
    elif (folder / "README.md").exists():  # peft writes an empty form
        (folder / "README.md").unlink()


def _told_to_generate(
    model: Any, tokenizer: Any, stop_token_ids: tuple[int, ...], opening: tuple[int, ...]
) -> Any:
    """Return the generation config to save: the model's own with our stop tokens.

    All else is kept as it is, also values that the library would not save as they are not in use: whoever
    loads the model gets what the base would have done.
    """
    told = copy.deepcopy(model.generation_config)
    _set_stop_tokens(told, tokenizer, stop_token_ids)
    if opening:
        _set_opening(told, opening)
    return told


def _set_stop_tokens(config: Any, tokenizer: Any, stop_token_ids: tuple[int, ...]) -> None:
    """Add our stop tokens to those known."""
    known = config.eos_token_id
    known = [] if known is None else [known] if isinstance(known, int) else list(known)
    stops = list(dict.fromkeys([*known, *stop_token_ids])) or [tokenizer.eos_token_id]
    config.eos_token_id = stops[0] if len(stops) == 1 else stops
    config.pad_token_id = tokenizer.pad_token_id


def _set_opening(config: Any, opening: tuple[int, ...]) -> None:
    """Have everyone's `generate` open the decoder as ours did, and force no end at its limit (BART)."""
    config.decoder_start_token_id, *first = opening
    config.forced_bos_token_id = first[0] if first else None
    config.forced_eos_token_id = None


def _move_into_place(staging: Path, folder: Path) -> None:
    files = sorted(file for file in staging.rglob("*") if file.is_file())
    files.sort(key=lambda file: file.suffix == ".safetensors")  # weights last
    for file in files:
        file.chmod(0o644)  # safetensors writes for the owner only
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    for file in files:
        goal = folder / file.relative_to(staging)
        goal.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, goal)
    _remove_other_weights(folder, {file.relative_to(staging).name for file in files})


def _remove_other_weights(folder: Path, written: set[str]) -> None:
    """Take away weights of an earlier save under other names, which a loader might prefer."""
    patterns = (
        "model*.safetensors",
        "model.safetensors.index.json",
        "adapter_model.safetensors",
        "adapter_config.json",
    )
    for pattern in patterns:
        for file in folder.glob(pattern):
            if file.name not in written:
                file.unlink()
