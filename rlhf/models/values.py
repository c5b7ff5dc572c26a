"""One number a token (critic) or a response (reward model), from a model with a score head."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rlhf.errors import ModelError
from rlhf.models.inputs import forward_inputs, plain_model, position_ids_from_mask

__all__ = ["Critic", "last_positions", "load_critic", "sequence_scores", "token_values"]

HEAD_NAMES = ("score", "classifier")
BIAS_FLAG = (
    "score_head_has_bias"  # in config.json, for heads that got a bias which the architecture does not have
)


class Critic(nn.Module):
    """Read the score head of a sequence classification model at every position.

    Built from a reward model, the value of the last token equals the reward model's score (invariant 67). The
    whole forward runs inside this module, so gradients are synchronised when it is wrapped for several
    processes.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        score_head(model)  # fails now rather than at the first forward
        self.model = model

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return (B, T) float32 values, see `token_values`; at padding they mean nothing."""
        return token_values(self.model, input_ids, attention_mask, position_ids)

    @property
    def supports_gradient_checkpointing(self) -> bool:
        """Say whether the architecture can recompute its activations."""
        return bool(self.model.supports_gradient_checkpointing)

    def activation_checkpointing_enable(self, *arguments: Any, **options: Any) -> None:
        """Recompute activations in the backward pass instead of keeping them; what trainers call."""
        self.model.activation_checkpointing_enable(*arguments, **options)

    def gradient_checkpointing_enable(self, *arguments: Any, **options: Any) -> None:
        """Do the same under the name that trainers call until transformers 5.20."""
        self.model.gradient_checkpointing_enable(*arguments, **options)


def load_critic(path: str, *, setting: str = "critic.path", **options: Any) -> Critic:
    """Load a critic from a reward model's folder; a value model of its own, never shared with the judge."""
    from rlhf.models.loading import load_reward_model

    return Critic(load_reward_model(path, setting=setting, **options))


def token_values(
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    position_ids: torch.Tensor | None = None,
) -> torch.Tensor:
    """Apply backbone and score head at every position.

    Args:
        model: a `...ForSequenceClassification` with one label, plain or with adapters.
        input_ids: (B, T), padded on any side.
        attention_mask: (B, T), True counts; or (B, 1, T, T), True where the third's token sees the fourth's.
        position_ids: (B, T); from a (B, T) mask when not given.

    Returns:
        (B, T) float32.

    """
    inner = plain_model(model)
    body = backbone(inner)
    inputs = forward_inputs(body, input_ids, attention_mask, position_ids)
    hidden = body(**inputs, use_cache=False).last_hidden_state
    # bfloat16 has 8 bits: scores that differ would become equal (invariant 81), so the head runs in float32.
    with torch.autocast(hidden.device.type, enabled=False):
        return score_head(inner)(hidden.float()).squeeze(-1)


def sequence_scores(model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """Score whole sequences: the head's value at each row's last real token.

    The place is read from the mask and never from ids, so padding's side, width and id do not matter
    (invariant 40).

    Args:
        model: a reward model, or a `Critic` around one (also wrapped for several processes).
        input_ids: (B, T).
        attention_mask: (B, T), True counts; each row has at least one.

    Returns:
        (B,) float32.

    """
    position_ids = position_ids_from_mask(attention_mask)
    if isinstance(getattr(model, "module", model), Critic):
        values = model(input_ids, attention_mask, position_ids)
    else:
        values = token_values(model, input_ids, attention_mask, position_ids)
    return values.gather(1, last_positions(attention_mask).unsqueeze(1)).squeeze(1)


def last_positions(attention_mask: torch.Tensor) -> torch.Tensor:
    """Return (B,) the index of the last True of each row.

    >>> last_positions(torch.tensor([[0, 1, 1], [1, 1, 0]]))
    tensor([2, 1])
    """
    positions = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    return torch.where(attention_mask.bool(), positions, 0).amax(dim=1)


def backbone(model: Any) -> Any:
    """Return the transformer below the head."""
    inner = plain_model(model)
    return getattr(inner, inner.base_model_prefix)


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


def head_names(model: Any) -> tuple[str, ...]:
    """Return the name of the score head in a plain model, as adapters list it."""
    return tuple(name for name in HEAD_NAMES if isinstance(getattr(model, name, None), nn.Module))


def own_copy(module: Any) -> Any:
    """Return what an adapter holds in a module's place; the module itself where it holds nothing."""
    copies = getattr(module, "modules_to_save", None)
    return module if copies is None else copies[module.active_adapters[0]]


def initialise_head(model: Any) -> None:
    """Draw the head's weight from N(0, 1/(width + 1)); in place, from torch's global generator."""
    head: Any = score_head(model)
    nn.init.normal_(head.weight, std=1.0 / math.sqrt(head.in_features + 1))
    if head.bias is not None:
        nn.init.zeros_(head.bias)


def keep_head_in_float32(model: Any) -> None:
    """Hold the head's own parameters in float32 whatever the backbone's type is."""
    score_head(model).float()


def set_score_bias(model: Any, bias: float) -> None:
    """Give the head a bias; where its class has none, the config tells `load_reward_model` to look for it."""
    head: Any = score_head(model)
    if head.bias is None:
        head.bias = nn.Parameter(torch.zeros(head.out_features, device=head.weight.device))
        setattr(plain_model(model).config, BIAS_FLAG, True)
    with torch.no_grad():
        head.bias += bias


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
