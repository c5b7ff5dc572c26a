"""A base model from text: a tokenizer and a small GPT-2, T5 or BERT from scratch -> runs/base.

python -m stages.base --config configs/base.yaml [--dry-run] [key=value ...]
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rlhf.errors import DataError
from rlhf.runs import console
from rlhf.runs.clock import format_seconds
from rlhf.runs.folder import RunFolder
from rlhf.settings.base import BaseSettings
from stages import _inputs, _texts
from stages._base_parts import (
    WORDS,
    Reading,
    Words,
    build_model,
    held_out_loss,
    make_tokenizer,
    read_examples,
    sample,
)
from stages._command import run_stage


def check(settings: BaseSettings) -> None:
    """Read the text files and load the generator."""
    from rlhf.runs.tracking import check_trackers

    check_trackers(settings.run.trackers)
    _texts.check_texts("data.train", settings.data.train, settings.data.generator)


def train(settings: BaseSettings, run: RunFolder) -> None:
    """Read, make a tokenizer, build, train, save."""
    # 1. Text, some of it held out.
    _inputs.fingerprint_sources(run, settings.data.train)
    train_texts, validation_texts = _divide(settings)
    console.say(f"{len(train_texts):,} documents to read, {len(validation_texts):,} held out")

    # 2. Its tokenizer, and the text as what the architecture learns from.
    tokenizer = make_tokenizer(settings, train_texts)
    reading = read_examples(settings, train_texts, tokenizer)
    _say_read(WORDS[settings.model.architecture], reading, len(tokenizer), train_texts)
    held_out = read_examples(settings, validation_texts, tokenizer, held_out=True)

    # 3. A model that knows nothing.
    model = build_model(settings, tokenizer)
    num_parameters = sum(p.numel() for p in model.parameters())
    console.say(f"{num_parameters:,} parameters")

    # 4. Reading.
    evaluate = _evaluation(settings, model, held_out)
    before = evaluate()
    if run.resume_from is None:
        run.metrics.append({"step": 0, **{f"base/{name}": value for name, value in before.items()}})
    num_steps = _fit(settings, run, model, reading, evaluate)
    after = evaluate()
    run.metrics.append({"step": num_steps, **{f"base/{name}": value for name, value in after.items()}})
    console.say(
        f"held-out perplexity {after['validation_perplexity']:.4g} "
        f"(before: {before['validation_perplexity']:.4g})"
    )

    _sample(settings, run, model, tokenizer, held_out, num_steps)

    # 5. A plain Hugging Face folder.
    numbers = {
        **after,
        "num_parameters": num_parameters,
        "vocabulary_size": len(tokenizer),
        **reading.counts(),
        "num_steps": num_steps,
    }
    _save(settings, run, model, tokenizer, numbers)
    run.write_summary(numbers)


def _divide(settings: BaseSettings) -> tuple[Sequence[str], Sequence[str]]:
    """Return the texts to train on and those held out; equal texts are on the same side."""
    from rlhf.feedback.shelf import pick, shelve
    from rlhf.feedback.splits import split_of

    data = settings.data
    held_out = data.validation_fraction
    fractions = {"validation": held_out, "train": 1.0 - held_out}
    sides = {name: array("Q") for name in ("train", "validation")}

    def texts() -> Iterator[str]:
        found = _texts.read_documents(data.train, data.generator, data.generator_seed, data.num_documents)
        for place, (text, group, repeats) in enumerate(found):
            # Named apart from the sources' own division: of their training part, theirs would hold out
            # nothing.
            side = split_of(f"held out/{group}", fractions)
            sides[side].extend([place] * (repeats if side == "train" else 1))
            yield text

    kept = shelve(texts())
    for name, places in sides.items():
        if not places:
            raise DataError(f"{len(kept)} documents leave none for {name}", where="data.validation_fraction")
    return pick(kept, sides["train"]), pick(kept, sides["validation"])


def _say_read(words: Words, reading: Reading, vocabulary_size: int, texts: Sequence[str]) -> None:
    characters = sum(map(len, texts)) / reading.num_tokens
    console.say(
        f"{reading.num_tokens:,} tokens in {len(reading.examples):,} {words.examples} "
        f"({reading.num_dropped_tokens:,} left over), a vocabulary of {vocabulary_size:,}, "
        f"{characters:.2f} characters a token"
    )


def _evaluation(settings: BaseSettings, model: Any, held_out: Reading) -> Callable[[], dict[str, Any]]:
    from rlhf.pretraining.training import perplexity

    def evaluate() -> dict[str, Any]:
        loss = held_out_loss(settings, model, held_out.examples)
        return {"validation_loss": loss, "validation_perplexity": perplexity(loss)}

    return evaluate


def _fit(
    settings: BaseSettings,
    run: RunFolder,
    model: Any,
    reading: Reading,
    evaluate: Callable[[], dict[str, Any]],
) -> int:
    from rlhf.pretraining.training import pretrain
    from rlhf.training.plan import TrainingPlan

    plan = settings.base.plan(settings.run, settings.checkpoint, settings.evaluation.every_updates)
    return pretrain(model, reading.examples, TrainingPlan(**plan), run=run, evaluate=evaluate)


def _sample(
    settings: BaseSettings, run: RunFolder, model: Any, tokenizer: Any, held_out: Reading, num_steps: int
) -> None:
    """Write what it makes of held-out documents to samples.jsonl, the first few to the console."""
    rows = sample(settings, model, tokenizer, held_out.examples)
    for number, row in enumerate(rows):
        run.samples.append({"step": num_steps, "id": f"held out {number}", **row})
    for row in rows[:3]:
        console.say(f"  > {row['prompt']}")
        console.say(f"  {row['response']}")


def _save(
    settings: BaseSettings, run: RunFolder, model: Any, tokenizer: Any, numbers: dict[str, Any]
) -> None:
    from rlhf.models.loading import DTYPES
    from rlhf.models.saving import save_model

    if run.is_main:
        save_model(
            model,
            tokenizer,
            run.path,
            card=_card(settings, {**numbers, "trained in": format_seconds(run.seconds)}),
            stop_token_ids=[] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id],
            dtype=DTYPES[settings.base.save_dtype],
        )


def _card(settings: BaseSettings, numbers: dict[str, Any]) -> str:
    from rlhf.models.card import build_card

    sources = [source.path for source in settings.data.train]
    sources += [settings.data.generator] if settings.data.generator is not None else []
    words = WORDS[settings.model.architecture]
    return build_card(
        settings.run.name or "Base model",
        f"A {words.name} trained from scratch on the text of {', '.join(sources)}. {words.does}",
        task=words.task,
        base_model=None,
        numbers=numbers,
        tags=("base",),
    )


if __name__ == "__main__":
    run_stage("base", BaseSettings, train, check=check)
