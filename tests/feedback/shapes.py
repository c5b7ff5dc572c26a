"""Rows in the shapes that real sets have, written by hand and small enough to check by eye."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

_SHARED = "\n\nHuman: hi, my cat said Human: meow\n\nAssistant: Hello.\n\nHuman: why?"

HH_ROWS = [
    {  # line 1: two exchanges, "Human:" inside a turn after a single space is text
        "chosen": _SHARED + "\n\nAssistant: It is a cat.",
        "rejected": _SHARED + "\n\nAssistant:  No idea.\n",
    },
    {  # line 2: the chosen answer is empty
        "chosen": "\n\nHuman: insult me\n\nAssistant:",
        "rejected": "\n\nHuman: insult me\n\nAssistant: You fool.",
    },
    {  # line 3: the model rolled on and wrote a marker itself, in the chosen response only
        "chosen": "\n\nHuman: tell me\n\nAssistant: First.\n\nAssistant: Second.",
        "rejected": "\n\nHuman: tell me\n\nAssistant: Nothing.",
    },
    {  # line 4: two human turns in a row, inside the shared prompt
        "chosen": "\n\nHuman: one\n\nHuman: two\n\nAssistant: good",
        "rejected": "\n\nHuman: one\n\nHuman: two\n\nAssistant: bad",
    },
    {  # line 5: the prompt of line 4 in other letters and spaces
        "chosen": "\n\nHuman: One\n\nHuman:  two \n\nAssistant: better",
        "rejected": "\n\nHuman: One\n\nHuman:  two \n\nAssistant: worse",
    },
]

FINEGRAINED_ROWS: list[dict[str, Any]] = [
    {  # labels of pairs 1v2 1v3 1v4 2v3 2v4 3v4; here 2 > 1 = 4 > 3
        "question": "When does it open?",
        "passages": [["Shop", "Shop opens at nine.", "It is closed on Sunday."], ["Shop", "It sells bread."]],
        "gold": "At nine.",
        **{f"prediction {number}": text for number, text in enumerate(("nine", "At nine.", "ten", "9"), 1)},
        "preference": [2, 1, 0, 1, 1, 2],
    },
    {  # 1 = 2 and 2 = 3 but 1 > 3: no order
        "question": "Who bakes?",
        "passages": [["Baker", "Ann bakes."]],
        "gold": "Ann.",
        **{f"prediction {number}": text for number, text in enumerate(("Ann", "Anna", "Bob", "Cy"), 1)},
        "preference": [0, 1, 1, 0, 1, 1],
    },
]
FINEGRAINED_SETTINGS: dict[str, Any] = {
    "format": "pairwise",
    "prompt": "{passages}\n\n{question}",
    "responses": ["prediction 1", "prediction 2", "prediction 3", "prediction 4"],
    "labels": "preference",
    "label_values": {1: "first", 2: "second", 0: "tie"},
}


def message(
    name: str, text: str, role: str, rank: int | None = None, *replies: Any, **more: Any
) -> dict[str, Any]:
    """One message of an Open Assistant tree."""
    return {"message_id": name, "text": text, "role": role, "rank": rank, "replies": list(replies), **more}


TREE_ROWS = [
    {
        "message_tree_id": "t1",
        "prompt": message(
            "p1",
            "How?",
            "prompter",
            None,
            message("a1", "worse", "assistant", 1, message("p2", "And then?", "prompter", None)),
            message(
                "a2",
                "best",
                "assistant",
                0,
                message("p3", "Why?", "prompter", None, message("a5", "only one", "assistant")),
            ),
            message("a3", "unranked", "assistant", None),
        ),
    },
    {
        "message_tree_id": "t2",
        "prompt": message(
            "p4",
            "Where?",
            "prompter",
            None,
            message("a6", "here", "assistant", None),
            message("a7", "there", "assistant", None),
        ),
    },
]


def write_rows(path: Path, rows: list[Any]) -> str:
    """Write rows as .jsonl, .jsonl.gz or .json (by the path's name) and return the path as text."""
    text = (
        json.dumps(rows, indent=1)
        if path.suffix == ".json"
        else "".join(json.dumps(row) + "\n" for row in rows)
    )
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return str(path)
