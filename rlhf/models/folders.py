"""Look at a model's folder before anything is loaded from it, and say what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rlhf.errors import ModelError
from rlhf.models.adapters import is_adapter_folder

__all__ = [
    "check_has_tokenizer",
    "check_model_path",
    "check_reward_path",
    "check_vocabulary",
    "check_writes",
    "holds_encoder",
    "holds_encoder_decoder",
    "holds_reward_model",
    "is_classifier",
    "opens_unread",
    "remedy",
    "says_nothing",
    "writes_nothing",
]

# Which make target leaves which folder; a missing input names it.
MADE_BY = {"sft": "make sft", "reward": "make reward", "ppo": "make ppo", "base": "make base"}
_JSON_FILES = (
    "config.json",
    "adapter_config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "model.safetensors.index.json",
)
_TOKENIZER_FILES = ("*tokenizer*", "*vocab*", "*.model", "merges.txt", "*.tiktoken")


def check_model_path(path: str, *, setting: str = "model.path") -> None:
    """Refuse a path that can be neither a sound local folder nor a hub id.

    Raises:
        ModelError: the folder does not exist, holds no model or a damaged file; the message names the make
            target that makes it.

    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file() and not is_adapter_folder(folder):
            raise ModelError(
                f"{path!r} holds no model (no config.json); {remedy(path, setting)}", where=setting
            )
        _check_files(folder, path, setting)
    elif folder.exists():
        raise ModelError(f"{path!r} is a file, not a model's folder; {remedy(path, setting)}", where=setting)
    elif _looks_local(path):
        raise ModelError(f"{path!r} does not exist; {remedy(path, setting)}", where=setting)


def opens_unread(path: str) -> bool:
    """Say whether a model can be opened without its weights' numbers (`weights` of its loaders).

    It can where it is in local folders, the base of an adapter included, and not on the hub; weights of few
    bits are read by libraries of their own, on their own devices.
    """
    from rlhf.models.adapter_folders import adapter_base

    if not Path(path).expanduser().is_dir():
        return False
    base = adapter_base(path) if is_adapter_folder(path) else path
    if not Path(base).expanduser().is_dir():
        return _looks_local(base)  # what is not there is said by the loader
    return "quantization_config" not in _config_below(path)


def check_reward_path(path: str, *, setting: str) -> None:
    """Refuse a path that cannot be a reward model's: what `check_model_path` refuses, and other models.

    Raises:
        ModelError: as there, or the local folder holds no model with a score.

    """
    check_model_path(path, setting=setting)
    # what a hub id is, its loader will say
    if Path(path).expanduser().is_dir() and not holds_reward_model(path):
        raise ModelError(f"{path!r} is not a reward model; {remedy('reward', setting)}", where=setting)


def is_classifier(architectures: Sequence[str] | None) -> bool:
    """Say whether a config's `architectures` are those of a model that gives scores."""
    return any("SequenceClassification" in name for name in architectures or ())


def holds_reward_model(path: str) -> bool:
    """Say whether a local folder holds a model that scores, or its adapter; False for a hub id."""
    from rlhf.models.adapter_folders import holds_score_head

    folder = Path(path).expanduser()
    if is_adapter_folder(folder):
        return holds_score_head(str(folder))
    file = folder / "config.json"
    return file.is_file() and is_classifier(json.loads(file.read_text(encoding="utf-8")).get("architectures"))


def holds_encoder(path: str) -> bool:
    """Say whether a local folder holds an encoder, or an adapter on one; False for a hub id."""
    from rlhf.models.encoders import is_encoder

    config = _config_below(path)
    return bool(config) and is_encoder(SimpleNamespace(**config))


def holds_encoder_decoder(path: str) -> bool:
    """Say whether a local folder holds an encoder-decoder, or an adapter on one; False for a hub id."""
    return bool(_config_below(path).get("is_encoder_decoder"))


def _config_below(path: str) -> dict[str, Any]:
    """Return the config of a local folder, of its base where it holds an adapter; {} for a hub id."""
    from rlhf.models.adapter_folders import adapter_base

    base = Path(adapter_base(path) if is_adapter_folder(path) else path).expanduser()
    file = base / "config.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def check_writes(path: str, *, setting: str) -> None:
    """Refuse a local folder with an encoder where a language model is wanted; a hub id's loader will say.

    Raises:
        ModelError: it is one.

    """
    if holds_encoder(path):
        raise writes_nothing(path, setting)


def writes_nothing(path: str, setting: str) -> ModelError:
    """Make the error of an encoder where a language model is wanted."""
    return ModelError(
        f"{path!r} is an encoder, which reads and does not write; it may be a reward model; "
        f"set {setting} to a language model",
        where=setting,
    )


def check_has_tokenizer(path: str, *, setting: str = "model.path") -> None:
    """Refuse a local folder without any tokenizer file, of which the library would make an empty tokenizer.

    Raises:
        ModelError: there is none.

    """
    folder = Path(path).expanduser()
    if folder.is_dir() and not any(any(folder.glob(pattern)) for pattern in _TOKENIZER_FILES):
        raise ModelError(
            f"{path!r} holds no tokenizer (no tokenizer.json); save the model's tokenizer beside it",
            where=setting,
        )


def check_vocabulary(tokenizer: Any, model: Any, setting: str | None = None) -> None:
    """Refuse a tokenizer that has tokens which the model has no embedding for.

    The other way round is usual: embeddings are made more than there are tokens, for round numbers. Special
    tokens behind the last embedding are no mistake where nothing writes them (Gemma 3's <image_soft_token> in
    models of text): a text never becomes one, and `Renderer` refuses what does.

    Raises:
        ModelError: says both numbers, and the dotted key `setting` where there is one.

    """
    num_embeddings = model.get_input_embeddings().num_embeddings
    if len(tokenizer) <= num_embeddings:
        return
    special = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    written = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}
    beyond = {index for index in tokenizer.get_vocab().values() if index >= num_embeddings}
    if beyond - special or beyond & written:
        raise ModelError(
            f"the tokenizer of {tokenizer.name_or_path!r} has {len(tokenizer):,} tokens, but the model has "
            f"embeddings for {num_embeddings:,}; give the model its own tokenizer",
            where=setting,
        )


def remedy(path: str, setting: str) -> str:
    """Say what to do about a missing model: the make target that makes it, or another path."""
    target = MADE_BY.get(Path(path).name)
    return f"run `{target}` or set {setting}" if target else f"set {setting} to a model folder or a hub id"


def says_nothing(path: str, setting: str) -> ModelError:
    """Make the error of a reward model where a language model is wanted."""
    return ModelError(
        f"{path!r} is a reward model, which says nothing; {remedy('sft', setting)}", where=setting
    )


def _looks_local(path: str) -> bool:
    """A hub id is `name` or `owner/name`; everything else can only be a folder."""
    first = path.split("/")[0]
    return first in {"runs", "data", "..", ".", "~", ""} or re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path) is None


def _check_files(folder: Path, path: str, setting: str) -> None:
    """Look into the small files whole, and at the weights' headers, which know how long their file is."""
    from safetensors import SafetensorError, safe_open

    for file in filter(Path.is_file, (folder / name for name in _JSON_FILES)):
        try:
            _check_content(file.name, json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise _damaged(file, path, setting, error) from error
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt"):
                pass
        except (OSError, ValueError, SafetensorError) as error:
            raise _damaged(file, path, setting, error) from error


def _check_content(name: str, content: Any) -> None:
    """Refuse what no loader of the library expects.

    Raises:
        ValueError: says what was found.

    """
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not names with values")
    ends = content.get("eos_token_id")
    ends = ends if isinstance(ends, list) else [ends]
    if name == "generation_config.json" and not all(end is None or type(end) is int for end in ends):
        raise ValueError(f"eos_token_id is {content['eos_token_id']!r}; it is a number or a list of numbers")


def _damaged(file: Path, path: str, setting: str, error: Exception) -> ModelError:
    return ModelError(
        f"{str(file)!r} is damaged ({error}); copy it again, or {remedy(path, setting)}", where=setting
    )
