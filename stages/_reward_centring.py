"""The zero of the reward model: what the SFT model says scores 0 on average."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlhf.errors import SettingsError
from rlhf.runs import console
from rlhf.settings.reward import RewardSettings
from stages import _inputs
from stages._limits import Limits
from stages._reading import build_reader
from stages._reward_numbers import sequences_at_once

if TYPE_CHECKING:
    from rlhf.feedback.records import Prompt
    from rlhf.rendering import Renderer
    from rlhf.settings.shared import ModelSettings

__all__ = ["Centring", "centre", "check_centring", "prepare_centring", "told_zero"]


@dataclass(frozen=True)
class Centring:
    """What is known before the training of the model that answers after it.

    Args:
        source: where that model is.
        setting: the dotted key that says so.
        asking: its renderer.
        reading: the reward model's, where that is given text.
    """

    source: ModelSettings
    setting: str
    asking: Renderer
    reading: Renderer | None


def check_centring(settings: RewardSettings) -> None:
    """Refuse a model that answers nothing, as far as a local folder tells."""
    from rlhf.models.folders import check_model_path, check_writes, holds_reward_model, says_nothing

    if settings.centring is None:
        return
    if settings.centring.policy is None:
        if holds_reward_model(settings.model.path):
            raise SettingsError(
                f"{settings.model.path!r} is a reward model, which writes no responses to centre on; set "
                "centring.policy.path to the SFT model, or centring=null",
                where="centring.policy",
            )
        return
    path, setting = settings.centring.policy.path, "centring.policy.path"
    check_model_path(path, setting=setting)
    check_writes(path, setting=setting)
    if holds_reward_model(path):
        raise says_nothing(path, setting)


def prepare_centring(settings: RewardSettings, model: Any, renderer: Renderer) -> Centring | None:
    """Look before the training whether everything fits that centring will need after it.

    The model that answers is asked for its lengths alone: its weights would take memory all the while.

    Args:
        settings: the stage's.
        model: the reward model.
        renderer: the reward model's.

    """
    from rlhf.models.folders import opens_unread
    from rlhf.shared_ids import reads_ids

    if settings.centring is None:
        return None
    source = settings.centring.policy or settings.model
    setting = "centring.policy.path" if settings.centring.policy else "model.path"
    tokenizer = _inputs.open_tokenizer(source, setting)
    policy = _inputs.open_policy(source, setting, weights=not opens_unread(source.path))
    asking = _asking(settings, policy, tokenizer, setting, None)
    reading = None
    num_embeddings = model.get_input_embeddings().num_embeddings
    if renderer.pairs or not reads_ids(asking, renderer.tokenizer, num_embeddings):
        reading = build_reader(model, renderer.tokenizer, settings.centring.max_response_tokens)
    else:
        asking = _asking(settings, policy, tokenizer, setting, model)
    return Centring(source, setting, asking, reading)


def _asking(
    settings: RewardSettings, policy: Any, tokenizer: Any, setting: str, reader: Any | None
) -> Renderer:
    """Build the renderer of the model that answers; its prompts leave room for the longest response.

    Where `reader` (the reward model) reads the same ids, in its context too.
    """
    from rlhf.models.inputs import context_tokens
    from rlhf.models.seq2seq import is_encoder_decoder

    assert settings.centring is not None
    most, prompt = settings.centring.max_response_tokens, settings.reward.max_prompt_tokens
    contexts = [context_tokens(model) for model in (policy, reader) if model is not None]
    context = min((limit for limit in contexts if limit is not None), default=None)
    if context is not None:
        apart = is_encoder_decoder(policy.config)
        prompt = min(prompt, context if apart else context - most)
        if prompt < 1 or (apart and most >= context):
            raise SettingsError(
                f"is {most}, which leaves no room for a prompt in the context of {context} tokens of "
                f"{setting}; lower it",
                where="centring.max_response_tokens",
            )
    return _inputs.build_renderer(tokenizer, policy, Limits(prompt, most), setting)


def centre(
    settings: RewardSettings, centring: Centring | None, model: Any, prompts: Iterable[Prompt]
) -> dict[str, Any]:
    """Shift the scores as the settings say; returns what was measured.

    Args:
        settings: the stage's.
        centring: what `prepare_centring` gave.
        model: the reward model, without adapters or with one that is kept.
        prompts: of the training rankings.

    """
    from rlhf.ranking.centring import centre_on_policy
    from rlhf.rendering import render_prompts

    if settings.centring is None or centring is None:
        return {}
    distinct = _distinct(prompts, settings.centring.num_prompts)
    for renderer in filter(None, (centring.asking, centring.reading)):  # leaves out what one cannot be given
        distinct = [one.prompt for one in render_prompts(distinct, renderer)]
        _inputs.say_counts("centring", renderer)
        renderer.counts.clear()
    policy = _inputs.open_policy(centring.source, centring.setting)
    found = centre_on_policy(
        model,
        policy.to(next(model.parameters()).device),
        centring.asking,
        distinct,
        max_response_tokens=settings.centring.max_response_tokens,
        temperature=settings.centring.temperature,
        seed=settings.run.seed,
        batch_size=sequences_at_once(settings),
        reading=centring.reading,
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


def told_zero(settings: RewardSettings, model: Any, *, centred: bool) -> str:
    """Say, for the model's card, where the zero is, and who sees it."""
    from rlhf.models.heads import added_bias

    if settings.centring is None or not centred:
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
