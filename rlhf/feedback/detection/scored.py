"""Responses with scores or ranks: read only where it is said which end is better."""

from __future__ import annotations

from typing import Any

from rlhf.feedback.detection.found import Found
from rlhf.feedback.detection.hints import unsaid
from rlhf.feedback.detection.looks import Look
from rlhf.feedback.detection.names import rows_of_columns
from rlhf.feedback.detection.prompts import prompt_in
from rlhf.feedback.detection.refusals import listed, score_direction_missing, several_shapes
from rlhf.feedback.detection.responses import Responses, implicit_prompt, number_lists, responses_in
from rlhf.feedback.detection.yaml_text import FILL_IN

__all__ = ["scored"]

_SCORES = {
    "score", "scores", "rating", "ratings", "rank", "ranks", "ranking", "stars", "vote", "votes", "upvotes",
    "likes", "win", "wins", "reward", "rewards", "quality", "grade", "grades", "points", "preference",
    "preferences",
}  # fmt: skip


def scored(look: Look) -> Found | None:
    """Responses with scores or ranks: read where `best` is given."""
    if look.given("ranks", "labels", "label_values", "label_layout", "chosen", "rejected"):
        return None
    responses = responses_in(look)
    if responses is None:
        return None
    scores = _scores_in(look, responses)
    if not scores and not look.given("scores", "best", "tie_within", "missing"):
        return None
    settings: dict[str, Any] = {"format": "scored"}
    if responses.paths != "responses":
        settings["responses"] = responses.paths
    part = prompt_in(look, settings) or implicit_prompt(look, responses)
    settings |= part.settings
    if len(scores) == 1 and scores[0] != "scores" and not look.given("scores"):
        settings["scores"] = scores[0]
    if look.source.best is None:
        flat = [path for one in scores for path in ((one,) if isinstance(one, str) else one)]
        lacking, told = unsaid(look, settings)
        raise score_direction_missing(look, settings | lacking, responses.shown, flat, **told)
    if len(scores) > 1 and not look.given("scores"):
        names = [one if isinstance(one, str) else f"[{', '.join(one)}]" for one in scores]
        message = f"{listed(names)} could each be the scores"
        raise several_shapes(look, message, {**settings, "scores": FILL_IN}, scores=listed(names, "or"))
    said = f"best: {look.source.best} is given"
    return Found("responses with scores or ranks", (responses.because, said, *part.because), settings)


def _scores_in(look: Look, responses: Responses) -> list[str | tuple[str, ...]]:
    if look.given("scores"):
        return [look.source.scores]
    if not isinstance(responses.paths, str):
        groups = rows_of_columns([name for name in look.names if name not in responses.paths]).items()
        return [
            names
            for stem, names in groups
            if len(names) == len(responses.paths)
            and set(stem.split("_")) & _SCORES
            and all(look.column(name).mostly_numeric(look.source.missing) for name in names)
        ]
    if "[]." in responses.paths:
        return list(_number_keys(look, responses.paths.partition("[].")[0]))
    return list(number_lists(look, responses.paths))


def _number_keys(look: Look, name: str) -> list[str]:
    """Return the paths of the numbers in a list of objects."""
    keys = dict.fromkeys(
        key for value in look.column(name).values for item in value if isinstance(item, dict) for key in item
    )
    paths = [f"{name}[].{key}" for key in keys]
    return [path for path in paths if look.column(path).values and look.column(path).mostly("numbers")]
