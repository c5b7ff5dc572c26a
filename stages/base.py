"""A base model from text: a tokenizer and a small GPT from scratch -> runs/base.

python -m stages.base --config configs/base.yaml [--dry-run] [key=value ...]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rlhf.errors import DataError
from rlhf.runs import console
from rlhf.runs.clock import format_seconds
from rlhf.runs.folder import RunFolder
from rlhf.settings.base import BaseSettings
from stages import _inputs, _texts
from stages._command import run_stage

if TYPE_CHECKING:
    from rlhf.pretraining import Packed


def check(settings: BaseSettings) -> None:
    """Read the text files and load the generator."""
    from rlhf.runs.tracking import check_trackers

    check_trackers(settings.run.trackers)
    _texts.check_texts("data.train", settings.data.train, settings.data.generator)


def train(settings: BaseSettings, run: RunFolder) -> None:
    """Read, make a tokenizer, pack, train, save."""
    # 1. Text, some of it held out.
    _inputs.fingerprint_sources(run, settings.data.train)
    train_texts, validation_texts = _divide(settings)
    console.say(f"{len(train_texts):,} documents to read, {len(validation_texts):,} held out")

    # 2. Its tokenizer, and the text as blocks of the model's context.
    tokenizer, packed, held_out = _tokenize(settings, train_texts, validation_texts)

    # 3. A GPT-2 that knows nothing.
    model = _build(settings, tokenizer)
    num_parameters = sum(p.numel() for p in model.parameters())
    console.say(f"{num_parameters:,} parameters")

    # 4. Reading.
    evaluate = _evaluation(settings, model, held_out)
    before = evaluate()
    if run.resume_from is None:
        run.metrics.append({"step": 0, **{f"base/{name}": value for name, value in before.items()}})
    num_steps = _fit(settings, run, model, packed, evaluate)
    after = evaluate()
    run.metrics.append({"step": num_steps, **{f"base/{name}": value for name, value in after.items()}})
    console.say(
        f"held-out perplexity {after['validation_perplexity']:.4g} "
        f"(before: {before['validation_perplexity']:.4g})"
    )

    # 5. A plain Hugging Face folder.
    numbers = {
        **after,
        "num_parameters": num_parameters,
        "vocabulary_size": len(tokenizer),
        "num_documents": packed.num_documents,
        "num_tokens": packed.num_tokens,
        "num_dropped_tokens": packed.num_dropped_tokens,
        "num_steps": num_steps,
    }
    _save(settings, run, model, tokenizer, numbers)
    run.write_summary(numbers)


def _divide(settings: BaseSettings) -> tuple[list[str], list[str]]:
    """Return the texts to train on and those held out; equal texts are on the same side."""
    from rlhf.feedback.splits import split_of

    data = settings.data
    found = _texts.read_documents(data.train, data.generator, data.generator_seed, data.num_documents)
    held_out = data.validation_fraction
    fractions = {"validation": held_out, "train": 1.0 - held_out}
    sides: dict[str, list[str]] = {"train": [], "validation": []}
    for text, group, repeats in found:
        # Named apart from the sources' own division: of their training part, theirs would hold out nothing.
        side = split_of(f"held out/{group}", fractions)
        sides[side] += [text] * (repeats if side == "train" else 1)
    for name, texts in sides.items():
        if not texts:
            raise DataError(f"{len(found)} documents leave none for {name}", where="data.validation_fraction")
    return sides["train"], sides["validation"]


def _tokenize(
    settings: BaseSettings, train_texts: list[str], validation_texts: list[str]
) -> tuple[Any, Packed, Packed]:
    """Make a tokenizer of the training texts; return it with both sides as blocks of its ids."""
    from rlhf.pretraining import pack, train_tokenizer

    context_tokens = settings.model.context_tokens
    tokenizer = train_tokenizer(train_texts, settings.model.vocabulary_size, context_tokens)
    packed = pack(train_texts, tokenizer, context_tokens)
    _say_packed(packed, len(tokenizer), train_texts)
    return tokenizer, packed, pack(validation_texts, tokenizer, context_tokens)


def _say_packed(packed: Packed, vocabulary_size: int, texts: list[str]) -> None:
    characters = sum(map(len, texts)) / packed.num_tokens
    console.say(
        f"{packed.num_tokens:,} tokens in {len(packed.blocks):,} blocks ({packed.num_dropped_tokens:,} left "
        f"over at the end), a vocabulary of {vocabulary_size:,}, {characters:.2f} characters a token"
    )


def _build(settings: BaseSettings, tokenizer: Any) -> Any:
    import torch
    from accelerate import PartialState

    from rlhf.pretraining import build_gpt2

    torch.manual_seed(settings.run.seed)
    return build_gpt2(
        tokenizer,
        layers=settings.model.layers,
        width=settings.model.width,
        heads=settings.model.heads,
        context_tokens=settings.model.context_tokens,
    ).to(PartialState().device)


def _evaluation(settings: BaseSettings, model: Any, held_out: Packed) -> Callable[[], dict[str, Any]]:
    from rlhf.pretraining import block_loss, perplexity

    blocks = held_out.blocks[: settings.evaluation.num_blocks]

    def evaluate() -> dict[str, Any]:
        loss = block_loss(model, blocks, settings.base.microbatch_size)
        return {"validation_loss": loss, "validation_perplexity": perplexity(loss)}

    return evaluate


def _fit(
    settings: BaseSettings,
    run: RunFolder,
    model: Any,
    packed: Packed,
    evaluate: Callable[[], dict[str, Any]],
) -> int:
    from rlhf.pretraining import pretrain
    from rlhf.training.plan import TrainingPlan

    plan = settings.base.plan(settings.run, settings.checkpoint, settings.evaluation.every_updates)
    return pretrain(model, packed.blocks, TrainingPlan(**plan), run=run, evaluate=evaluate)


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
            stop_token_ids=[tokenizer.eos_token_id],
            dtype=DTYPES[settings.base.save_dtype],
        )


def _card(settings: BaseSettings, numbers: dict[str, Any]) -> str:
    from rlhf.models.card import build_card

    sources = [source.path for source in settings.data.train]
    sources += [settings.data.generator] if settings.data.generator is not None else []
    return build_card(
        settings.run.name or "Base model",
        f"A GPT-2 trained from scratch on the text of {', '.join(sources)}. "
        "It continues text and follows no instruction.",
        task="text-generation",
        base_model=None,
        numbers=numbers,
        tags=("base",),
    )


if __name__ == "__main__":
    run_stage("base", BaseSettings, train, check=check)
