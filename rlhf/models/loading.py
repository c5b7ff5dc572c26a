"""From a folder or a hub id to a tokenizer, a policy or a reward model."""

from __future__ import annotations

from typing import Any

import torch

from rlhf.errors import ModelError
from rlhf.models.adapter_folders import adapter_base, adapter_revision, holds_score_head, merge_adapter
from rlhf.models.adapters import LoraSpec, add_lora, is_adapter_folder
from rlhf.models.attention import choose_attention
from rlhf.models.encoders import fresh_parts, is_encoder, reads_pairs
from rlhf.models.folders import (
    check_has_tokenizer,
    check_model_path,
    is_classifier,
    remedy,
    says_nothing,
    writes_nothing,
)
from rlhf.models.reading import call_loader, load_weights, weights_options
from rlhf.models.seq2seq import is_encoder_decoder, trunk_of

__all__ = [
    "build_reward_model",
    "load_policy",
    "load_reward_model",
    "load_tokenizer",
]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_tokenizer(
    path: str,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    eos_token: str | None = None,
    chat_template: str | None = None,
    pairs: bool = False,
    ends: bool = True,
    setting: str = "model.path",
) -> Any:
    """Load a tokenizer that can end a response, or with `pairs` an encoder's, which ends no turn.

    A tokenizer without a padding token pads with its end token: masks are made from lengths and never from
    ids, so this changes nothing (a reward model gets a pad of its own, see `ensure_distinct_pad`).

    Args:
        path: local folder or hub id.
        revision: branch, tag or commit of a hub id.
        trust_remote_code: run code that comes with the model; only for sources that you have read.
        eos_token: the token that ends a response, for tokenizers that name none or another one.
        chat_template: Jinja text that replaces the tokenizer's own template.
        pairs: it is an encoder's: what it needs is asked for by `rlhf.pairs`, and no end token.
        ends: it needs an end token; False where only its vocabulary is looked at.
        setting: the dotted key that errors name.

    Raises:
        ModelError: nothing there, no tokenizer there, no end token, or `eos_token` is not in the vocabulary.

    """
    from transformers import AutoTokenizer

    check_model_path(path, setting=setting)
    check_has_tokenizer(path, setting=setting)
    tokenizer: Any = call_loader(
        lambda: AutoTokenizer.from_pretrained(path, revision=revision, trust_remote_code=trust_remote_code),
        path,
        "tokenizer",
        setting,
    )
    told = f"{setting.removesuffix('.path')}.eos_token" if setting.endswith(".path") else None
    if eos_token is not None:
        if eos_token not in tokenizer.get_vocab():
            raise ModelError(f"{eos_token!r} is not a token of {path!r}", where=told)
        tokenizer.eos_token = eos_token
    if tokenizer.eos_token_id is None and ends and not pairs:
        remedy_here = f"set {told}" if told else "save it with one"
        raise ModelError(f"tokenizer of {path!r} has no end-of-sequence token; {remedy_here}")
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None and not pairs:
        tokenizer.pad_token = tokenizer.eos_token
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    return tokenizer


def load_policy(
    path: str,
    *,
    dtype: str = "float32",
    revision: str | None = None,
    trust_remote_code: bool = False,
    lora: LoraSpec | None = None,
    setting: str = "model.path",
    weights: bool = True,
) -> Any:
    """Load a language model: a decoder, or an encoder-decoder (T5, BART) as its config says.

    An adapter in the folder is merged, so the result is one plain model.

    Args:
        path: local folder (whole model or adapter) or hub id.
        dtype: "float32", "bfloat16" or "float16": how the weights are held.
        revision: branch, tag or commit of a hub id.
        trust_remote_code: run code that comes with the model, and read weights that are not safetensors.
        lora: freeze the model and add new adapters, for training.
        setting: the dotted key that errors name.
        weights: False leaves them on the disk: what comes is the model without its numbers, on torch's meta
            device, and everything else that loading refuses is refused.

    Raises:
        ModelError: nothing there, or not a language model.

    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    what = "language model"
    check_model_path(path, setting=setting)
    base = path
    if is_adapter_folder(path):
        base, revision = _checked_base(path), adapter_revision(path)
    code: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
    config: Any = call_loader(lambda: AutoConfig.from_pretrained(base, **code), base, what, setting)
    if holds_score_head(path) or is_classifier(config.architectures):
        raise says_nothing(path, setting)
    if is_encoder(config):
        raise writes_nothing(path, setting)
    hub_options = weights_options(base, revision, trust_remote_code, setting, weights)
    kind: Any = AutoModelForSeq2SeqLM if is_encoder_decoder(config) else AutoModelForCausalLM
    model = load_weights(
        lambda: kind.from_pretrained(base, dtype=DTYPES[dtype], output_loading_info=True, **hub_options),
        base,
        what,
        setting,
    )
    if base is not path:
        model = merge_adapter(model, path, setting=setting, trust_remote_code=trust_remote_code)
    choose_attention(model)
    return add_lora(model, lora, revision=revision) if lora is not None else model


def _checked_base(path: str) -> str:
    base = adapter_base(path)
    check_model_path(base, setting=f"{path}/adapter_config.json: base_model_name_or_path")
    return base


def load_reward_model(
    path: str,
    *,
    dtype: str = "float32",
    revision: str | None = None,
    trust_remote_code: bool = False,
    setting: str = "reward_model.path",
    weights: bool = True,
) -> Any:
    """Load a trained reward model: one score a sequence, its head in float32.

    An adapter in the folder is merged, so the result is one plain model. Without `weights`: see
    `load_policy`.

    Raises:
        ModelError: nothing there, or the folder holds no model with exactly one score.

    """
    from rlhf.models.heads import keep_head_in_float32, restore_score_bias

    check_model_path(path, setting=setting)
    if is_adapter_folder(path):
        if not holds_score_head(path):
            raise ModelError(f"{path!r} is not a reward model; {remedy('reward', setting)}", where=setting)
        base, revision = _checked_base(path), adapter_revision(path)
        model = _load_classifier(base, dtype, revision, trust_remote_code, setting, weights)
        keep_head_in_float32(model)
        return merge_adapter(model, path, setting=setting, trust_remote_code=trust_remote_code)
    model = _load_classifier(path, dtype, revision, trust_remote_code, setting, weights)
    if not is_classifier(model.config.architectures):
        raise ModelError(f"{path!r} is not a reward model; {remedy('reward', setting)}", where=setting)
    _check_one_number(model, path, setting)
    restore_score_bias(model, path)
    keep_head_in_float32(model)
    return model


def build_reward_model(
    path: str,
    *,
    dtype: str = "float32",
    revision: str | None = None,
    trust_remote_code: bool = False,
    setting: str = "model.path",
    weights: bool = True,
) -> Any:
    """Put a fresh score head on the backbone of a language model (InstructGPT, section 3.5: its SFT model).

    A reward model keeps its own head: one drawn anew would throw away what was learnt. Otherwise it starts at
    standard deviation 1/sqrt(width + 1) (Stiennon et al. 2020; Huang et al. 2024, detail 11), drawn from
    torch's global generator. Without `weights`: see `load_policy`.

    Raises:
        ModelError: nothing there, or an architecture without a sequence classification head.

    """
    from rlhf.models.heads import initialise_head, keep_head_in_float32, restore_score_bias

    check_model_path(path, setting=setting)
    if holds_score_head(path):
        return load_reward_model(
            path, dtype=dtype, trust_remote_code=trust_remote_code, setting=setting, weights=weights
        )
    if is_adapter_folder(path):
        from transformers import AutoModelForSequenceClassification

        policy = load_policy(
            path, dtype=dtype, trust_remote_code=trust_remote_code, setting=setting, weights=weights
        )
        policy.config.num_labels = 1
        with torch.device("cpu" if weights else "meta"):
            model: Any = AutoModelForSequenceClassification.from_config(policy.config, dtype=DTYPES[dtype])
        below = trunk_of(policy) if is_encoder_decoder(policy.config) else policy.base_model
        model.base_model.load_state_dict(below.state_dict())
        choose_attention(model)
    else:
        model = _load_classifier(path, dtype, revision, trust_remote_code, setting, weights)
    _check_one_number(model, path, setting)
    if is_classifier(model.config.architectures):
        restore_score_bias(model, path)
    else:
        initialise_head(model)
    keep_head_in_float32(model)
    return model


def _check_one_number(model: Any, path: str, setting: str) -> None:
    if model.config.num_labels != 1:
        raise ModelError(
            f"{path!r} gives {model.config.num_labels} numbers; a reward model gives 1; "
            f"set {setting} to another model",
            where=setting,
        )


def _load_classifier(
    path: str, dtype: str, revision: str | None, trust_remote_code: bool, setting: str, weights: bool
) -> Any:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from rlhf.models.heads import HEAD_NAMES

    what = "model that can score sequences"
    options: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
    config: Any = call_loader(lambda: AutoConfig.from_pretrained(path, **options), path, what, setting)
    pooled = reads_pairs(config)
    hub_options = weights_options(path, revision, trust_remote_code, setting, weights)
    has_head = is_classifier(config.architectures)
    if not has_head:
        config.num_labels = 1  # a language model, or an encoder without a task: the head is new
    model = load_weights(
        lambda: AutoModelForSequenceClassification.from_pretrained(
            path, config=config, dtype=DTYPES[dtype], output_loading_info=True, **hub_options
        ),
        path,
        what,
        setting,
        new=lambda model: () if has_head else fresh_parts(model) if pooled else HEAD_NAMES,
    )
    return choose_attention(model)
