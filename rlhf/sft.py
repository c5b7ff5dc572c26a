"""Supervised fine-tuning on demonstrations: the loss counts the response with its end token, nothing else.

The text is rendered once, by `rlhf.rendering`, exactly as PPO will render it; `trl.SFTTrainer` gets finished
ids and labels and neither tokenises nor cuts anything. It knows decoders only: an encoder-decoder is trained
by transformers' own `Trainer`, on the log-probabilities that PPO will take.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from transformers import Trainer, TrainingArguments
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from rlhf.generation import build_generation
from rlhf.maths.logprobs import token_logprobs
from rlhf.maths.masked import masked_sum
from rlhf.models.inputs import forward_inputs
from rlhf.models.learner import last_logits
from rlhf.models.seq2seq import Aside
from rlhf.rendering import Rendered, pad_right
from rlhf.rollout import response_logprobs
from rlhf.runs.folder import RunFolder
from rlhf.training.loop import Evaluate, PlannedTrainer
from rlhf.training.plan import TrainingPlan, trainer_arguments

__all__ = ["ResponseLoss", "build_dataset", "build_seq2seq_dataset", "response_loss", "train_sft"]

IGNORED = -100  # the label that the library's losses leave out


class ResponseLoss(NamedTuple):
    """Mean negative log-likelihood of response tokens, in nats a token."""

    loss: float
    num_tokens: int

    @property
    def perplexity(self) -> float:
        """E to the loss: among how many equally likely tokens the model hesitates."""
        return math.exp(min(self.loss, 700.0))


class _SftTrainer(PlannedTrainer, SFTTrainer):
    """`trl.SFTTrainer` with our schedule and order of the data."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Take trl's loss, which computes the vocabulary in tiles, but not on a CPU.

        There the tiles save no scarce memory and cost half as much again; the model's own loss is the same.
        """
        if self.args.device.type != "cpu":
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return Trainer.compute_loss(
            self, model, {**inputs, "use_cache": False}, return_outputs, num_items_in_batch
        )


def build_dataset(rendered: Sequence[Rendered]) -> Dataset:
    """Turn rendered demonstrations into ids and labels; labels of the prompt are ignored by the loss.

    >>> build_dataset([Rendered(prompt_ids=[5, 6], response_ids=[7, 1])])[0]
    {'input_ids': [5, 6, 7, 1], 'labels': [-100, -100, 7, 1]}
    """
    return Dataset.from_dict(
        {
            "input_ids": [list(one.ids) for one in rendered],
            "labels": [[IGNORED] * len(one.prompt_ids) + list(one.response_ids) for one in rendered],
        }
    )


class _Seq2SeqTrainer(PlannedTrainer, Trainer):
    """`transformers.Trainer` with our schedule, order of the data, and loss.

    The library's loss of some encoder-decoders (T5) is the mean of a micro-batch, whatever the number of
    tokens in the whole step.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.model_accepts_loss_kwargs = True  # have the tokens of the whole step counted

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return a micro-batch's share of the mean over the step's response tokens."""
        assert not return_outputs
        assert num_items_in_batch is not None
        labels = inputs["labels"]
        aside = Aside(inputs["input_ids"], inputs["attention_mask"])
        logits = last_logits(
            model, inputs["decoder_input_ids"], inputs["decoder_attention_mask"], labels.shape[1], aside
        )
        counts = labels != IGNORED
        logprobs = token_logprobs(logits, labels.masked_fill(~counts, 0))
        # gradients are averaged over processes, and this is one process's part of a sum
        return -masked_sum(logprobs, counts) / num_items_in_batch * self.accelerator.num_processes


def build_seq2seq_dataset(rendered: Sequence[Rendered], opening: Sequence[int]) -> Dataset:
    """Turn rendered demonstrations into what encoder and decoder read, and labels.

    Every token of the response is predicted from those before it; the opening is given. The decoder's rows
    hold the last token too, from which nothing is predicted.

    >>> build_seq2seq_dataset([Rendered(prompt_ids=[5, 6], response_ids=[7, 1])], opening=[0])[0]
    {'input_ids': [5, 6], 'decoder_input_ids': [0, 7, 1], 'labels': [7, 1]}
    """
    return Dataset.from_dict(
        {
            "input_ids": [list(one.prompt_ids) for one in rendered],
            "decoder_input_ids": [[*opening, *one.response_ids] for one in rendered],
            "labels": [list(one.response_ids) for one in rendered],
        }
    )


def _collate(rows: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Pad everything on the right; masks come from lengths, so that any id will do."""
    found: dict[str, torch.Tensor] = {}
    for name, mask in (("input_ids", "attention_mask"), ("decoder_input_ids", "decoder_attention_mask")):
        found[name], found[mask] = pad_right([row[name] for row in rows], 0)
    found["labels"], _ = pad_right([row["labels"] for row in rows], IGNORED)
    return found


def train_sft(
    model: Any,
    tokenizer: Any,
    demonstrations: Sequence[Rendered],
    plan: TrainingPlan,
    *,
    run: RunFolder,
    evaluate: Evaluate | None = None,
    opening: Sequence[int] = (),
) -> int:
    """Fine-tune a language model in place (Ouyang et al. 2022, arXiv:2203.02155, section 3.5).

    The mean is over all response tokens of an optimizer step, over processes and micro-batches alike, so a
    long response weighs more than a short one and the split into micro-batches changes nothing.

    Args:
        model: plain or with adapters; trained in place.
        tokenizer: gives the padding id and is saved with checkpoints.
        demonstrations: rendered prompt and response, each ending with its end token.
        plan: sizes, rates and lengths of the run.
        run: gets metrics and checkpoints, and says which checkpoint to go on from.
        evaluate: called every `plan.evaluate_every` steps; what it returns is recorded.
        opening: what an encoder-decoder's decoder reads before a response (`Renderer.opening`); () for a
            decoder.

    Returns:
        The number of optimizer steps of the whole run.

    Raises:
        SettingsError: sizes do not divide, or fewer demonstrations than a batch.
        RunError: the loss is no number any more.

    """
    arguments = trainer_arguments(plan, run, len(demonstrations), "sft")
    options: dict[str, Any] = {
        "plan": plan,
        "section": "sft",
        "run": run,
        "evaluate": evaluate,
        "lengths": [len(one.ids) for one in demonstrations],
        "model": model,
        "processing_class": tokenizer,
    }
    if opening:
        return _Seq2SeqTrainer(
            args=TrainingArguments(**arguments),
            train_dataset=build_seq2seq_dataset(demonstrations, opening),
            data_collator=_collate,
            **options,
        ).fit()
    config = SFTConfig(
        **arguments, max_length=None, packing=False, dataset_kwargs={"skip_prepare_dataset": True}
    )
    return _SftTrainer(args=config, train_dataset=build_dataset(demonstrations), **options).fit()


@torch.no_grad()
def response_loss(
    model: Any,
    demonstrations: Sequence[Rendered],
    pad_token_id: int,
    batch_size: int,
    opening: Sequence[int] = (),
) -> ResponseLoss:
    """Measure the mean negative log-likelihood of all response tokens, each token weighing the same.

    Args:
        model: a language model; its train or eval mode is left as it was.
        demonstrations: what to measure on, at least one.
        pad_token_id: any id; masks come from lengths.
        batch_size: sequences a forward pass.
        opening: as `train_sft`.

    """
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    total, num_tokens = 0.0, 0
    by_length = sorted(demonstrations, key=lambda one: len(one.ids))
    for start in range(0, len(by_length), batch_size):
        batch = by_length[start : start + batch_size]
        if opening:
            prompts, responses = [one.prompt_ids for one in batch], [one.response_ids for one in batch]
            given = build_generation(prompts, responses, (), pad_token_id, device, opening)
            total -= float(response_logprobs(model, given, temperature=1.0).double().sum())
            num_tokens += int(given.response_mask.sum())
            continue
        ids, mask = pad_right([one.ids for one in batch], pad_token_id)
        is_response, _ = pad_right(
            [[0] * len(one.prompt_ids) + [1] * len(one.response_ids) for one in batch], 0
        )
        ids, mask, counts = ids.to(device), mask.to(device), is_response[:, 1:].bool().to(device)
        logits = model(**forward_inputs(model, ids, mask), use_cache=False).logits
        logprobs = token_logprobs(logits[:, :-1], ids[:, 1:])
        total -= float(torch.where(counts, logprobs, 0.0).double().sum())
        num_tokens += int(counts.sum())
    model.train(was_training)
    return ResponseLoss(total / num_tokens, num_tokens)
