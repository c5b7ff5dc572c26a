"""The only place that loads, wraps, adapts and saves models and tokenizers.

- `rlhf.models.loading`: folder or hub id to tokenizer, policy, reward model
- `rlhf.models.values`: one number a token (critic) or a response (reward model) from a model with a score
  head
- `rlhf.models.encoders`, `rlhf.models.seq2seq`: what encoders and encoder-decoders are given
- `rlhf.models.centring`: move a reward model's zero inside its own weights
- `rlhf.models.adapters`, `rlhf.models.adapter_folders`: LoRA through peft
- `rlhf.models.one_base`: several models as adapters on one frozen base
- `rlhf.models.inputs`: position ids, dropout
- `rlhf.models.padding`: a reward model's padding token
- `rlhf.models.saving`: a plain Hugging Face folder, written file by file so that a crash loses nothing

What other packages need is also found here, looked up on first use: importing this package imports nothing
heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlhf.models.adapters import LoraSpec, add_lora
    from rlhf.models.centring import recentre
    from rlhf.models.inputs import disable_dropout, position_ids_from_mask
    from rlhf.models.loading import (
        build_reward_model,
        load_policy,
        load_reward_model,
        load_tokenizer,
    )
    from rlhf.models.padding import ensure_distinct_pad
    from rlhf.models.saving import save_model, unwrap_model
    from rlhf.models.values import Critic, load_critic, sequence_scores

__all__ = [
    "Critic",
    "LoraSpec",
    "add_lora",
    "build_reward_model",
    "disable_dropout",
    "ensure_distinct_pad",
    "load_critic",
    "load_policy",
    "load_reward_model",
    "load_tokenizer",
    "position_ids_from_mask",
    "recentre",
    "save_model",
    "sequence_scores",
    "unwrap_model",
]

_MODULES = ("adapters", "centring", "inputs", "loading", "padding", "saving", "values")


def __getattr__(name: str) -> Any:
    """Find a public name in its module, which is imported now."""
    if name in __all__:
        for module in _MODULES:
            found = getattr(import_module(f"rlhf.models.{module}"), name, None)
            if found is not None:
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
