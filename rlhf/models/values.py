"""One number a token (critic) or a response (reward model), from a model with a score head."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from rlhf.errors import ModelError
from rlhf.models.encoders import encoder_inputs, reads_pairs
from rlhf.models.heads import score_head, score_layer
from rlhf.models.inputs import forward_inputs, inputs_of, plain_model, position_ids_from_mask

__all__ = [
    "Critic",
    "PooledScorer",
    "last_positions",
    "load_critic",
    "pooled_scores",
    "sequence_scores",
    "token_values",
]


class _Wrapper(nn.Module):
    """A model with a score head, and what trainers ask of a model."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        score_head(model)  # fails now rather than at the first forward
        self.model = model

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


class Critic(_Wrapper):
    """Read the score head of a sequence classification model at every position.

    Built from a reward model, the value of the last token equals the reward model's score (invariant 67). The
    whole forward runs inside this module, so gradients are synchronised when it is wrapped for several
    processes.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        inner = plain_model(model)
        if reads_pairs(inner.config):
            raise ModelError(
                f"a critic values every token from what came before it, but {type(inner).__name__} reads "
                "whole texts; set critic.init_from=policy"
            )

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return (B, T) float32 values, see `token_values`; at padding they mean nothing."""
        return token_values(self.model, input_ids, attention_mask, position_ids)


class PooledScorer(_Wrapper):
    """Score whole sequences by an encoder, see `pooled_scores`; the forward runs inside, as in `Critic`."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return (B,) float32 scores."""
        return pooled_scores(self.model, input_ids, attention_mask)


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


def pooled_scores(model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """Score whole sequences as an encoder does: its own pooling and head, the logit of the Auto class.

    Args:
        model: a reward model that `reads_pairs`, plain or with adapters.
        input_ids: (B, T), padded on the right.
        attention_mask: (B, T), True counts.

    Returns:
        (B,) float32.

    """
    inner = plain_model(model)
    layer = score_layer(inner)
    with inputs_of(layer) as seen:
        inner(**encoder_inputs(inner, input_ids, attention_mask))
    # The library's own product would be in bfloat16 under autocast: exact ties (invariant 81).
    with torch.autocast(input_ids.device.type, enabled=False):
        return layer(seen[0].float()).squeeze(-1)


def sequence_scores(model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """Score whole sequences: the head's value at each row's last real token; encoders pool by themselves.

    The place is read from the mask and never from ids, so padding's side, width and id do not matter
    (invariant 40).

    Args:
        model: a reward model, or a `Critic` or `PooledScorer` around one (wrapped for several processes too).
        input_ids: (B, T); for encoders padded on the right, as their pooling reads the first token.
        attention_mask: (B, T), True counts; each row has at least one.

    Returns:
        (B,) float32.

    """
    wrapper = getattr(model, "module", model)
    if isinstance(wrapper, PooledScorer):
        return model(input_ids, attention_mask)
    if not isinstance(wrapper, Critic) and reads_pairs(plain_model(model).config):
        return pooled_scores(model, input_ids, attention_mask)
    position_ids = position_ids_from_mask(attention_mask)
    if isinstance(wrapper, Critic):
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
