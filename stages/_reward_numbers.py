"""The final numbers of the reward stage, and the samples behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rlhf.errors import DataError
from rlhf.runs import console
from rlhf.runs.folder import RunFolder
from rlhf.settings.reward import RewardSettings

if TYPE_CHECKING:
    from rlhf.feedback.records import Ranking
    from rlhf.rendering import RenderedRanking

__all__ = ["assess", "check_measurable", "evaluation", "judge", "say_numbers", "sequences_at_once"]


def sequences_at_once(settings: RewardSettings) -> int:
    """Return about as many sequences as a training micro-batch has whose prompts have four responses."""
    return 4 * settings.reward.microbatch_size


def check_measurable(rankings: Sequence[RenderedRanking], name: str) -> None:
    """Refuse rankings on which no accuracy can be measured, before anything is trained.

    Raises:
        DataError: all their pairs are ties, or of equal responses.

    """
    from rlhf.ranking.assessment import num_ordered_pairs

    if not num_ordered_pairs(rankings):
        raise DataError(
            f"{len(rankings):,} rankings to measure on hold no pair with an order (ties and equal responses "
            "have none); add rankings, or divide otherwise (split_seed, validation_fraction)",
            where=name,
        )


def assess(
    settings: RewardSettings,
    run: RunFolder,
    model: Any,
    rankings: Sequence[RenderedRanking],
    records: dict[str, Sequence[Ranking]],
) -> dict[str, Any]:
    """Measure the model on the final rankings beside its baselines; their samples go to samples.jsonl."""
    from rlhf.feedback.shelf import join
    from rlhf.ranking.assessment import (
        assess_baselines,
        assess_scores,
        labeler_agreement,
        score_rankings,
    )

    scores = score_rankings(model, rankings, sequences_at_once(settings))
    judged = judge(settings, rankings)
    _write_samples(run, rankings, scores, judged)
    return {
        **assess_scores(scores, rankings, judged),
        **assess_baselines(rankings),
        **labeler_agreement(join(records.values())),
    }


def judge(settings: RewardSettings, rankings: Sequence[RenderedRanking]) -> list[list[float]] | None:
    """Let the judge score every response of every ranking; None where the settings name no judge."""
    from rlhf.functions import load_function
    from rlhf.ranking.assessment import judge_rankings

    name = settings.evaluation.judge
    return None if name is None else judge_rankings(load_function(name), rankings, name)


def _write_samples(
    run: RunFolder,
    rankings: Sequence[RenderedRanking],
    scores: list[list[float]],
    judged: list[list[float]] | None,
    num_rankings: int = 100,
) -> None:
    for number, ranking in enumerate(rankings[:num_rankings]):
        for k, response in enumerate(ranking.responses):
            run.samples.append(
                {
                    "id": ranking.prompt.id,
                    "prompt": ranking.prompt.as_dicts(),
                    "response": response,
                    "rank": ranking.ranks[k],
                    "score": scores[number][k],
                    **({"judge": judged[number][k]} if judged is not None else {}),
                }
            )


def say_numbers(numbers: dict[str, Any]) -> None:
    """Print the accuracies with their intervals."""
    shown = (
        "pair_accuracy_judge",
        "pair_accuracy_labels",
        "judge_accuracy_labels",
        "labeler_agreement",
        "longer_wins",
        "first_wins",
    )
    rows = [
        (name, *(numbers[key] for key in (name, f"{name}_low", f"{name}_high")))
        for name in shown
        if name in numbers
    ]
    console.table(rows, ("on test rankings", "share", "low", "high"))


def evaluation(
    settings: RewardSettings, model: Any, rankings: Sequence[RenderedRanking]
) -> Callable[[], dict[str, Any]]:
    """Return what measures the model on some rankings while it is trained."""
    from rlhf.ranking.assessment import assess_scores, score_rankings

    names = ("pair_accuracy_labels", "log_loss", "calibration_error", "score_mean", "score_std")
    batch_size = sequences_at_once(settings)

    def evaluate() -> dict[str, Any]:
        found = assess_scores(score_rankings(model, rankings, batch_size), rankings)
        return {name: found[name] for name in names}

    return evaluate
