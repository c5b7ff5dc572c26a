"""The models of the PPO stage, from its settings: policy, reference, critic and what scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rlhf.errors import ModelError
from rlhf.runs import console
from rlhf.settings.ppo import PpoSettings
from stages import _inputs
from stages._ppo_one_base import build_learner, critic_start, say_memory, shares_base
from stages._ppo_seq2seq import check_seq2seq
from stages._reading import build_reader

if TYPE_CHECKING:
    from accelerate import Accelerator

    from rlhf.models import Critic
    from rlhf.models.learner import Learner
    from rlhf.models.one_base import OneBase
    from rlhf.models.seq2seq import Seq2SeqCritic
    from rlhf.ppo.parts import Parts
    from rlhf.ppo.recipe import Recipe
    from rlhf.rendering import Renderer
    from rlhf.scoring import Scorer
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
    from rlhf.models.seq2seq import is_encoder_decoder
    from rlhf.ppo.parts import build_parts as prepare_parts
    from rlhf.rollout import check_context

    tokenizer = _inputs.open_tokenizer(settings.policy, "policy.path")
    _check_tokens(settings, tokenizer)
    if base is None:
        learner, reference = _build_learner(settings), _open_reference(settings)
    else:
        learner, reference = build_learner(settings, base), base.reference()
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
    lengths = (settings.sampling.max_prompt_tokens, settings.sampling.max_response_tokens)
    num_opening = 2 if is_encoder_decoder(policy.config) else 0  # at most: the start token and one more
    for model, what in (*zip(learner.transformers(), names, strict=False), (reference, "the reference")):
        check_context(model, *lengths, what, num_opening)
        if _num_embeddings(model) < _num_embeddings(policy):
            raise ModelError(
                f"{what} has embeddings for {_num_embeddings(model):,} tokens, and the policy can sample "
                f"{_num_embeddings(policy):,}; set critic.init_from=policy or trunk",
                where="critic",
            )
    renderer = _inputs.build_renderer(tokenizer, policy, *lengths, "policy.path")
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


def _num_embeddings(model: Any) -> int:
    number: int = model.get_input_embeddings().num_embeddings
    return number


def _check_tokens(settings: PpoSettings, tokenizer: Any) -> None:
    """Refuse a critic or reference that would read the policy's ids as other tokens; both get no text."""
    from rlhf.models import load_tokenizer
    from rlhf.models.folders import check_has_tokenizer
    from rlhf.scoring import same_tokens

    readers: list[tuple[str, str, ScoreSettings | WeightsSettings | None, str]] = []
    if settings.critic is not None and settings.critic.init_from == "reward":
        readers.append(
            (*critic_start(settings), "the critic would read; set critic.init_from=policy or trunk")
        )
    if settings.reference is not None:
        told = settings.reference
        readers.append((told.path, "reference.path", told, "the reference would read"))
    for path, setting, source, reads in readers:
        options: dict[str, Any] = {}
        if source is not None:
            options = {"revision": source.revision, "trust_remote_code": source.trust_remote_code}
        try:
            check_has_tokenizer(path, setting=setting)
        except ModelError:  # weights alone: nothing says that they mean other tokens
            continue
        own = load_tokenizer(path, setting=setting, ends=False, **options)  # the policy's ends a response
        if not same_tokens(tokenizer, own):
            raise ModelError(
                f"{path!r} numbers tokens otherwise than the policy, whose ids {reads}", where=setting
            )


def _open_reference(settings: PpoSettings) -> Any:
    """Load the reference; where it is the policy before training, it is rounded as the policy is."""
    from rlhf.models.quantised import quantise

    def load() -> Any:
        return _inputs.open_policy(settings.reference or settings.policy, "reference.path")

    rounded = settings.reference is None and settings.lora is not None and settings.lora.quantize is not None
    return quantise(load(), reload=load) if rounded else load()


def _build_learner(settings: PpoSettings) -> Learner:
    """Load the policy and its critic and put them together."""
    from rlhf.models import add_lora
    from rlhf.models.learner import SeparateLearner, TrunkLearner
    from rlhf.models.seq2seq import is_encoder_decoder

    def load() -> Any:
        return _inputs.open_policy(settings.policy, "policy.path")

    policy, lora = load(), _inputs.build_lora(settings.lora)
    if is_encoder_decoder(policy.config):
        check_seq2seq(settings)  # one from the hub is looked at only now
    trained = policy
    if lora is not None:
        trained = add_lora(policy, lora, revision=settings.policy.revision, reload=load)
    if settings.critic is not None and settings.critic.init_from == "trunk":
        return TrunkLearner(trained)
    apart = is_encoder_decoder(policy.config)
    return SeparateLearner(trained, _build_critic(settings, apart) if settings.critic is not None else None)


def _build_critic(settings: PpoSettings, apart: bool) -> Critic | Seq2SeqCritic:
    """Load weights of the critic's own: it shares no tensor with the reward model or the policy.

    With `apart` the policy is an encoder-decoder.
    """
    from rlhf.models import Critic, build_reward_model, load_critic
    from rlhf.models.seq2seq import Seq2SeqCritic, trunk_of

    assert settings.critic is not None
    if apart:
        return Seq2SeqCritic(trunk_of(_inputs.open_policy(settings.policy, "policy.path")))
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
    path, setting, source = critic_start(settings)
    options: dict[str, Any] = {}
    if source is not None:
        options = {"revision": source.revision, "trust_remote_code": source.trust_remote_code}
    return load_critic(path, setting=setting, **options)


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
    """Load a frozen reward model; one with another tokenizer or template gets a renderer of its own."""
    from rlhf.models import disable_dropout, load_reward_model, load_tokenizer
    from rlhf.models.encoders import is_encoder, note_separator, reads_pairs
    from rlhf.models.folders import check_vocabulary
    from rlhf.rollout import check_context
    from rlhf.scoring import RewardModelScorer, reads_ids

    options: dict[str, Any] = {"revision": source.revision, "trust_remote_code": source.trust_remote_code}
    if base is not None and shares_base(settings, source, path, base, setting):
        model = base.reward_model(path, setting=setting, trust_remote_code=source.trust_remote_code)
    else:
        model = load_reward_model(path, dtype=source.dtype, setting=setting, **options)
    disable_dropout(model)
    model.requires_grad_(False)
    model.eval().to(accelerator.device)
    pairs = reads_pairs(model.config)
    own_tokenizer = load_tokenizer(path, setting=setting, pairs=pairs, **options)
    check_vocabulary(own_tokenizer, model, setting)
    renderer = None
    if pairs:
        kind = "an encoder" if is_encoder(model.config) else "an encoder-decoder"
        console.say(f"{setting} is {kind}: it is given prompt and response as two texts, not ids")
        note_separator(model, own_tokenizer)
        renderer = build_reader(model, own_tokenizer, settings.sampling.max_response_tokens)
    elif not reads_ids(policy, own_tokenizer):
        other = "has another tokenizer or chat template than the policy"
        reason = "reads prompt and response in a row, and the policy apart" if policy.opening else other
        console.say(f"{setting} {reason}: it is given text, not ids")
        renderer = build_reader(model, own_tokenizer, settings.sampling.max_response_tokens)
    else:
        told = settings.sampling
        what = f"the reward model {path!r}"
        check_context(model, told.max_prompt_tokens, told.max_response_tokens, what)
    return RewardModelScorer(path, model, renderer, settings.ppo.microbatch_size)
