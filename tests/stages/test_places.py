"""A mistake that a stage finds says which layer of the settings it stands in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rlhf.errors import ModelError
from stages._command import run_stage
from tests.stages import probe


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("probe.yaml").write_text("")


def run(*pairs: str, check: Callable[[probe.ProbeSettings], None] = probe.check) -> int:
    with pytest.raises(SystemExit) as caught:
        run_stage(
            "probe", probe.ProbeSettings, probe.train, check=check, argv=["--config=probe.yaml", *pairs]
        )
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_a_setting_with_a_wrong_path_says_where_it_was_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("probe.fail=model", "model.path=gone") == 2
    assert capsys.readouterr().err.startswith("command line: model.path 'gone' does not exist")
    Path("probe.yaml").write_text("model: {path: away}\n")
    assert run("probe.fail=model") == 2
    assert capsys.readouterr().err.startswith("probe.yaml: model.path 'away' does not exist")


@pytest.mark.parametrize(
    ("pairs", "places"),
    [
        (["run.seed=2"], "command line and probe.yaml: "),
        (["run.seed=2", "model.path=x"], "command line: "),
        (["model.dtype=bfloat16"], "probe.yaml: "),  # which the advice names alone
        (["run.keep_previous=false"], "probe.yaml: "),  # which stands in quotes: a value
    ],
)
def test_a_mistake_of_two_settings_names_the_layers_of_both(
    capsys: pytest.CaptureFixture[str], pairs: list[str], places: str
) -> None:
    message = "with run.seed it starts at 'run.keep_previous', which is none; set model.dtype"

    def refuse(settings: probe.ProbeSettings) -> None:
        raise ModelError(message, where="model.path")

    Path("probe.yaml").write_text("model: {path: away}\n")
    assert run(*pairs, check=refuse) == 2
    assert capsys.readouterr().err == f"{places}model.path: {message}\n"
