"""Supervised fine-tuning: demonstrations -> runs/sft.

python -m stages.sft --config configs/sft.yaml [--dry-run] [key=value ...]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from rlhf.runs import console
from rlhf.runs.folder import RunFolder
from rlhf.settings.sft import SftSettings
from stages import _inputs
from stages._command import run_stage
from stages._limits import limits_of

if TYPE_CHECKING:
    from rlhf.feedback.records import Demonstration, Reading
    from rlhf.rendering import Rendered, Renderer

    Readings = dict[str, Reading[Demonstration]]


def check(settings: SftSettings) -> Readings:
    """Look for the model, read the data and return it by its names."""
    from rlhf.feedback.reading import read_demonstrations
    from rlhf.runs.tracking import check_trackers
    from stages._model_checks import check_language_model

    check_trackers(settings.run.trackers)
    limits = limits_of(settings.sft, "sft")
    check_language_model(settings.model, "model.path", limits, settings.lora)
    _inputs.refuse_adapter_on_adapter(settings.model.path, settings.lora, "model.path")
    _inputs.check_lora(settings.lora)
    readings: Readings = {}
    for name in ("train", "validation"):
        sources = _inputs.build_sources(getattr(settings.data, name))
        readings[name] = read_demonstrations(sources)
        _inputs.say_reading(f"data.{name}", sources, readings[name])
    _inputs.check_enough(readings["train"], settings.sft.batch_size, "sft.batch_size")
    _inputs.check_held_out(readings)
    return readings


def train(settings: SftSettings, run: RunFolder, readings: Readings) -> None:
    """Load, measure, train, measure again, save."""
    # 1. The base model, without dropout: what is trained is what PPO will sample from.
    tokenizer, model, renderer = _open(settings)

    # 2. Demonstrations as ids; the first one is shown with its trained tokens marked.
    _inputs.fingerprint_sources(run, settings.data.train, settings.data.validation)
    train_set, validation_set, validation_records = _render(settings, readings, renderer)
    console.say("the first demonstration; what is trained stands between the marks:")
    console.say(renderer.show(train_set[0]))

    # 3. Before.
    model = _place(settings, model)
    evaluate = _evaluation(settings, model, renderer, validation_set)
    before = evaluate()
    if run.resume_from is None:
        run.metrics.append({"step": 0, **{f"sft/{name}": value for name, value in before.items()}})
        _sample(settings, run, model, renderer, validation_records, "before", step=0)
    console.say(f"before: validation perplexity {before['validation_perplexity']:.4g}")

    # 4. Training.
    num_steps = _fit(settings, run, model, tokenizer, train_set, evaluate, renderer.opening)

    # 5. After.
    after = evaluate()
    run.metrics.append({"step": num_steps, **{f"sft/{name}": value for name, value in after.items()}})
    _sample(settings, run, model, renderer, validation_records, "after", step=num_steps)
    console.say(f"after: validation perplexity {after['validation_perplexity']:.4g}")

    # 6. A plain Hugging Face folder.
    numbers = _numbers(model, train_set, renderer, before, after, num_steps)
    _save(settings, run, model, renderer, numbers)
    run.write_summary({**numbers, "counts": dict(renderer.counts)})


def _open(settings: SftSettings) -> tuple[Any, Any, Renderer]:
    tokenizer = _inputs.open_tokenizer(settings.model)
    model = _inputs.open_policy(settings.model)
    renderer = _inputs.build_renderer(tokenizer, model, limits_of(settings.sft, "sft"))
    return tokenizer, model, renderer


def _place(settings: SftSettings, model: Any) -> Any:
    """Add adapters where the settings ask for them, and move the model to where it trains."""
    from accelerate import PartialState

    from rlhf.models import add_lora

    lora = _inputs.build_lora(settings.lora)
    if lora is not None:
        reload = partial(_inputs.open_policy, settings.model)
        model = add_lora(model, lora, revision=settings.model.revision, reload=reload)
    return model.to(PartialState().device)


def _fit(
    settings: SftSettings,
    run: RunFolder,
    model: Any,
    tokenizer: Any,
    train_set: Sequence[Rendered],
    evaluate: Callable[[], dict[str, Any]],
    opening: tuple[int, ...],
) -> int:
    from rlhf.sft import train_sft
    from rlhf.training.plan import TrainingPlan

    plan = settings.sft.plan(settings.run, settings.checkpoint, settings.evaluation.every_updates)
    return train_sft(
        model, tokenizer, train_set, TrainingPlan(**plan), run=run, evaluate=evaluate, opening=opening
    )


def _save(
    settings: SftSettings, run: RunFolder, model: Any, renderer: Renderer, numbers: dict[str, Any]
) -> None:
    from rlhf.models import save_model

    if run.is_main:
        save_model(
            model,
            renderer.tokenizer,
            run.path,
            card=_card(settings, numbers, renderer),
            stop_token_ids=renderer.stop_token_ids,
            opening=renderer.opening,
            keep_adapter=settings.lora is not None and not settings.lora.merge,
        )


def _render(
    settings: SftSettings, readings: Readings, renderer: Renderer
) -> tuple[Sequence[Rendered], Sequence[Rendered], Sequence[Demonstration]]:
    from rlhf.feedback.splits import leave_out_known
    from rlhf.rendering import render_demonstrations

    train_records = readings["train"].records
    validation_records = leave_out_known(readings["validation"].records, train_records)
    train_set = _inputs.epoch_of(render_demonstrations(train_records, renderer), settings.data.train)
    validation_set = render_demonstrations(validation_records, renderer)
    _inputs.say_counts("rendering", renderer)
    return train_set, validation_set[: settings.evaluation.num_demonstrations], validation_records


def _evaluation(
    settings: SftSettings, model: Any, renderer: Renderer, demonstrations: Sequence[Rendered]
) -> Callable[[], dict[str, Any]]:
    from rlhf.sft import response_loss

    def evaluate() -> dict[str, Any]:
        found = response_loss(
            model,
            demonstrations,
            renderer.pad_token_id,
            settings.sft.microbatch_size,
            opening=renderer.opening,
        )
        return {"validation_loss": found.loss, "validation_perplexity": found.perplexity}

    return evaluate


def _sample(
    settings: SftSettings,
    run: RunFolder,
    model: Any,
    renderer: Renderer,
    demonstrations: Sequence[Demonstration],
    when: str,
    step: int,
) -> None:
    """Answer some held-out prompts; the rows go to samples.jsonl, the first few to the console."""
    from rlhf.rollout import sample_texts

    chosen = list(demonstrations[: settings.evaluation.num_samples])
    responses = sample_texts(
        model,
        renderer,
        [one.prompt for one in chosen],
        max_new_tokens=settings.sft.max_response_tokens,
        temperature=settings.evaluation.temperature,
        seed=settings.run.seed,
    )
    for one, response in zip(chosen, responses, strict=True):
        run.samples.append(
            {
                "step": step,
                "when": when,
                "id": one.prompt.id,
                "prompt": one.prompt.as_dicts(),
                "response": response,
                "demonstration": one.response,
            }
        )
    console.say(f"samples {when} training:")
    for one, response in list(zip(chosen, responses, strict=True))[:3]:
        console.say(f"  > {one.prompt.messages[-1].content}")
        console.say(f"  {response}")


def _numbers(
    model: Any,
    train_set: Sequence[Rendered],
    renderer: Renderer,
    before: dict[str, Any],
    after: dict[str, Any],
    num_steps: int,
) -> dict[str, Any]:
    from rlhf.models.quantised import num_weights

    return {
        **{f"{name}_before": value for name, value in before.items()},
        **after,
        "num_demonstrations": len(train_set),
        "num_response_tokens": sum(len(one.response_ids) for one in train_set),
        "num_steps": num_steps,
        "num_parameters": sum(map(num_weights, model.parameters())),
        "num_trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def _card(settings: SftSettings, numbers: dict[str, Any], renderer: Renderer) -> str:
    from rlhf.models.card import build_card

    sources = ", ".join(source.path for source in settings.data.train)
    return build_card(
        settings.run.name or "SFT policy",
        f"`{settings.model.path}` fine-tuned on the demonstrations of {sources}. "
        "The loss counted the responses only.",
        task="text2text-generation" if renderer.opening else "text-generation",
        base_model=settings.model.path,
        numbers=numbers,
        tags=("sft",),
    )


if __name__ == "__main__":
    run_stage("sft", SftSettings, train, check=check)
