"""The reward model as a plain Hugging Face folder, with its card."""

from __future__ import annotations

from typing import Any

from rlhf.runs import console
from rlhf.runs.folder import RunFolder
from rlhf.settings.reward import RewardSettings
from stages._reward_centring import told_zero

__all__ = ["keeps_adapter", "save"]


def save(
    settings: RewardSettings,
    run: RunFolder,
    model: Any,
    tokenizer: Any,
    numbers: dict[str, Any],
    *,
    centred: bool,
) -> None:
    """Write model, tokenizer and card into the run's folder; `centred`: its zero is set already."""
    from rlhf.models import save_model

    if run.is_main:
        card = _card(settings, numbers, model, centred=centred)
        save_model(model, tokenizer, run.path, card=card, keep_adapter=keeps_adapter(settings))
        if not centred:
            console.say(f"saved in {run.path} as it was trained; what follows is its zero, and numbers")


def keeps_adapter(settings: RewardSettings) -> bool:
    """Say whether the reward model is saved as an adapter."""
    return settings.lora is not None and not settings.lora.merge


def _card(settings: RewardSettings, numbers: dict[str, Any], model: Any, *, centred: bool) -> str:
    from rlhf.models.card import build_card
    from rlhf.models.encoders import reads_pairs
    from rlhf.models.inputs import plain_model

    sources = ", ".join(source.path for source in settings.data.train)
    text = f"Scores responses; `{settings.model.path}` trained on the rankings of {sources}. "
    how = "prompt and response in the chat template, the end token included"
    if reads_pairs(plain_model(model).config):
        how = (
            "two texts, `tokenizer(prompt, response)`, the prompt as "
            "`tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)` writes it"
        )
    text += f"The score is the logit of `AutoModelForSequenceClassification` for {how}. "
    text += told_zero(settings, model, centred=centred)
    return build_card(
        settings.run.name or "Reward model",
        text,
        task="text-classification",
        base_model=settings.model.path,
        numbers=numbers,
        tags=("reward-model",),
        adapter=keeps_adapter(settings),
    )
