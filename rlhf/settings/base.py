"""Settings of the base stage: a tokenizer and a small model from text, from scratch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rlhf.settings.layers import Items, Settings
from rlhf.settings.shared import CheckpointSettings, Dtype, RunSettings, SourceSettings
from rlhf.settings.training import TrainerSettings

__all__ = ["BaseSettings"]


class TextSettings(Settings):
    """Where the text comes from: files, a generator, or both."""

    train: Items[SourceSettings] = ()
    """Sources of text; see `format: text`."""
    generator: str | None = "data/pocket_world/raw_text.py:documents"
    """A Python function `file.py:name` that yields texts from a seed; null: none."""
    generator_seed: int = Field(0, ge=0)
    """What the generator is called with."""
    num_documents: int | None = Field(390_000, ge=1)
    """Texts taken from the generator; null: all that it yields, for one that ends."""
    validation_fraction: float = Field(0.01, gt=0, lt=1)
    """Share of the texts that is held out; equal texts are on the same side."""

    @model_validator(mode="after")
    def _has_text(self) -> TextSettings:
        if not self.train and self.generator is None:
            raise ValueError("no text: set data.train or data.generator")
        return self


class ArchitectureSettings(Settings):
    """The kind and the size of the model that is made."""

    architecture: Literal["gpt2", "t5", "bert"] = "gpt2"
    """gpt2 goes on with a text, t5 reads one and writes what follows, bert fills gaps, for a reward model."""
    layers: int = Field(6, ge=1)
    """Transformer blocks; of t5's encoder and of its decoder each."""
    width: int = Field(192, ge=1)
    """Numbers that stand for a token inside; a multiple of heads."""
    heads: int = Field(6, ge=1)
    """Attention heads a block."""
    context_tokens: int = Field(256, ge=8)
    """Longest sequence that the model reads, prompt and response together."""
    vocabulary_size: int = Field(3072, ge=261)
    """Tokens of the tokenizer: byte-level BPE, 256 bytes and 5 special tokens included; bert: WordPiece."""


class PretrainingSettings(TrainerSettings):
    """How the model is trained; sizes count blocks of `model.context_tokens` (t5, bert: documents)."""

    learning_rate: float = Field(2e-3, gt=0)
    """Highest step size of AdamW, reached after the warm-up."""
    final_learning_rate_fraction: float = Field(0.1, ge=0, le=1)
    """What is left of the learning rate at the end, as a share of its highest value."""
    weight_decay: float = Field(0.1, ge=0)
    """AdamW's pull of the weights towards zero."""
    batch_size: int = Field(8, ge=1)
    """Blocks or documents of one optimizer step, over all processes."""
    microbatch_size: int = Field(8, ge=1)
    """So many that one process puts through the model at once; divides batch_size / processes."""
    masked_fraction: float | None = Field(None, gt=0, lt=1)
    """bert: share of the tokens that are hidden and asked for; null: BERT's 0.15."""
    copied_fraction: float | None = Field(None, ge=0, le=1)
    """t5: share of the documents of which the decoder also says a part that was read; null: 0.5."""
    save_dtype: Dtype = "bfloat16"
    """Precision of the saved weights."""


class BaseEvaluationSettings(Settings):
    """Held-out loss while training goes on."""

    every_updates: int | None = Field(1000, ge=1)
    """Optimizer steps between evaluations; null: only before and after."""
    num_blocks: int = Field(128, ge=1)
    """Held-out blocks, for t5 and bert documents; fewer where there are fewer."""


class BaseSettings(Settings):
    """Everything that `make base` can be told."""

    run: RunSettings = RunSettings(output="{run.root}/base")
    data: TextSettings = TextSettings()
    model: ArchitectureSettings = ArchitectureSettings()
    base: PretrainingSettings = PretrainingSettings()
    evaluation: BaseEvaluationSettings = BaseEvaluationSettings()
    checkpoint: CheckpointSettings = CheckpointSettings(every_updates=500)

    @model_validator(mode="after")
    def _asks_nothing_of_another_architecture(self) -> BaseSettings:
        for name, kind in (("masked_fraction", "bert"), ("copied_fraction", "t5")):
            if getattr(self.base, name) is not None and self.model.architecture != kind:
                raise ValueError(
                    f"base.{name} is only read where model.architecture is {kind}, and it is "
                    f"{self.model.architecture}: leave it null"
                )
        return self
