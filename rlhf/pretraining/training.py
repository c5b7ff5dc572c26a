"""Training of a base model, and its loss on text that was held out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import Trainer, TrainerCallback, TrainingArguments

from rlhf.pretraining.blocks import Blocks
from rlhf.pretraining.masked import MaskedPairs
from rlhf.pretraining.text_to_text import TextToText
from rlhf.runs.folder import RunFolder
from rlhf.training.loop import Evaluate, PlannedTrainer
from rlhf.training.plan import TrainingPlan, trainer_arguments

__all__ = ["label_loss", "perplexity", "pretrain"]


class _PretrainingTrainer(PlannedTrainer, Trainer):
    """`transformers.Trainer` with our schedule and order of the data."""


class _Epochs(TrainerCallback):
    """Tells the examples which epoch it is, before the first of them is taken."""

    def __init__(self, trainer: _PretrainingTrainer, examples: TextToText | MaskedPairs) -> None:
        self.trainer = trainer
        self.examples = examples

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self.examples.epoch = self.trainer.sampler.epoch


def pretrain(
    model: Any,
    examples: Blocks | TextToText | MaskedPairs,
    plan: TrainingPlan,
    *,
    run: RunFolder,
    evaluate: Evaluate | None = None,
) -> int:
    """Train a model in place on text.

    Where examples have labels of their own, the mean is over all labels of an optimizer step, over processes
    and micro-batches alike.

    Args:
        model: of the architecture that the examples are for.
        examples: what it predicts, from what.
        plan: sizes count examples.
        run: gets metrics and checkpoints, and says which checkpoint to go on from.
        evaluate: called every `plan.evaluate_every` steps; what it returns is recorded.

    Returns:
        The number of optimizer steps of the whole run.

    Raises:
        SettingsError: sizes do not divide, or fewer examples than a batch.
        RunError: the loss is no number any more.

    """
    own: dict[str, Any] = {}
    if not isinstance(examples, Blocks):
        own = {"data_collator": examples.collate, "compute_loss_func": _mean_loss}
    trainer = _PretrainingTrainer(
        plan=plan,
        section="base",
        run=run,
        evaluate=evaluate,
        lengths=examples.sizes,
        batches_in_pool=16 if isinstance(examples, Blocks) else 256,
        model=model,
        args=TrainingArguments(**trainer_arguments(plan, run, len(examples), "base")),
        train_dataset=examples,
        **own,
    )
    if not isinstance(examples, Blocks):
        trainer.add_callback(_Epochs(trainer, examples))
    return trainer.fit()


def _mean_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor) -> torch.Tensor:
    """Divide by the labels of the whole optimizer step; the models themselves divide by a micro-batch's."""
    return _total_loss(outputs.logits, labels) / num_items_in_batch.clamp(min=1)


def _total_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="sum")


@torch.no_grad()
def label_loss(
    model: Any, examples: TextToText | MaskedPairs, batch_size: int, num_examples: int | None = None
) -> float:
    """Return the mean negative log-likelihood of the labels, in nats each, of the examples as in epoch 0.

    Args:
        model: its train or eval mode is left as it was.
        examples: held out; their first `num_examples`, or all.
        batch_size: examples a forward pass.
        num_examples: how many; None: all.

    """
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    epoch, examples.epoch = examples.epoch, 0
    total, num_labels = 0.0, 0
    for batch in _batches(examples, batch_size, num_examples):
        inputs = {name: tensor.to(device) for name, tensor in batch.items()}
        labels = inputs.pop("labels")
        total += float(_total_loss(model(**inputs).logits, labels))
        num_labels += int((labels != -100).sum())
    examples.epoch = epoch
    model.train(was_training)
    return total / max(num_labels, 1)


def _batches(
    examples: TextToText | MaskedPairs, batch_size: int, num_examples: int | None
) -> Sequence[dict[str, torch.Tensor]]:
    order = sorted(range(len(examples))[:num_examples], key=examples.sizes.__getitem__)
    parts = (order[start : start + batch_size] for start in range(0, len(order), batch_size))
    return [examples.collate([examples[index] for index in part]) for part in parts]


def perplexity(loss: float) -> float:
    """Return e to a loss in nats, bounded where it would overflow."""
    return math.exp(min(loss, 700.0))
