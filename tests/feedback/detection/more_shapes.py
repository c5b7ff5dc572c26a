"""Shapes of demonstrations, prompts and texts that people bring, and what detection says of each."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.feedback.real_shapes import assistant, gpt, human, user

__all__ = ["MORE", "One"]


class One(NamedTuple):
    """A few rows of one kind.

    Args:
        kind: of the records.
        rows: as people have them.
        found: what comes of each: "turns -> response", "turns" or a text; or the code of a refusal.
        settings: what is found but the format; of a refusal: empty.
    """

    kind: str
    rows: list[dict[str, Any]]
    found: list[str] | str
    settings: dict[str, Any] = {}


TALK = "\n\nHuman: Dry?\n\nAssistant: Wet."
MORE: dict[str, One] = {
    "our own demonstrations": One(
        "demonstrations", [{"prompt": "One", "response": "a"}], ["user: One -> a"]
    ),
    "our own with messages": One(
        "demonstrations",
        [{"prompt": [user("One"), assistant("Two"), user("Three")], "response": "a"}],
        ["user: One / assistant: Two / user: Three -> a"],
    ),
    "alpaca without input": One(
        "demonstrations",
        [{"instruction": "Sing.", "output": "la"}],
        ["user: Sing. -> la"],
        {"prompt": "instruction", "response": "output"},
    ),
    "LLaMA-Factory alpaca with a system": One(
        "demonstrations",
        [
            {"instruction": "Add.", "input": "1 and 2", "output": "3", "system": "Brief.", "history": []},
            {"instruction": "Sing.", "input": "", "output": "la", "system": "", "history": []},
        ],
        ["system: Brief. / user: Add.\n\n1 and 2 -> 3", "user: Sing. -> la"],
        {"prompt": ("instruction", "input"), "response": "output", "system": "system"},
    ),
    "LLaMA-Factory alpaca with earlier turns": One(
        "demonstrations",
        [{"instruction": "Add.", "input": "", "output": "3", "history": [["Hi", "Ho"]]}],
        "shape_unknown",
    ),
    "self-instruct: several answers a row": One(
        "demonstrations",
        [{"id": "seed", "instruction": "Add.", "instances": [{"input": "1 and 2", "output": "3"}]}],
        "shape_unknown",
    ),
    "OpenRLHF": One(
        "demonstrations",
        [{"input": "One", "output": "a"}],
        ["user: One -> a"],
        {"prompt": "input", "response": "output"},
    ),
    "TRL prompt and completion, as conversations": One(
        "demonstrations",
        [{"prompt": [user("One")], "completion": [assistant("a")]}],
        ["user: One -> a"],
        {"response": "completion"},
    ),
    "TRL unpaired preference: some completions are bad ones": One(
        "demonstrations",
        [{"prompt": "One", "completion": "a", "label": True}, {"prompt": "Two", "completion": "b", "label": False}],
        "label_direction_missing",
    ),
    "conversations of which some are bad ones": One(
        "demonstrations",
        [{"messages": [user("One"), assistant("a")], "label": 1}, {"messages": [user("Two"), assistant("b")], "label": 0}],
        "label_direction_missing",
    ),
    "TRL conversations": One(
        "demonstrations",
        [{"messages": [user("One"), assistant("a")]}],
        ["user: One -> a"],
        {"prompt": None, "response": "messages"},
    ),
    "axolotl sharegpt with a system": One(
        "demonstrations",
        [{"conversations": [{"from": "system", "value": "Brief."}, human("One"), gpt("a")]}],
        ["system: Brief. / user: One -> a"],
        {"prompt": None, "response": "conversations"},
    ),
    "axolotl input_output": One(
        "demonstrations",
        [{"segments": [{"label": False, "text": "One"}, {"label": True, "text": "a"}]}],
        "shape_unknown",
    ),
    "OpenOrca": One(
        "demonstrations",
        [{"id": "x", "system_prompt": "", "question": "One", "response": "a"}],
        ["user: One -> a"],
        {"prompt": "question", "system": "system_prompt"},
    ),
    "MetaMath": One(
        "demonstrations",
        [{"query": "One", "response": "a", "type": "math", "original_question": "One"}],
        ["user: One -> a"],
        {"prompt": "query"},
    ),
    "GSM8K": One(
        "demonstrations",
        [{"question": "One", "answer": "a"}],
        ["user: One -> a"],
        {"prompt": "question", "response": "answer"},
    ),
    "names in capitals": One(
        "demonstrations",
        [{"INSTRUCTION": "One", "RESPONSE": "a", "SOURCE": "x"}],
        ["user: One -> a"],
        {"prompt": "INSTRUCTION", "response": "RESPONSE"},
    ),
    "ultrachat: messages repeat the prompt": One(
        "demonstrations",
        [{"prompt": "One", "prompt_id": "x", "messages": [user("One"), assistant("a")]}],
        ["user: One -> a"],
        {"response": "messages"},
    ),
    "transcripts in one column": One(
        "demonstrations", [{"text": TALK}], ["user: Dry? -> Wet."], {"chosen": "text"}
    ),
    "rm-static as demonstrations": One(
        "demonstrations",
        [{"prompt": "\n\nHuman: Dry?\n\nAssistant:", "response": " Wet.", "chosen": " Wet.", "rejected": " No."}],
        ["user: Dry? -> Wet."],
        {"markers": {"user": "\n\nHuman:", "assistant": "\n\nAssistant:"}},
    ),
    "prompts of which half are transcripts": One(
        "demonstrations",
        [{"prompt": "\n\nHuman: Dry?\n\nAssistant:", "response": "a"}, {"prompt": "Why?", "response": "b"}],
        "several_shapes",
    ),
    "a question about a passage": One(
        "demonstrations",
        [{"context": "Ann bakes.", "question": "Who?", "answer": "Ann."}],
        "several_shapes",
    ),
    "two that may be the response": One(
        "demonstrations", [{"question": "One", "answer": "a", "solution": "b"}], "several_shapes"
    ),
    "two that may be the prompt": One(
        "demonstrations", [{"question": "One", "query": "Two", "answer": "a"}], "several_shapes"
    ),
    "a document is no demonstration": One("demonstrations", [{"text": "Once upon a time."}], "shape_unknown"),
    "one response a row with ratings (HelpSteer2) is no ranking": One(
        "rankings", [{"prompt": "One", "response": "a", "helpfulness": 3, "correctness": 4}], "shape_unknown"
    ),
    "TRL unpaired preference is no ranking": One(
        "rankings", [{"prompt": "One", "completion": "a", "label": True}], "shape_unknown"
    ),
    "a better and a worse text without a prompt": One(
        "rankings", [{"chosen": "a", "rejected": "b"}], "shape_unknown"
    ),
    "our own prompts": One("prompts", [{"prompt": "One", "task": "x"}], ["user: One"]),
    "TRL prompts as conversations": One("prompts", [{"prompt": [user("One")]}], ["user: One"]),
    "conversations that wait for an answer": One(
        "prompts", [{"messages": [user("One"), assistant("a"), user("Two")]}],
        ["user: One / assistant: a / user: Two"], {"prompt": "messages"},
    ),
    "conversations that are answered": One(
        "prompts", [{"conversations": [human("One"), gpt("a")]}],
        ["user: One"], {"prompt": None, "response": "conversations"},
    ),
    "questions": One("prompts", [{"question": "One", "answer": "a"}], ["user: One"], {"prompt": "question"}),
    "instructions with inputs": One(
        "prompts", [{"instruction": "Add.", "input": "1"}], ["user: Add.\n\n1"], {"prompt": ("instruction", "input")}
    ),
    "a document is no prompt": One("prompts", [{"text": "Once upon a time."}], "shape_unknown"),
    "JSON as text": One(
        "prompts", [{"prompt": '[{"role": "user", "content": "One"}]'}], ["user: One"], {"json_columns": ("prompt",)}
    ),
    "documents": One("texts", [{"text": "Once upon a time.", "url": "x"}], ["Once upon a time."]),
    "transcripts as documents": One("texts", [{"chosen": TALK, "rejected": TALK + "."}], [TALK]),
    "documents under another name": One("texts", [{"content": "Once upon a time."}], "shape_unknown"),
}  # fmt: skip
