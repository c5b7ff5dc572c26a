"""What the fuzz tests draw: bytes of files, rows, settings of sources, and rows of real shapes that were spoilt."""

from __future__ import annotations

import json
import random
from typing import Any, get_args

from hypothesis import strategies as st

from rlhf.feedback import read_demonstrations, read_prompts, read_rankings, read_texts
from rlhf.feedback.choices import Format
from tests.feedback.bad_files import BAD_FILES, BAD_ROWS
from tests.feedback.real_shapes import DEMONSTRATIONS, RANKINGS, Shape
from tests.feedback.shapes import FINEGRAINED_ROWS, FINEGRAINED_SETTINGS, HH_ROWS, TREE_ROWS

READERS = {
    "rankings": read_rankings,
    "demonstrations": read_demonstrations,
    "prompts": read_prompts,
    "texts": read_texts,
}
NAMES = [
    f"x{ending}{gz}"
    for ending in (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt")
    for gz in ("", ".gz")
]


# --- bytes

LETTERS = st.text(alphabet="{}[]:,\"\\ud83 \n\r\tprompteschnjid;|'a1.-NI#\u00e9\ufeff\0", max_size=60).map(
    lambda text: text.encode("utf-8")
)
SAMPLES = [case.content if isinstance(case.content, bytes) else json.dumps(case.content).encode() for case in
           (*BAD_FILES.values(), *BAD_ROWS.values())]  # fmt: skip


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A file of the table of bad files, with one more thing wrong."""
    content = draw(st.sampled_from(SAMPLES))[:3000]
    at = draw(st.integers(0, len(content)))
    return content[:at] + draw(st.binary(max_size=3) | LETTERS) + content[at + draw(st.integers(0, 4)) :]


CONTENTS = st.binary(max_size=100) | LETTERS | broken()


BYTES = {
    "content": CONTENTS,
    "name": st.sampled_from(NAMES),
    "packing": st.sampled_from(["as it is", "packed", "packed", "cut off"]),
    "kind": st.sampled_from(list(READERS)),
    "form": st.sampled_from(get_args(Format)),
}


# --- rows and mappings

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6)
    | st.sampled_from(["user", "assistant", "first", "N/A", "\n\nHuman: a\n\nAssistant: b", "1", "[1, 2]", "1e999"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["role", "content", "from", "value", "text", "rank", "replies", "type", "a", "prompt"]), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
COLUMNS = [
    "prompt",
    "response",
    "responses",
    "ranks",
    "scores",
    "chosen",
    "rejected",
    "label",
    "annotator",
    "id",
    "group",
    "text",
]
ROWS = st.lists(st.dictionaries(st.sampled_from(COLUMNS), JSON, max_size=8), min_size=1, max_size=4)
PATH = st.sampled_from(
    [*COLUMNS, "prompt.a", "prompt[].content", "responses[0]", "responses[-1].text", "label[]", "chosen[1:]"]
)
BROKEN_PATH = st.sampled_from(
    ["", "a..b", "[", "prompt[", "{prompt", "prompt}", "{}", "{prompt[x]}", ".a", "[]", "prompt[:0]"]
)
SPEC = PATH | st.sampled_from(["{prompt} {label}", "{chosen[]}: {{x}}"]) | BROKEN_PATH
LIST = st.lists(SPEC, max_size=3)
LABEL = st.sampled_from([0, 1, -1, 1.5, "1", "a", "", "<0", ">0", "<=0", "true", "label", "id"])
SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "prompt": SPEC | LIST | st.none(),
    "markers": st.none() | st.sampled_from([{"user": "a", "assistant": "b"}, {"user": "\n\nHuman:", "assistant": "\n\nAssistant:", "start": "user"}, {"user": "a"}, {}]),
    "system": st.none() | SPEC,
    "response": SPEC,
    "responses": SPEC | LIST,
    "ranks": PATH | BROKEN_PATH,
    "scores": SPEC | LIST,
    "best": st.sampled_from([None, "highest", "lowest"]),
    "tie_within": st.sampled_from([0.0, 1.0, -1.0, float("nan"), float("inf")]),
    "missing": st.lists(LABEL, max_size=2),
    "chosen": SPEC,
    "rejected": SPEC,
    "labels": SPEC | LIST,
    "label_values": st.dictionaries(LABEL, st.sampled_from(["first", "second", "tie", "both"]), max_size=4),
    "label_layout": st.sampled_from(["pairs", "annotators", "one_hot"]),
    "strength_from": st.sampled_from([None, "column", "labels", "scores"]),
    "strengths": SPEC | LIST,
    "strength_values": st.dictionaries(LABEL, st.sampled_from([0, 1.5, -1, "1", float("nan")]), max_size=2),
    "hub": st.sampled_from([None, {"splits": "train"}, {1: 2}]),
    "weight": st.sampled_from([0.5, 1.0, 2.0, 0.0, float("nan"), float("inf")]),
    "annotator": st.none() | PATH | BROKEN_PATH,
    "id": st.none() | PATH,
    "group": st.none() | PATH,
    "text": SPEC,
    "separator": st.sampled_from([None, "", "\n", "x"]),
    "roles": st.dictionaries(st.sampled_from(["a", "first"]), st.sampled_from(["user", "system", "boss"]), max_size=2),
    "replies": st.sampled_from(["best", "all"]),
    "json_columns": st.lists(PATH, max_size=2),
    "split": st.sampled_from([None, "train", "validation", "test"]),
    "validation_fraction": st.sampled_from([0.0, 0.3, 1.0, 1.5]),
    "test_fraction": st.sampled_from([0.0, 0.3]),
    "split_seed": st.integers(0, 3),
    "limit": st.sampled_from([None, 1, 0]),
    "on_bad_row": st.sampled_from(["stop", "skip"]),
    "max_bad": st.sampled_from([0.0, 0.5, 1.0]),
    "preset": st.sampled_from(["hh-rlhf", "nectar", "no-such"]),
}  # fmt: skip
FORMATS: dict[str, dict[str, Any]] = {
    **{form: {} for form in get_args(Format)},
    "pairwise": {"label_values": {1: "first", ">1": "second", "<1": "tie"}},
    "scored": {"best": "lowest"},
}


@st.composite
def mappings(draw: st.DrawFn) -> dict[str, Any]:
    """A format with a few other settings, so that many of them are allowed together."""
    form = draw(st.sampled_from(list(FORMATS)))
    names = draw(st.lists(st.sampled_from(list(SETTINGS)), max_size=4, unique=True))
    return {"format": form, **FORMATS[form], **{name: draw(SETTINGS[name]) for name in names}}


ADAPTER = """
import json
from pathlib import Path

def give(row):
    return json.loads(row["give"])

def load(path):
    return [json.loads(json.loads(line)["give"]) for line in Path(path).read_text().splitlines()]
"""
ODD = st.recursive(
    st.none()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(categories=("Lu", "Cs", "Cc")), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(COLUMNS), inner, max_size=8),
    max_leaves=20,
)


# --- good rows with something wrong

SHAPES: dict[str, Shape] = {
    **{f"{name}, rankings": shape for name, shape in RANKINGS.items()},
    **{f"{name}, demonstrations": shape for name, shape in DEMONSTRATIONS.items()},
    "hh, rankings": Shape({"format": "transcript"}, HH_ROWS, [], []),
    "fine-grained, rankings": Shape(FINEGRAINED_SETTINGS, FINEGRAINED_ROWS, [], []),
    "trees, rankings": Shape({"format": "tree"}, TREE_ROWS, [], []),
    "trees, demonstrations": Shape({"format": "tree"}, TREE_ROWS, [], []),
    "trees, texts": Shape({"format": "tree"}, TREE_ROWS, [], []),
}
WRONG: list[Any] = [
    None,
    True,
    0,
    -1,
    2.5,
    10**30,
    "",
    " ",
    "x",
    "1",
    [],
    {},
    [1],
    ["x"],
    {"x": "y"},
    [[]],
    [{}],
    "\ud83d",
]


def spoil(value: Any, chance: random.Random) -> Any:
    """The same with one thing changed somewhere inside."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(sorted(value))
        changed = dict(value)
        act = chance.random()
        if act < 0.15:
            del changed[key]
        elif act < 0.25:
            changed[key.upper()] = changed.pop(key)
        else:
            changed[key] = spoil(value[key], chance)
        return changed
    if isinstance(value, list) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        act = chance.random()
        if act < 0.15:
            return value[:place] + value[place + 1 :]
        if act < 0.3:
            return value[: place + 1] + value[place:]
        return [*value[:place], spoil(value[place], chance), *value[place + 1 :]]
    if isinstance(value, str) and value and chance.random() < 0.4:
        place = chance.randrange(len(value))
        return (
            value[:place]
            + chance.choice(["", "\n\n", "\n\nHuman:", "\n\nAssistant:", "\0"])
            + value[place + chance.randrange(9) :]
        )
    return chance.choice(WRONG)


SPOILED = {"name": st.sampled_from(sorted(SHAPES)), "seed": st.integers(0, 2**32), "times": st.integers(1, 6)}
