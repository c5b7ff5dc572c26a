"""How good a reward model is, beside what anybody would get without one."""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import fmean, pstdev
from typing import Any

from rlhf.evaluation.calibration import calibration
from rlhf.evaluation.pairs import (
    Accuracy,
    Comparison,
    annotator_agreement,
    first_wins,
    longer_wins,
    pair_accuracy,
)
from rlhf.feedback.records import Ranking
from rlhf.feedback.shelf import Ledger
from rlhf.functions import judge_responses
from rlhf.rendering import RenderedRanking
from rlhf.scoring import score_sequences

__all__ = [
    "assess_baselines",
    "assess_scores",
    "judge_rankings",
    "labeler_agreement",
    "num_ordered_pairs",
    "score_rankings",
]

Table = list[list[float]]  # one list a ranking, one number a response


def score_rankings(model: Any, rankings: Sequence[RenderedRanking], batch_size: int) -> Table:
    """Score every response of every ranking with a reward model in evaluation mode."""
    was_training = model.training
    model.eval()
    flat = score_sequences(model, [ids for ranking in rankings for ids in ranking.ids], batch_size).tolist()
    model.train(was_training)
    numbers = iter(flat)
    return [[next(numbers) for _ in ranking.response_ids] for ranking in rankings]


def judge_rankings(judge: Callable[..., Any], rankings: Sequence[RenderedRanking], name: str) -> Table:
    """Let the judge score every response (its "score"); it sees the text as it was given, never ids."""
    prompts = [ranking.prompt for ranking in rankings for _ in ranking.responses]
    texts = [text for ranking in rankings for text in ranking.responses]
    verdicts = iter(judge_responses(judge, prompts, texts, name))
    return [[next(verdicts)["score"] for _ in ranking.response_ids] for ranking in rankings]


def num_ordered_pairs(rankings: Sequence[RenderedRanking]) -> int:
    """Return how many pairs have an order that scores can be held against: no ties, no equal responses."""
    return sum(p != 0.5 for ranking in rankings for _, _, p in _ordered(ranking))


def assess_scores(
    scores: Table, rankings: Sequence[RenderedRanking], judged: Table | None = None
) -> dict[str, float]:
    """Measure scores against the labels, and against the judge where there is one.

    Accuracies count pairs, prediction ties half, and come with a 95 % interval over prompts (`_low`,
    `_high`); pairs labelled as ties and pairs of equal responses are left out. The judge's pairs are those it
    scores differently.

    Returns:
        pair_accuracy_labels, pair_accuracy_judge, judge_accuracy_labels (the ceiling: what the judge itself
        gets on the noisy labels), calibration_error, log_loss, score_mean, score_std,
        score_length_correlation, num_pairs, num_prompts. What needs a judge is missing without one.

    """
    labels = [_ordered(ranking) for ranking in rankings]
    lengths = [len(ids) for ranking in rankings for ids in ranking.response_ids]
    flat = [score for of_prompt in scores for score in of_prompt]
    labelled = pair_accuracy(*_by_prompt(rankings, scores, labels))
    calibrated = calibration(scores, labels)
    found = {
        **_named("pair_accuracy_labels", labelled),
        "num_pairs": labelled.num_pairs,
        "num_prompts": labelled.num_prompts,
        "calibration_error": calibrated.expected_error,
        "log_loss": calibrated.log_loss,
        "score_mean": fmean(flat),
        "score_std": pstdev(flat),
        "score_length_correlation": correlation(flat, lengths),
    }
    if judged is not None:
        strict = [_strict_pairs(of_prompt) for of_prompt in judged]
        found |= _named("pair_accuracy_judge", pair_accuracy(*_by_prompt(rankings, scores, strict)))
        found |= _named("judge_accuracy_labels", pair_accuracy(*_by_prompt(rankings, judged, labels)))
    return found


def assess_baselines(rankings: Sequence[RenderedRanking]) -> dict[str, float]:
    """Measure "the longer response wins" and "the response listed first wins" on the labels."""
    labels = [_ordered(ranking) for ranking in rankings]
    lengths = [[float(len(ids)) for ids in ranking.response_ids] for ranking in rankings]
    pooled_lengths, pooled_labels = _by_prompt(rankings, lengths, labels)
    return {
        **_named("longer_wins", longer_wins(pooled_lengths, pooled_labels)),  # type: ignore[arg-type]
        **_named("first_wins", first_wins(pooled_labels)),
    }


def labeler_agreement(rankings: Sequence[Ranking]) -> dict[str, float]:
    """Measure how often two labelers order the same two responses alike; empty where none met twice.

    Only who is known to be another labeler is compared. Rows without a labeler's name are left out: a row
    that says what an earlier one said may be its copy, or the same person's; and with the copies alone left
    out, whatever remained would be disagreement. The nameless opinions of one row (`label_layout:
    annotators`) are different people's, and are compared with each other. Who judged two responses several
    times counts once, with what they mostly said; as often one way as the other is no order, as a tie is
    none, and is left out.
    """
    questions = Ledger()
    asked = array("Q", (questions.number(_question(ranking)) for ranking in rankings))
    often = Counter(asked)
    juries: dict[tuple[int, str | None], dict[str | int, list[Comparison]]] = defaultdict(dict)
    row, opinion = "", 0  # the opinions of a row come one after the other
    for number, ranking in zip(asked, rankings, strict=True):
        row, opinion = ranking.prompt.where, opinion + 1 if ranking.prompt.where == row else 0
        if often[number] < 2:
            continue
        texts = sorted(set(ranking.responses))
        place = {text: k for k, text in enumerate(texts)}
        pairs = [
            (place[ranking.responses[i]], place[ranking.responses[j]], p) for i, j, p in ranking.comparisons()
        ]
        jury, labeler = (row, opinion) if ranking.annotator is None else (None, ranking.annotator)
        said = juries[number, jury].setdefault(labeler, [])
        said.extend(pair for pair in pairs if pair[0] != pair[1])
    labels = [
        [_mean_of_each_pair(said) for said in of_labelers.values()]
        for of_labelers in juries.values()
        if len(of_labelers) >= 2
    ]
    try:
        return _named("labeler_agreement", annotator_agreement(labels))
    except ValueError:  # no pair that two labelers ordered
        return {}


def _mean_of_each_pair(said: Sequence[Comparison]) -> list[Comparison]:
    """Return one comparison of each two responses, whichever is named first: the mean of all of them."""
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    for i, j, p in said:
        found[min(i, j), max(i, j)].append(p if i < j else 1 - p)
    return [(i, j, fmean(all_of_pair)) for (i, j), all_of_pair in found.items()]


def _question(ranking: Ranking) -> str:
    return repr((ranking.prompt.messages, sorted(set(ranking.responses))))


def correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Pearson's correlation, 0 where one of the two does not vary.

    >>> round(correlation([1.0, 2.0, 3.0], [2, 4, 6]), 6)
    1.0
    """
    mean_first, mean_second = fmean(first), fmean(second)
    together = sum((a - mean_first) * (b - mean_second) for a, b in zip(first, second, strict=True))
    apart = math.sqrt(sum((a - mean_first) ** 2 for a in first) * sum((b - mean_second) ** 2 for b in second))
    return together / apart if apart > 0 else 0.0


def _ordered(ranking: RenderedRanking) -> list[Comparison]:
    """Return the comparisons of responses that differ: no order of equal ones could be right."""
    ids = ranking.response_ids
    return [(i, j, p) for i, j, p in ranking.comparisons if ids[i] != ids[j]]


def _strict_pairs(scores: Sequence[float]) -> list[Comparison]:
    ordered = combinations(range(len(scores)), 2)
    return [
        (i, j, 1.0) if scores[i] > scores[j] else (j, i, 1.0) for i, j in ordered if scores[i] != scores[j]
    ]


def _by_prompt(
    rankings: Sequence[RenderedRanking], scores: Table, comparisons: Sequence[Sequence[Comparison]]
) -> tuple[Table, list[list[Comparison]]]:
    """Put several rankings of one prompt together, so that the interval draws prompts and not labelers."""
    pooled_scores: dict[tuple[int, ...], list[float]] = defaultdict(list)
    pooled_pairs: dict[tuple[int, ...], list[Comparison]] = defaultdict(list)
    for ranking, of_responses, pairs in zip(rankings, scores, comparisons, strict=True):
        key = tuple(ranking.prompt_ids)
        offset = len(pooled_scores[key])
        pooled_scores[key].extend(of_responses)
        pooled_pairs[key].extend((i + offset, j + offset, p) for i, j, p in pairs)
    return list(pooled_scores.values()), [pooled_pairs[key] for key in pooled_scores]


def _named(name: str, accuracy: Accuracy) -> dict[str, float]:
    return {name: accuracy.value, f"{name}_low": accuracy.low, f"{name}_high": accuracy.high}
