"""Kinds of bad file: a few bytes or rows each, the code, and what the one message must say.

A message begins with the file, then its line (and the column, for JSON). `says` are pieces that it must have, in
this order: the field, what was found, the nearest name, what is allowed, what to do.
"""

from __future__ import annotations

import gzip
import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["BAD_FILES", "BAD_PATHS", "BAD_ROWS", "BadFile"]


class BadFile(NamedTuple):
    """One kind of bad file.

    Args:
        content: of the file, in bytes; or its rows.
        code: of the error.
        place: behind the file's name: "" (the whole file), ":2", ":2:9".
        says: pieces of the message.
        settings: of the source; "read" is what is read, rankings unless it is said.
        name: of the file.
    """

    content: bytes | list[Any]
    code: str
    place: str
    says: tuple[str, ...]
    settings: dict[str, Any] = {}
    name: str = "x.jsonl"

    def write(self, folder: Path) -> Path:
        """Write the file into a folder and return its path."""
        path = folder / self.name
        rows = self.content
        content = (
            rows if isinstance(rows, bytes) else "".join(f"{json.dumps(row)}\n" for row in rows).encode()
        )
        path.write_bytes(content)
        return path


GOOD = b'{"prompt": "p", "responses": ["a", "b"], "ranks": [1, 2]}\n'
WHOLE = gzip.compress(b"".join(b'{"prompt": "%d"}\n' % (number * 7919) for number in range(2000)), mtime=0)
PAIR = {"format": "pair"}
LABEL = {"format": "pairwise", "responses": ["a", "b"], "label_values": {1: "first", 2: "second"}}
SCORED = {"format": "scored", "best": "highest"}
TRANSCRIPT = {"format": "transcript"}
TREE = {"format": "tree"}
DEMONSTRATION = {"read": "demonstrations"}
PROMPTS = {"format": "text", "read": "texts", "text": "prompt"}
CELLS = {"format": "text", "read": "texts", "text": "a"}


def column(name: str, value: Any) -> list[Any]:
    """A good canonical row and then one with another value."""
    good = json.loads(GOOD)
    return [good, good | {name: value}]


def pair(**values: Any) -> list[Any]:
    """A good pair and then another one."""
    return [
        {"prompt": "p", "chosen": "a", "rejected": "b"},
        {"prompt": "q", "chosen": "c", "rejected": "d"} | values,
    ]


def parquet(*columns: Any, names: tuple[str, ...] = ("prompt", "chosen", "rejected")) -> bytes:
    """A Parquet file of some columns."""
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array(column) for column in columns], list(names)), stream)
    return stream.getvalue()


def stream(rows: list[Any]) -> bytes:
    """An Arrow stream, as `datasets` caches one."""
    table, sink = pa.Table.from_pylist(rows), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


PARQUET = parquet(["p", "q"], ["a", "c"], ["b", "d"])


def talk(*roles: str) -> list[Any]:
    return [{"role": role, "content": "x"} for role in roles]


def reply(text: Any, role: Any = "assistant", rank: Any = 0, replies: Any = ()) -> dict[str, Any]:
    return {"message_id": "m", "text": text, "role": role, "rank": rank, "replies": replies}


def tree(*replies: Any) -> list[Any]:
    return [{"prompt": reply("q", "prompter", None, list(replies))}]


# What is wrong with the file as such, whatever its columns are.
BAD_FILES: dict[str, BadFile] = {
    "empty": BadFile(b"", "empty_file", "", ("file is empty",)),
    "empty gz": BadFile(gzip.compress(b""), "empty_file", "", ("file is empty",), name="x.jsonl.gz"),
    "only blank lines": BadFile(b"\n  \n\r\n", "empty_file", "", ("holds no rows", "blank")),
    "only blank lines, json": BadFile(b"\n\n", "empty_file", "", ("holds no row",), name="x.json"),
    "only a header": BadFile(b"prompt,chosen\n", "empty_file", "", ("holds no rows", "header"), name="x.csv"),
    "empty list": BadFile(b"[]", "empty_file", "", ("holds no row",), name="x.json"),
    "cut-off gz": BadFile(WHOLE[:-300], "truncated_gz", ":", ("ends too early", "fetch it again"), PROMPTS, "x.jsonl.gz"),
    "gz of another kind": BadFile(GOOD, "bad_gz", ":1", ("not a sound .gz", "drop .gz from its name"), name="x.jsonl.gz"),
    "gz with a wrong checksum": BadFile(WHOLE[:-8] + b"~~~~" + WHOLE[-4:], "bad_gz", ":", ("not a sound .gz",), PROMPTS, "x.jsonl.gz"),
    "unknown extension": BadFile(GOOD, "unknown_extension", "", ("'.docx' is not read", ".jsonl", ".gz"), name="x.docx"),
    "no extension": BadFile(GOOD, "unknown_extension", "", ("'(none)'", ".jsonl"), name="data"),
    "zip": BadFile(b"PK\x03\x04", "unknown_extension", "", ("'.zip' is not read",), name="x.jsonl.zip"),
    "utf-16": BadFile(GOOD.decode().encode("utf-16"), "bad_utf8", "", ("UTF-16", "save it as UTF-8")),
    "utf-16 without a mark": BadFile(GOOD.decode().encode("utf-16-le"), "bad_utf8", "", ("UTF-16", "save it as UTF-8")),
    "latin-1": BadFile(GOOD + b'{"prompt": "caf\xe9"}', "bad_utf8", ":2", ("0xe9", "position 16", "Latin-1", "save the file as UTF-8")),
    "latin-1 in json": BadFile(b'[\n{"prompt":\n"caf\xe9"}]', "bad_utf8", ":3", ("0xe9", "position 5"), name="x.json"),
    "latin-1 in csv": BadFile(b"prompt\ncaf\xe9\n", "bad_utf8", ":2", ("0xe9", "Latin-1"), name="x.csv"),
    "no closing brace": BadFile(GOOD + b'{"prompt": "p"\n', "bad_json", ":2:", ("delimiter", '"p"')),
    "cut off inside a text": BadFile(GOOD + b'{"prompt": "p', "bad_json", ":2:12", ("unterminated string", "p")),
    "single quotes": BadFile(b"{'prompt': 'p'}\n", "bad_json", ":1:2", ("double quotes", "{'prompt'")),
    "comma at a row's end": BadFile(b'{"prompt": "p",}\n', "bad_json", ":1:1", ("double quotes", '"p",}')),
    "comma after a row": BadFile(b'{"prompt": "p"},\n', "bad_json", ":1:16", ("more text", "one row a line")),
    "NaN": BadFile(GOOD + b'{"prompt": "p", "score": NaN}', "bad_json", ":2:26", ("NaN is not JSON", "write null")),
    "Infinity": BadFile(b'{"s": -Infinity}', "bad_json", ":1:7", ("-Infinity is not JSON", "write null")),
    "key twice": BadFile(b'{"prompt": "p", "prompt": "q"}', "bad_json", ":1:17", ("key 'prompt' stands twice",)),
    "half a surrogate": BadFile(b'{"prompt": "\\ud83d"}', "bad_json", ":1:13", ("half a surrogate", "\\ud83d")),
    "two rows in a line": BadFile(GOOD[:-1] + b" " + GOOD, "bad_json", ":1:59", ("more text", "one row a line")),
    "line break in a text": BadFile(b'{"prompt": "a\nb"}', "bad_json", ":1:", ("unterminated string|invalid control", "")),
    "tab in a text": BadFile(b'{"prompt": "a\tb"}', "bad_json", ":1:14", ("invalid control character", "\\t")),
    "too deep": BadFile(b"[" * 100_000, "bad_json", ":1:1", ("nested too deep",)),
    "number of 5,000 digits": BadFile(b'{"n": ' + b"1" * 5000 + b"}", "bad_json", ":1:7", ("5000 digits",)),
    "python's None": BadFile(b'{"prompt": None}', "bad_json", ":1:12", ("expecting value", "None")),
    "list not closed": BadFile(b'[\n{"a": 1},\n{"a": 2}\n', "bad_json", ":4:1", ("not closed", "cut off"), name="x.json"),
    "list without comma": BadFile(b'[{"a": 1}\n{"a": 2}]', "bad_json", ":2:1", ("comma is missing",), name="x.json"),
    "comma before the list's end": BadFile(b'[{"a": 1},\n]', "bad_json", ":1:10", ("comma before",), name="x.json"),
    "text after the list": BadFile(b'[{"a": 1}]\nx', "bad_json", ":2:1", ("more text after the list",), name="x.json"),
    "rows under a key": BadFile(b'{"data": [{"prompt": "p"}]}', "not_rows", "", ("rows under 'data'", "save that list alone"), name="x.json"),
    "object of columns": BadFile(b'{"prompt": ["p", "q"], "chosen": ["a", "b"]}', "not_rows", "", ("object of columns", "one row a line"), name="x.json"),
    "object of columns by number": BadFile(
        b'{"prompt": {"0": "p", "1": "q"}, "chosen": {"0": "a", "1": "b"}}', "not_rows", "",
        ("object of columns", "orient='records'"), name="x.json",
    ),
    "text rows": BadFile(GOOD + b'"p"\n', "not_an_object", ":2", ("object with named columns", "text", "'p'")),
    "list rows": BadFile(b'[["p", "a"]]', "not_an_object", ":1", ("object with named columns", "list"), name="x.json"),
    "number rows": BadFile(b"7\n", "not_an_object", ":1", ("object with named columns", "number", "'7'")),
    "null rows": BadFile(b"null\n", "not_an_object", ":1", ("null",)),
    "semicolons": BadFile(b"prompt;chosen\np;a\n", "bad_header", ":1", ("'prompt;chosen'", "';'", "','"), name="x.csv"),
    "tabs in csv": BadFile(b"prompt\tchosen\np\ta\n", "bad_header", ":1", (r"'\t'", "name it .tsv"), name="x.csv"),
    "spaces in tsv": BadFile(b"prompt  chosen\np  a\n", "bad_header", ":1", ("'prompt  chosen'", "spaces", "tabs"), name="x.tsv"),
    "too few cells": BadFile(b"a,b\n1,2\n3\n", "bad_cells", ":3", ("1 cell", "header has 2", "'3'"), CELLS, "x.csv"),
    "too many cells": BadFile(b"a,b\n1,2,3\n", "bad_cells", ":2", ("3 cells", "header has 2", "quote"), CELLS, "x.csv"),
    "quote not closed": BadFile(b'a,b\n1,2\n"x,3\n4,5\n', "bad_csv", ":3", ("quote is not closed",), CELLS, "x.csv"),
    "quote inside a cell": BadFile(b'a,b\n"x"y,3\n', "bad_csv", ":2", ("inside a cell",), CELLS, "x.csv"),
    "column twice": BadFile(b"a,b,a\n1,2,3\n", "bad_header", ":1", ("column 'a' is named twice",), name="x.csv"),
    "header without names": BadFile(b",,\n1,2,3\n", "bad_header", ":1", ("3 columns have no name",), name="x.csv"),
    "header again": BadFile(b"a,b\n1,2\na,b\n3,4\n", "bad_header", ":3", ("the header again",), CELLS, "x.csv"),
    "no path": BadFile(column("ranks", [1, 2]), "bad_source", "", ("ranks: 'ranks[x]' is not a path", "list[0]"), {"format": "canonical", "ranks": "ranks[x]"}),
    "separator without a text": BadFile(GOOD, "bad_source", "", ("separator", ".txt"), {"separator": "-"}),
    "no path, whatever the format is": BadFile(GOOD, "bad_source", "", ("prompt: 'a[x].b' is not a path", "list[0]"), {"prompt": "a[x].b"}),
    "brace that is not closed": BadFile(GOOD, "bad_source", "", ("prompt is 'Q: {q'", "a { without its }", "{{ and }}"), {"prompt": "Q: {q"}),
    "brace too many": BadFile(GOOD, "bad_source", "", ("prompt is '{q}}'", "a } without its {", "{question}"), {"prompt": "{q}}"}),
    "template without a column": BadFile(GOOD, "bad_source", "", ("prompt is 'Q: {{q}}'", "names no column", "{question}"), {"prompt": "Q: {{q}}"}),
    "empty path": BadFile(GOOD, "bad_source", "", ("response is empty", "name a column"), {"response": ""}),
    "empty parquet": BadFile(b"", "empty_file", "", ("file is empty",), name="x.parquet"),
    "parquet without rows": BadFile(parquet([], [], []), "empty_file|nothing_read", "", ("holds no rows",), PAIR, "x.parquet"),
    "cut-off parquet": BadFile(PARQUET[:-20], "broken_file", "", ("not a sound parquet file", "cut off", "again"), PAIR, "x.parquet"),
    "rows under the name of a parquet": BadFile(GOOD, "broken_file", "", ("not a sound parquet file", "magic"), PAIR, "x.parquet"),
    "rows under the name of an arrow": BadFile(GOOD, "broken_file", "", ("not a sound arrow file",), PAIR, "x.arrow"),
    "cut-off arrow": BadFile(stream(pair())[:-8], "broken_file", "", ("no end mark", "fetch it again"), PAIR, "x.arrow"),
    "column twice in a parquet": BadFile(parquet(["p"], ["a"], ["b"], names=("a", "b", "a")), "bad_columns", "", ("column 'a' is named twice",), PAIR, "x.parquet"),
    "timestamps for text": BadFile(parquet(["p", "q"], [datetime(2023, 1, 1)] * 2, ["b", "d"]), "not_text", ":1", ("'chosen' must be text", "a timestamp", "2023-01-01"), PAIR, "x.parquet"),
    "time beyond what Python has": BadFile(parquet(["p", "q"], pa.array([0, 2**61], pa.timestamp("ms")), ["b", "d"]), "bad_value", ":2", ("no type for",),
        {"format": "pair", "chosen": "prompt"}, "x.parquet"),
}  # fmt: skip

# What is wrong with the rows.
BAD_ROWS: dict[str, BadFile] = {
    "column with another name": BadFile([*pair()[:1], {"prompt": "q", "chosen": "c", "reject": "d"}], "missing_column", ":2",
        ("no column 'rejected'", "did you mean 'reject'", "prompt, chosen, reject"), PAIR),
    "column in capitals": BadFile([{"Prompt": "p", "Chosen": "a", "Rejected": "b"}], "missing_column", ":1",
        ("no column 'chosen'", "did you mean 'Chosen'", "Prompt, Chosen, Rejected"), PAIR),
    "name all in capitals": BadFile([{"PROMPT": "p", "CHOSEN": "a", "REJECTED": "b"}], "missing_column", ":1",
        ("no column 'chosen'", "did you mean 'CHOSEN'"), PAIR),
    "blank behind a column's name": BadFile(b"prompt,chosen ,rejected\np,a,b\n", "missing_column", ":2",
        ("no column 'chosen'", "did you mean 'chosen '"), PAIR, "x.csv"),
    "mark inside a header": BadFile(b"chosen,\xef\xbb\xbfprompt,rejected\na,p,b\n", "missing_column", ":2",
        ("no column 'prompt'", "did you mean '\\ufeffprompt'"), PAIR, "x.csv"),
    "column missing in a later row": BadFile([*pair(), {"prompt": "p", "chosen": "a"}], "missing_column", ":3",
        ("no column 'rejected'", "there are: prompt, chosen"), PAIR),
    "step into a text": BadFile([{"prompt": "p", "answers": "a"}], "missing_column", ":1",
        ("'answers[].text'", "steps into a list", "text"), {"format": "canonical", "responses": "answers[].text"}),
    "key missing in a list": BadFile([{"prompt": "p", "answers": [{"text": "a"}, {"txt": "b"}]}], "missing_column", ":1",
        ("no column 'text' of 'answers[].text'", "did you mean 'txt'"), {"format": "canonical", "responses": "answers[].text"}),
    "number for text": BadFile(pair(chosen=5), "not_text", ":2", ("'chosen' must be text", "a number ('5')"), PAIR),
    "null for text": BadFile(pair(rejected=None), "not_text", ":2", ("'rejected' must be text", "null"), PAIR),
    "boolean for text": BadFile(pair(chosen=True), "not_text", ":2", ("'chosen' must be text", "a boolean ('True')"), PAIR),
    "object for a prompt": BadFile(pair(prompt={"text": "p"}), "not_text", ":2", ("'prompt' must be text", "an object"), PAIR),
    "list of numbers for messages": BadFile(pair(prompt=[1, 2]), "bad_roles", ":2", ("role and content", "'1'"), PAIR),
    "picture in a message": BadFile(pair(prompt=[{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]), "not_text", ":2",
        ("'content'", "image_url", "only text is read"), PAIR),
    "text for a list": BadFile(column("responses", "a"), "not_a_list", ":2", ("'responses' must be a list of texts", "text")),
    "no prompt": BadFile(pair(prompt=" \n"), "empty_prompt", ":2", ("the prompt is empty",), PAIR),
    "no response": BadFile(pair(rejected=" "), "empty_response", ":2", ("rejected is empty",), PAIR),
    "no demonstration": BadFile([{"prompt": "p", "response": " \n"}], "empty_response", ":1", ("'response' is empty",), DEMONSTRATION),
    "no text": BadFile([{"text": "\t"}], "empty_text", ":1", ("the text is empty",), {"format": "text", "read": "texts"}),
    "same responses": BadFile(pair(rejected="c "), "same_responses", ":2", ("chosen and rejected are the same text", "better"), PAIR),
    "label without a meaning": BadFile([{"prompt": "p", "a": "x", "b": "y", "label": 0}], "unknown_label", ":1",
        ("unknown label 0 in 'label'", "1: first, 2: second"), LABEL),
    "label in words": BadFile([{"prompt": "p", "a": "x", "b": "y", "label": "A"}], "unknown_label", ":1", ("unknown label 'A'",), LABEL),
    "too many labels": BadFile([{"prompt": "p", "a": "x", "b": "y", "label": [1, 1]}], "bad_labels", ":1", ("2 labels in 'label'", "1 pair"), LABEL),
    "empty list of labels": BadFile([{"prompt": "p", "a": "x", "b": "y", "label": []}], "bad_labels", ":1", ("0 labels in 'label'", "1 pair"), LABEL),
    "no label": BadFile([{"prompt": "p", "a": "x", "b": "y", "label": None}], "bad_labels", ":1", ("nothing is compared: label is null",), LABEL),
    "two columns set": BadFile([{"prompt": "p", "a": "x", "b": "y", "one": 1, "two": 1}], "bad_labels", ":1",
        ("2 of the columns one, two are set", "exactly one"),
        LABEL | {"label_layout": "one_hot", "labels": ["one", "two"], "label_values": {"one": "first", "two": "second"}}),
    "no ranks": BadFile(column("ranks", None), "bad_rank", ":2", ("'ranks' must be a list of whole numbers",)),
    "rank 0": BadFile(column("ranks", [0, 1]), "bad_rank", ":2", ("rank 0", "from 1 (best) up", "best: lowest")),
    "rank 1.5": BadFile(column("ranks", [1.5, 2]), "bad_rank", ":2", ("rank 1.5", "whole number")),
    "rank true": BadFile(column("ranks", [True, 2]), "bad_rank", ":2", ("rank True", "whole number")),
    "too few ranks": BadFile(column("ranks", [1]), "bad_rank", ":2", ("1 rank", "2 responses")),
    "one response": BadFile([{"prompt": "p", "responses": ["a"], "ranks": [1]}], "bad_rank", ":1", ("holds 1 response", "at least 2")),
    "nothing ranked": BadFile(column("ranks", [None, 1]), "bad_rank", ":2", ("nothing is compared", "fewer than 2")),
    "score in words": BadFile([{"prompt": "p", "responses": ["a", "b"], "scores": [1, "high"]}], "bad_score", ":1",
        ("score 'high'", "'scores[1]'", "missing: ['high']"), SCORED),
    "score NaN": BadFile(b"prompt,a,b,s,t\np,x,y,1,nan\n", "bad_score", ":2", ("score 'nan'", "'t'", "missing: ['nan']"),
        SCORED | {"responses": ["a", "b"], "scores": ["s", "t"]}, "x.csv"),
    "score beyond all numbers": BadFile(b'{"prompt": "p", "responses": ["a", "b"], "scores": [1, 1e999]}', "bad_score", ":1",
        ("score inf", "'scores[1]'", "no number"), SCORED),
    "too few scores": BadFile([{"prompt": "p", "responses": ["a", "b"], "scores": [1]}], "bad_score", ":1", ("1 score", "2 responses"), SCORED),
    "rejected that scores higher": BadFile([{"prompt": "p", "chosen": "a", "rejected": "b", "s": 1, "t": 2}], "scores_contradict", ":1",
        ("s and t call the response in 'rejected' better", "not guessed"), SCORED | {"responses": ["chosen", "rejected"], "scores": ["s", "t"]}),
    "scores in one text": BadFile([{"prompt": "p", "responses": ["a", "b"], "scores": "1 2"}], "not_a_list", ":1", ("'scores' must be a list", "text"), SCORED),
    "scores of which one is there": BadFile([{"prompt": "p", "responses": ["a", "b"], "scores": [1, None]}], "bad_score", ":1",
        ("nothing is compared", "fewer than 2 responses have a score in 'scores'"), SCORED),
    "earlier turns beside the prompt": BadFile(pair(history=[["a", "b"]]), "unread_history", ":2", ("'history' holds earlier turns", "adapter"), PAIR),
    "message that is not to be trained on": BadFile([{"response": [*talk("user"), talk("assistant")[0] | {"weight": 0}]}], "not_trained_on", ":1",
        ("last message of 'response' has weight 0", "leave such rows out"), DEMONSTRATION | {"format": "canonical", "prompt": None}),
    "empty last turn": BadFile(pair(prompt=[*talk("user", "assistant"), {"role": "user", "content": " "}]), "empty_prompt", ":2", ("empty turn",), PAIR),
    "strength in words": BadFile([p | {"margin": m} for p, m in zip(pair(), [1, "big"], strict=True)], "bad_strength", ":2",
        ("strength 'big' in 'margin' is no number", "strength_values"), PAIR | {"strength_from": "column", "strengths": "margin"}),
    "messages with another prompt": BadFile([{"prompt": "p", "chosen": talk("user", "assistant"), "rejected": "b"}], "prompt_mismatch", ":1",
        ("'chosen' does not begin with the prompt", "message 1", "prompt: null"), PAIR),
    "two different prompts": BadFile([{"chosen": talk("user", "assistant"), "rejected": [{"role": "user", "content": "z"}, *talk("assistant")]}], "prompt_mismatch", ":1",
        ("'rejected' does not begin with 'chosen'", "'z'"), PAIR | {"prompt": None}),
    "transcripts that share nothing": BadFile([{"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: c\n\nAssistant: d"}], "prompt_mismatch", ":1",
        ("share no human turn",), TRANSCRIPT),
    "no marker": BadFile([{"chosen": "User: a", "rejected": "User: a"}], "bad_transcript", ":1",
        ("chosen", "begins with 'Human:' or 'Assistant:'", "'User: a'", "markers"), TRANSCRIPT),
    "unknown role": BadFile(pair(prompt=talk("system", "customer")), "bad_roles", ":2", ("unknown role 'customer'", "user", "roles:"), PAIR),
    "no turn of the user": BadFile(pair(prompt=talk("system")), "empty_prompt|bad_roles", ":2", ("prompt",), PAIR),
    "answered already": BadFile(pair(prompt=talk("user", "assistant")), "bad_roles", ":2", ("ends with the user's turn", "assistant"), PAIR),
    "system in the middle": BadFile(pair(prompt=talk("user", "system", "user")), "bad_roles", ":2", ("system", "only come first"), PAIR),
    "response by the user": BadFile(pair(chosen=talk("user")), "bad_roles", ":2", ("'chosen'", "assistant's turn", "user's"), PAIR),
    "message without content": BadFile(pair(prompt=[{"role": "user", "text": "x"}]), "bad_roles", ":2", ("role and content", "'text'"), PAIR),
    "no tree": BadFile([{"prompt": "p"}], "bad_tree", ":1", ("text, role and replies",), TREE),
    "message of a tree without text": BadFile(tree(reply(None)), "not_text", ":1", ("'text' must be text", "null"), TREE),
    "replies that are no list": BadFile(tree(reply("a", replies={"x": 1})), "bad_tree", ":1", ("'replies' must be a list",), TREE),
    "reply that is a number": BadFile(tree(7), "bad_tree", ":1", ("a reply is an object", "'7'"), TREE),
    "role of a tree": BadFile(tree(reply("a", "bot")), "bad_roles", ":1", ("role 'bot'", "prompter, assistant"), TREE),
    "rank of a tree": BadFile(tree(reply("a", rank="first")), "bad_rank", ":1", ("rank 'first'", "from 0 (best)"), TREE),
    "id twice": BadFile([json.loads(GOOD) | {"id": "a"}] * 2, "equal_id", ":2", ("id 'a'", "x.jsonl:1", "ids must differ")),
    "id that is a list": BadFile(column("id", ["a"]), "not_text", ":2", ("'id'", "a list")),
    "json column that is none": BadFile([{"prompt": "p", "chosen": "[a", "rejected": "b"}], "bad_json", ":1", ("'chosen' of json_columns is not JSON",),
        PAIR | {"json_columns": ["chosen"]}),
    "format of other records": BadFile(pair(), "wrong_format", "", ("format text holds no rankings", "canonical"), {"format": "text"}),
    "no group in this split": BadFile(pair()[:1], "nothing_read", "", ("none of 1 records", "validation", "raise its fraction"),
        PAIR | {"split": "validation", "validation_fraction": 0.000001}),
    "nothing ranked in any tree": BadFile(tree(reply("a", rank=None), reply("b", rank=None)), "nothing_read", "", ("none of 1 rows", "format: tree"), TREE),
    "too many bad rows": BadFile(pair(chosen=""), "too_many_bad_rows", "", ("1 of 2 rows", "empty_response 1", "max_bad: 0.1", "x.jsonl:2: chosen is empty"),
        PAIR | {"on_bad_row": "skip", "max_bad": 0.1}),
}  # fmt: skip

# What stands at the path; the test says how it comes about.
BAD_PATHS: dict[str, tuple[str, str]] = {
    "nothing there": ("file_not_found", "no such file or folder; did you mean .*rankings.jsonl"),
    "folder is missing too": (
        "file_not_found",
        "no such file or folder; folder '.*nowhere' does not exist either",
    ),
    "folder without data": ("file_not_found", r"folder holds no data file \(looked for .jsonl"),
    "folder named like a file": ("file_not_found", "folder holds no data file"),
    "pattern without a match": ("file_not_found", "no file matches this pattern"),
    "empty path": ("file_not_found", "path is empty"),
    "name with a zero byte": ("file_not_found", "no such file or folder"),
    "name that is too long": ("unreadable", "File name too long"),
    "link to itself": ("file_not_found", "is a link that leads nowhere"),
    "user who does not exist": ("file_not_found", "home"),
    "no permission": ("unreadable", "cannot be opened: Permission denied"),
    "gone while it is read": ("unreadable", "cannot be opened: No such file"),
    "disk that fails": ("unreadable", "cannot be read: Input/output error"),
}
