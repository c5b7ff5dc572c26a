"""Scores beside a better and a worse response have to say the same as the columns' names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlhf.feedback.detection.found import ShapeError
from rlhf.feedback.detection.looks import Look
from rlhf.feedback.detection.names import mirrored_scores
from rlhf.feedback.detection.refusals import listed, several_shapes
from rlhf.feedback.detection.yaml_text import FILL_IN
from rlhf.feedback.mapping import Source
from rlhf.feedback.numbers import number_in
from rlhf.feedback.rows import Row

__all__ = ["check_agrees", "contradicting", "refusal"]


def check_agrees(look: Look, source: Source) -> None:
    """Refuse pairs whose scores call the response of the other column better: which is right is not guessed.

    Raises:
        ShapeError: several_shapes.
    """
    if source.format != "pair" or look.kind not in ("rankings", "demonstrations"):
        return
    sides = (str(source.chosen), str(source.rejected))
    for scores in mirrored_scores(look):
        wrong = contradicting(look, *scores)
        if wrong:
            settings = {"prompt": source.prompt, "chosen": source.chosen, "rejected": source.rejected}
            scored = f" with responses: [{', '.join(sides)}], scores: [{', '.join(scores)}], best: highest"
            raise refusal(look, sides, scores, wrong, settings, scored)


def contradicting(look: Look, better: str, worse: str) -> list[Row]:
    """Return the rows in which the score of the better response, in column `better`, is below the other."""
    pairs = [(row, number_in(row.values.get(better)), number_in(row.values.get(worse))) for row in look.rows]
    return [row for row, high, low in pairs if high is not None and low is not None and high < low]


def refusal(
    look: Look,
    sides: Sequence[str],
    scores: Sequence[str],
    wrong: Sequence[Row],
    settings: Mapping[str, Any],
    scored: str = "",
) -> ShapeError:
    """Return the error for columns and scores that do not agree in the rows `wrong`.

    `settings` are those beside the format, `scored` those that this format needs in place of them.
    """
    message = (
        f"columns {listed(sides)} say which response is better, and {listed(scores)} say the other one "
        f"{look.count(len(wrong))}, first at {wrong[0].where}"
    )
    both = f"pair (the columns hold) or scored{scored}"
    return several_shapes(look, message, {"format": FILL_IN, **settings}, format=both)
