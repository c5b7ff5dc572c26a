"""Rows of sets on the Hugging Face hub, through `datasets`: sources with the setting `hub`.

`datasets` downloads a set once and reads it from its cache after that; values are what the set's own Arrow
types make of them. Its errors come from five libraries: each becomes one message here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rlhf.errors import DataError
from rlhf.feedback.arrow import values_of
from rlhf.feedback.mapping import Source
from rlhf.feedback.notes import BadRow

__all__ = ["hub_fingerprint", "hub_rows"]

_ROWS_AT_ONCE = 1000
_COMMIT = re.compile(r"@([0-9a-f]{40})/")


def hub_rows(source: Source) -> Iterator[tuple[str, int, dict[str, Any] | BadRow]]:
    """Yield (name of the set and split, row number from 1, its values by columns or what is wrong with it).

    Raises:
        DataError: hub_unreachable, hub_gated, hub_not_found (no such set, revision, config or split),
            hub_script, hub_failed.
    """
    builder, split = _open(source)
    name = _name(source, split)
    with _failures(source):
        table = builder.as_dataset(split=split)
    decoders = {key: feature for key, feature in table.features.items() if "Json(" in repr(feature)}
    parts = table.with_format("arrow").iter(batch_size=_ROWS_AT_ONCE)
    values = values_of((batch for part in parts for batch in part.to_batches()), name)
    for number, row in enumerate(values, 1):
        if decoders and isinstance(row, dict):
            row = {key: _decoded(decoders.get(key), value) for key, value in row.items()}
        yield name, number, row


def _decoded(feature: Any, value: Any) -> Any:
    """Return the value of a column that mixes types, which `datasets` keeps as the text of its JSON."""
    from datasets.features.features import decode_nested_example

    return value if feature is None or value is None else decode_nested_example(feature, value)


def hub_fingerprint(source: Source) -> dict[str, str]:
    """Return for a set's name what tells its content: its commit on the hub, the fingerprint of `datasets`.

    Of a local folder, the hash of its files.

    Errors as in `hub_rows`.
    """
    builder, split = _open(source)
    with _failures(source):
        fingerprint = builder.as_dataset(split=split)._fingerprint
    commits = {found.group(1) for found in map(_COMMIT.search, _data_files(builder)) if found}
    content = hashlib.sha256()
    for file in _local_files(builder):
        content.update(file.read_bytes())
    local = [content.hexdigest()] if _local_files(builder) else []
    return {_name(source, split): ", ".join([*sorted(commits), *local, fingerprint])}


def _data_files(builder: Any) -> list[str]:
    return [str(file) for files in (builder.config.data_files or {}).values() for file in files]


def _local_files(builder: Any) -> list[Path]:
    return [file for file in map(Path, _data_files(builder)) if file.is_file()]


def _is_stale(builder: Any) -> bool:
    """Say whether a local file is newer than what `datasets` made of it before, which it would give again."""
    made = Path(builder.cache_dir) / "dataset_info.json"
    return made.is_file() and any(
        file.stat().st_mtime_ns > made.stat().st_mtime_ns for file in _local_files(builder)
    )


def _name(source: Source, split: str) -> str:
    config = (source.hub or {}).get("config")
    return f"{source.path}[{split if config is None else f'{config}/{split}'}]"


def _open(source: Source) -> tuple[Any, str]:
    """Return the builder of a set, prepared, and which split is meant."""
    from datasets import load_dataset_builder

    assert source.hub is not None
    with _failures(source):
        builder = load_dataset_builder(
            source.path,
            name=source.hub.get("config"),
            revision=source.hub.get("revision"),
            data_dir=source.hub.get("data_dir"),
        )
        builder.download_and_prepare(download_mode="force_redownload" if _is_stale(builder) else None)
    splits = list(builder.info.splits or ())
    wanted = source.hub.get("split")
    if wanted is None and len(splits) == 1:
        return builder, splits[0]
    if wanted is None:
        raise DataError(
            f"hub.split is not set; there are {', '.join(splits) or 'none'}", source.path, "bad_source"
        )
    if wanted.partition("[")[0] not in splits:
        message = f"hub.split: {wanted} is not there; there are {', '.join(splits)}"
        raise DataError(message, source.path, "hub_not_found")
    return builder, wanted


@contextmanager
def _failures(source: Source) -> Iterator[None]:
    """Turn whatever `datasets` and what it stands on raise into one message with what to do."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        words = " ".join(str(error).split())
        trouble = _trouble(error, words)
        message = f"{trouble.remedy} ({type(error).__name__}: {words[:300]})"
        raise DataError(message, source.path, trouble.code) from error


class _Trouble(NamedTuple):
    code: str
    remedy: str


def _trouble(error: Exception, words: str) -> _Trouble:
    causes = {cause.__name__ for one in _chain(error) for cause in type(one).__mro__}
    if "scripts are no longer supported" in words:
        return _Trouble(
            "hub_script",
            "the set is a loading script, which datasets runs no more; look on the hub for its branch "
            "refs/convert/parquet (hub.revision), or download its files and name those",
        )
    if "gated" in words or "GatedRepoError" in causes:
        return _Trouble(
            "hub_gated",
            "the set is gated: ask for access on its page on the hub, then log in (hf auth login) or set "
            "HF_TOKEN",
        )
    if "ConnectionError" in causes or "OfflineModeIsEnabled" in causes or "ConnectError" in causes:
        return _Trouble(
            "hub_unreachable",
            "the hub cannot be reached, and the set is not in the cache; unset HF_HUB_OFFLINE and "
            "HF_DATASETS_OFFLINE where there is a network, or download its files and name those",
        )
    if "BuilderConfig" in words and "not found" in words:
        return _Trouble("hub_not_found", "hub.config names none of the set's configs")
    if "Config name is missing" in words:
        return _Trouble("bad_source", "the set has several configs; set hub.config")
    if "Revision" in words and "exist" in words:
        return _Trouble("hub_not_found", "hub.revision is no branch, tag or commit of the set")
    if causes & {"DatasetNotFoundError", "RepositoryNotFoundError"}:
        return _Trouble(
            "hub_not_found",
            "the hub has no such set, or it is private: look at the name, log in (hf auth login) or set "
            "HF_TOKEN",
        )
    if causes & {"DataFilesNotFoundError", "EmptyDatasetError"}:
        return _Trouble(
            "hub_not_found", "the set holds no data files that datasets reads; look at hub.data_dir"
        )
    if causes & {"DatasetGenerationError", "CastError", "DatasetsError"}:
        return _Trouble(
            "hub_failed",
            "datasets cannot make one table of the set's files; name some of them by hub.data_dir",
        )
    return _Trouble("hub_failed", "datasets cannot load the set")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
