"""Check the settings of several stages before the first of them starts.

``make all`` does, so that a typing mistake in the settings of the last stage is not found after the first has
run for an hour.
"""

from __future__ import annotations

import argparse
import sys

from rlhf.errors import SettingsError
from rlhf.settings.layers import resolve_settings
from stages._command import STAGES, USER_MISTAKE, load_schema


def main(words: list[str]) -> int:
    """Resolve each stage's settings; print every mistake once and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m stages._settings", description="Check settings.", allow_abbrev=False
    )
    parser.add_argument(
        "--folder", default="configs", help="folder that holds <stage>.yaml (default: %(default)s)"
    )
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="which stages")
    parser.add_argument(
        "pairs", nargs="*", metavar="key=value", help="settings of any of the stages, after --"
    )
    options = parser.parse_args(words)
    pairs = [pair for pair in options.pairs if not pair.startswith("--")]  # --dry-run is for the stages
    schemas = {stage: load_schema(stage) for stage in STAGES}
    mistakes: dict[str, None] = {}
    for stage in options.stages:
        others = {name: schema for name, schema in schemas.items() if name != stage}
        try:
            resolve_settings(schemas[stage], f"{options.folder.rstrip('/')}/{stage}.yaml", pairs, others)
        except SettingsError as error:
            mistakes.update(dict.fromkeys(str(error).splitlines()))
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    return USER_MISTAKE if mistakes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
