"""PPO: prompts, the SFT policy and the reward model -> runs/ppo.

python -m stages.ppo --config configs/ppo.yaml [--dry-run] [key=value ...]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rlhf.errors import SettingsError
from rlhf.runs import console
from rlhf.runs.folder import RunFolder
from rlhf.settings.ppo import PpoSettings
from stages import _inputs
from stages._command import run_stage
from stages._model_checks import check_ppo_models
from stages._ppo_evaluation import build_evaluation
from stages._ppo_models import build_parts, build_recipe
from stages._ppo_one_base import check_adapters, critic_start, open_base
from stages._ppo_seq2seq import check_seq2seq
from stages._processes import end
from stages._reading import keep_readable, say_reading_counts
from stages._texts import build_texts, check_ptx, check_texts, text_sources

if TYPE_CHECKING:
    from rlhf.feedback.records import Prompt, Reading
    from rlhf.ppo.checkpoint import Progress
    from rlhf.ppo.parts import Parts
    from rlhf.rendering import Renderer
    from rlhf.settings.ppo_models import ScoreSettings

    Readings = dict[str, Reading[Prompt]]


def check(settings: PpoSettings) -> Readings:
    """Look for the models and trackers, load the functions, read the prompts; returns them by names."""
    from rlhf.feedback.reading import read_prompts
    from rlhf.functions import load_function
    from rlhf.models.folders import (
        check_model_path,
        check_reward_path,
        check_writes,
        holds_encoder_decoder,
    )
    from rlhf.ppo.callbacks import load_callback
    from rlhf.runs.tracking import check_trackers

    check_trackers(settings.run.trackers)
    for model, setting in ((settings.policy, "policy.path"), (settings.reference, "reference.path")):
        if model is not None:
            check_model_path(model.path, setting=setting)
            check_writes(model.path, setting=setting)
    _check_scores(settings.scores, "scores")
    _check_scores(settings.evaluation.held_out_scores, "evaluation.held_out_scores")
    if settings.critic is not None and settings.critic.path is not None:
        check_reward_path(settings.critic.path, setting="critic.path")
    if holds_encoder_decoder(settings.policy.path):
        check_seq2seq(settings)
    _check_critic(settings)
    check_adapters(settings)
    check_ppo_models(settings)
    if settings.evaluation.judge is not None:
        load_function(settings.evaluation.judge, "evaluation.judge", num_arguments=2)
    for name in settings.callbacks:
        load_callback(name)
    readings: Readings = {}
    for name in ("train", "validation"):
        sources = _inputs.build_sources(getattr(settings.data, name))
        readings[name] = read_prompts(sources)
        _inputs.say_reading(f"data.{name}", sources, readings[name])
    num_prompts = settings.ppo.rollout_batch_size // settings.ppo.samples_per_prompt
    _inputs.check_enough(readings["train"], num_prompts, "ppo.rollout_batch_size")
    _inputs.check_held_out(readings)
    if settings.ptx is not None:
        check_ptx(settings.ptx)
    if settings.evaluation.text is not None:
        text = settings.evaluation.text
        check_texts("evaluation.text", text.text, text.generator, held_out=True)
    return readings


def _check_critic(settings: PpoSettings) -> None:
    """Refuse a reader of whole texts as the critic's start; one from the hub is refused when it is loaded."""
    from rlhf.models.folders import holds_encoder, holds_encoder_decoder

    if settings.critic is None or settings.critic.init_from != "reward":
        return
    path, _, _ = critic_start(settings)
    apart = holds_encoder_decoder(path)
    if apart or holds_encoder(path):
        kind = "an encoder-decoder" if apart else "an encoder"
        raise SettingsError(
            f"is reward, but {path!r} is {kind}: it reads whole texts, and a critic values every token "
            "from what came before it; set critic.init_from=policy",
            where="critic.init_from",
        )


def _check_scores(sources: Sequence[ScoreSettings], setting: str) -> None:
    from rlhf.functions import load_function
    from rlhf.models.folders import check_reward_path

    for number, source in enumerate(sources):
        for place, path in enumerate(source.paths):
            name = f"models[{place}]" if source.models else "model"
            check_reward_path(path, setting=f"{setting}[{number}].{name}")
        if source.function is not None:
            load_function(source.function, f"{setting}[{number}].function", num_arguments=2)


def train(settings: PpoSettings, run: RunFolder, readings: Readings) -> None:
    """Load, build, train, save, report."""
    from accelerate import Accelerator

    from rlhf.feedback.splits import leave_out_known
    from rlhf.ppo.loop import Habits
    from rlhf.ppo.loop import train as train_ppo
    from rlhf.rendering import render_prompts
    from rlhf.runs.tracking import flat_config

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
    recipe = build_recipe(settings)
    base = open_base(settings)
    parts = build_parts(settings, accelerator, recipe, base)

    # 2. Prompts as ids.
    _inputs.fingerprint_sources(run, settings.data.train, settings.data.validation, *text_sources(settings))
    held_out_records = leave_out_known(readings["validation"].records, readings["train"].records)
    train_records = keep_readable(readings["train"].records, parts.scorer, "data.train")
    held_out_records = keep_readable(held_out_records, parts.scorer, "data.validation")
    prompts = _inputs.epoch_of(render_prompts(train_records, parts.renderer), settings.data.train)
    held_out = render_prompts(held_out_records, parts.renderer)
    _inputs.say_counts("rendering", parts.renderer)
    text, held_out_text = build_texts(
        settings.ptx,
        settings.evaluation.text,
        parts.renderer,
        accelerator,
        microbatch_size=settings.ppo.microbatch_size,
        seed=settings.run.seed,
    )
    parts = replace(parts, ptx=text)

    # 3. Training, with a look at the held-out prompts now and then.
    evaluate = build_evaluation(settings, parts, recipe, held_out, held_out_text, base)
    callbacks = [_make(name) for name in settings.callbacks]
    habits = Habits(
        evaluate_every=settings.evaluation.every_updates,
        checkpoint_every=settings.checkpoint.every_updates,
        keep_checkpoints=settings.checkpoint.keep,
        num_samples=settings.evaluation.num_samples,
        evaluate_average=settings.checkpoint.weights == "average",
    )
    progress = train_ppo(
        parts, recipe, prompts, run=run, evaluate=evaluate, habits=habits, callbacks=callbacks
    )

    say_reading_counts(parts.scorer)

    # 4. A plain Hugging Face folder.
    numbers = _export(settings, run, parts, progress)
    run.write_summary({**numbers, "counts": dict(parts.renderer.counts)})
    end(accelerator)


def _make(name: str) -> Any:
    """Make an object of the user's class `file.py:name`."""
    from rlhf.functions import failures_named
    from rlhf.ppo.callbacks import load_callback

    with failures_named(f"callback {name}"):
        return load_callback(name)()


def _export(settings: PpoSettings, run: RunFolder, parts: Parts, progress: Progress) -> dict[str, Any]:
    """Save the chosen weights and return the run's numbers."""
    from rlhf.models import save_model
    from rlhf.ppo.averaged import using_average
    from rlhf.ppo.checkpoint import load_best

    best = settings.checkpoint.export == "best"
    update = progress.best_update if best else progress.update
    chosen = progress.best_evaluation if best else progress.last_evaluation
    assert update is not None
    assert chosen is not None
    assert progress.first_evaluation is not None
    average = settings.checkpoint.weights == "average"
    if best and (update != progress.update or average):
        load_best(run, parts, update)
    console.say(
        f"saving the weights of update {update} of {progress.update} "
        f"(checkpoint.export={settings.checkpoint.export})"
    )
    if best and update == 0 < progress.update:
        console.say(
            "no held-out evaluation was better than the one before the first update: what is saved is the "
            "policy as it started; train longer, or see samples.jsonl and warnings.jsonl for what went wrong"
        )
    numbers: dict[str, Any] = {
        **_named(chosen, ""),
        **_named(progress.first_evaluation, "_before"),
        "exported_update": update,
        "num_updates": progress.update,
        "num_episodes": progress.num_episodes,
        "num_optimizer_steps": progress.num_optimizer_steps,
        "num_parameters": sum(parameter.numel() for parameter in parts.policy.parameters()),
    }
    with using_average(parts, average and not best):
        if run.is_main:
            save_model(
                parts.policy,
                parts.renderer.tokenizer,
                run.path,
                card=_card(settings, numbers, parts.renderer),
                stop_token_ids=parts.renderer.stop_token_ids,
                opening=parts.renderer.opening,
                keep_adapter=settings.lora is not None and not settings.lora.merge,
            )
    parts.accelerator.wait_for_everyone()
    return numbers


def _named(metrics: dict[str, float], suffix: str) -> dict[str, float]:
    return {f"{name.removeprefix('evaluation/')}{suffix}": value for name, value in metrics.items()}


def _card(settings: PpoSettings, numbers: dict[str, Any], renderer: Renderer) -> str:
    from rlhf.models.card import build_card

    names = [name for source in settings.scores for name in source.paths or (source.function,)]
    scores = ", ".join(f"`{name}`" for name in names)
    text = f"`{settings.policy.path}` trained by PPO against {scores}, with a KL penalty. "
    text += "The numbers are means over held-out prompts; `_before` is where it started, KL is in nats."
    return build_card(
        settings.run.name or "PPO policy",
        text,
        task="text2text-generation" if renderer.opening else "text-generation",
        base_model=settings.policy.path,
        numbers=numbers,
        tags=("ppo",),
    )


if __name__ == "__main__":
    run_stage("ppo", PpoSettings, train, check=check)
