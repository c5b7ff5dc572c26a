"""PPO: prompts, the SFT policy and the reward model -> runs/ppo.

python -m stages.ppo --config configs/ppo.yaml [--dry-run] [key=value ...]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rlhf.errors import DataError, ModelError
from rlhf.runs import console
from rlhf.runs.folder import RunFolder
from rlhf.settings.ppo import PpoSettings
from stages import _inputs
from stages._command import run_stage

if TYPE_CHECKING:
    from accelerate import Accelerator

    from rlhf.ppo.checkpoint import Progress
    from rlhf.ppo.evaluation import Evaluation
    from rlhf.ppo.parts import Parts, Recipe
    from rlhf.rendering import RenderedPrompt, Renderer
    from rlhf.scoring import Scorer
    from rlhf.settings.ppo import ScoreSettings
    from rlhf.settings.shared import ModelSettings, SourceSettings


def check(settings: PpoSettings) -> None:
    """Read the prompts, load the functions, look for the models and trackers."""
    from rlhf.feedback.reading import read_prompts
    from rlhf.models.loading import check_model_path
    from rlhf.ppo.tracking import check_trackers
    from rlhf.scoring import load_function

    check_trackers(settings.run.trackers)
    check_model_path(settings.policy.path, setting="policy.path")
    if settings.reference is not None:
        check_model_path(settings.reference.path, setting="reference.path")
    for number, source in enumerate(settings.scores):
        if source.model is not None:
            check_model_path(source.model, setting=f"scores[{number}].model")
        if source.function is not None:
            load_function(source.function)
    if settings.critic.path is not None:
        check_model_path(settings.critic.path, setting="critic.path")
    if settings.evaluation.judge is not None:
        load_function(settings.evaluation.judge)
    for name in ("train", "validation"):
        sources = _inputs.build_sources(getattr(settings.data, name))
        _inputs.say_reading(f"data.{name}", read_prompts(sources))


def train(settings: PpoSettings, run: RunFolder) -> None:
    """Load, build, train, save, report."""
    from accelerate import Accelerator

    from rlhf.ppo.loop import Habits
    from rlhf.ppo.loop import train as train_ppo
    from rlhf.ppo.tracking import flat_config

    accelerator = Accelerator(
        mixed_precision=settings.ppo.mixed_precision,
        log_with=list(settings.run.trackers) or None,
        project_dir=str(run.path),
    )
    if settings.run.trackers:
        accelerator.init_trackers(
            settings.run.name or run.path.name, config=flat_config(settings.model_dump())
        )

    # 1. The policy, its frozen copy, the critic and what scores.
    recipe = _build_recipe(settings)
    parts = _build_parts(settings, accelerator, recipe)

    # 2. Prompts as ids.
    _inputs.fingerprint_sources(run, settings.data.train, settings.data.validation)
    prompts = _render(settings.data.train, parts.renderer)
    held_out = _render(settings.data.validation, parts.renderer)
    _inputs.say_counts("rendering", parts.renderer)
    held_out = _held_out(held_out, settings.evaluation.num_prompts)

    # 3. Training, with a look at the held-out prompts now and then.
    evaluate = _evaluation(settings, parts, recipe, held_out)
    habits = Habits(
        evaluate_every=settings.evaluation.every_updates,
        checkpoint_every=settings.checkpoint.every_updates,
        keep_checkpoints=settings.checkpoint.keep,
        num_samples=settings.evaluation.num_samples,
    )
    progress = train_ppo(parts, recipe, prompts, run=run, evaluate=evaluate, habits=habits)

    # 4. A plain Hugging Face folder.
    numbers = _export(settings, run, parts, progress)
    run.write_summary({**numbers, "counts": dict(parts.renderer.counts)})
    if settings.run.trackers:
        accelerator.end_training()


def _build_recipe(settings: PpoSettings) -> Recipe:
    from rlhf.ppo.parts import Recipe

    numbers = settings.ppo.model_dump(exclude={"mixed_precision", "gradient_checkpointing"})
    return Recipe(
        seed=settings.run.seed,
        temperature=settings.sampling.temperature,
        max_response_tokens=settings.sampling.max_response_tokens,
        generation_batch_size=settings.sampling.batch_size,
        **numbers,
    )


def _build_parts(settings: PpoSettings, accelerator: Accelerator, recipe: Recipe) -> Parts:
    from rlhf.models import add_lora, load_causal_lm
    from rlhf.ppo.parts import build_parts
    from rlhf.rollout import check_context

    def load(model: ModelSettings, setting: str) -> Any:
        return load_causal_lm(
            model.path,
            dtype=model.dtype,
            revision=model.revision,
            trust_remote_code=model.trust_remote_code,
            setting=setting,
        )

    tokenizer = _inputs.open_tokenizer(settings.policy)
    policy = load(settings.policy, "policy.path")
    reference = load(settings.reference or settings.policy, "reference.path")
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
    return build_parts(
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
    from rlhf.scoring import FunctionScorer, WeightedScorer, load_function

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


def _render(sources: Sequence[SourceSettings], renderer: Renderer) -> list[RenderedPrompt]:
    from rlhf.feedback.reading import read_prompts
    from rlhf.rendering import render_prompts

    return render_prompts(read_prompts(_inputs.build_sources(sources)).records, renderer)


def _held_out(prompts: list[RenderedPrompt], wanted: int) -> list[RenderedPrompt]:
    if not prompts:
        raise DataError("there are no held-out prompts to evaluate on", where="data.validation")
    if len(prompts) < wanted:
        console.say(
            f"evaluation.num_prompts is {wanted}, but there are {len(prompts)} held-out prompts: all are used"
        )
    return prompts[:wanted]


def _evaluation(
    settings: PpoSettings, parts: Parts, recipe: Recipe, prompts: Sequence[RenderedPrompt]
) -> Callable[[], Evaluation]:
    from rlhf.ppo.evaluation import evaluate
    from rlhf.scoring import load_function

    name = settings.evaluation.judge
    judge = load_function(name) if name is not None else None

    def evaluate_now() -> Evaluation:
        return evaluate(
            parts,
            recipe,
            prompts,
            temperature=settings.evaluation.temperature,
            judge=judge,
            judge_name=name or "judge",
        )

    return evaluate_now


def _export(settings: PpoSettings, run: RunFolder, parts: Parts, progress: Progress) -> dict[str, Any]:
    """Save the chosen weights and return the run's numbers."""
    from rlhf.models import save_model
    from rlhf.ppo.checkpoint import load_best

    best = settings.checkpoint.export == "best"
    update = progress.best_update if best else progress.update
    chosen = progress.best_evaluation if best else progress.last_evaluation
    assert update is not None
    assert chosen is not None
    assert progress.first_evaluation is not None
    if best and update != progress.update:
        load_best(run, parts, update)
    console.say(
        f"saving the weights of update {update} of {progress.update} "
        f"(checkpoint.export={settings.checkpoint.export})"
    )
    numbers: dict[str, Any] = {
        **_named(chosen, ""),
        **_named(progress.first_evaluation, "_before"),
        "exported_update": update,
        "num_updates": progress.update,
        "num_episodes": progress.num_prompts,
        "num_optimizer_steps": progress.num_optimizer_steps,
        "num_parameters": sum(parameter.numel() for parameter in parts.policy.parameters()),
    }
    if run.is_main:
        save_model(
            parts.policy,
            parts.renderer.tokenizer,
            run.path,
            card=_card(settings, numbers),
            stop_token_ids=parts.renderer.stop_token_ids,
            keep_adapter=settings.lora is not None and not settings.lora.merge,
        )
    parts.accelerator.wait_for_everyone()
    return numbers


def _named(metrics: dict[str, float], suffix: str) -> dict[str, float]:
    return {f"{name.removeprefix('evaluation/')}{suffix}": value for name, value in metrics.items()}


def _card(settings: PpoSettings, numbers: dict[str, Any]) -> str:
    from rlhf.models.card import build_card

    scores = ", ".join(f"`{source.model or source.function}`" for source in settings.scores)
    text = f"`{settings.policy.path}` trained by PPO against {scores}, with a KL penalty. "
    text += "The numbers are means over held-out prompts; `_before` is where it started, KL is in nats."
    return build_card(
        settings.run.name or "PPO policy",
        text,
        task="text-generation",
        base_model=settings.policy.path,
        numbers=numbers,
        tags=("ppo",),
    )


if __name__ == "__main__":
    run_stage("ppo", PpoSettings, train, check=check)
