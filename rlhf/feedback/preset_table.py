"""Shipped mappings of known sets and shapes: nothing but settings of a source, under a name.

The directions of the labels are those of the sets' own cards; `PRESETS.md` beside this file lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlhf.feedback.turns import HH_MARKERS

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True)
class Preset:
    """A mapping with where its meaning is documented.

    Args:
        about: the set (a hub id) or the shape.
        direction: which value says what; empty where the columns' names say it.
        documented: where that is written.
        settings: those of a `Source` that differ from their defaults.
        note: what the mapping leaves unread or refuses.
    """

    about: str
    direction: str
    documented: str
    settings: Mapping[str, Any]
    note: str = ""


_ARENA = {"model_a": "first", "model_b": "second", "tie": "tie"}
_ARENA_PAIR = {
    "format": "pairwise",
    "prompt": None,
    "responses": ("conversation_a", "conversation_b"),
    "labels": "winner",
}
_SIGNED = {**dict.fromkeys((-3, -2, -1), "first"), 0: "tie", **dict.fromkeys((1, 2, 3), "second")}
_SCORED_PAIR = {
    "format": "scored",
    "prompt": None,
    "responses": ("chosen", "rejected"),
    "best": "highest",
    "strength_from": "scores",
}
_ONE_TURN = (
    "conversations that differ before their last turn are refused (prompt_mismatch): leave them out by "
    "on_bad_row: skip and a max_bad above their share (1: however many)"
)

PRESETS: Mapping[str, Preset] = {
    "hh-rlhf": Preset("Anthropic/hh-rlhf", "", "card: chosen, rejected", {"format": "transcript"}),
    "summarize_from_feedback": Preset(
        "openai/summarize_from_feedback, comparisons of Reddit posts",
        "choice 0: the first summary is better, 1: the second",
        "card: choice is the index of the better summary",
        {
            "format": "pairwise",
            "prompt": "SUBREDDIT: r/{info.subreddit}\n\nTITLE: {info.title}\n\nPOST: {info.post}\n\nTL;DR:",
            "responses": "summaries[].text",
            "labels": "choice",
            "label_values": {0: "first", 1: "second"},
            "strength_from": "column",
            "strengths": "extra.confidence",
            "annotator": "worker",
            "group": "info.id",
        },
        "news rows (info.article) have no post and are refused; the space before a summary is kept; "
        "strength: confidence 1 to 9, or null",
    ),
    "webgpt": Preset(
        "openai/webgpt_comparisons",
        "the higher of score_0 and score_1 is better, equal (0 and 0) is a tie",
        "card: score_0 and score_1, from -1 to 1, add up to 0",
        {
            "format": "scored",
            "prompt": "question.full_text",
            "responses": ("answer_0", "answer_1"),
            "scores": ("score_0", "score_1"),
            "best": "highest",
            "strength_from": "scores",
        },
        "quotes are not put into the prompt",
    ),
    "shp": Preset(
        "stanfordnlp/SHP",
        "labels 1: human_ref_A is better, 0: human_ref_B",
        "card: labels is 1 if A is preferred to B, 0 if B to A",
        {
            "format": "pairwise",
            "prompt": "history",
            "responses": ("human_ref_A", "human_ref_B"),
            "labels": "labels",
            "label_values": {1: "first", 0: "second"},
            "group": "post_id",
        },
        "score_ratio is not read",
    ),
    "ultrafeedback": Preset(
        "openbmb/UltraFeedback",
        "the higher fine-grained_score (mean of the four aspects) is better",
        "card: ratings from 1 to 5, 5 is best; overall_score had an error for some rows",
        {
            "format": "scored",
            "prompt": "instruction",
            "responses": "completions[].response",
            "scores": "completions[].fine-grained_score",
            "best": "highest",
            "strength_from": "scores",
        },
        "custom_system_prompt of each completion is not read",
    ),
    "ultrafeedback_binarized": Preset(
        "HuggingFaceH4/ultrafeedback_binarized, *_prefs",
        "the higher of score_chosen and score_rejected is better, equal is a tie",
        "card: chosen has the higher overall score",
        {**_SCORED_PAIR, "scores": ("score_chosen", "score_rejected"), "group": "prompt_id"},
    ),
    "trl-lib-ultrafeedback_binarized": Preset(
        "trl-lib/ultrafeedback_binarized",
        "the higher of score_chosen and score_rejected is better, equal is a tie",
        "card: as HuggingFaceH4/ultrafeedback_binarized",
        {**_SCORED_PAIR, "scores": ("score_chosen", "score_rejected")},
    ),
    "pku-saferlhf-helpful": Preset(
        "PKU-Alignment/PKU-SafeRLHF, by helpfulness",
        "better_response_id 0: response_0 is better, 1: response_1",
        "card: id of the more helpful response",
        {
            "format": "pairwise",
            "responses": ("response_0", "response_1"),
            "labels": "better_response_id",
            "label_values": {0: "first", 1: "second"},
        },
    ),
    "pku-saferlhf-safe": Preset(
        "PKU-Alignment/PKU-SafeRLHF, by safety",
        "safer_response_id 0: response_0 is better, 1: response_1",
        "card: id of the safer response",
        {
            "format": "pairwise",
            "responses": ("response_0", "response_1"),
            "labels": "safer_response_id",
            "label_values": {0: "first", 1: "second"},
        },
        "pairs of two unsafe or two safe responses have a safer one too",
    ),
    "helpsteer2-preference": Preset(
        "nvidia/HelpSteer2, preference/",
        "preference_strength below 0: response_1 is better, 0: tie, above 0: response_2",
        "card: -3 is response 1 much better than response 2",
        {
            "format": "pairwise",
            "markers": {
                "start": "user",
                "user": "\n<extra_id_1>User\n",
                "assistant": "\n<extra_id_1>Assistant\n",
            },
            "responses": ("response_1", "response_2"),
            "labels": "preference_strength",
            "label_values": _SIGNED,
            "strength_from": "labels",
        },
        "the column split mixes train and validation",
    ),
    "helpsteer3": Preset(
        "nvidia/HelpSteer3, preference",
        "overall_preference below 0: response1 is better, 0: tie, above 0: response2",
        "card: -3 is response 1 much better than response 2",
        {
            "format": "pairwise",
            "prompt": "context",
            "responses": ("response1", "response2"),
            "labels": "overall_preference",
            "label_values": _SIGNED,
            "strength_from": "labels",
        },
    ),
    "helpsteer3-annotators": Preset(
        "nvidia/HelpSteer3, preference, an opinion for each of individual_preference",
        "score below 0: response1 is better, 0: tie, above 0: response2",
        "card: -3 is response 1 much better than response 2",
        {
            "format": "pairwise",
            "prompt": "context",
            "responses": ("response1", "response2"),
            "labels": "individual_preference[].score",
            "label_values": _SIGNED,
            "label_layout": "annotators",
            "strength_from": "labels",
        },
    ),
    "nectar": Preset(
        "berkeley-nest/Nectar",
        "rank 1 is best, 7 worst",
        "card: ranked by GPT-4, rank 1 is the best",
        {
            "format": "scored",
            "markers": HH_MARKERS,
            "responses": "answers[].answer",
            "scores": "answers[].rank",
            "best": "lowest",
        },
        "equal answers under one prompt are noted (same_responses)",
    ),
    "oasst": Preset(
        "OpenAssistant/oasst1, oasst2: trees (*.trees.jsonl.gz)",
        "rank 0 is best among siblings",
        "Köpf et al. 2023, arXiv:2304.07327",
        {"format": "tree"},
        "the flat table of messages needs a loader",
    ),
    "stack-exchange-paired": Preset(
        "lvwerra/stack-exchange-paired",
        "response_j is better than response_k",
        "card",
        {
            "format": "pair",
            "prompt": "question",
            "chosen": "response_j",
            "rejected": "response_k",
            "response": "response_j",
            "group": "qid",
        },
    ),
    "rm-static": Preset(
        "Dahoas/rm-static, full-hh-rlhf, static-hh",
        "",
        "card: chosen, rejected",
        {"format": "pair", "markers": HH_MARKERS},
    ),
    "skywork": Preset(
        "Skywork/Skywork-Reward-Preference-80K-v0.2",
        "",
        "card: chosen, rejected",
        {"format": "pair", "prompt": None, "response": "chosen"},
    ),
    "argilla-dpo-mix": Preset(
        "argilla/dpo-mix-7k",
        "the higher of chosen_rating and rejected_rating is better, equal is a tie",
        "card: chosen_rating, rejected_rating",
        {**_SCORED_PAIR, "scores": ("chosen_rating", "rejected_rating")},
    ),
    "arena-33k": Preset(
        "lmsys/chatbot_arena_conversations",
        "winner: model_a, model_b, tie, tie (bothbad) (a tie too)",
        "card: winner",
        {
            **_ARENA_PAIR,
            "label_values": {**_ARENA, "tie (bothbad)": "tie"},
            "id": "question_id",
            "annotator": "judge",
        },
        _ONE_TURN,
    ),
    "arena-55k": Preset(
        "lmarena-ai/arena-human-preference-55k",
        "the one of winner_model_a, winner_model_b, winner_tie that is 1",
        "the Kaggle competition's page on its data",
        {
            "format": "pairwise",
            "json_columns": ("prompt", "response_a", "response_b"),
            "responses": ("response_a", "response_b"),
            "labels": ("winner_model_a", "winner_model_b", "winner_tie"),
            "label_layout": "one_hot",
            "label_values": {"winner_model_a": "first", "winner_model_b": "second", "winner_tie": "tie"},
        },
        _ONE_TURN,
    ),
    "arena-100k": Preset(
        "lmarena-ai/arena-human-preference-100k",
        "winner: model_a, model_b, tie, tie (bothbad) (a tie too)",
        "card: winner",
        {
            **_ARENA_PAIR,
            "label_values": {**_ARENA, "tie (bothbad)": "tie"},
            "id": "question_id",
            "annotator": "judge_hash",
        },
        f"where conversations are JSON text, add json_columns: [conversation_a, conversation_b]; {_ONE_TURN}",
    ),
    "arena-140k": Preset(
        "lmarena-ai/arena-human-preference-140k",
        "winner: model_a, model_b, tie, both_bad (a tie too)",
        "card: winner",
        {
            **_ARENA_PAIR,
            "label_values": {**_ARENA, "both_bad": "tie"},
        },
        f"parts that are no text are refused; {_ONE_TURN}",
    ),
    "alpaca_farm": Preset(
        "tatsu-lab/alpaca_farm, human preference",
        "preference 1: output_1 is better, 2: output_2",
        "card: preference",
        {
            "format": "pairwise",
            "prompt": ("instruction", "input"),
            "responses": ("output_1", "output_2"),
            "labels": "preference",
            "label_values": {1: "first", 2: "second"},
        },
        "raw_preference (how strong) is not read",
    ),
    "alpaca": Preset(
        "tatsu-lab/alpaca and its shape: instruction, input, output",
        "",
        "card: output is the demonstration",
        {"format": "canonical", "prompt": ("instruction", "input"), "response": "output"},
    ),
    "dolly": Preset(
        "databricks/databricks-dolly-15k",
        "",
        "card: response is the demonstration",
        {"format": "canonical", "prompt": ("instruction", "context")},
    ),
    "sharegpt": Preset(
        "ShareGPT: conversations of {from, value}",
        "",
        "the last turn, the assistant's, is the demonstration",
        {"format": "canonical", "prompt": None, "response": "conversations"},
    ),
    "openai-messages": Preset(
        "OpenAI fine-tuning: messages of {role, content}",
        "",
        "the last turn, the assistant's, is the demonstration",
        {"format": "canonical", "prompt": None, "response": "messages"},
        "messages with tool calls or images are refused",
    ),
    "llama-factory-pairs": Preset(
        "LLaMA-Factory ranking, alpaca: instruction, input, chosen, rejected",
        "",
        "LLaMA-Factory, data/README.md",
        {"format": "pair", "prompt": ("instruction", "input"), "response": "chosen"},
        "a system text is noted, history refused",
    ),
    "llama-factory-sharegpt-pairs": Preset(
        "LLaMA-Factory ranking, sharegpt: conversations, chosen and rejected messages",
        "",
        "LLaMA-Factory, data/README.md",
        {"format": "pair", "prompt": "conversations", "response": "chosen"},
    ),
    "trl-preference": Preset(
        "TRL preference with a prompt column; texts or messages",
        "",
        "TRL, dataset formats",
        {"format": "pair", "response": "chosen"},
        "a column margin is read by strength_from: column, strengths: margin",
    ),
    "trl-preference-implicit": Preset(
        "TRL preference without a prompt column; messages",
        "",
        "TRL, dataset formats",
        {"format": "pair", "prompt": None, "response": "chosen"},
    ),
    "trl-prompt-completion": Preset(
        "TRL prompt and completion; texts or messages",
        "",
        "TRL, dataset formats",
        {"format": "canonical", "response": "completion"},
    ),
}
