"""Settings of a source of data: one description of a file, which five stages read for four kinds of records.

What a setting changes depends on the kind of record: `ranks` says where rankings have theirs, and
demonstrations have none, so that one description of a file serves all stages. The table says for which
kinds a setting changes what is read; `test_sources.py` shows that it does, and that it does not for the
others. That the stages hand all of them on is shown there too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rlhf.errors import DataError
from rlhf.feedback import reading
from rlhf.feedback.mapping import Source
from rlhf.feedback.records import Prompt
from rlhf.settings.shared import SourceSettings
from tests.stage_data import write_jsonl

__all__ = [
    "ALL_TOLD",
    "CASES",
    "KINDS",
    "SECTIONS",
    "SourceSettings",
    "kinds_of",
    "read",
    "words",
    "write_files",
]

READERS = {
    "prompts": "read_prompts",
    "demonstrations": "read_demonstrations",
    "rankings": "read_rankings",
    "texts": "read_texts",
}
KINDS = tuple(READERS)


class Section(NamedTuple):
    """A list of sources in the settings of a stage.

    Args:
        kind: of the records that are read.
        given: settings without which it is not read.
    """

    kind: str
    given: tuple[str, ...] = ()


SECTIONS: dict[tuple[str, str], Section] = {
    ("base", "data.train"): Section("texts"),
    ("sft", "data.train"): Section("demonstrations"),
    ("sft", "data.validation"): Section("demonstrations"),
    ("reward", "data.train"): Section("rankings"),
    ("reward", "data.validation"): Section("rankings"),
    ("reward", "data.test"): Section("rankings"),
    ("ppo", "data.train"): Section("prompts"),
    ("ppo", "data.validation"): Section("prompts"),
    ("ppo", "ptx.text"): Section(
        "texts", ("ptx={text: [{path: '{inputs}/text.txt'}], batch_size: 4, max_tokens: 64}",)
    ),
    ("ppo", "ptx.demonstrations"): Section(
        "demonstrations",
        (
            "ptx={demonstrations: [{path: '{inputs}/demonstrations.train.jsonl'}], batch_size: 4, max_tokens: 64}",
        ),
    ),
    ("ppo", "evaluation.text.text"): Section(
        "texts", ("evaluation.text={text: [{path: '{inputs}/more_text.txt'}], max_tokens: 64}",)
    ),
    ("report", "data.test"): Section("prompts"),
}

_ANY_FUNCTION = f"{__file__}:read"  # named, and never called there
TOLD: dict[str, Any] = {
    "preset": "trl-prompt-completion",
    "adapter": _ANY_FUNCTION,
    "json_columns": ("p",),
    "format": "pairwise",
    "prompt": "a",
    "markers": {"user": "Q:", "assistant": "A:"},
    "system": "b",
    "response": "completion",  # as the preset has it, which must have an effect
    "responses": ("d", "e"),
    "labels": "i",
    "label_values": {1: "first"},
    "label_layout": "annotators",
    "strength_from": "column",
    "strengths": "p",
    "strength_values": {"big": 2.0},
    "annotator": "j",
    "id": "k",
    "group": "l",
    "text": "m",
    "separator": "n",
    "roles": {"parrot": "assistant"},
    "split": "validation",
    "validation_fraction": 0.5,
    "test_fraction": 0.25,
    "split_seed": 3,
    "limit": 7,
    "weight": 0.5,
    "on_bad_row": "skip",
    "max_bad": 0.5,
}
MORE_TOLD: dict[str, Any] = {
    "loader": _ANY_FUNCTION,
    "format": "scored",
    "scores": "o",
    "best": "lowest",
    "tie_within": 0.5,
    "missing": ("N/A", -1),
}
ALL_TOLD: tuple[dict[str, Any], ...] = (
    TOLD,
    MORE_TOLD,
    {"format": "canonical", "ranks": "f"},
    {"format": "pair", "chosen": "g", "rejected": "h"},
    {"format": "tree", "replies": "all"},
    {"hub": {"split": "train"}},
)
"""All: another value for every field but `path`, to see that all of them reach the reader."""


class Case(NamedTuple):
    """A value of a field, laid over the settings of a source of one of the files of `write_files`."""

    field: str
    to: Any
    kinds: tuple[str, ...]
    file: str = "table.jsonl"
    given: dict[str, Any] = {}


ASKED = ("prompts", "demonstrations", "rankings")
TRANSCRIPT = {"format": "transcript"}
# No 0 and 1, which beside one response would be a yes or no of it.
PAIRWISE = {"format": "pairwise", "label_values": {"3": "first", "4": "second"}}
SIGNED = {"format": "pairwise", "label_values": {"<0": "second", 0: "tie", ">0": "first"}}
PAIR = {"format": "pair"}
SCORED = {"format": "scored", "best": "highest"}
CASES = (
    Case("path", "other.jsonl", KINDS),
    Case("hub", {"split": "train"}, KINDS, "set"),
    Case("preset", "hh-rlhf", KINDS, "both.jsonl"),
    Case("adapter", "{folder}/rows.py:adapt", KINDS),
    Case("loader", "{folder}/rows.py:load", KINDS),
    Case("json_columns", ("json",), KINDS, given={"prompt": "json", "text": "json"}),
    Case("markers", {"user": "Q:", "assistant": "A:"}, ASKED, given={"prompt": "marked"}),
    Case("format", "pair", ("rankings",)),
    Case("format", "transcript", KINDS, "both.jsonl"),
    Case("prompt", "other_prompt", ASKED),
    Case("system", "{other_prompt}", ASKED),
    Case("response", "other_response", ("demonstrations",)),
    Case("responses", "other_responses", ("rankings",)),
    Case("ranks", "other_ranks", ("rankings",)),
    Case("chosen", "other_chosen", ("rankings",), given={"format": "pair"}),
    Case("chosen", "other_chosen", KINDS, "transcripts.jsonl", TRANSCRIPT),
    Case("rejected", "other_rejected", ("rankings",), given={"format": "pair"}),
    Case("rejected", "other_rejected", ("prompts", "rankings"), "transcripts.jsonl", TRANSCRIPT),
    Case("labels", "other_label", ("rankings",), given=PAIRWISE),
    Case("label_values", {"3": "second", "4": "first"}, ("rankings",), given=PAIRWISE),
    Case("label_layout", "annotators", ("rankings",), given={**PAIRWISE, "labels": "labels"}),
    Case("strength_from", "column", ("rankings",), given=PAIR),
    Case("strength_from", "labels", ("rankings",), given=SIGNED),
    Case("strength_from", "scores", ("rankings",), given=SCORED),
    Case("strengths", "other_strengths", ("rankings",), given={**PAIR, "strength_from": "column"}),
    Case("strength_values", {"2": 5.0}, ("rankings",), given={**PAIR, "strength_from": "column"}),
    Case("scores", "other_scores", ("rankings",), given=SCORED),
    Case("best", "lowest", ("rankings",), given=SCORED),
    Case("tie_within", 1.0, ("rankings",), given=SCORED),
    Case(
        "missing", ("none",), ("rankings",), given={**SCORED, "responses": "three", "scores": "some_scores"}
    ),
    Case("annotator", "other_annotator", ("rankings",)),
    Case("id", "other_id", KINDS),
    Case("group", "other_id", KINDS),
    Case("text", "other_text", ("texts",)),
    Case(
        "separator",
        "---",
        ("prompts", "demonstrations", "texts"),
        "documents.txt",
        {"prompt": "text", "response": "text"},
    ),
    Case("roles", {"parrot": "assistant"}, ASKED, given={"prompt": "messages"}),
    Case("replies", "all", ("demonstrations", "texts"), "trees.jsonl", {"format": "tree"}),
    Case("split", "train", KINDS, given={"split": "validation", "validation_fraction": 0.5}),
    Case("validation_fraction", 0.75, KINDS, given={"split": "validation", "validation_fraction": 0.25}),
    Case("test_fraction", 0.75, KINDS, given={"split": "test", "test_fraction": 0.25}),
    Case("split_seed", 1, KINDS, given={"split": "validation", "validation_fraction": 0.5}),
    Case("limit", 2, KINDS),
    Case("weight", 0.5, KINDS),
    Case("on_bad_row", "skip", KINDS, "bad.jsonl", {"max_bad": 0.5}),
    Case("max_bad", 0.5, KINDS, "bad.jsonl", {"on_bad_row": "skip"}),
)


def kinds_of(field: str) -> set[str]:
    """The kinds of records whose reading a field changes."""
    return {kind for case in CASES if case.field == field for kind in case.kinds}


def words(stage: str, key: str, field: str) -> str:
    """What is shown of a source's setting, for the list."""
    section = SECTIONS.get((stage, key.partition("[]")[0]))
    if section is None:
        return "NOT SHOWN: say in sources.SECTIONS what is read"
    if section.kind in kinds_of(field):
        return f"the stage hands it on, and other {section.kind} are read (test_sources.py)"
    return f"says nothing about {section.kind}: it describes files for {_list(kinds_of(field))} too"


def _list(kinds: Iterable[str]) -> str:
    return ", ".join(kind for kind in KINDS if kind in kinds) or "nothing"


def read(kind: str, folder: Path, case: Case, changed: bool) -> tuple[str, object]:
    """Read a case's file: its records, or the error."""
    told = {"path": case.file, **case.given, **({case.field: case.to} if changed else {})}
    for name in {"adapter", "loader"} & told.keys():
        told[name] = told[name].replace("{folder}", str(folder))
    settings = SourceSettings(**{**told, "path": str(folder / told["path"])})
    try:
        return "records", list(map(_proper, getattr(reading, READERS[kind])([settings.build()]).records))
    except DataError as error:
        return "error", str(error)


def _proper(record: Any) -> Any:
    """A record without the row's other columns: those that the source names are not among them."""
    if isinstance(record, Prompt):
        return replace(record, columns={})
    return replace(record, prompt=_proper(record.prompt)) if hasattr(record, "prompt") else record


def check_values_differ() -> None:
    """Raise where `ALL_TOLD` leaves a field of a source at its default."""
    default, *told = (Source(path="a", **more) for more in ({}, *ALL_TOLD))
    same = [
        name
        for name in SourceSettings.model_fields
        if all(getattr(default, name) == getattr(one, name) for one in told)
    ]
    assert same == ["path"], f"TOLD has no other value for {same}"


def write_files(folder: Path) -> None:
    """Write a file of each layout."""
    rows = [_row(number) for number in range(12)]
    write_jsonl(folder / "table.jsonl", rows)
    write_jsonl(folder / "other.jsonl", [_row(number) for number in range(20, 24)])
    (folder / "set").mkdir(exist_ok=True)  # as the hub has them: without a split it is all files
    write_jsonl(folder / "set" / "train.jsonl", [_row(number) for number in range(30, 34)])
    write_jsonl(folder / "set" / "test.jsonl", [_row(number) for number in range(40, 44)])
    (folder / "bad.jsonl").write_text("\n".join([json.dumps(rows[0]), json.dumps(rows[1]), "{broken"]))
    (folder / "rows.py").write_text(
        "import json\nfrom pathlib import Path\n"
        "def adapt(row):\n"
        "    return {**row, **{key: 'adapted ' + row[key] for key in ('prompt', 'response', 'text')}}\n"
        "def load(path):\n"
        "    return (adapt(json.loads(line)) for line in Path(path).read_text().splitlines())\n"
    )
    (folder / "documents.txt").write_text("One document.\n---\nAnother one.")
    ask, answer = "\n\nHuman: Is it {}?", "\n\nAssistant: {}."
    first, second = ask.format("late") + answer.format("Yes"), ask.format("cold") + answer.format("Quite")
    transcripts = {
        "chosen": first + second,
        "rejected": first + ask.format("cold") + answer.format("No"),
        "other_chosen": first + ask.format("warm") + answer.format("Not at all"),
        "other_rejected": ask.format("late") + answer.format("No") + second,
    }
    write_jsonl(folder / "transcripts.jsonl", [transcripts])
    write_jsonl(folder / "both.jsonl", [rows[0] | transcripts])  # auto takes our own columns
    replies = [{"text": text, "role": "assistant", "rank": rank} for rank, text in enumerate(("Yes.", "No."))]
    write_jsonl(
        folder / "trees.jsonl", [{"prompt": {"text": "Why?", "role": "prompter", "replies": replies}}]
    )


def _row(number: int) -> dict[str, Any]:
    """A row with every column twice, the other one with another content."""
    row: dict[str, Any] = {"id": f"r{number}", "annotator": "a", "label": "3", "ranks": [1, 2]}
    names = ("prompt", "response", "chosen", "rejected", "text")
    row |= {name: f"the {name} {number}" for name in names} | {"responses": [f"yes {number}", f"no {number}"]}
    row |= {f"other_{name}": f"another {name} {number}" for name in (*names, "id", "annotator")}
    messages = [{"role": role, "content": f"{role} {number}"} for role in ("user", "parrot", "user")]
    return row | {
        "labels": ["3"],
        "scores": [3.0, 2.0],
        "other_scores": [1, 5],
        "strengths": 2,
        "other_strengths": 3,
        "three": ["x", "y", "z"],
        "some_scores": [3, 2, "none"],
        "json": json.dumps(f"as JSON {number}"),
        "marked": f"Q: one A: two Q: three {number}",
        "other_responses": ["a", "b"],
        "other_ranks": [2, 1],
        "other_label": "4",
        "messages": messages,
    }
