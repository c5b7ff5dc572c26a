"""The reward model: ranked responses -> runs/reward.

python -m stages.reward --config configs/reward.yaml [--dry-run] [key=value ...]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rlhf.errors import DataError
from rlhf.runs import console
from rlhf.runs.folder import RunFolder
from rlhf.settings.reward import RewardSettings
from stages import _inputs
from stages._command import run_stage
from stages._limits import limits_of
from stages._reading import PROMPT_LIMIT
from stages._reward_centring import centre, check_centring, prepare_centring
from stages._reward_encoder import check_encoder, open_encoder
from stages._reward_numbers import assess, check_measurable, evaluation, judge, say_numbers
from stages._reward_saving import keeps_adapter, save
from stages._reward_strength import check_strength, measure

if TYPE_CHECKING:
    from rlhf.feedback.records import Ranking, Reading
    from rlhf.rendering import RenderedRanking, Renderer

    Readings = dict[str, Reading[Ranking]]

SPLITS = ("train", "validation", "test")


def check(settings: RewardSettings) -> Readings:
    """Read the data, load the judge, look for the model; returns the data by its names."""
    from rlhf.feedback.reading import read_rankings
    from rlhf.functions import load_function
    from rlhf.models.adapter_folders import check_goes_on
    from rlhf.models.folders import check_model_path
    from rlhf.runs.tracking import check_trackers

    check_trackers(settings.run.trackers)
    if settings.evaluation.judge is not None:
        load_function(settings.evaluation.judge, "evaluation.judge", num_arguments=2)
    readings: Readings = {}
    for name in SPLITS:
        sources = _inputs.build_sources(getattr(settings.data, name))
        if sources:
            readings[name] = read_rankings(sources)
            _inputs.say_reading(f"data.{name}", sources, readings[name])
    if "train" in readings:
        _inputs.check_enough(readings["train"], settings.reward.batch_size, "reward.batch_size")
        _inputs.check_held_out(readings)
        check_strength(settings, readings["train"].records)
    check_model_path(settings.model.path)
    check_encoder(settings)
    check_centring(settings)
    _inputs.check_lora(settings.lora)
    lora = _inputs.build_lora(settings.lora)
    if lora is not None and _goes_on(settings):
        check_goes_on(settings.model.path, lora, "model.path")
    _check_model(settings)
    return readings


def train(settings: RewardSettings, run: RunFolder, readings: Readings) -> None:
    """Load, measure, train, centre, measure again, save."""
    from accelerate import PartialState

    from rlhf.feedback.splits import leave_out_known
    from rlhf.models.adapters import has_adapter, merged_copy
    from rlhf.models.quantised import num_weights

    # 1. The SFT model with a fresh score head, without dropout; rankings as ids.
    tokenizer, model, renderer = _open(settings)
    centring = prepare_centring(settings, model, renderer)
    _inputs.fingerprint_sources(run, *(getattr(settings.data, name) for name in SPLITS))
    records = {name: readings[name].records if name in readings else [] for name in SPLITS}
    for name in SPLITS[1:]:
        records[name] = leave_out_known(records[name], records["train"])
    train_set, train_numbers = _train_set(settings, records["train"], renderer)
    validation_set = _render(records["validation"], renderer, "validation")
    test_set = _render(records["test"] or records["validation"], renderer, "test")
    _inputs.say_counts("rendering", renderer)
    measured = validation_set[: settings.evaluation.num_rankings]
    check_measurable(measured, "data.validation")
    check_measurable(test_set, "data.test" if settings.data.test else "data.validation")
    judge(settings, test_set[:1])  # a judge that fails does so now, not after the training

    # 2. Before: nothing is learnt yet, accuracy should be near one half.
    model = _adapt(settings, model).to(PartialState().device)
    evaluate = evaluation(settings, model, measured)
    before = evaluate()
    if run.resume_from is None:
        run.metrics.append({"step": 0, **{f"reward/{name}": value for name, value in before.items()}})
    console.say(f"before: pair accuracy {before['pair_accuracy_labels']:.3f} on validation rankings")

    # 3. Training.
    num_steps = _fit(settings, run, model, train_set, evaluate)
    after = evaluate()
    run.metrics.append({"step": num_steps, **{f"reward/{name}": value for name, value in after.items()}})

    # 4. What the SFT model says scores 0 on average from now on. What was learnt is saved before.
    if has_adapter(model) and not keeps_adapter(settings):
        model = merged_copy(model).to(PartialState().device)
    model.eval()
    if centring is not None:
        save(settings, run, model, tokenizer, after, centred=False)
    numbers = centre(settings, centring, model, (ranking.prompt for ranking in train_set))

    # 5. After, on the test rankings, beside what anybody would get without a reward model.
    numbers |= assess(settings, run, model, test_set, records)
    numbers |= {
        "pair_accuracy_labels_before": before["pair_accuracy_labels"],
        **train_numbers,
        "num_steps": num_steps,
        "num_parameters": sum(map(num_weights, model.parameters())),
    }
    say_numbers(numbers)

    # 6. A plain Hugging Face folder.
    save(settings, run, model, tokenizer, numbers, centred=True)
    run.write_summary({**numbers, "counts": dict(renderer.counts)})


def _open(settings: RewardSettings, *, weights: bool = True) -> tuple[Any, Any, Renderer]:
    from rlhf.models import build_reward_model, disable_dropout, ensure_distinct_pad
    from rlhf.models.adapter_folders import adapter_base, adapter_revision, holds_score_head
    from rlhf.models.encoders import reads_pairs
    from rlhf.models.folders import is_classifier

    path, revision = settings.model.path, settings.model.revision
    if _goes_on(settings):  # on its base, as an adapter's place is not on another adapter
        path, revision = adapter_base(path), adapter_revision(path)
    model = build_reward_model(
        path,
        dtype=settings.model.dtype,
        revision=revision,
        trust_remote_code=settings.model.trust_remote_code,
        weights=weights,
    )
    disable_dropout(model)
    if weights and (is_classifier(model.config.architectures) or holds_score_head(settings.model.path)):
        console.say(
            f"{settings.model.path!r} is a reward model: it is trained on from the head that it has; for "
            "a new one set model.path to the model it was made of"
        )
    setattr(model.config, PROMPT_LIMIT, settings.reward.max_prompt_tokens)
    limits = limits_of(settings.reward, "reward")
    if reads_pairs(model.config):
        return open_encoder(settings, model, limits)
    tokenizer = _inputs.open_tokenizer(settings.model)
    stops = _inputs.build_renderer(tokenizer, model, limits).stop_token_ids
    ensure_distinct_pad(model, tokenizer, stop_token_ids=stops, may_grow=not keeps_adapter(settings))
    return tokenizer, model, _inputs.build_renderer(tokenizer, model, limits)


def _check_model(settings: RewardSettings) -> None:
    """Open the model and the one to centre on, where they are in folders, all but their weights' numbers."""
    from stages._model_checks import is_opened

    if not is_opened(settings.model.path, "model.path"):
        return
    _, model, renderer = _open(settings, weights=False)
    source = settings.centring.policy if settings.centring is not None else None
    if source is None or is_opened(source.path, "centring.policy.path"):
        prepare_centring(settings, model, renderer)
    if settings.lora is None or settings.lora.quantize is None:
        _adapt(settings, model)


def _goes_on(settings: RewardSettings) -> bool:
    """Say whether the reward model's adapter starts as a copy of the SFT model's."""
    from rlhf.models.adapters import is_adapter_folder

    return keeps_adapter(settings) and is_adapter_folder(settings.model.path)


def _adapt(settings: RewardSettings, model: Any) -> Any:
    """Add the adapters that the settings ask for.

    One that is kept holds the last norm too, where centring needs it.
    """
    from rlhf.models import add_lora
    from rlhf.models.adapter_folders import load_adapter
    from rlhf.models.centring import norm_before_head
    from rlhf.models.encoders import fresh_parts, reads_pairs
    from rlhf.models.heads import head_names
    from rlhf.models.quantised import quantise

    lora = _inputs.build_lora(settings.lora)
    if lora is None:
        return model
    norm = norm_before_head(model) if keeps_adapter(settings) else None
    keep_whole = () if norm is None else (norm,)

    def reload() -> Any:
        return _open(settings)[1]

    if not _goes_on(settings):
        revision = settings.model.revision
        head = fresh_parts(model) if reads_pairs(model.config) else ("score",)
        return add_lora(
            model, lora, keep_trainable=head, keep_whole=keep_whole, revision=revision, reload=reload
        )
    if lora.quantize is not None:
        quantise(model, keep=head_names(model), reload=reload)
    return load_adapter(
        model,
        settings.model.path,
        setting="model.path",
        trainable=True,
        fresh_head=True,
        keep_whole=keep_whole,
        trust_remote_code=settings.model.trust_remote_code,
    )


def _fit(
    settings: RewardSettings,
    run: RunFolder,
    model: Any,
    rankings: Sequence[RenderedRanking],
    evaluate: Callable[[], dict[str, Any]],
) -> int:
    from rlhf.ranking.training import train_reward_model
    from rlhf.training.plan import TrainingPlan

    plan = settings.reward.plan(settings.run, settings.checkpoint, settings.evaluation.every_updates)
    return train_reward_model(
        model,
        rankings,
        TrainingPlan(**plan),
        loss=settings.reward.loss,
        ties=settings.reward.ties,
        strength=settings.reward.strength,
        centring_coef=settings.reward.centring_coef,
        share_prompts=settings.reward.share_prompts,
        run=run,
        evaluate=evaluate,
    )


def _render(records: Sequence[Ranking], renderer: Renderer, split: str) -> Sequence[RenderedRanking]:
    from rlhf.rendering import render_rankings

    if not records:
        raise DataError("there are no rankings; the stage needs some", where=f"data.{split}")
    return render_rankings(records, renderer)


def _train_set(
    settings: RewardSettings, records: Sequence[Ranking], renderer: Renderer
) -> tuple[Sequence[RenderedRanking], dict[str, int]]:
    """Render, leave out what teaches nothing, and put the opinions on the same responses together."""
    from rlhf.ranking.batch import drop_unusable
    from rlhf.ranking.opinions import merge_opinions

    loss, ties, strength = settings.reward.loss, settings.reward.ties, settings.reward.strength
    rankings, num_left_out = drop_unusable(_render(records, renderer, "train"), loss, ties)
    if strength is not None:
        rankings = measure(settings, rankings, strength)
    train_set, num_split = rankings, 0
    if loss == "pairwise":
        train_set, num_split = drop_unusable(merge_opinions(rankings, ties, strength), loss, ties)
    if num_left_out:
        console.say(f"  {num_left_out:,} rankings hold nothing that this loss can learn from; left out")
    if len(train_set) + num_split < len(rankings):
        console.say(
            f"  {len(rankings):,} rankings are opinions on {len(train_set) + num_split:,} sets of responses: "
            "each set goes through the model once, and a pair is fitted to its share of votes"
        )
    if num_split:
        console.say(f"  {num_split:,} of these sets have evenly split votes only, which are ties; left out")
    if not train_set:
        raise DataError("no ranking has an order to learn from", where="data.train")
    return _inputs.epoch_of(train_set, settings.data.train), {
        "num_rankings": len(rankings),
        "num_rankings_left_out": num_left_out,
        "num_ranked_sets": len(train_set),
    }


if __name__ == "__main__":
    run_stage("reward", RewardSettings, train, check=check)
