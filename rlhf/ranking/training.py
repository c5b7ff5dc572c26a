"""Train a reward model in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import TrainingArguments

from rlhf.models.values import Critic
from rlhf.ranking.batch import Loss, RankingCollator, Ties
from rlhf.ranking.trainer import RankingTrainer
from rlhf.rendering import RenderedRanking
from rlhf.runs.folder import RunFolder
from rlhf.training.loop import Evaluate
from rlhf.training.plan import TrainingPlan, trainer_arguments

__all__ = ["train_reward_model"]


def train_reward_model(
    model: Any,
    rankings: Sequence[RenderedRanking],
    plan: TrainingPlan,
    *,
    loss: Loss = "pairwise",
    ties: Ties = "soft",
    centring_coef: float = 0.0,
    run: RunFolder,
    evaluate: Evaluate | None = None,
) -> int:
    """Fit a score to rankings (Ouyang et al. 2022, arXiv:2203.02155, section 3.5).

    Args:
        model: a sequence classification model with one label, plain or with adapters; trained in place.
        rankings: rendered, each with something to learn from (see `drop_unusable`).
        plan: sizes count prompts, not responses or pairs.
        loss: all pairs of a prompt, or Plackett-Luce.
        ties: a soft target of one half, or left out.
        centring_coef: weight of the penalty on a prompt's mean score.
        run: gets metrics and checkpoints, and says which checkpoint to go on from.
        evaluate: called every `plan.evaluate_every` steps; what it returns is recorded.

    Returns:
        The number of optimizer steps of the whole run.

    Raises:
        SettingsError: sizes do not divide, or fewer rankings than a batch.
        RunError: the loss is no number any more.

    """
    trainer = RankingTrainer(
        loss=loss,
        centring_coef=centring_coef,
        plan=plan,
        section="reward",
        run=run,
        evaluate=evaluate,
        lengths=[max(len(ids) for ids in ranking.ids) for ranking in rankings],
        model=Critic(model),
        args=TrainingArguments(**trainer_arguments(plan, run, len(rankings), "reward")),
        train_dataset=list(rankings),
        data_collator=RankingCollator(pad_token_id=model.config.pad_token_id, ties=ties),
    )
    return trainer.fit()
