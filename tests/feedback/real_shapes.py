"""Rows in the shape of many public sets, all written for these tests, and what has to come of them.

What a ranking says is written as "better > worse" and "one = other", by the responses' texts; a prompt as
its turns, "user: Why?", joined by " / ".
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

__all__ = ["DEMONSTRATIONS", "RANKINGS", "Shape"]


class Shape(NamedTuple):
    """A few rows of a set.

    Args:
        settings: of the source: its preset, or a mapping.
        rows: in the set's shape.
        prompts: of the records, in their order.
        says: of rankings: what is compared; of demonstrations: the response.
        annotators: of rankings, where they are named.
    """

    settings: dict[str, Any]
    rows: list[dict[str, Any]]
    prompts: list[str]
    says: list[list[str]] | list[str]
    annotators: list[str | None] = []


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def part(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text, "image": None}]


def gpt(text: str) -> dict[str, Any]:
    return {"from": "gpt", "value": text}


def human(text: str) -> dict[str, Any]:
    return {"from": "human", "value": text}


def rated(response: str, score: float, rating: str = "3") -> dict[str, Any]:
    return {
        "model": "m",
        "custom_system_prompt": "Be nice.",
        "response": response,
        "overall_score": 10.0,
        "fine-grained_score": score,
        "annotations": {"helpfulness": {"Rating": rating}},
    }


def ranked(*pairs: tuple[str, float]) -> list[dict[str, Any]]:
    return [{"answer": answer, "model": "m", "rank": rank} for answer, rank in pairs]


def rest(names: str) -> dict[str, Any]:
    """The other columns that the set has, with something in them: detection tells a set by all its columns."""
    return dict.fromkeys(names.split(), "...")


ARENA_REST = rest("model_a model_b turn anony language tstamp openai_moderation")


def tree(text: str, role: str, rank: int | None = None, *replies: Any) -> dict[str, Any]:
    return {"message_id": text, "text": text, "role": role, "rank": rank, "replies": list(replies)}


TALK = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Dry or wet?\n\nAssistant:"
TALKED = "user: Hi / assistant: Hello. / user: Dry or wet?"

RANKINGS: dict[str, Shape] = {
    "hh-rlhf": Shape(
        {"preset": "hh-rlhf"},
        [{"chosen": TALK + " Dry.", "rejected": TALK + " Wet."}],
        [TALKED],
        [["Dry. > Wet."]],
    ),
    "summarize_from_feedback": Shape(
        {"preset": "summarize_from_feedback"},
        [
            {
                "info": {
                    "id": "t3_a",
                    "post": "I lost it.",
                    "title": "Lost",
                    "subreddit": "help",
                    "site": None,
                },
                "summaries": [{"text": " It is gone.", "policy": "p"}, {"text": " Gone!", "policy": "q"}],
                "choice": choice,
                "worker": worker,
                "extra": {"confidence": None},
                **rest("batch split"),
            }
            for choice, worker in ((0, "w1"), (1, "w2"))
        ],
        ["user: SUBREDDIT: r/help\n\nTITLE: Lost\n\nPOST: I lost it.\n\nTL;DR:"] * 2,
        [[" It is gone. >  Gone!"], [" Gone! >  It is gone."]],
        ["w1", "w2"],
    ),
    "webgpt": Shape(
        {"preset": "webgpt"},
        [
            {
                "question": {"dataset": "eli5", "id": "1", "full_text": "Why rain?"},
                "answer_0": "Clouds.",
                "answer_1": "Gods.",
                "score_0": score,
                "score_1": -score,
                **rest("quotes_0 quotes_1 tokens_0 tokens_1"),
            }
            for score in (0.5, -1.0, 0.0)
        ],
        ["user: Why rain?"] * 3,
        [["Clouds. > Gods."], ["Gods. > Clouds."], ["Clouds. = Gods."]],
    ),
    "shp": Shape(
        {"preset": "shp"},
        [
            {
                "post_id": "p1",
                "history": "How long do eggs keep?",
                "human_ref_A": "Weeks.",
                "human_ref_B": "No idea.",
                "labels": label,
                "score_A": 4,
                "score_B": 9,
                **rest("domain upvote_ratio c_root_id_A c_root_id_B created_at_utc_A created_at_utc_B"),
                **rest("seconds_difference score_ratio"),
            }
            for label in (1, 0)
        ],
        ["user: How long do eggs keep?"] * 2,
        [["Weeks. > No idea."], ["No idea. > Weeks."]],
    ),
    "shp by its votes": Shape(
        {
            "format": "scored",
            "prompt": "history",
            "responses": ["human_ref_A", "human_ref_B"],
            "scores": ["score_A", "score_B"],
            "best": "highest",
        },
        [
            {
                "history": "Eggs?",
                "human_ref_A": "Weeks.",
                "human_ref_B": "No idea.",
                "score_A": 12,
                "score_B": 9,
            }
        ],
        ["user: Eggs?"],
        [["Weeks. > No idea."]],
    ),
    "ultrafeedback": Shape(
        {"preset": "ultrafeedback"},
        [
            {
                **rest("source models correct_answers incorrect_answers"),
                "instruction": "Sing.",
                "completions": [rated("la", 2.5), rated("lala", 4.75), rated("lo", 2.5)],
            }
        ],
        ["user: Sing."],
        [["lala > la", "la = lo", "lala > lo"]],
    ),
    "ultrafeedback by one aspect, ratings are text": Shape(
        {
            "preset": "ultrafeedback",
            "scores": "completions[].annotations.helpfulness.Rating",
            "missing": ["N/A"],
        },
        [
            {
                "instruction": "Sing.",
                "completions": [rated("la", 0, "4"), rated("x", 0, "N/A"), rated("lo", 0, "5")],
            }
        ],
        ["user: Sing."],
        [["lo > la"]],
    ),
    "ultrafeedback_binarized": Shape(
        {"preset": "ultrafeedback_binarized"},
        [
            {
                "prompt": "Sing.",
                "prompt_id": f"id{better}",
                "chosen": [user("Sing."), assistant("la")],
                "rejected": [user("Sing."), assistant("no")],
                "messages": [user("Sing."), assistant("la")],
                "score_chosen": better,
                "score_rejected": 6.0,
            }
            for better in (7.5, 6.0)
        ],
        ["user: Sing."] * 2,
        [["la > no"], ["la = no"]],
    ),
    "ultrafeedback_binarized with its prompt column": Shape(
        {"format": "pair"},
        [
            {
                "prompt": "Sing.",
                "chosen": [user("Sing."), assistant("la")],
                "rejected": [user("Sing."), assistant("no")],
            }
        ],
        ["user: Sing."],
        [["la > no"]],
    ),
    "trl-lib-ultrafeedback_binarized": Shape(
        {"preset": "trl-lib-ultrafeedback_binarized"},
        [
            {
                "chosen": [user("Sing."), assistant("la")],
                "rejected": [user("Sing."), assistant("no")],
                "score_chosen": 8.0,
                "score_rejected": 2.0,
            }
        ],
        ["user: Sing."],
        [["la > no"]],
    ),
    "pku-saferlhf-helpful": Shape(
        {"preset": "pku-saferlhf-helpful"},
        [
            {
                "prompt": "Fire?",
                "response_0": "Use gas.",
                "response_1": "No.",
                "better_response_id": 0,
                "safer_response_id": 1,
            }
        ],
        ["user: Fire?"],
        [["Use gas. > No."]],
    ),
    "pku-saferlhf-safe": Shape(
        {"preset": "pku-saferlhf-safe"},
        [
            {
                "prompt": "Fire?",
                "response_0": "Use gas.",
                "response_1": "No.",
                "better_response_id": 0,
                "safer_response_id": 1,
            }
        ],
        ["user: Fire?"],
        [["No. > Use gas."]],
    ),
    "helpsteer2-preference": Shape(
        {"preset": "helpsteer2-preference"},
        [
            {
                "split": "train",
                "prompt": "c#",
                "response_1": "a",
                "response_2": "b",
                "preference_strength": -2,
                "preference_statement": "Response 2 is slightly better than Response 1.",
                **rest("preference_elaboration"),
            },
            {
                "split": "val",
                "prompt": "Hi\n<extra_id_1>Assistant\nHello\n<extra_id_1>User\nWhy?",
                "response_1": "a",
                "response_2": "b",
                "preference_strength": 1,
                "preference_statement": "Response 2 is slightly better than Response 1.",
                **rest("preference_elaboration"),
            },
            {"split": "val", "prompt": "d", "response_1": "a", "response_2": "b", "preference_strength": 0},
        ],
        ["user: c#", "user: Hi / assistant: Hello / user: Why?", "user: d"],
        [["a > b"], ["b > a"], ["a = b"]],
    ),
    "helpsteer3": Shape(
        {"preset": "helpsteer3"},
        [
            {
                "domain": "code",
                "context": [user("One"), assistant("Two"), user("Three")],
                "response1": "a",
                "response2": "b",
                "overall_preference": preference,
                "individual_preference": [],
                "language": "c",
            }
            for preference in (-1, 0, 3)
        ],
        ["user: One / assistant: Two / user: Three"] * 3,
        [["a > b"], ["a = b"], ["b > a"]],
    ),
    "helpsteer3-annotators": Shape(
        {"preset": "helpsteer3-annotators"},
        [
            {
                "context": [user("One")],
                "response1": "a",
                "response2": "b",
                "overall_preference": -1,
                "individual_preference": [{"score": score, "reasoning": "x"} for score in (-2, 1, 0)],
                **rest("domain language"),
            }
        ],
        ["user: One"] * 3,
        [["a > b"], ["b > a"], ["a = b"]],
        [None, None, None],
    ),
    "PandaLM: a column for each annotator": Shape(
        {
            "format": "pairwise",
            "prompt": ["instruction", "input"],
            "responses": ["response1", "response2"],
            "labels": ["annotator1", "annotator2", "annotator3"],
            "label_layout": "annotators",
            "label_values": {1: "first", 2: "second", 0: "tie"},
        },
        [
            {
                "instruction": "Add.",
                "input": "1 and 2",
                "response1": "3",
                "response2": "4",
                "annotator1": 1,
                "annotator2": 2,
                "annotator3": 0,
            }
        ],
        ["user: Add.\n\n1 and 2"] * 3,
        [["3 > 4"], ["4 > 3"], ["3 = 4"]],
        ["annotator1", "annotator2", "annotator3"],
    ),
    "votes of named annotators in a list": Shape(
        {
            "format": "pairwise",
            "responses": ["a", "b"],
            "labels": "votes[].for",
            "label_layout": "annotators",
            "label_values": {"a": "first", "b": "second"},
            "annotator": "votes[].by",
        },
        [{"prompt": "Q", "a": "x", "b": "y", "votes": [{"by": "ann", "for": "a"}, {"by": 7, "for": "b"}]}],
        ["user: Q"] * 2,
        [["x > y"], ["y > x"]],
        ["ann", "7"],
    ),
    "nectar": Shape(
        {"preset": "nectar"},
        [
            {
                "prompt": TALK + " ",
                "answers": ranked(("ok", 2.0), ("good", 1.0), ("poor", 3.0)),
                "num_responses": 3,
                **rest("turns source"),
            }
        ],
        [TALKED],
        [["good > ok", "ok > poor", "good > poor"]],
    ),
    "oasst": Shape(
        {"preset": "oasst"},
        [
            {
                "message_tree_id": "t",
                "prompt": tree(
                    "How?", "prompter", None, tree("x", "assistant", 1), tree("y", "assistant", 0)
                ),
            }
        ],
        ["user: How?"],
        [["y > x"]],
    ),
    "oasst siblings in a row, rank 0 is best": Shape(
        {"format": "scored", "responses": "replies[].text", "scores": "replies[].rank", "best": "lowest"},
        [
            {
                "prompt": "How?",
                "replies": [{"text": "x", "rank": 1}, {"text": "y", "rank": 0}, {"text": "z", "rank": None}],
            }
        ],
        ["user: How?"],
        [["y > x"]],
    ),
    "oasst means of labels, ties within a distance": Shape(
        {"format": "scored", "responses": "texts", "scores": "quality", "best": "highest", "tie_within": 0.1},
        [{"prompt": "How?", "texts": ["x", "y", "z"], "quality": [1.1, 1.0, 0.5]}],
        ["user: How?"],
        [["x = y", "x > z", "y > z"]],
    ),
    "stack-exchange-paired": Shape(
        {"preset": "stack-exchange-paired"},
        [
            {
                "qid": 5,
                "question": "Segfault?",
                "date": "2011/01/01",
                "metadata": [],
                "response_j": "Free it.",
                "response_k": "Reboot.",
            }
        ],
        ["user: Segfault?"],
        [["Free it. > Reboot."]],
    ),
    "rm-static": Shape(
        {"preset": "rm-static"},
        [{"prompt": TALK, "response": " Dry.", "chosen": " Dry.", "rejected": " Wet."}],
        [TALKED],
        [["Dry. > Wet."]],  # the space is the transcript's
    ),
    "skywork": Shape(
        {"preset": "skywork"},
        [
            {
                "chosen": [user("One"), assistant("Two"), user("Three"), assistant("good")],
                "rejected": [user("One"), assistant("Two"), user("Three"), assistant("bad")],
                "source": "magpie",
            }
        ],
        ["user: One / assistant: Two / user: Three"],
        [["good > bad"]],
    ),
    "argilla-dpo-mix": Shape(
        {"preset": "argilla-dpo-mix"},
        [
            {
                "dataset": "capybara",
                "chosen": [{"role": "system", "content": "Brief."}, user("One"), assistant("good")],
                "rejected": [{"role": "system", "content": "Brief."}, user("One"), assistant("bad")],
                "chosen_rating": 5.0,
                "rejected_rating": 4.0,
            }
        ],
        ["system: Brief. / user: One"],
        [["good > bad"]],
    ),
    "arena-33k": Shape(
        {"preset": "arena-33k"},
        [
            {
                "question_id": f"q{winner}",
                "winner": winner,
                "judge": "arena_user_1",
                **ARENA_REST,
                "conversation_a": [user("Hi"), assistant("Ho")],
                "conversation_b": [user("Hi"), assistant("Hm")],
            }
            for winner in ("model_a", "model_b", "tie", "tie (bothbad)")
        ],
        ["user: Hi"] * 4,
        [["Ho > Hm"], ["Hm > Ho"], ["Ho = Hm"], ["Ho = Hm"]],
        ["arena_user_1"] * 4,
    ),
    "arena-55k": Shape(
        {"preset": "arena-55k"},
        [
            {
                "id": number,
                **rest("model_a model_b"),
                "prompt": json.dumps(["Hi"]),
                "response_a": json.dumps(["Ho"]),
                "response_b": json.dumps(["Hm"]),
                "winner_model_a": int(number == 0),
                "winner_model_b": int(number == 1),
                "winner_tie": int(number == 2),
            }
            for number in range(3)
        ],
        ["user: Hi"] * 3,
        [["Ho > Hm"], ["Hm > Ho"], ["Ho = Hm"]],
    ),
    "arena-55k, turns that agree up to the last": Shape(
        {"preset": "arena-55k"},
        [
            {
                "prompt": json.dumps(["Hi", "Why?"]),
                "response_a": json.dumps(["Ho", "So."]),
                "response_b": json.dumps(["Ho", "Hm"]),
                "winner_model_a": "1",
                "winner_model_b": "0",
                "winner_tie": "0",
            }
        ],
        ["user: Hi / assistant: Ho / user: Why?"],
        [["So. > Hm"]],
    ),
    "arena-100k": Shape(
        {"preset": "arena-100k", "json_columns": ["conversation_a", "conversation_b"]},
        [
            {
                "question_id": "q",
                "winner": "tie (bothbad)",
                "judge_hash": "j",
                **rest("model_a model_b"),
                "conversation_a": json.dumps([user("Hi"), assistant("Ho")]),
                "conversation_b": json.dumps([user("Hi"), assistant("Hm")]),
            }
        ],
        ["user: Hi"],
        [["Ho = Hm"]],
        ["j"],
    ),
    "arena-140k": Shape(
        {"preset": "arena-140k"},
        [
            {
                "id": winner,
                "winner": winner,
                **rest("model_a model_b full_conversation category_tag"),
                "conversation_a": [user(part("Hi")), assistant(part("Ho"))],
                "conversation_b": [user(part("Hi")), assistant(part("Hm"))],
            }
            for winner in ("model_b", "both_bad")
        ],
        ["user: Hi"] * 2,
        [["Hm > Ho"], ["Ho = Hm"]],
    ),
    "alpaca_farm": Shape(
        {"preset": "alpaca_farm"},
        [
            {
                "instruction": "Add.",
                "input": text,
                "output_1": "3",
                "output_2": "4",
                "preference": preference,
                "raw_preference": preference,
            }
            for text, preference in (("1 and 2", 1), ("", 2))
        ],
        ["user: Add.\n\n1 and 2", "user: Add."],
        [["3 > 4"], ["4 > 3"]],
    ),
    "llama-factory-pairs": Shape(
        {"preset": "llama-factory-pairs"},
        [{"instruction": "Add.", "input": "1 and 2", "chosen": "3", "rejected": "4"}],
        ["user: Add.\n\n1 and 2"],
        [["3 > 4"]],
    ),
    "llama-factory-sharegpt-pairs": Shape(
        {"preset": "llama-factory-sharegpt-pairs"},
        [
            {
                "conversations": [human("One"), gpt("Two"), human("Three")],
                "chosen": gpt("a"),
                "rejected": gpt("b"),
            }
        ],
        ["user: One / assistant: Two / user: Three"],
        [["a > b"]],
    ),
    "trl-preference": Shape(
        {"preset": "trl-preference"},
        [
            {"prompt": "One", "chosen": "a", "rejected": "b"},
            {"prompt": [user("Two")], "chosen": [assistant("a")], "rejected": [assistant("b")]},
        ],
        ["user: One", "user: Two"],
        [["a > b"], ["a > b"]],
    ),
    "trl-preference-implicit": Shape(
        {"preset": "trl-preference-implicit"},
        [{"chosen": [user("One"), assistant("a")], "rejected": [user("One"), assistant("b")]}],
        ["user: One"],
        [["a > b"]],
    ),
}

DEMONSTRATIONS: dict[str, Shape] = {
    "alpaca": Shape(
        {"preset": "alpaca"},
        [
            {"instruction": "Add.", "input": "1 and 2", "output": "3", "text": "Below is ..."},
            {"instruction": "Sing.", "input": "", "output": "la", "text": "Below is ..."},
        ],
        ["user: Add.\n\n1 and 2", "user: Sing."],
        ["3", "la"],
    ),
    "dolly": Shape(
        {"preset": "dolly"},
        [{"instruction": "Who?", "context": "Ann bakes.", "response": "Ann.", "category": "closed_qa"}],
        ["user: Who?\n\nAnn bakes."],
        ["Ann."],
    ),
    "sharegpt": Shape(
        {"preset": "sharegpt"},
        [{"id": "x", "conversations": [human("One"), gpt("Two"), human("Three"), gpt("Four")]}],
        ["user: One / assistant: Two / user: Three"],
        ["Four"],
    ),
    "openai-messages": Shape(
        {"preset": "openai-messages"},
        [
            {
                "messages": [
                    {"role": "system", "content": "Brief."},
                    user(part("One") + part(" more")),
                    assistant("Two"),
                ]
            }
        ],
        ["system: Brief. / user: One more"],
        ["Two"],
    ),
    "trl-prompt-completion": Shape(
        {"preset": "trl-prompt-completion"},
        [{"prompt": "One", "completion": "a"}, {"prompt": [user("Two")], "completion": [assistant("b")]}],
        ["user: One", "user: Two"],
        ["a", "b"],
    ),
    "trl-preference": Shape(
        {"preset": "trl-preference"},
        [{"prompt": "One", "chosen": "a", "rejected": "b"}],
        ["user: One"],
        ["a"],
    ),
}
