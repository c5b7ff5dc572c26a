"""Scores beside a better and a worse response have to say the same as the columns' names."""

from __future__ import annotations

from collections.abc import Iterator

from rlhf.feedback.detection.looks import Look
from rlhf.feedback.detection.names import mirrored_scores
from rlhf.feedback.detection.refusals import several_shapes
from rlhf.feedback.detection.yaml_text import FILL_IN
from rlhf.feedback.mapping import Source
from rlhf.feedback.numbers import number_in
from rlhf.feedback.rows import Row

__all__ = ["check_agrees"]


def check_agrees(look: Look, source: Source) -> None:
    """Refuse pairs whose scores call the response of the other column better: which is right is not guessed.

    Raises:
        ShapeError: several_shapes.
    """
    if source.format != "pair" or look.kind not in ("rankings", "demonstrations"):
        return
    for better, worse in mirrored_scores(look):
        wrong = list(_contradictions(look, better, worse))
        if not wrong:
            continue
        message = (
            f"columns {source.chosen} and {source.rejected} say which response is better, and {better} and "
            f"{worse} say the other one {look.count(len(wrong))}, first at {wrong[0].where}"
        )
        settings = {"prompt": source.prompt, "chosen": source.chosen, "rejected": source.rejected}
        scored = f"scored with responses: [{source.chosen}, {source.rejected}], scores: [{better}, {worse}]"
        raise several_shapes(
            look,
            message,
            {"format": FILL_IN, **settings},
            format=f"pair (the columns hold) or {scored}, best: highest",
        )


def _contradictions(look: Look, better: str, worse: str) -> Iterator[Row]:
    for row in look.rows:
        high, low = number_in(row.values.get(better)), number_in(row.values.get(worse))
        if high is not None and low is not None and high < low:
            yield row
