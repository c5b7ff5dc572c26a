"""The zero of the reward model: what the SFT model says scores 0 on average."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rlhf.runs import console
from rlhf.settings.reward import RewardSettings
from stages import _inputs
from stages._reward_numbers import sequences_at_once

if TYPE_CHECKING:
    from rlhf.feedback.records import Prompt
    from rlhf.rendering import Renderer

__all__ = ["centre", "told_zero"]


def centre(
    settings: RewardSettings, model: Any, prompts: Iterable[Prompt], renderer: Renderer
) -> dict[str, Any]:
    """Shift the scores as the settings say; returns what was measured.

    Args:
        settings: the stage's.
        model: the reward model, without adapters or with one that is kept.
        prompts: of the training rankings.
        renderer: the reward model's.

    """
    from rlhf.ranking.centring import centre_on_policy

    if settings.centring is None:
        return {}
    policy, asking, reading = _open_policy(settings, renderer)
    found = centre_on_policy(
        model,
        policy.to(next(model.parameters()).device),
        asking,
        _distinct(prompts, settings.centring.num_prompts),
        max_response_tokens=settings.centring.max_response_tokens,
        temperature=settings.centring.temperature,
        seed=settings.run.seed,
        batch_size=sequences_at_once(settings),
        reading=reading,
    )
    console.say(
        f"centred: SFT responses scored {found.shift:.4g}, now {found.mean:.2g} (spread {found.std:.3g})"
    )
    if found.num_ended < found.num_samples:
        console.say(
            f"centred: {found.num_samples - found.num_ended} of {found.num_samples} responses were cut at "
            f"centring.max_response_tokens={settings.centring.max_response_tokens}"
            f"{' and left out' if found.num_ended else ''}: a reward model has learnt to read complete "
            "responses, and what it says of others means little; where many are cut, raise it"
        )
    return {"centring_shift": found.shift, "sft_score_mean": found.mean, "sft_score_std": found.std}


def _distinct(prompts: Iterable[Prompt], most: int) -> list[Prompt]:
    found: dict[Any, Prompt] = {}
    for prompt in prompts:
        found.setdefault(prompt.messages, prompt)
        if len(found) == most:
            break
    return list(found.values())


def _open_policy(settings: RewardSettings, renderer: Renderer) -> tuple[Any, Renderer, Renderer | None]:
    """Return the model that answers, its renderer, and the reward model's where it is given text."""
    from rlhf.rendering import Renderer
    from rlhf.scoring import reads_ids

    assert settings.centring is not None
    source = settings.centring.policy
    if source is None and not renderer.pairs:
        return _inputs.open_policy(settings.model), renderer, None
    source, setting = source or settings.model, "centring.policy.path" if source else "model.path"
    policy = _inputs.open_policy(source, setting)
    tokenizer = _inputs.open_tokenizer(source, setting)
    limits = settings.reward.max_prompt_tokens, settings.centring.max_response_tokens
    asking = _inputs.build_renderer(tokenizer, policy, *limits, setting)
    if not renderer.pairs and reads_ids(asking, renderer.tokenizer):
        return policy, asking, None
    # No limit of responses: one that is longer than those of the rankings is scored all the same.
    reading = Renderer(
        renderer.tokenizer,
        max_prompt_tokens=renderer.max_prompt_tokens,
        pairs=renderer.pairs,
        spells_specials=renderer.spells_specials,
    )
    return policy, asking, reading


def told_zero(settings: RewardSettings, model: Any) -> str:
    """Say, for the model's card, where the zero is, and who sees it."""
    from rlhf.models.heads import added_bias

    if settings.centring is None:
        return "Its zero means nothing: only differences do."
    source = "the model it started from"
    if settings.centring.policy is not None:
        source = f"`{settings.centring.policy.path}`"
    text = f"Complete responses of {source} score 0 on average."
    bias = added_bias(model)
    if bias is not None:
        text += (
            " The architecture has no bias that could hold this zero: it is in an extra tensor, which this "
            f"project reads and `AutoModelForSequenceClassification` does not: its scores are {-bias:.4g} "
            "higher, all of them."
        )
    return text
