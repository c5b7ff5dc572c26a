"""Train a reward model in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accelerate.utils import broadcast_object_list
from transformers import TrainingArguments

from rlhf.models.encoders import reads_pairs
from rlhf.models.inputs import plain_model
from rlhf.models.values import Critic, PooledScorer
from rlhf.ranking.batch import Loss, RankingCollator, Ties
from rlhf.ranking.sharing import longest, row_length, saved_work, why_not_shared
from rlhf.ranking.strengths import Strength
from rlhf.ranking.trainer import RankingTrainer
from rlhf.rendering import RenderedRanking
from rlhf.runs import console
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
    strength: Strength | None = None,
    centring_coef: float = 0.0,
    share_prompts: bool = False,
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
        strength: what the rankings' strengths are, which `rlhf.ranking.strengths.measured` made: margins or
            weights of pairs; None: nothing.
        centring_coef: weight of the penalty on a prompt's mean score.
        share_prompts: put a prompt through the model once for all its responses, where that is possible and
            less work.
        run: gets metrics and checkpoints, and says which checkpoint to go on from.
        evaluate: called every `plan.evaluate_every` steps; what it returns is recorded.

    Returns:
        The number of optimizer steps of the whole run.

    Raises:
        SettingsError: sizes do not divide, or fewer rankings than a batch.
        ValueError: Plackett-Luce is asked for with a strength.
        RunError: the loss is no number any more.

    """
    if strength is not None and loss != "pairwise":
        raise ValueError(f"a strength is of a pair, and the loss is {loss}")
    reader = PooledScorer(model) if reads_pairs(plain_model(model).config) else Critic(model)
    pad_token_id = model.config.pad_token_id
    shared = share_prompts and _choose_sharing(reader, rankings, pad_token_id)
    trainer = RankingTrainer(
        loss=loss,
        ties=ties,
        centring_coef=centring_coef,
        plan=plan,
        section="reward",
        run=run,
        evaluate=evaluate,
        lengths=[row_length(r) if shared else longest(r) for r in rankings],
        model=reader,
        args=TrainingArguments(**trainer_arguments(plan, run, len(rankings), "reward")),
        train_dataset=rankings,
        data_collator=RankingCollator(pad_token_id, ties, share_prompts=shared, strength=strength),
    )
    return trainer.fit()


def _choose_sharing(
    reader: Critic | PooledScorer, rankings: Sequence[RenderedRanking], pad_token_id: int
) -> bool:
    """Share where it is less work and the architecture allows it; say which. All processes do the same."""
    config = plain_model(reader.model).config
    saved = saved_work(rankings, config.get_text_config().hidden_size)
    obstacle: list[str | None] = ["it would be more work"]
    if isinstance(reader, PooledScorer):
        obstacle = ["it reads both ways, so that responses in one row would see each other"]
    elif saved > 1:
        obstacle = [why_not_shared(reader, rankings, pad_token_id)]
    broadcast_object_list(obstacle)
    if obstacle[0] is None:
        how = f"once for all their responses: {saved:.1f} times less work"
    else:
        how = f"once for each response ({config.model_type}: {obstacle[0]})"
    console.say(f"  prompts go through the model {how}")
    return obstacle[0] is None
