"""`transformers.Trainer` with the ranking loss."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Trainer

from rlhf.maths.ranking import centring_penalty, pairwise_ranking_loss, plackett_luce_loss
from rlhf.models.values import sequence_scores
from rlhf.ranking.batch import Loss, Ties, table_of
from rlhf.ranking.sharing import shared_scores
from rlhf.training.loop import PlannedTrainer

__all__ = ["RankingTrainer", "ranking_loss"]


def ranking_loss(
    scores: torch.Tensor,
    batch: dict[str, torch.Tensor],
    *,
    loss: Loss,
    ties: Ties = "soft",
    centring_coef: float,
    num_prompts: int | torch.Tensor,
) -> torch.Tensor:
    """Compute the loss of a collated batch from the scores of its sequences.

    Args:
        scores: (N,) one score a sequence, in the batch's order.
        batch: what `RankingCollator` returned.
        loss: "pairwise" (Bradley-Terry over all pairs of a prompt) or "plackett_luce".
        ties: with "drop" Plackett-Luce compares no equal ranks; for pairs the collator has left them out.
        centring_coef: weight of the penalty on a prompt's mean score; 0 leaves it out.
        num_prompts: prompts of the whole optimizer step, over processes and micro-batches.

    Returns:
        A scalar; summed over the micro-batches of a step it is the mean over the step's prompts.

    """
    shape = (batch["ranks"].shape[0], batch["ranks"].shape[1])
    table, mask = table_of(scores, batch["places"], shape)
    if loss == "pairwise":
        value = pairwise_ranking_loss(
            table,
            batch["pairs"],
            batch["targets"],
            num_prompts=num_prompts,
            margin=batch.get("margins", 0.0),
            weights=batch.get("weights"),
        )
    else:
        value = plackett_luce_loss(
            table,
            batch["ranks"],
            mask & (batch["ranks"] > 0),
            drop_ties=ties == "drop",
            num_prompts=num_prompts,
        )
    if centring_coef:
        value = value + centring_coef * centring_penalty(table, mask, num_prompts=num_prompts)
    return value


class RankingTrainer(PlannedTrainer, Trainer):
    """Train a `Critic` (it reads a score at every position; the last real one is the sequence's) on rankings.

    Or a `PooledScorer`, which gives one score a sequence.

    Args:
        loss: see `ranking_loss`.
        ties: see `ranking_loss`.
        centring_coef: see `ranking_loss`.
        options: what `PlannedTrainer` and `transformers.Trainer` take.

    """

    def __init__(self, *, loss: Loss, ties: Ties, centring_coef: float, **options: Any) -> None:
        self.loss = loss
        self.ties = ties
        self.centring_coef = centring_coef
        super().__init__(**options)
        # Our loss is divided by the prompts of the whole step: the library must not divide by micro-batches
        # again.
        self.loss_is_scaled_for_ga = True

    def _get_num_items_in_batch(
        self, batch_samples: list[dict[str, torch.Tensor]], device: torch.device
    ) -> Any:
        """Count the prompts of the optimizer step over its micro-batches and all processes."""
        if not batch_samples:
            return None
        own = torch.stack([batch["num_prompts"] for batch in batch_samples]).sum().to(device)
        return self.accelerator.gather(own).sum()

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Score every response once and compare; gradients are averaged over processes, hence the factor."""
        num_prompts = num_items_in_batch if num_items_in_batch is not None else inputs["num_prompts"]
        if "segments" in inputs:
            scores = shared_scores(model, inputs)
        else:
            scores = sequence_scores(model, inputs["input_ids"], inputs["attention_mask"])
        value = ranking_loss(
            scores,
            inputs,
            loss=self.loss,
            ties=self.ties,
            centring_coef=self.centring_coef,
            num_prompts=num_prompts,
        )
        if num_items_in_batch is not None:
            value = value * self.accelerator.num_processes
        return (value, {"scores": scores}) if return_outputs else value
