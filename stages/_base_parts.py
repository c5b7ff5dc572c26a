"""What the base stage makes of each architecture: tokenizer, model, examples, loss, samples, words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rlhf.settings.base import BaseSettings

__all__ = [
    "WORDS",
    "Reading",
    "Words",
    "build_model",
    "held_out_loss",
    "make_tokenizer",
    "read_examples",
    "sample",
]

NUM_SAMPLES = 16


class Words(NamedTuple):
    """What is said of an architecture."""

    name: str
    does: str
    examples: str  # what a batch counts
    task: str  # of Hugging Face


WORDS = {
    "gpt2": Words("GPT-2", "It continues text and follows no instruction.", "blocks", "text-generation"),
    "t5": Words(
        "T5",
        "Its encoder reads a text, its decoder writes how it may go on, and it follows no instruction. "
        "Documents were split at a random token into what is read and what is written.",
        "documents",
        "text2text-generation",
    ),
    "bert": Words(
        "BERT",
        "It fills gaps in a pair of texts, the beginning and the rest of a document, and is meant as the "
        "start of a reward model.",
        "documents",
        "fill-mask",
    ),
}


class Reading(NamedTuple):
    """Texts as what a model learns from, and what they hold."""

    examples: Any  # rlhf.pretraining: Blocks, TextToText or MaskedPairs
    num_documents: int
    num_tokens: int
    num_dropped_tokens: int

    def counts(self) -> dict[str, int]:
        """Return the numbers under their names."""
        return {name: value for name, value in self._asdict().items() if name != "examples"}


def make_tokenizer(settings: BaseSettings, texts: Sequence[str]) -> Any:
    """Make a tokenizer of the training texts."""
    from rlhf.pretraining.tokenizers import train_tokenizer, train_wordpiece

    sizes = settings.model.vocabulary_size, settings.model.context_tokens
    if settings.model.architecture == "bert":
        return train_wordpiece(texts, *sizes)
    return train_tokenizer(texts, *sizes, ends_texts=settings.model.architecture == "t5")


def build_model(settings: BaseSettings, tokenizer: Any) -> Any:
    """Build a model that knows nothing, from the run's seed, on this process's device."""
    import torch
    from accelerate import PartialState

    from rlhf.pretraining.models import build_bert, build_gpt2, build_t5

    torch.manual_seed(settings.run.seed)
    build = {"gpt2": build_gpt2, "t5": build_t5, "bert": build_bert}[settings.model.architecture]
    return build(
        tokenizer,
        layers=settings.model.layers,
        width=settings.model.width,
        heads=settings.model.heads,
        context_tokens=settings.model.context_tokens,
    ).to(PartialState().device)


def read_examples(
    settings: BaseSettings, texts: Sequence[str], tokenizer: Any, *, held_out: bool = False
) -> Reading:
    """Turn texts into what the architecture learns from; a T5 is measured without what it copies."""
    from rlhf.pretraining.blocks import Blocks, pack
    from rlhf.pretraining.masked import MASKED_FRACTION, MaskedPairs
    from rlhf.pretraining.text_to_text import COPIED_FRACTION, TextToText

    context_tokens, seed = settings.model.context_tokens, settings.run.seed
    if settings.model.architecture == "gpt2":
        packed = pack(texts, tokenizer, context_tokens)
        return Reading(
            Blocks(packed.blocks), packed.num_documents, packed.num_tokens, packed.num_dropped_tokens
        )
    examples: TextToText | MaskedPairs
    if settings.model.architecture == "t5":
        told = settings.base.copied_fraction
        copied = 0.0 if held_out else COPIED_FRACTION if told is None else told
        examples = TextToText(
            texts, tokenizer, context_tokens=context_tokens, seed=seed, copied_fraction=copied
        )
    else:
        examples = MaskedPairs(
            texts,
            tokenizer,
            context_tokens=context_tokens,
            seed=seed,
            masked_fraction=settings.base.masked_fraction or MASKED_FRACTION,
        )
    found = examples.documents
    return Reading(examples, found.num_documents, found.num_tokens, found.num_dropped_tokens)


def held_out_loss(settings: BaseSettings, model: Any, examples: Any) -> float:
    """Measure the architecture's own loss, in nats a predicted token."""
    from rlhf.pretraining.blocks import Blocks, block_loss
    from rlhf.pretraining.training import label_loss

    at_once, number = settings.base.microbatch_size, settings.evaluation.num_blocks
    if isinstance(examples, Blocks):
        return block_loss(model, examples.blocks[:number], at_once)
    return label_loss(model, examples, at_once, number)


def sample(settings: BaseSettings, model: Any, tokenizer: Any, examples: Any) -> list[dict[str, Any]]:
    """Return what the model makes of some held-out documents; none for gpt2, whose blocks have no prompt."""
    from rlhf.pretraining.samples import sample_gaps, sample_rests

    if settings.model.architecture == "t5":
        return sample_rests(model, examples, tokenizer, NUM_SAMPLES, settings.model.context_tokens // 2)
    if settings.model.architecture == "bert":
        return sample_gaps(model, examples, tokenizer, NUM_SAMPLES)
    return []
