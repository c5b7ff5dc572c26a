"""What scores in the PPO stage, from its settings: reward models, ensembles of them, functions, their sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rlhf.runs import console
from rlhf.settings.ppo import PpoSettings
from stages._ppo_one_base import shares_base
from stages._reading import build_reader

if TYPE_CHECKING:
    from accelerate import Accelerator

    from rlhf.models.one_base import OneBase
    from rlhf.rendering import Renderer
    from rlhf.scoring import Scorer
    from rlhf.settings.ppo_models import ScoreSettings
    from rlhf.settings.shared import WeightsSettings

__all__ = ["build_scorer", "open_reader", "options_of"]


def build_scorer(
    settings: PpoSettings,
    sources: Sequence[ScoreSettings],
    setting: str,
    accelerator: Accelerator,
    policy: Renderer,
    base: OneBase | None = None,
) -> Scorer:
    """Load what scores what the policy says: the weighted sum of `sources`, under the dotted key `setting`.

    `policy` is the policy's renderer.
    """
    from rlhf.scoring import WeightedScorer

    parts = [
        (_build_source(settings, source, f"{setting}[{number}]", accelerator, policy, base), source.weight)
        for number, source in enumerate(sources)
    ]
    return WeightedScorer(tuple(parts))


def _build_source(
    settings: PpoSettings,
    source: ScoreSettings,
    setting: str,
    accelerator: Accelerator,
    policy: Renderer,
    base: OneBase | None,
) -> Scorer:
    from rlhf.functions import load_function
    from rlhf.scoring import EnsembleScorer, FunctionScorer

    if source.function is not None:
        token_texts = _token_texts(policy.tokenizer) if source.per_token else None
        return FunctionScorer(source.function, load_function(source.function), token_texts)
    if source.combine is None:
        name = f"{setting}.model"
        return _load_reward_model(settings, source, str(source.model), name, accelerator, policy, base)
    members = [
        _load_reward_model(settings, source, path, f"{setting}.models[{place}]", accelerator, policy, base)
        for place, path in enumerate(source.models)
    ]
    return EnsembleScorer(
        setting,
        tuple(members),
        source.combine,
        1.0 if source.combine_std_coef is None else source.combine_std_coef,
    )


def _token_texts(tokenizer: Any) -> Callable[[Sequence[int]], list[str]]:
    return lambda ids: [tokenizer.decode([token]) for token in ids]


def _load_reward_model(
    settings: PpoSettings,
    source: ScoreSettings,
    path: str,
    setting: str,
    accelerator: Accelerator,
    policy: Renderer,
    base: OneBase | None,
) -> Scorer:
    """Load a frozen reward model, as an adapter on the policy's base where it is one."""
    from rlhf.models import disable_dropout, load_reward_model
    from rlhf.scoring import RewardModelScorer

    options = options_of(source)
    if base is not None and shares_base(settings, source, path, base, setting):
        model = base.reward_model(path, setting=setting, trust_remote_code=source.trust_remote_code)
    else:
        model = load_reward_model(path, dtype=source.dtype, setting=setting, **options)
    disable_dropout(model)
    model.requires_grad_(False)
    model.eval().to(accelerator.device)
    renderer, why = open_reader(settings, source, path, setting, model, policy)
    if why is not None:
        console.say(f"{setting} {why}")
    return RewardModelScorer(path, model, renderer, settings.ppo.microbatch_size)


def open_reader(
    settings: PpoSettings, source: ScoreSettings, path: str, setting: str, model: Any, policy: Renderer
) -> tuple[Renderer | None, str | None]:
    """Return the renderer of a reward model that is given text, and why it is; None where it is given ids.

    Raises:
        ModelError: the tokenizer has tokens that the model lacks, or a prompt with a response is too long.

    """
    from rlhf.models import load_tokenizer
    from rlhf.models.encoders import is_encoder, note_separator, reads_pairs
    from rlhf.models.folders import check_vocabulary
    from rlhf.rollout import check_context
    from rlhf.shared_ids import reads_ids, same_rendering

    pairs, told = reads_pairs(model.config), settings.sampling
    tokenizer = load_tokenizer(path, setting=setting, pairs=pairs, **options_of(source))
    check_vocabulary(tokenizer, model, setting)
    num_embeddings = model.get_input_embeddings().num_embeddings
    if not pairs and reads_ids(policy, tokenizer, num_embeddings):
        check_context(model, told.max_prompt_tokens, told.max_response_tokens, f"the reward model {path!r}")
        return None, None
    if pairs:
        kind = "an encoder" if is_encoder(model.config) else "an encoder-decoder"
        why = f"is {kind}: it is given prompt and response as two texts, not ids"
        note_separator(model, tokenizer)
    elif policy.opening:
        why = "reads prompt and response in a row, and the policy apart: it is given text, not ids"
    elif same_rendering(policy.tokenizer, tokenizer):
        why = (
            f"has embeddings for {num_embeddings:,} tokens, and the policy can sample "
            f"{policy.num_embeddings:,}: it is given text, not ids"
        )
    else:
        why = "has another tokenizer or chat template than the policy: it is given text, not ids"
    return build_reader(model, tokenizer, told.max_response_tokens), why


def options_of(source: ScoreSettings | WeightsSettings | None) -> dict[str, Any]:
    """Return what loaders are told of where a model comes from; nothing where only its path is set."""
    if source is None:
        return {}
    return {"revision": source.revision, "trust_remote_code": source.trust_remote_code}
