"""The models of the PPO stage, from its settings: policy, reference, critic and what scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlhf.errors import ModelError
from rlhf.runs import console
from rlhf.settings.ppo import PpoSettings
from stages import _inputs

if TYPE_CHECKING:
    from accelerate import Accelerator

    from rlhf.ppo.parts import Parts, Recipe
    from rlhf.scoring import Scorer
    from rlhf.settings.ppo import ScoreSettings


def build_recipe(settings: PpoSettings) -> Recipe:
    """Turn the settings into the numbers of the algorithm."""
    from rlhf.ppo.parts import Recipe

    numbers = settings.ppo.model_dump(exclude={"mixed_precision", "gradient_checkpointing"})
    return Recipe(
        seed=settings.run.seed,
        temperature=settings.sampling.temperature,
        max_response_tokens=settings.sampling.max_response_tokens,
        generation_batch_size=settings.sampling.batch_size,
        **numbers,
    )


def build_parts(settings: PpoSettings, accelerator: Accelerator, recipe: Recipe) -> Parts:
    """Load policy, reference, critic and what scores, and make them ready to train."""
    from rlhf.models import add_lora
    from rlhf.ppo.parts import build_parts as prepare_parts
    from rlhf.rollout import check_context

    tokenizer = _inputs.open_tokenizer(settings.policy, "policy.path")
    policy = _inputs.open_causal_lm(settings.policy, "policy.path")
    reference = _inputs.open_causal_lm(settings.reference or settings.policy, "reference.path")
    if reference.get_input_embeddings().num_embeddings != policy.get_input_embeddings().num_embeddings:
        raise ModelError(
            "has another vocabulary than the policy; their KL means nothing", where="reference.path"
        )
    critic = _build_critic(settings)
    for model, what in ((reference, "the reference"), (critic.model, "the critic")):
        check_context(model, settings.sampling.max_prompt_tokens, settings.sampling.max_response_tokens, what)
    lora = _inputs.build_lora(settings.lora)
    renderer = _inputs.build_renderer(
        tokenizer, policy, settings.sampling.max_prompt_tokens, settings.sampling.max_response_tokens
    )
    return prepare_parts(
        accelerator,
        recipe,
        policy=add_lora(policy, lora) if lora is not None else policy,
        reference=reference,
        critic=critic,
        scorer=_build_scorer(settings, accelerator, tokenizer),
        renderer=renderer,
        gradient_checkpointing=settings.ppo.gradient_checkpointing,
    )


def _build_critic(settings: PpoSettings) -> Any:
    """Load weights of the critic's own: it shares no tensor with the reward model or the policy."""
    from rlhf.models import Critic, build_reward_model, load_critic

    if settings.critic.init_from == "policy":
        start = settings.policy
        model = build_reward_model(
            start.path,
            dtype=start.dtype,
            revision=start.revision,
            trust_remote_code=start.trust_remote_code,
            setting="policy.path",
        )
        return Critic(model)
    if settings.critic.path is not None:
        return load_critic(settings.critic.path, setting="critic.path")
    number, source = next((n, s) for n, s in enumerate(settings.scores) if s.model is not None)
    return load_critic(
        str(source.model),
        revision=source.revision,
        trust_remote_code=source.trust_remote_code,
        setting=f"scores[{number}].model",
    )


def _build_scorer(settings: PpoSettings, accelerator: Accelerator, tokenizer: Any) -> Scorer:
    from rlhf.functions import load_function
    from rlhf.scoring import FunctionScorer, WeightedScorer

    parts: list[tuple[Scorer, float]] = []
    for number, source in enumerate(settings.scores):
        if source.function is not None:
            function = FunctionScorer(source.function, load_function(source.function))
            parts.append((function, source.weight))
        else:
            model = _load_reward_model(settings, source, number, accelerator, tokenizer)
            parts.append((model, source.weight))
    return WeightedScorer(tuple(parts))


def _load_reward_model(
    settings: PpoSettings, source: ScoreSettings, number: int, accelerator: Accelerator, tokenizer: Any
) -> Scorer:
    """Load a frozen reward model; one with another tokenizer or template gets a renderer of its own."""
    from rlhf.models import disable_dropout, load_reward_model, load_tokenizer
    from rlhf.ppo.parts import freeze
    from rlhf.rendering import Renderer
    from rlhf.scoring import RewardModelScorer, same_rendering

    path, setting = str(source.model), f"scores[{number}].model"
    options: dict[str, Any] = {"revision": source.revision, "trust_remote_code": source.trust_remote_code}
    model = load_reward_model(path, dtype=source.dtype, setting=setting, **options)
    disable_dropout(model)
    freeze(model)
    model.eval().to(accelerator.device)
    own_tokenizer = load_tokenizer(path, setting=setting, **options)
    renderer = None
    if not same_rendering(tokenizer, own_tokenizer):
        console.say(
            f"{setting} has another tokenizer or chat template than the policy: it is given text, not ids"
        )
        renderer = Renderer(own_tokenizer)  # cuts nothing: too long for this model is an error of its scorer
    return RewardModelScorer(path, model, renderer, settings.ppo.microbatch_size)
