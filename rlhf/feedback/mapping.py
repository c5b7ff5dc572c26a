"""What the user says about a source of feedback: where it is, how it is laid out, which column is what.

`Source` is the one truth about these settings: the YAML's `data` sections take exactly its fields.
Columns are named by the paths of `rlhf.feedback.columns`. What a label means is never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal, get_args

from rlhf.errors import DataError

__all__ = ["Format", "OnBadRow", "Outcome", "Replies", "Source", "Split", "build_sources"]

Format = Literal["canonical", "transcript", "pair", "pairwise", "tree", "text"]
Split = Literal["train", "validation", "test"]
Replies = Literal["best", "all"]
OnBadRow = Literal["stop", "skip"]
Outcome = Literal["first", "second", "tie"]


@dataclass(frozen=True, kw_only=True)
class Source:
    r"""One source of prompts, demonstrations, rankings or texts.

    Where a column is named a path may stand (``question.full_text``, ``answers[].text``, ``passages[][1:]``);
    for texts a template may too (``"{passages}\n\n{question}"``).

    Args:
        path: a file, a folder (all data files under it, in order of name) or a glob; read by extension:
            .jsonl .ndjson .json .csv .tsv .txt, each also with .gz.
        format: how a row is laid out.
            canonical: columns `prompt`, with `response`, or `responses` and `ranks` (1 best, equal a tie).
            transcript: columns `chosen` and `rejected`, each a whole "\n\nHuman: ...\n\nAssistant:" text.
            pair: columns `prompt`, `chosen` and `rejected`.
            pairwise: K columns `responses` and a label (K = 2) or the list of labels 1v2, 1v3, ..., 2v3, ...
            tree: Open Assistant message trees (their rank 0 is best among siblings).
            text: plain text to pre-train on: .txt files, or column `text` of the others.
        prompt: path or template of the prompt: text, or a list of messages {"role", "content"}.
        system: path or template of a system message put first; null: none is added.
        response: path or template of the response to imitate.
        responses: path of the list of responses, or a list of paths, one a response.
        ranks: path of the list of ranks.
        chosen: path of the better response (or transcript).
        rejected: path of the worse response (or transcript).
        labels: path of the label or labels of `pairwise`.
        label_values: what each label says: first, second or tie; any other label is an error.
        annotator: path of who judged; null: column "annotator" where rows have one.
        id: path of the row's id; null: column "id" where rows have one, else "file:line".
        group: path of the unit that must not straddle splits; null: column "group" where rows have one, else
            a hash of the normalised prompt.
        text: path or template of the text to pre-train on.
        separator: what stands between the documents of a .txt file; null: one document a file.
        roles: more names of roles, e.g. {"bot": "assistant"}; human, prompter, gpt ... are known.
        replies: which replies of a tree to imitate or read: best (ranked first, or the only one) or all.
        split: keep only this part of the source's groups; null: all of them.
        validation_fraction: share of the groups that makes up split: validation.
        test_fraction: share of the groups that makes up split: test.
        split_seed: another number draws another division into splits.
        limit: keep at most this many records; null: all.
        on_bad_row: stop at the first bad row, or skip bad rows, counted and shown.
        max_bad: with `skip`, the largest share of rows that may be bad before the reading stops all the same.

    Raises:
        DataError: for a value that is not allowed.
    """

    path: str
    format: Format = "canonical"
    prompt: str = "prompt"
    system: str | None = None
    response: str = "response"
    responses: str | tuple[str, ...] = "responses"
    ranks: str = "ranks"
    chosen: str = "chosen"
    rejected: str = "rejected"
    labels: str = "label"
    label_values: Mapping[str | int, Outcome] = field(default_factory=dict)
    annotator: str | None = None
    id: str | None = None
    group: str | None = None
    text: str = "text"
    separator: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    replies: Replies = "best"
    split: Split | None = None
    validation_fraction: float = 0.0
    test_fraction: float = 0.0
    split_seed: int = 0
    limit: int | None = None
    on_bad_row: OnBadRow = "stop"
    max_bad: float = 0.01

    def __post_init__(self) -> None:
        if not isinstance(self.responses, str):  # YAML gives a list; frozen, so set around the lock
            object.__setattr__(self, "responses", tuple(self.responses))
        for name, allowed in (("format", Format), ("replies", Replies), ("on_bad_row", OnBadRow)):
            self._check_choice(name, getattr(self, name), get_args(allowed))
        self._check_choice("split", self.split, (None, *get_args(Split)))
        for label, outcome in self.label_values.items():
            self._check_choice(f"label_values[{label!r}]", outcome, get_args(Outcome))
        if self.format == "pairwise" and not self.label_values:
            raise DataError(
                f"{self.path}: pairwise labels need label_values, e.g. {{1: first, 2: second, 0: tie}}"
            )
        if self.limit is not None and self.limit < 1:
            raise DataError(f"{self.path}: limit {self.limit} keeps nothing; use null for all records")
        self._check_fractions()

    def _check_choice(self, name: str, value: object, allowed: Sequence[object]) -> None:
        if value not in allowed:
            shown = ", ".join("null" if choice is None else str(choice) for choice in allowed)
            raise DataError(f"{self.path}: {name} is {value!r}; it can be {shown}")

    def _check_fractions(self) -> None:
        for name in ("validation_fraction", "test_fraction", "max_bad"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise DataError(
                    f"{self.path}: {name} is {getattr(self, name)!r}; a share lies between 0 and 1"
                )
        if self.validation_fraction + self.test_fraction > 1.0:
            raise DataError(f"{self.path}: validation_fraction and test_fraction are more than 1 together")
        if self.split is not None and self.fractions()[self.split] <= 0.0:
            remedy = "lower the other fractions" if self.split == "train" else f"set {self.split}_fraction"
            raise DataError(f"{self.path}: split: {self.split} holds none of the groups; {remedy}")
        if self.split is None and (self.validation_fraction or self.test_fraction):
            raise DataError(f"{self.path}: fractions have no effect without split: train, validation or test")

    def fractions(self) -> dict[str, float]:
        """Return the share of the groups in each split; they sum to 1."""
        held_out = {"validation": self.validation_fraction, "test": self.test_fraction}
        return {**held_out, "train": 1.0 - sum(held_out.values())}


def build_sources(settings: Sequence[Source | Mapping[str, Any]]) -> list[Source]:
    """Turn plain mappings (as in the YAML) into sources; those that already are stay as they are.

    Raises:
        DataError: for a key that is no field, a value that is not allowed, or no source at all.
    """
    if isinstance(settings, (str, Source, Mapping)):
        raise DataError("sources are a list; put the one source into brackets")
    if not settings:
        raise DataError("no source of data is given; list at least one, e.g. [{path: data/mine.jsonl}]")
    return [entry if isinstance(entry, Source) else _build_source(entry) for entry in settings]


def _build_source(entry: Mapping[str, Any]) -> Source:
    known = [entry.name for entry in fields(Source)]
    if not isinstance(entry, Mapping):
        raise DataError(f"a source is a mapping with at least path, not {entry!r}")
    for key in entry:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise DataError(
                f"{key} is not a setting of a source{hint} (a source has: {', '.join(sorted(known))})"
            )
    if "path" not in entry:
        raise DataError(
            f"a source needs path: a file, folder or glob; this one has only {', '.join(entry) or 'nothing'}"
        )
    return Source(**entry)
