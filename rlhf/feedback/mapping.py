"""What the user says about a source of feedback: where it is, how it is laid out, which column is what.

`Source` is the one truth about these settings: the YAML's `data` sections take exactly its fields.
Columns are named by the paths of `rlhf.feedback.columns`. What a label means is never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from rlhf.errors import DataError
from rlhf.feedback.choices import Best, Format, LabelLayout, OnBadRow, Outcome, Replies, Split, StrengthFrom
from rlhf.feedback.mapping_checks import check_source
from rlhf.feedback.presets import lay_over_preset

__all__ = ["Source", "build_sources"]


@dataclass(frozen=True, kw_only=True)
class Source:
    r"""One source of prompts, demonstrations, rankings or texts.

    Where a column is named a path may stand (``question.full_text``, ``answers[].text``, ``passages[][1:]``);
    for texts a template may too (``"{passages}\n\n{question}"``).

    A prompt or a response is a text or messages: a list of {"role", "content"} or {"from", "value"}, whose
    content is text or a list of text parts. Of a response's messages the last, the assistant's, is the
    response; those before it must be the prompt, or are it (`prompt: null`).

    Args:
        path: a file, a folder (all data files under it, in order of name; or one that `save_to_disk` of
            datasets wrote) or a glob; read by extension: .jsonl .ndjson .json .csv .tsv .txt, each also with
            .gz, .parquet .arrow .feather. With `hub`: an id on the Hugging Face hub, "org/name".
        hub: for a path that is a hub id, what to load of it: {split: train}, with config, revision (a commit
            pins it) and data_dir where needed; {} where the set has one split. null: `path` is a local path.
        preset: name of a shipped mapping (`rlhf/feedback/PRESETS.md` lists them): settings of this kind for a
            known set or shape. What is given beside it wins.
        adapter: a Python function as file.py:name for what no mapping says: f(row) is given each row (a
            read-only mapping with `_file` and `_line`) and returns a row, a list of rows, or None to leave it
            out, which is counted. What it returns is read by the other settings as if it stood in the file.
        loader: a Python function as file.py:name for rows that must be joined: f(path) is called once and
            returns (or yields) rows, read by the other settings.
        json_columns: columns whose text is JSON, decoded before anything else is read.
        format: how a row is laid out.
            auto: found out from the first 200 rows, and said; what is given beside it holds. Where it is not
                certain which response a label or a score calls better, it stops and says what to write.
            canonical: columns `prompt`, with `response`, or `responses` and `ranks` (1 best, equal a tie),
                and `strengths` where rows have it, laid out as the setting of that name says.
            transcript: columns `chosen` and `rejected`, each a whole "\n\nHuman: ...\n\nAssistant:" text.
            pair: columns `prompt`, `chosen` and `rejected`.
            pairwise: K columns `responses` and a label (K = 2) or the list of labels 1v2, 1v3, ..., 2v3, ...
            scored: K columns `responses` with as many `scores`, and which is `best`.
            tree: Open Assistant message trees (their rank 0 is best among siblings).
            text: plain text to pre-train on: .txt files, or column `text` of the others.
        prompt: path or template of the prompt; or a list of them, joined by a blank line, blank ones left
            out; null: the prompt is what the messages of the responses begin with. Where these are whole
            conversations and a prompt is named, they tell the prompt too, and it must say the same: a turn or
            some turns of theirs, or a text in which all turns of the user stand.
        markers: what stands before the turns in a transcript, {user: "\n\nHuman:", assistant:
            "\n\nAssistant:"}, and where text may stand before the first marker whose it is, {start: user};
            splits the prompt (an empty last turn goes), or the columns of `transcript`; null: a prompt is one
            text, and `transcript` has the markers above.
        system: path or template of a system message put first; null, or blank in a row: none is added.
        response: path or template of the response to imitate.
        responses: path of the list of responses, or a list of paths, one a response.
        ranks: path of the list of ranks.
        scores: of `scored`: path of the list of scores, or a list of paths, one a response. Numbers, or
            text that spells one; null: that response is not ranked.
        best: of `scored`: which score is best, the highest (ratings, votes) or the lowest (ranks).
        tie_within: of `scored`: scores no further apart than this are a tie.
        missing: of `scored`: what stands for a missing score, e.g. ["N/A"]; that response is not ranked.
        chosen: path of the better response (or transcript).
        rejected: path of the worse response (or transcript).
        labels: path of the label or labels of `pairwise`, or a list of paths, one a label.
        label_values: what each label says: first, second or tie; any other label is an error. Numbers are
            equal however they are written (1, 1.0, "1"), and "<x" and ">x" stand for the numbers below and
            above x: {"<0": first, 0: tie, ">0": second}.
        label_layout: whose the labels of `pairwise` are, where there are several.
            pairs: one for each pair of responses: 1v2, 1v3, ..., 2v3, ...
            annotators: each of the two responses by another annotator: an opinion (ranking) of its own, null
                is none; named by the paths in `labels`, or by the list at `annotator`.
            one_hot: columns of which exactly one is 1 (or true), the others 0; `label_values` are by column.
        strength_from: how much better the better response of a pair is, a number from 0 up (see
            `reward.strength` of the reward stage); null: the source does not say, or is not asked.
            column: it stands at `strengths`.
            labels: the labels are signed (-3 to 3): their distance from 0. Only read in pairwise.
            scores: the difference of the two scores. Read in scored; in pair and transcript too, which then
                have `scores` and `best`, and where a rejected response of the better score is a bad row.
        strengths: of `strength_from: column`: path of the strength, or of a list of them, or a list of paths:
            one for each pair of responses, 1v2, 1v3, ..., 2v3, ...; with label_layout annotators one for each
            label. Null: not known. A tie has none: 0, or null.
        strength_values: the number for each text (or other number) that stands there, e.g. {"slightly": 1,
            "significantly": 3}; empty: numbers are taken as they are, a text that spells none is an error.
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
        split_seed: another number draws another division into splits, and other groups for `weight`.
        limit: keep at most this many records; null: all.
        weight: how much of what `split` and `limit` leave an epoch reads: 0.5 half of the groups, 2 every
            record twice, 1.5 once, and those of half of the groups twice. Another `split_seed` draws other
            groups. Held-out sources can have at most 1.
        on_bad_row: stop at the first bad row, or skip bad rows, counted and shown.
        max_bad: with `skip`, the largest share of rows that may be bad before the reading stops all the same.

    Raises:
        DataError: for a value that is not allowed.
    """

    path: str
    hub: Mapping[str, str | None] | None = None
    preset: str | None = None
    adapter: str | None = None
    loader: str | None = None
    json_columns: tuple[str, ...] = ()
    format: Format = "auto"
    prompt: str | tuple[str, ...] | None = "prompt"
    markers: Mapping[str, str] | None = None
    system: str | None = None
    response: str = "response"
    responses: str | tuple[str, ...] = "responses"
    ranks: str = "ranks"
    scores: str | tuple[str, ...] = "scores"
    best: Best | None = None
    tie_within: float = 0.0
    missing: tuple[str | int | float, ...] = ()
    chosen: str = "chosen"
    rejected: str = "rejected"
    labels: str | tuple[str, ...] = "label"
    label_values: Mapping[str | int | float, Outcome] = field(default_factory=dict)
    label_layout: LabelLayout = "pairs"
    strength_from: StrengthFrom | None = None
    strengths: str | tuple[str, ...] = "strengths"
    strength_values: Mapping[str | int | float, float] = field(default_factory=dict)
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
    weight: float = 1.0
    on_bad_row: OnBadRow = "stop"
    max_bad: float = 0.01

    def __post_init__(self) -> None:
        for name in ("json_columns", "prompt", "responses", "scores", "missing", "labels", "strengths"):
            if isinstance(getattr(self, name), list):  # as YAML gives it; frozen, so set around the lock
                object.__setattr__(self, name, tuple(getattr(self, name)))
        check_source(self)

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
    try:
        settings = lay_over_preset(entry)
    except DataError as error:
        raise DataError(error.message, str(entry["path"]), "bad_source") from None
    return Source(**settings)
