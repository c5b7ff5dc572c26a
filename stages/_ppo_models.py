"""The models of the PPO stage, from its settings: policy, reference and critic, beside what scores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rlhf.errors import ModelError
from rlhf.runs import console
from rlhf.settings.ppo import PpoSamplingSettings, PpoSettings
from stages import _inputs
from stages._limits import limits_of
from stages._ppo_one_base import build_learner, critic_start, say_memory
from stages._ppo_scores import build_scorer, options_of
from stages._ppo_seq2seq import check_seq2seq

if TYPE_CHECKING:
    from accelerate import Accelerator

    from rlhf.models import Critic
    from rlhf.models.learner import Learner
    from rlhf.models.one_base import OneBase
    from rlhf.models.seq2seq import Seq2SeqCritic
    from rlhf.ppo.parts import Parts
    from rlhf.ppo.recipe import Recipe
    from rlhf.rendering import Renderer
    from rlhf.settings.ppo_models import ScoreSettings
    from rlhf.settings.shared import WeightsSettings

TRUNK_VALUE_COEF = 0.1  # the critic's loss must not drown the policy's in the trunk that both pull at


def build_recipe(settings: PpoSettings) -> Recipe:
    """Turn the settings into the numbers of the algorithm."""
    from rlhf.ppo.recipe import Recipe

    numbers = settings.ppo.model_dump(exclude={"mixed_precision", "gradient_checkpointing"})
    numbers["kl_loss"] = numbers["kl_loss"] or "k2"  # not read where KL is in the reward
    numbers["critic_learning_rate"] = 0.0
    if settings.critic is not None:
        numbers["critic_learning_rate"] = settings.critic.learning_rate
        if settings.critic.init_from == "trunk":
            numbers["value_coef"] = settings.critic.value_coef or TRUNK_VALUE_COEF
    return Recipe(
        seed=settings.run.seed,
        temperature=settings.sampling.temperature,
        max_response_tokens=settings.sampling.max_response_tokens,
        generation_batch_size=settings.sampling.batch_size,
        **numbers,
    )


def build_parts(
    settings: PpoSettings, accelerator: Accelerator, recipe: Recipe, base: OneBase | None = None
) -> Parts:
    """Load policy, reference, critic and what scores, and make them ready to train.

    `base` is what they are adapters on, where they are.
    """
    from rlhf.ppo.parts import build_parts as prepare_parts

    learner, reference, renderer = open_models(settings, base)
    scorer = build_scorer(settings, settings.scores, "scores", accelerator, renderer, base)
    if base is not None:
        say_memory(base, learner, reference, scorer)
    if settings.memory.offload and accelerator.device.type == "cpu":
        console.say("memory.offload has nothing to do: this run is in main memory as it is")
    return prepare_parts(
        accelerator,
        recipe,
        learner=learner,
        reference=reference,
        scorer=scorer,
        renderer=renderer,
        gradient_checkpointing=settings.ppo.gradient_checkpointing,
        offload=settings.memory.offload,
        reference_is_policy=settings.reference is None,
    )


def open_models(
    settings: PpoSettings, base: OneBase | None = None, *, weights: bool = True
) -> tuple[Learner, Any, Renderer]:
    """Load policy with critic, the reference and the policy's tokenizer, and look whether they fit together.

    Without `weights` everything is looked at but their numbers, see `rlhf.models.load_policy`.
    """
    tokenizer = _inputs.open_tokenizer(settings.policy, "policy.path")
    _check_tokens(settings, tokenizer)
    if base is None:
        learner, reference = _build_learner(settings, weights), _open_reference(settings, weights)
    else:
        learner, reference = build_learner(settings, base), base.reference()
    limits = limits_of(settings.sampling, "sampling")
    _check_fit(learner, reference, settings.sampling)
    renderer = _inputs.build_renderer(tokenizer, learner.policy, limits, "policy.path")
    return learner, reference, renderer


def _check_fit(learner: Learner, reference: Any, sampling: PpoSamplingSettings) -> None:
    """Refuse a reference or a critic that does not read what the policy writes."""
    from rlhf.models.seq2seq import is_encoder_decoder
    from rlhf.rollout import check_context

    policy = learner.policy
    if is_encoder_decoder(reference.config) != is_encoder_decoder(policy.config):
        raise ModelError(
            "one of reference and policy is a decoder, the other an encoder-decoder; they read prompts in "
            "other places",
            where="reference.path",
        )
    if _num_embeddings(reference) != _num_embeddings(policy):
        raise ModelError(
            "has another vocabulary than the policy; their KL means nothing", where="reference.path"
        )
    names = ("the policy", "the critic")
    num_opening = 2 if is_encoder_decoder(policy.config) else 0  # at most: the start token and one more
    for model, what in (*zip(learner.transformers(), names, strict=False), (reference, "the reference")):
        check_context(model, sampling.max_prompt_tokens, sampling.max_response_tokens, what, num_opening)
        if _num_embeddings(model) < _num_embeddings(policy):
            raise ModelError(
                f"{what} has embeddings for {_num_embeddings(model):,} tokens, and the policy can sample "
                f"{_num_embeddings(policy):,}; set critic.init_from=policy or trunk",
                where="critic",
            )


def _num_embeddings(model: Any) -> int:
    number: int = model.get_input_embeddings().num_embeddings
    return number


def _check_tokens(settings: PpoSettings, tokenizer: Any) -> None:
    """Refuse a critic or reference that would read the policy's ids as other tokens; both get no text."""
    from rlhf.models import load_tokenizer
    from rlhf.models.folders import check_has_tokenizer
    from rlhf.shared_ids import same_tokens

    readers: list[tuple[str, str, ScoreSettings | WeightsSettings | None, str]] = []
    if settings.critic is not None and settings.critic.init_from == "reward":
        readers.append(
            (*critic_start(settings), "the critic would read; set critic.init_from=policy or trunk")
        )
    if settings.reference is not None:
        told = settings.reference
        readers.append((told.path, "reference.path", told, "the reference would read"))
    for path, setting, source, reads in readers:
        try:
            check_has_tokenizer(path, setting=setting)
        except ModelError:  # weights alone: nothing says that they mean other tokens
            continue
        # the policy's ends a response
        own = load_tokenizer(path, setting=setting, ends=False, **options_of(source))
        if not same_tokens(tokenizer, own):
            raise ModelError(
                f"{path!r} numbers tokens otherwise than the policy, whose ids {reads}", where=setting
            )


def _open_reference(settings: PpoSettings, weights: bool) -> Any:
    """Load the reference; where it is the policy before training, it is rounded as the policy is."""
    from rlhf.models.quantised import quantise

    def load() -> Any:
        return _inputs.open_policy(settings.reference or settings.policy, "reference.path", weights=weights)

    rounded = settings.reference is None and settings.lora is not None and settings.lora.quantize is not None
    return quantise(load(), reload=load) if rounded and weights else load()


def _build_learner(settings: PpoSettings, weights: bool) -> Learner:
    """Load the policy and its critic and put them together."""
    from rlhf.models import add_lora
    from rlhf.models.learner import SeparateLearner, TrunkLearner
    from rlhf.models.seq2seq import is_encoder_decoder

    def load() -> Any:
        return _inputs.open_policy(settings.policy, "policy.path", weights=weights)

    policy, lora = load(), _inputs.build_lora(settings.lora)
    if is_encoder_decoder(policy.config):
        check_seq2seq(settings)  # one from the hub is looked at only now
    trained = policy
    if lora is not None:
        spec = lora if weights else replace(lora, quantize=None)
        trained = add_lora(policy, spec, revision=settings.policy.revision, reload=load)
    if settings.critic is not None and settings.critic.init_from == "trunk":
        return TrunkLearner(trained)
    apart = is_encoder_decoder(policy.config)
    critic = _build_critic(settings, apart, weights) if settings.critic is not None else None
    return SeparateLearner(trained, critic)


def _build_critic(settings: PpoSettings, apart: bool, weights: bool) -> Critic | Seq2SeqCritic:
    """Load weights of the critic's own: it shares no tensor with the reward model or the policy.

    With `apart` the policy is an encoder-decoder.
    """
    from rlhf.models import Critic, build_reward_model, load_critic
    from rlhf.models.seq2seq import Seq2SeqCritic, trunk_of

    assert settings.critic is not None
    if apart:
        return Seq2SeqCritic(trunk_of(_inputs.open_policy(settings.policy, "policy.path", weights=weights)))
    if settings.critic.init_from == "policy":
        start = settings.policy
        model = build_reward_model(
            start.path,
            dtype=start.dtype,
            revision=start.revision,
            trust_remote_code=start.trust_remote_code,
            setting="policy.path",
            weights=weights,
        )
        return Critic(model)
    path, setting, source = critic_start(settings)
    return load_critic(path, setting=setting, weights=weights, **options_of(source))
