"""``rlhf convert``: any source as canonical rows, or in a form that other tools read."""

from __future__ import annotations

import argparse
from collections import Counter

from rlhf.checking.results import Subject
from rlhf.errors import DataError, SettingsError
from rlhf.feedback.numbers import number_of
from rlhf.feedback.written import FORMS
from stages._check import targets_of
from stages._subjects import KINDS, find_subjects

__all__ = ["convert_parser", "run_convert"]

_ABOUT = """\
Write what a source says in another form. Nothing is lost in silence: what a form cannot say is counted.

  canonical         prompt, responses, ranks, annotator, id, group and every other column; read back as it was
  trl               prompt, chosen, rejected as messages (rankings); prompt, completion (demonstrations)
  chosen-rejected   prompt, chosen, rejected as text: a row for each pair with an order

  rlhf convert data/mine.csv data/mine.jsonl.gz --as rankings format=pair
  rlhf convert configs/reward.yaml out/mine.parquet --to trl     a file each: mine.train.parquet ...
"""


def convert_parser() -> argparse.ArgumentParser:
    """Return the parser of the words behind ``rlhf convert``."""
    parser = argparse.ArgumentParser(
        prog="rlhf convert",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "source", metavar="SOURCE", help="a stage's YAML, or a file or folder of data with --as"
    )
    parser.add_argument("out", metavar="OUT", help="file to write: .jsonl, .jsonl.gz or .parquet")
    parser.add_argument(
        "pairs", nargs="*", metavar="key=value", help="settings of the source, or over the YAML"
    )
    parser.add_argument(
        "--to", choices=tuple(FORMS), default="canonical", help="the form (default: %(default)s)"
    )
    parser.add_argument("--as", dest="kind", choices=KINDS, help="what to read from a file or folder of data")
    parser.add_argument("--stage", help="whose settings the YAML holds, where its sections leave it open")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    return parser


def run_convert(options: argparse.Namespace) -> int:
    """Read, write, say what was lost, and return the exit status."""
    from rlhf.checking.files import check_free

    checked = find_subjects(options.source, options.pairs, options.kind, options.stage)
    if len(checked) > 1:
        raise SettingsError(f"{options.source} is a folder of settings; name one file of it")
    subjects = checked[0].subjects
    if not subjects:
        raise SettingsError(f"{options.source} names no source of data")
    if options.to == "canonical" and options.out.endswith(".parquet"):
        raise DataError(
            "canonical rows differ in their columns and are no table; write .jsonl.gz", options.out
        )
    if options.to == "chosen-rejected" and subjects[0].kind != "rankings":
        raise DataError(f"{subjects[0].kind} have no chosen and rejected; use --to trl or canonical")
    targets = targets_of(options.out, subjects)
    for out in targets.values():
        check_free(out, force=options.force)
    for part, out in targets.items():
        _convert([subject for subject in subjects if subject.part == part], out, options)
    return 0


def _convert(subjects: list[Subject], out: str, options: argparse.Namespace) -> None:
    from rlhf.checking.check import READERS
    from rlhf.checking.files import write_rows
    from rlhf.checking.fix import told_of
    from rlhf.checking.shapes import shape_of

    kind = subjects[0].kind
    reading = READERS[kind]([shape_of(subject.source, kind).source for subject in subjects])
    counts: Counter[str] = Counter()
    num_rows = write_rows(out, FORMS[options.to](reading.records, counts), force=options.force)
    made = f"{number_of(num_rows, 'rows')} of {number_of(len(reading.records), kind)}"
    print(f"{out}: {made}, {number_of(reading.num_rows, 'rows')} read")
    for line in told_of(counts):
        print(line)
    for code, number in reading.counts().items():
        print(f"  {code}: {number:,}")
    if options.to != "canonical" and kind != "texts":
        print("  this form has no place for ids, groups, annotators and other columns")
