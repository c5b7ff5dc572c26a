"""The reward stage on an encoder (BERT, RoBERTa, DeBERTa ...) or an encoder-decoder (BART, T5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlhf.errors import SettingsError
from rlhf.settings.reward import RewardSettings
from stages import _inputs

if TYPE_CHECKING:
    from rlhf.rendering import Renderer
    from stages._limits import Limits

__all__ = ["check_encoder", "open_encoder"]


def check_encoder(settings: RewardSettings) -> None:
    """Refuse what an encoder in a local folder cannot be told, and what it has to be told and is not."""
    from rlhf.models.folders import holds_encoder, holds_encoder_decoder

    apart = holds_encoder_decoder(settings.model.path)
    if apart or holds_encoder(settings.model.path):
        _check(settings, apart)


def open_encoder(settings: RewardSettings, model: Any, limits: Limits) -> tuple[Any, Any, Renderer]:
    """Give a model that reads prompt and response as two texts its own tokenizer."""
    from rlhf.models.encoders import note_separator
    from rlhf.models.seq2seq import is_encoder_decoder

    _check(settings, is_encoder_decoder(model.config))  # one from the hub is looked at only now
    tokenizer = _inputs.open_tokenizer(settings.model, pairs=True)
    renderer = _inputs.build_renderer(tokenizer, model, limits)
    note_separator(model, tokenizer)
    return tokenizer, model, renderer


def _check(settings: RewardSettings, apart: bool) -> None:
    path, kind = settings.model.path, "an encoder-decoder" if apart else "an encoder"
    if settings.model.eos_token is not None:
        raise SettingsError(
            f"{path!r} is {kind}, whose tokenizer puts its own separator behind a response; set null",
            where="model.eos_token",
        )
    if settings.lora is not None and not settings.lora.merge:
        raise SettingsError(
            f"an adapter by itself is for reward models that read as the policy does, and {path!r} is {kind},"
            " which reads two texts; set lora.merge=true",
            where="lora.merge",
        )
    if settings.centring is not None and settings.centring.policy is None and not apart:
        raise SettingsError(
            f"{path!r} is an encoder, which writes no responses to centre on; set centring.policy.path to "
            "the SFT model, or centring=null",
            where="centring.policy",
        )
