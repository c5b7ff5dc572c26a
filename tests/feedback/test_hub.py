"""Sets that `datasets` loads: from folders here, and what its errors become where there is no hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rlhf.errors import DataError
from rlhf.feedback.adapters import files_of
from rlhf.feedback.hub import hub_fingerprint
from rlhf.feedback.mapping import Source
from rlhf.feedback.reading import read_prompts, read_rankings

CARD = """---
configs:
- config_name: first
  data_files: [{split: train, path: first.jsonl}, {split: test, path: more.jsonl}]
- config_name: second
  data_files: [{split: train, path: more.jsonl}]
---
"""


def pairs(name: str, count: int) -> str:
    rows = [
        {"prompt": f"{name} {n}", "chosen": "yes", "rejected": "no", "when": "2023"} for n in range(count)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A set of two configs as the hub has them, and a cache of its own."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    found = tmp_path / "org" / "name"
    found.mkdir(parents=True)
    (found / "README.md").write_text(CARD)
    (found / "first.jsonl").write_text(pairs("first", 3))
    (found / "more.jsonl").write_text(pairs("more", 2))
    yield found
    datasets.enable_progress_bars()


def test_rows_of_config_and_split_with_their_places(folder: Path) -> None:
    source = Source(path=str(folder), hub={"config": "first", "split": "test"}, format="pair")
    reading = read_rankings([source])
    assert [one.prompt.messages[0].content for one in reading] == ["more 0", "more 1"]
    assert [one.prompt.where for one in reading] == [f"{folder}[first/test]:1", f"{folder}[first/test]:2"]


def test_a_slice_of_a_split_is_one_too(folder: Path) -> None:
    source = Source(path=str(folder), hub={"config": "first", "split": "train[1:]"}, format="pair")
    assert [one.prompt.messages[0].content for one in read_rankings([source])] == ["first 1", "first 2"]


def test_the_only_split_need_not_be_named_but_one_of_several_has_to(folder: Path) -> None:
    assert len(read_prompts([Source(path=str(folder), hub={"config": "second"})])) == 2
    with pytest.raises(DataError, match=r"hub.split is not set; there are train, test"):
        read_prompts([Source(path=str(folder), hub={"config": "first"})])


@pytest.mark.parametrize(
    ("hub", "words"),
    [
        ({"config": "first", "split": "trian"}, "hub.split: trian is not there; there are train, test"),
        ({"split": "train"}, r"set hub.config .*first.*second"),
        ({"config": "third", "split": "train"}, r"names none of the set's configs .*first.*second"),
        ({"data_dir": "nowhere", "split": "train"}, "hub.data_dir|cannot load"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(folder: Path, hub: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read_prompts([Source(path=str(folder), hub=hub)])
    assert "\n" not in str(caught.value)


def test_a_column_that_mixes_types_keeps_them(folder: Path) -> None:
    rows = ['{"prompt": "a", "more": 1}', '{"prompt": "b", "more": "one"}', '{"prompt": "c", "more": [1]}']
    (folder / "more.jsonl").write_text("\n".join(rows))
    found = read_prompts([Source(path=str(folder), hub={"config": "second"})])
    assert [prompt.columns["more"] for prompt in found] == [1, "one", [1]]


def test_a_bad_row_has_its_place(folder: Path) -> None:
    (folder / "more.jsonl").write_text(
        pairs("more", 2) + '{"prompt": null, "chosen": "a", "rejected": "b"}\n'
    )
    with pytest.raises(DataError, match=r"\[second/train\]:3: 'prompt' must be text, but is null"):
        read_prompts([Source(path=str(folder), hub={"config": "second"})])


def test_the_fingerprint_tells_other_content_and_no_file_is_named(folder: Path) -> None:
    source = Source(path=str(folder), hub={"config": "second"})
    first = hub_fingerprint(source)
    assert list(first) == [f"{folder}[second/train]"]
    assert hub_fingerprint(source) == first
    (folder / "more.jsonl").write_text(pairs("other", 2))
    assert hub_fingerprint(source) != first
    assert read_prompts([source]).records[0].messages[0].content == "other 0"
    assert files_of(source) == []


def test_the_commit_of_a_hub_set_is_in_its_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0123456789abcdef" * 2 + "01234567"
    files = {"train": [f"hf://datasets/org/name@{commit}/a.parquet"]}
    made = SimpleNamespace(
        config=SimpleNamespace(data_files=files),
        info=SimpleNamespace(splits={"train": None}),
        cache_dir="nowhere",
        download_and_prepare=lambda download_mode: None,
        as_dataset=lambda split: SimpleNamespace(_fingerprint=f"print of {split}"),
    )
    given: dict[str, Any] = {}
    monkeypatch.setattr("datasets.load_dataset_builder", lambda path, **more: given.update(more) or made)
    source = Source(path="org/name", hub={"split": "train", "revision": "main", "data_dir": "d"})
    assert hub_fingerprint(source) == {"org/name[train]": f"{commit}, print of train"}
    assert given == {"name": None, "revision": "main", "data_dir": "d"}


def failing_with(error: Exception) -> Any:
    def load(*_: Any, **__: Any) -> None:
        raise error

    return load


def http_error(kind: str, status: int) -> Exception:
    from datasets.load import httpx  # by whatever name this version of it goes
    from huggingface_hub import errors

    response = httpx.Response(status, request=httpx.Request("GET", "https://huggingface.co/x"))
    made: Exception = getattr(errors, kind)("Cannot access", response=response)
    return made


def errors() -> dict[str, tuple[Exception, str]]:
    from datasets import exceptions
    from datasets.load import httpx  # by whatever name this version of it goes
    from huggingface_hub.errors import OfflineModeIsEnabled

    gated = exceptions.DatasetNotFoundError(
        "Dataset 'org/name' is a gated dataset on the Hub. You must be authenticated to access it."
    )
    absent = exceptions.DatasetNotFoundError(
        "Dataset 'org/name' doesn't exist on the Hub or cannot be accessed."
    )
    revision = exceptions.DatasetNotFoundError(
        "Revision 'x' doesn't exist for dataset 'org/name' on the Hub."
    )
    script = RuntimeError("Dataset scripts are no longer supported, but found name.py")
    return {
        "script": (script, "refs/convert/parquet"),
        "gated": (gated, "log in"),
        "gated_http": (http_error("GatedRepoError", 403), "log in"),
        "absent": (absent, "no such set, or it is private"),
        "absent_http": (http_error("RepositoryNotFoundError", 401), "no such set, or it is private"),
        "revision": (revision, "hub.revision is no branch"),
        "offline": (OfflineModeIsEnabled("HF_HUB_OFFLINE=1"), "cannot be reached"),
        "no_network": (ConnectionError("Couldn't reach 'org/name' on the Hub"), "cannot be reached"),
        "dns": (httpx.ConnectError("Name or service not known"), "cannot be reached"),
        "no_files": (exceptions.DataFilesNotFoundError("No (supported) data files found"), "hub.data_dir"),
        "columns": (exceptions.DatasetGenerationError("An error occurred\n\nwhile"), "one table"),
        "other": (KeyError("who knows"), r"cannot load the set \(KeyError: 'who knows'\)"),
    }


CODE_OF = {
    "script": "hub_script",
    "gated": "hub_gated",
    "gated_http": "hub_gated",
    **dict.fromkeys(("offline", "no_network", "dns"), "hub_unreachable"),
    "columns": "hub_failed",
    "other": "hub_failed",
}


@pytest.mark.parametrize("kind", errors())
def test_every_error_of_datasets_is_one_message_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    error, words = errors()[kind]
    monkeypatch.setattr("datasets.load_dataset_builder", failing_with(error))
    with pytest.raises(DataError, match=words) as caught:
        read_prompts([Source(path="org/name", hub={"split": "train"})])
    assert caught.value.where == "org/name"
    assert caught.value.code == CODE_OF.get(kind, "hub_not_found")
    assert "\n" not in str(caught.value)
    assert type(error).__name__ in str(caught.value)


def test_without_a_network_the_library_itself_ends_in_that_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="the hub cannot be reached"):
        read_prompts([Source(path="no-such-org/no-such-set", hub={"split": "train"})])


def test_a_path_that_could_be_an_id_says_how_to_mean_one() -> None:
    with pytest.raises(DataError, match=r"no such file .*if a hub id is meant, set hub: \{split: train\}"):
        read_prompts([Source(path="org/name")])
    with pytest.raises(DataError) as caught:
        read_prompts([Source(path="org/name.jsonl")])
    assert "hub" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"hub": {"spilt": "train"}}, r"hub.spilt is not a setting; did you mean split\?"),
        ({"hub": {}, "separator": "-"}, "separator reads local files"),
        ({"hub": {}, "loader": "a.py:f"}, "loader reads local files"),
    ],
)
def test_settings_that_make_no_sense_are_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        Source(path="org/name", **more)
