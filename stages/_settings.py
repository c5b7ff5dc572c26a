"""Check the settings of several stages before the first of them starts.

``make all`` does, so that a typing mistake in the settings of the last stage is not found after the first has
run for an hour, and so that a pair which would mean different things to different stages is asked about.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlhf.errors import SettingsError
from rlhf.settings import schema
from rlhf.settings.layers import Settings, resolve_settings
from rlhf.settings.yaml_file import what_is_in
from stages._command import STAGES, USER_MISTAKE, load_schema, pairs_for
from stages._hints import refuse_cut_pairs


def main(words: list[str]) -> int:
    """Resolve each stage's settings; print every mistake once and return the exit status."""
    options = _parser().parse_args(words)
    folder = options.folder.rstrip("/")
    try:
        _refuse_a_folder_without(options.stages, folder)
        refuse_cut_pairs(options.pairs)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return USER_MISTAKE
    pairs = [pair for pair in options.pairs if not pair.startswith("--")]  # --dry-run is for the stages
    schemas = {stage: load_schema(stage) for stage in STAGES}
    files: dict[str, Settings] = {}
    mistakes: dict[str, None] = {}
    for stage in options.stages:
        others = {name: other for name, other in schemas.items() if name != stage}
        config = f"{folder}/{stage}.yaml"
        try:
            files[stage] = resolve_settings(schemas[stage], config).settings
            resolve_settings(schemas[stage], config, pairs_for(stage, pairs)[0], others)
        except SettingsError as error:
            mistakes.update(dict.fromkeys(str(error).splitlines()))
    mistakes.update(dict.fromkeys(_unclear(pairs, files)))
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    return USER_MISTAKE if mistakes else 0


def _refuse_a_folder_without(stages: Sequence[str], folder: str) -> None:
    """Name all the files that are missing in one message.

    Raises:
        SettingsError: the folder has no YAML file for one of the stages.
    """
    missing = [f"{stage}.yaml" for stage in stages if not Path(folder, f"{stage}.yaml").exists()]
    if missing:
        raise SettingsError(
            f"CONFIG={folder} is to be a folder with a file for each stage, but there is no "
            f"{' and no '.join(missing)}{what_is_in(Path(folder))}"
        )


def _parser() -> argparse.ArgumentParser:
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
    return parser


def _unclear(pairs: Sequence[str], files: Mapping[str, Settings]) -> list[str]:
    """Pairs whose key is a text or list of its own in each of several stages: a path, data, an output.

    ``model.path=my/base`` is the base model to SFT, but would take the SFT model away from the reward stage.
    A number (``checkpoint.keep=2``) may well be meant for all.
    """
    found = []
    for pair in pairs:
        key, _, value = pair.partition("=")
        path = schema.parse_path(key)
        places = {
            stage: _value_at(settings, path)
            for stage, settings in files.items()
            if path is not None and schema.annotation_at(type(settings), path) is not None
        }
        are_numbers = all(isinstance(place, (int, float)) for place in places.values())
        if not are_numbers and len({repr(place) for place in places.values()}) > 1:
            says = ", ".join(
                f"{stage}: {place}" if isinstance(place, str) else stage for stage, place in places.items()
            )
            first = next(iter(places))
            found.append(
                f"command line: {key} is a setting of several stages, which differ in it ({says}); "
                f"say which one is meant, as in {first}:{key}={value}"
            )
    return found


def _value_at(settings: Settings, path: schema.KeyPath) -> Any:
    value: Any = settings.model_dump(by_alias=True)
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
