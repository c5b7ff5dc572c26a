"""Records as rows of a file: our own canonical form, and the forms that other tools read.

Canonical rows are read back to equal records by `format: canonical` (ids that two rows would share get a
number). The other forms hold less: `left_out` counts what each of them cannot say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations
from typing import Any, TypeVar

from rlhf.feedback.records import Demonstration, Prompt, Ranking, Text

__all__ = ["FORMS", "canonical_rows", "chosen_rejected_rows", "trl_rows"]

Record = TypeVar("Record", Prompt, Demonstration, Ranking, Text)
AnyRecord = Prompt | Demonstration | Ranking | Text
Rows = Iterator[dict[str, Any]]

_NAMES = {"user": "Human", "assistant": "Assistant"}


def canonical_rows(records: Iterable[AnyRecord], left_out: Counter[str]) -> Rows:
    """Yield a row for each record; nothing of it is lost.

    Columns that the record kept stand beside its texts; one with a name of ours gets an underscore.

    Args:
        records: of any kind.
        left_out: counts "renumbered" ids, and columns that are "renamed".
    """
    seen: Counter[tuple[str, str | None]] = Counter()
    for record in records:
        row = _canonical(record)
        key = (row["id"], row.get("annotator"))
        seen[key] += 1
        if seen[key] > 1 and not isinstance(record, Text):
            row["id"] = f"{row['id']}#{seen[key]}"
            left_out["renumbered"] += 1
        left_out["renamed"] += _add_columns(row, record)
        yield row


def _canonical(record: AnyRecord) -> dict[str, Any]:
    if isinstance(record, Text):
        return {"id": record.id, "group": record.group, "text": record.text}
    prompt = record if isinstance(record, Prompt) else record.prompt
    row: dict[str, Any] = {"id": prompt.id, "group": prompt.group, "prompt": _prompt(prompt)}
    if isinstance(record, Demonstration):
        row["response"] = record.response
    if isinstance(record, Ranking):
        row |= {"responses": list(record.responses), "ranks": list(record.ranks)}
        if all(rank is None for rank in record.ranks):  # the labels fit no order: the pairs are all there is
            row["pairs"] = [list(pair) for pair in record.pairs or ()]
        if record.strengths is not None:
            row["strengths"] = _strengths(record)
        row["annotator"] = record.annotator
    return row


def _strengths(ranking: Ranking) -> list[float | None]:
    """Return a strength for each pair of responses, 1v2, 1v3, ..., 2v3, ...; None: none is known."""
    known = zip(ranking.comparisons(), ranking.strengths or (), strict=False)
    of_pair = {(min(i, j), max(i, j)): strength for (i, j, _), strength in known}
    return [of_pair.get(pair) for pair in combinations(range(len(ranking.responses)), 2)]


def _prompt(prompt: Prompt) -> str | list[dict[str, str]]:
    alone = len(prompt.messages) == 1 and prompt.messages[0].role == "user"
    return prompt.messages[0].content if alone else prompt.as_dicts()


def _add_columns(row: dict[str, Any], record: AnyRecord) -> int:
    """Put the columns that a record kept into its row; returns how many needed another name."""
    if isinstance(record, Text):
        return 0
    prompt = record if isinstance(record, Prompt) else record.prompt
    renamed = 0
    for name, value in prompt.columns.items():
        if name not in row and not (name == "strengths" and isinstance(record, Ranking)):
            row[name] = value
        elif row.get(name) not in (value, str(value)):
            row[f"{name}_"] = value
            renamed += 1
    return renamed


def trl_rows(records: Iterable[AnyRecord], left_out: Counter[str]) -> Rows:
    """Yield rows as TRL's trainers take them, as messages.

    Rankings give a row ``prompt, chosen, rejected`` for each pair with an order, demonstrations ``prompt,
    completion``, prompts ``prompt``, texts ``text``.

    Args:
        records: of any kind.
        left_out: counts "ties", "unranked" responses, and rankings whose "strengths" are not written.
    """
    for record in records:
        if isinstance(record, Text):
            yield {"text": record.text}
        elif isinstance(record, Prompt):
            yield {"prompt": record.as_dicts()}
        elif isinstance(record, Demonstration):
            yield {"prompt": record.prompt.as_dicts(), "completion": _said(record.response)}
        else:
            for better, worse in _strict_pairs(record, left_out):
                yield {"prompt": record.prompt.as_dicts(), "chosen": _said(better), "rejected": _said(worse)}


def chosen_rejected_rows(records: Iterable[AnyRecord], left_out: Counter[str]) -> Rows:
    r"""Yield a row of texts ``prompt, chosen, rejected`` for each pair with an order.

    A prompt of one turn is its text, a longer one a transcript: "Human: ...\n\nAssistant: ...\n\nHuman: ...".

    Args:
        records: rankings.
        left_out: as for `trl_rows`, and "transcripts": rows whose prompt had to be written as one.
    """
    for record in records:
        assert isinstance(record, Ranking)
        prompt = _prompt(record.prompt)
        for better, worse in _strict_pairs(record, left_out):
            left_out["transcripts"] += not isinstance(prompt, str)
            yield {"prompt": _transcript(prompt), "chosen": better, "rejected": worse}


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _transcript(prompt: str | list[dict[str, str]]) -> str:
    if isinstance(prompt, str):
        return prompt
    turns = [(_NAMES.get(turn["role"]), turn["content"]) for turn in prompt]
    return "\n\n".join(text if name is None else f"{name}: {text}" for name, text in turns)


def _strict_pairs(ranking: Ranking, left_out: Counter[str]) -> Iterator[tuple[str, str]]:
    compared: set[int] = set()
    for i, j, p in ranking.comparisons():
        compared |= {i, j}
        left_out["ties"] += p == 0.5
        if p != 0.5:
            yield ranking.responses[i], ranking.responses[j]
    left_out["strengths"] += ranking.strengths is not None
    left_out["unranked"] += len(ranking.responses) - len(compared)


Form = Callable[[Iterable[AnyRecord], "Counter[str]"], Rows]
FORMS: Mapping[str, Form] = {
    "canonical": canonical_rows,
    "trl": trl_rows,
    "chosen-rejected": chosen_rejected_rows,
}
