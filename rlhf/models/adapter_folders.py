"""What a folder with an adapter holds, and putting it on a model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rlhf.errors import ModelError, SettingsError
from rlhf.models.adapters import LoraSpec, freeze_kept, is_adapter_folder, kept_whole
from rlhf.models.heads import HEAD_NAMES, head_names, set_score_bias
from rlhf.models.quantised import shown_as_quantised
from rlhf.models.reading import call_loader, or_trust

__all__ = [
    "adapter_base",
    "adapter_revision",
    "check_goes_on",
    "holds_score_head",
    "load_adapter",
    "merge_adapter",
]

# Ways of starting LoRA that leave the base's weights as they are; others (PiSSA ...) change them.
_BASE_STAYS = (True, False, "gaussian", "orthogonal")


def adapter_base(path: str) -> str:
    """Return the path or hub id of the model that a folder's adapter belongs on.

    Raises:
        ModelError: the folder does not say.

    """
    base = _config(path).get("base_model_name_or_path")
    if not isinstance(base, str):
        file = Path(path).expanduser() / "adapter_config.json"
        raise ModelError("names no base model; set base_model_name_or_path in it", where=str(file))
    return base


def adapter_revision(path: str) -> str | None:
    """Return the revision on the hub of the model that a folder's adapter belongs on; None: the newest."""
    found: str | None = _config(path).get("revision")
    return found


def holds_score_head(path: str) -> bool:
    """Say whether a folder's adapter is that of a reward model."""
    if not is_adapter_folder(path):
        return False
    config = _config(path)
    return config.get("task_type") == "SEQ_CLS" or bool(
        {*HEAD_NAMES} & {*(config.get("modules_to_save") or ())}
    )


def check_goes_on(path: str, spec: LoraSpec, setting: str) -> None:
    """Refuse other adapters than those in the folder, where training goes on from them.

    Raises:
        SettingsError: rank, alpha or places differ.

    """
    config = _config(path)
    rank, alpha, places = config.get("r"), config.get("lora_alpha"), config.get("target_modules") or ()
    same_places = spec.target_modules is None or {*spec.target_modules} == {*places}
    if (rank, alpha) == (spec.rank, spec.alpha) and same_places:
        return
    raise SettingsError(
        f"{setting} {path!r} holds an adapter of rank {rank} and alpha {alpha:g}, from which training goes "
        f"on; set lora.rank={rank} lora.alpha={alpha:g}"
        + ("" if same_places else " lora.target_modules=null")
        + ", or save that model merged (lora.merge=true)",
        where="lora",
    )


def load_adapter(
    model: Any,
    path: str,
    *,
    setting: str,
    trainable: bool = False,
    fresh_head: bool = False,
    keep_whole: tuple[str, ...] = (),
    trunk_name: str | None = None,
    shared: bool = False,
    trust_remote_code: bool = False,
) -> Any:
    """Put a folder's adapter on a model; returns peft's model around it.

    Args:
        model: the adapter's base, whole; it is changed.
        path: the folder.
        setting: the dotted key that errors name.
        trainable: adapters and score head are trained on; everything else stays frozen.
        fresh_head: the adapter is a language model's and goes on as a reward model's: the score head is the
            model's own, and part of the adapter from now on.
        keep_whole: names of further modules that become part of it, not trained.
        trunk_name: the adapter is a language model's and `model` its transformer alone, which has this name
            in it ("" where its parts stand there by themselves); what is for the output layer is left out.
        shared: others use the model's weights too, so an adapter that changes them is refused.
        trust_remote_code: read weights that are not safetensors, too.

    Raises:
        ModelError: the folder is damaged, or its adapter does not fit on the model.

    """
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from peft.utils import load_peft_weights

    what = "LoRA adapter"
    _check_weights(path, setting, trust_remote_code)
    heads = head_names(model) if fresh_head else ()
    config = _read_config(path, setting, heads, keep_whole)
    if trunk_name is not None:
        config.task_type = None  # it writes nothing by itself
        config.target_modules = _below(config.target_modules, trunk_name)
    if shared:
        _check_leaves_base(config, path, setting)
    config.inference_mode = not trainable
    stored = call_loader(lambda: load_peft_weights(path, device="cpu"), path, what, setting)
    if trunk_name is not None:
        stored = _of_trunk(stored, model, trunk_name)
    _check_places(config, model, path, setting)
    if any(name.endswith(tuple(f".{head}.bias" for head in HEAD_NAMES)) for name in stored):
        set_score_bias(model, 0.0)
    with shown_as_quantised(model):
        adapted = call_loader(lambda: get_peft_model(model, config), path, what, setting)
    own = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    if fresh_head:  # what the folder cannot hold stays as the model has it
        new = tuple(f"base_model.model.{name}." for name in (*heads, *keep_whole))
        stored = {**{name: value for name, value in own.items() if name.startswith(new)}, **stored}
    lacks = sorted(own.keys() - stored.keys())
    exceeds = sorted(stored.keys() - own.keys()) if shared else []
    if lacks or exceeds:
        found = f"it lacks {lacks[0]}" if lacks else f"it holds {exceeds[0]}, a weight of the base itself"
        raise ModelError(
            f"the adapter in {path!r} does not fit on {adapted.name_or_path!r}: {found} "
            f"({len(lacks or exceeds)} such tensors); set {setting} to another model",
            where=setting,
        )
    if next(model.parameters()).is_meta:  # a model without its numbers: sizes are compared all the same
        stored = {name: value.to("meta") for name, value in stored.items()}
    call_loader(lambda: set_peft_model_state_dict(adapted, stored), path, what, setting)
    if not trainable:
        adapted.requires_grad_(False)
    freeze_kept(adapted, kept_whole(adapted) - {*HEAD_NAMES})
    return adapted


def _check_places(config: Any, model: Any, path: str, setting: str) -> None:
    """Refuse an adapter for modules that the model has none of: it was made for another architecture."""
    places = getattr(config, "target_modules", None)
    if not places or isinstance(places, str):  # none, or a pattern: the library says what is wrong with it
        return
    names = [name for name, _ in model.named_modules()]
    if any(name == place or name.endswith(f".{place}") for name in names for place in places):
        return
    own = {
        name
        for name, module in model.named_modules()
        if hasattr(module, "weight") and module.weight.dim() == 2
    }
    raise ModelError(
        f"the adapter in {path!r} is for another model: it changes {_kinds(places)}, and "
        f"{model.name_or_path!r} ({type(model).__name__}) has {_kinds(own)}; base_model_name_or_path in "
        f"its adapter_config.json has to name what it was trained on, or set {setting} to another model",
        where=setting,
    )


def _below(places: Any, trunk_name: str) -> Any:
    """Return places as the trunk names them, also those that name it."""
    if not trunk_name or not isinstance(places, list | set | tuple):
        return places
    return {place.removeprefix(f"{trunk_name}.") for place in places}


def _kinds(names: Iterable[str], most: int = 4) -> str:
    """Return what modules are called in their blocks, some of them."""
    kinds = sorted({name.rpartition(".")[2] for name in names})
    return ", ".join(kinds[:most]) + (f" and {len(kinds) - most} more" if len(kinds) > most else "")


def _of_trunk(stored: dict[str, Any], trunk: Any, name: str) -> dict[str, Any]:
    """Return what a language model's adapter holds for its transformer, under the names that it has there."""
    before, after = f"base_model.model.{name}.".replace("..", "."), "base_model.model."
    parts = tuple(f"{before}{part}." for part, _ in trunk.named_children())
    return {
        f"{after}{key.removeprefix(before)}": value for key, value in stored.items() if key.startswith(parts)
    }


def _check_weights(path: str, setting: str, trust_remote_code: bool) -> None:
    """Refuse weights that can run code when they are read, unless their maker is trusted."""
    folder = Path(path).expanduser()
    if (folder / "adapter_model.safetensors").is_file():
        return
    if not (folder / "adapter_model.bin").is_file():
        raise ModelError(
            f"{path!r} holds an adapter_config.json, but no weights (adapter_model.safetensors); copy the "
            f"whole folder again, or set {setting} to another model",
            where=setting,
        )
    if not trust_remote_code:
        raise ModelError(
            f"{path!r} holds its weights as adapter_model.bin, which can run code when it is read; save them "
            f"as safetensors{or_trust(setting)}",
            where=setting,
        )


def _read_config(path: str, setting: str, heads: tuple[str, ...], keep_whole: tuple[str, ...]) -> Any:
    """Read what peft needs to know; with `heads`, of an adapter that goes on as a reward model's."""
    from peft import PeftConfig

    config: Any = call_loader(lambda: PeftConfig.from_pretrained(path), path, "LoRA adapter", setting)
    config.base_model_name_or_path = None  # peft takes the model's own name
    if heads:
        config.task_type = "SEQ_CLS"
        config.exclude_modules = list(heads)
        config.modules_to_save = [*(config.modules_to_save or ()), *heads, *keep_whole]
    return config


def merge_adapter(model: Any, path: str, *, setting: str, trust_remote_code: bool = False) -> Any:
    """Add a folder's adapter to a model's weights, in place; returns the plain model."""
    adapted = load_adapter(model, path, setting=setting, trust_remote_code=trust_remote_code)
    merged = call_loader(adapted.merge_and_unload, path, "LoRA adapter", setting)
    return merged.requires_grad_(True)  # a model like any other again


def _check_leaves_base(config: Any, path: str, setting: str) -> None:
    """Refuse an adapter that is more than a difference added to the base's weights."""
    kind = getattr(config.peft_type, "value", config.peft_type)
    start, bias = getattr(config, "init_lora_weights", True), getattr(config, "bias", "none")
    if kind == "LORA" and start in _BASE_STAYS and bias == "none":
        return
    found = f"peft_type {kind}, init_lora_weights {start}, bias {bias}"
    raise ModelError(
        f"the adapter in {path!r} changes its base ({found}), which other models use too; "
        "memory.one_base shares a base among plain LoRA adapters",
        where=setting,
    )


def _config(path: str) -> dict[str, Any]:
    file = Path(path).expanduser() / "adapter_config.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
