"""Known sets, told by the names of all their columns that we know of, and by values that their preset reads.

A column more does not matter; where one is missing the set may be another one, and nothing is concluded.
The columns are those of the sets' cards.
"""

from __future__ import annotations

from collections.abc import Mapping

from rlhf.errors import DataError
from rlhf.feedback.detection.contradictions import contradicting, refusal
from rlhf.feedback.detection.found import Found
from rlhf.feedback.detection.looks import Look
from rlhf.feedback.detection.prompts import prompt_beside
from rlhf.feedback.detection.refusals import listed, several_shapes
from rlhf.feedback.detection.trying import reads
from rlhf.feedback.detection.yaml_text import FILL_IN, defaults
from rlhf.feedback.mapping import Source
from rlhf.feedback.preset_table import PRESETS
from rlhf.feedback.rows import Row

__all__ = ["COLUMNS", "known_set", "presets_that_read"]

_PKU = "prompt response_0 response_1 better_response_id safer_response_id"
_HELPSTEER3 = "domain language context response1 response2 overall_preference individual_preference"
_ARENA = "model_a model_b winner conversation_a conversation_b"
_SHP = (
    "post_id domain upvote_ratio history c_root_id_A c_root_id_B created_at_utc_A created_at_utc_B score_A "
    "score_B human_ref_A human_ref_B labels seconds_difference score_ratio"
)
COLUMNS: Mapping[str, frozenset[str]] = {
    name: frozenset(columns.split())
    for name, columns in {
        "summarize_from_feedback": "info summaries choice worker batch split extra",
        "webgpt": "question quotes_0 answer_0 tokens_0 score_0 quotes_1 answer_1 tokens_1 score_1",
        "shp": _SHP,
        "ultrafeedback": "source instruction models completions correct_answers incorrect_answers",
        "ultrafeedback_binarized": "prompt prompt_id chosen rejected messages score_chosen score_rejected",
        "trl-lib-ultrafeedback_binarized": "chosen rejected score_chosen score_rejected",
        "pku-saferlhf-helpful": _PKU,
        "pku-saferlhf-safe": _PKU,
        "helpsteer2-preference": "split prompt response_1 response_2 preference_strength "
        "preference_statement preference_elaboration",
        "helpsteer3": _HELPSTEER3,
        "helpsteer3-annotators": _HELPSTEER3,
        "nectar": "prompt answers turns num_responses source",
        "stack-exchange-paired": "qid question date metadata response_j response_k",
        "argilla-dpo-mix": "dataset chosen rejected chosen_rating rejected_rating",
        "arena-33k": f"question_id {_ARENA} judge turn anony language tstamp openai_moderation",
        "arena-55k": "id model_a model_b prompt response_a response_b winner_model_a winner_model_b "
        "winner_tie",
        "arena-100k": f"question_id {_ARENA} judge_hash",
        "arena-140k": f"id {_ARENA} full_conversation category_tag",
        "alpaca_farm": "instruction input output_1 output_2 preference raw_preference",
        "dolly": "instruction context response category",
    }.items()
}
# Settings that say what is compared and how; the others may be given beside a known set.
_MEANING = (
    "response", "responses", "ranks", "scores", "best", "tie_within", "missing", "chosen", "rejected",
    "labels", "label_values", "label_layout", "json_columns",
)  # fmt: skip
_READ = 0.9
_MOST_SHOWN = 6


def known_set(look: Look) -> Found | None:
    """Return the known set whose columns these are.

    Raises:
        ShapeError: several_shapes, where two presets read them and mean something else.
    """
    names = set(look.names)
    for known, needed in COLUMNS.items():
        if needed <= names and look.kind == "rankings" and not look.given("format", "chosen", "rejected"):
            _refuse_contradiction(look, known)
    fit = [name for name, columns in COLUMNS.items() if columns <= names and _fits(look, name)]
    # Of two sets of which one has all columns of the other, the one with more is meant.
    fit = [name for name in fit if not any(COLUMNS[name] < COLUMNS[other] for other in fit)]
    if not fit:
        return None
    if len(fit) > 1 and look.kind != "rankings":
        return None  # what they say of rankings does not matter; the prompt is found like any other
    if len(fit) > 1:
        told = "; ".join(f"{name}: {PRESETS[name].direction}" for name in fit)
        message = f"presets {listed(fit)} read these columns and mean something else ({told})"
        raise several_shapes(look, message, {"preset": FILL_IN}, preset=listed(fit, "or"))
    name = fit[0]
    preset = PRESETS[name]
    columns = sorted(COLUMNS[name], key=look.names.index)
    shown = ", ".join(columns[:_MOST_SHOWN]) + (" ..." if len(columns) > _MOST_SHOWN else "")
    because = [f"its {len(columns)} columns are all there ({shown})"]
    because += [preset.direction] if preset.direction and look.kind == "rankings" else []
    settings = {"preset": name, **preset.settings}
    if preset.settings.get("prompt", "") is None:  # it leaves a column of the prompt unread
        part = prompt_beside(look)
        because += part.because
        settings["prompt"] = part.settings.get("prompt", "prompt")
    return Found(preset.about, tuple(because), settings, name)


def presets_that_read(look: Look) -> list[str]:
    """Return the presets of known sets that read the first rows, whatever other columns the set has."""
    return [name for name in COLUMNS if PRESETS[name].direction and _fits(look, name)]


def _fits(look: Look, name: str) -> bool:
    """Return whether a preset agrees with what is given and reads nine of ten rows."""
    settings = {**defaults(), **PRESETS[name].settings}
    if any(look.given(key) and getattr(look.source, key) != settings[key] for key in _MEANING):
        return False
    source = _source(look, name)
    if source is None or _contradictions(look, source):
        return False
    return sum(reads(row, source, look.kind) for row in look.rows) >= _READ * len(look.rows)


def _contradictions(look: Look, source: Source) -> list[Row]:
    """Return the rows whose scores call a response worse whose column calls it chosen."""
    if source.format != "scored" or source.responses != ("chosen", "rejected"):
        return []
    return contradicting(look, *source.scores)


def _refuse_contradiction(look: Look, name: str) -> None:
    """Refuse rows of a known set whose columns and scores do not agree: which is right is not guessed.

    Raises:
        ShapeError: several_shapes.
    """
    source = _source(look, name)
    found = [] if source is None else _contradictions(look, source)
    if source is not None and found:
        raise refusal(look, source.responses, source.scores, found, {})


def _source(look: Look, name: str) -> Source | None:
    given = {key: getattr(look.source, key) for key in defaults() if look.given(key)}
    if look.json_columns:
        given["json_columns"] = ()  # they are decoded already
    try:
        return Source(**{**PRESETS[name].settings, **given, "path": look.source.path, "preset": name})
    except DataError:
        return None
