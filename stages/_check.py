"""``rlhf check``: what a stage would read, shown before it is trained on."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf.checking.results import CheckReport, Subject
from rlhf.errors import SettingsError, UserError
from stages._subjects import KINDS, Checked, find_subjects

if TYPE_CHECKING:
    from rlhf.checking.check import RulerOf

__all__ = ["check_parser", "run_check"]

_ABOUT = """\
Read everything that a stage would train on, and say what was understood: the shape of the rows and why,
what a label means, one BEST and one WORST response in full, counts, token lengths, the baselines that a
reward model must beat, and every problem with its places. Nothing stops at the first bad row, and nothing is
changed.

  rlhf check configs/reward.yaml            what a stage reads; of a folder: what each stage does
  rlhf check configs/reward.yaml "data.train=[{path: data/mine.jsonl}]"
  rlhf check data/mine.jsonl --as rankings  data without settings; key=value are those of its source:
  rlhf check data/mine.csv --as rankings format=pair prompt=question --fix data/mine.clean.jsonl

exit status: 0 fine (perhaps with warnings), 1 problems in the data, 2 the check could not be made, or the
limits do not fit into the model's context
"""


def check_parser() -> argparse.ArgumentParser:
    """Return the parser of the words behind ``rlhf check``."""
    parser = argparse.ArgumentParser(
        prog="rlhf check",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "config", metavar="CONFIG", help="a stage's YAML, a folder of them, or data with --as"
    )
    parser.add_argument(
        "pairs", nargs="*", metavar="key=value", help="settings over the YAML, or of the source"
    )
    parser.add_argument("--as", dest="kind", choices=KINDS, help="what to read from a file or folder of data")
    parser.add_argument("--stage", help="whose settings the YAML holds, where its sections leave it open")
    parser.add_argument("--model", metavar="PATH", help="count tokens as this model does, not the config's")
    parser.add_argument(
        "--examples", type=int, default=1, metavar="N", help="how many BEST and WORST (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")
    parser.add_argument(
        "--fix", metavar="OUT.jsonl", help="write the rows that passed, and OUT.rejected.jsonl"
    )
    parser.add_argument("--force", action="store_true", help="let --fix replace files")
    return parser


def run_check(options: argparse.Namespace) -> int:
    """Check, print, and return the exit status."""
    if options.examples < 0:
        raise SettingsError(f"--examples is {options.examples}; it is a number of examples, 0 or more")
    if options.force and options.fix is None:
        raise SettingsError("--force lets --fix replace files; without --fix nothing is written")
    checked = find_subjects(options.config, options.pairs, options.kind, options.stage)
    fixes = _fix_targets(options, checked)
    reports = [_check(one, options) for one in checked]
    try:
        (_print_json if options.json else _print_lines)(checked, reports)
        sys.stdout.flush()
    except BrokenPipeError:  # `rlhf check ... --fix OUT | head`: the files are wanted all the same
        _write_fixes(checked[0], fixes, options.force)
        raise
    _write_fixes(checked[0], fixes, options.force)
    return max(report.exit_code for report in reports)


def _check(checked: Checked, options: argparse.Namespace) -> CheckReport:
    from rlhf.checking.check import check_sources

    report = check_sources(checked.subjects, _ruler_of(checked, options.model), num_examples=options.examples)
    return replace(report, notes=checked.notes)


def _ruler_of(checked: Checked, path: str | None) -> RulerOf:
    from rlhf.settings.shared import ModelSettings
    from stages._limits import Limits
    from stages._rulers import open_ruler, ruler_of_stage

    model = None if path is None else ModelSettings(path=path)
    if model is not None:
        scores = checked.stage == "reward" or checked.subjects[0].kind == "rankings"
        ruler = open_ruler(model, Limits(), "--model", scores=scores)  # a mistake in it ends the check
        if not checked.stage:
            return lambda subject: ruler
    if not checked.stage:
        return lambda subject: "give the model that will read them: --model PATH"
    return ruler_of_stage(checked.stage, checked.settings, model)


def _print_lines(checked: list[Checked], reports: list[CheckReport]) -> None:
    from rlhf.checking.lines import report_lines

    for one, report in zip(checked, reports, strict=True):
        if one.config is not None:
            print(f"== {one.config} ({one.stage})")
        print("\n".join(report_lines(report)))
        if one is not checked[-1]:
            print()


def _print_json(checked: list[Checked], reports: list[CheckReport]) -> None:
    from rlhf.checking.document import to_document
    from rlhf.runs.files import plain

    documents = [
        {"config": one.config, "stage": one.stage or None, **to_document(report)}
        for one, report in zip(checked, reports, strict=True)
    ]
    # Letters beyond ASCII are escapes, so that any of them can be printed anywhere.
    print(json.dumps(plain(documents[0] if len(documents) == 1 else documents), indent=2))


def _fix_targets(options: argparse.Namespace, checked: list[Checked]) -> dict[str, str]:
    """Return the file for each list of sources, after looking whether it may be written."""
    from rlhf.checking.files import check_free
    from rlhf.checking.fix import rejected_path

    if options.fix is None:
        return {}
    if len(checked) > 1:
        raise SettingsError(
            f"--fix writes the data of one stage; {options.config} is a folder: name one file"
        )
    targets = targets_of(options.fix, checked[0].subjects)
    for out in targets.values():
        check_free(out, force=options.force)
        check_free(rejected_path(out), force=options.force)
    return targets


def targets_of(out: str, subjects: tuple[Subject, ...]) -> dict[str, str]:
    """Return the file of each list of sources: `out` where there is one, else its name before the extension.

    >>> from rlhf.feedback.mapping import Source
    >>> subjects = [Subject(part, part, "prompts", Source(path="x")) for part in ("data.train", "data.test")]
    >>> targets_of("out/x.jsonl.gz", tuple(subjects))
    {'data.train': 'out/x.train.jsonl.gz', 'data.test': 'out/x.test.jsonl.gz'}
    """
    parts = list(dict.fromkeys(subject.part for subject in subjects))
    if len(parts) == 1:
        return {parts[0]: out}
    stem, dot, extension = Path(out).name.partition(".")
    names = [part.removeprefix("data.") for part in parts]
    return {
        part: str(Path(out).with_name(f"{stem}.{name}{dot}{extension}"))
        for part, name in zip(parts, names, strict=True)
    }


def _write_fixes(checked: Checked, fixes: dict[str, str], force: bool) -> None:
    from rlhf.checking.fix import fix_sources

    for part, out in fixes.items():
        subjects = [subject for subject in checked.subjects if subject.part == part]
        try:
            told = fix_sources(subjects, out, force=force)
        except UserError as error:
            raise SettingsError(f"--fix of {part}: {error}") from error
        for line in told:
            print(line, file=sys.stderr)  # standard output is the check, or its JSON
