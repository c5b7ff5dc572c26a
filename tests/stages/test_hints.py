"""Mistakes that are one, and are said as one: a pair that the shell cut, a config of another stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlhf.errors import SettingsError
from rlhf.settings.ppo import PpoSettings
from stages import _settings
from stages._command import STAGES, load_schema, run_stage
from stages._hints import refuse_cut_pairs, refuse_other_config

REPOSITORY = Path(__file__).parents[2]
SCHEMAS = {stage: load_schema(stage) for stage in STAGES}


@pytest.fixture(autouse=True)
def _at_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def ppo(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        run_stage("ppo", PpoSettings, lambda settings, run: None, argv=[*words, "--dry-run"])
    assert isinstance(caught.value.code, int)
    return caught.value.code


CUT = (
    "command line: the shell has cut scores=[{function: f.py:g}] at its blanks; put the whole pair in single "
    "quotes inside ARGS: ARGS=\"'scores=[{function: f.py:g}]'\"\n"
)


def test_a_pair_that_the_shell_has_cut(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run.seed=2", "scores=[{function:", "f.py:g}]", "ppo.kl_coef=0.1"]
    assert ppo(*words) == 2
    assert capsys.readouterr().err == CUT
    assert _settings.main(["--stages", "ppo", "--", *words]) == 2
    assert capsys.readouterr().err == CUT


@pytest.mark.parametrize(
    ("words", "pair"),
    [
        (["sft:lora={rank:", "8,", "alpha:", "2.0}"], "sft:lora={rank: 8, alpha: 2.0}"),
        (["run.name='my", "run'", "run.seed=2"], "run.name='my run'"),
        (["scores=[{models:", "[a=b,", "c]}]"], "scores=[{models: [a=b, c]}]"),
    ],
)
def test_what_it_was_before(words: list[str], pair: str) -> None:
    with pytest.raises(SettingsError) as caught:
        refuse_cut_pairs(words)
    assert str(caught.value).endswith(f"ARGS=\"'{pair}'\"")


def test_one_that_is_not_closed_either() -> None:
    with pytest.raises(SettingsError) as caught:
        refuse_cut_pairs(["lora={rank:", "8", "run.seed=2"])
    assert str(caught.value) == (
        "command line: the shell has cut lora={rank: 8 at its blanks; close its bracket, brace or quote, and put "
        "the whole pair in single quotes inside ARGS: ARGS=\"'lora=...'\""
    )


def test_one_alone_is_not_closed(capsys: pytest.CaptureFixture[str]) -> None:
    assert ppo("scores=[{function:") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("quotes inside ARGS: ARGS=\"'scores=...'\"")


def test_pairs_that_are_whole_are_left_alone() -> None:
    refuse_cut_pairs(["lora={rank: 8}", "run.name=a[", "run.seed=2", "run.name=don't", "nonsense"])


# --- a config of another stage


@pytest.mark.parametrize(
    ("stage", "config", "message"),
    [
        (
            "reward",
            "configs/recipes/rloo.yaml",
            "is for the ppo stage, not for reward, which has no critic, ppo: ",
        ),
        (
            "ppo",
            "configs/reward.yaml",
            "is for the reward stage, not for ppo, which has no centring, model, ",
        ),
        ("reward", "configs/sft.yaml", "is for the sft stage, not for reward, which has no sft: "),
        ("ppo", "configs/accelerate/one_process.yaml", "is an accelerate config, not settings of a stage: "),
    ],
)
def test_a_config_of_another_stage(stage: str, config: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        refuse_other_config(config, stage, SCHEMAS)
    assert str(caught.value).startswith(f"{config} {message}")
    told = str(caught.value).rsplit(": ", 1)[1]
    if "accelerate" in config:
        assert told == f"make {stage} ACCELERATE_CONFIG={config}"
    else:
        assert told == f"make {config.split('/')[-1][:-5].replace('rloo', 'ppo')} CONFIG={config}"


def test_the_stage_itself_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert ppo("--config=configs/reward.yaml", "run.sed=2") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(": make reward CONFIG=configs/reward.yaml")


def test_its_own_config_and_one_with_mistakes_are_left_alone(tmp_path: Path) -> None:
    for stage in STAGES:
        refuse_other_config(f"configs/{stage}.yaml", stage, SCHEMAS)
    mine = tmp_path / "mine.yaml"
    for text in ("", "run: {}\n", "scoers: []\nppo: {}\n", "model: {path: x}\n", "1: 2\n"):
        mine.write_text(text)
        refuse_other_config(str(mine), "ppo", SCHEMAS)


def test_a_folder_without_the_files_of_the_stages(capsys: pytest.CaptureFixture[str]) -> None:
    assert _settings.main(["--folder", "configs/recipes", "--stages", "sft", "ppo"]) == 2
    assert capsys.readouterr().err == (
        "CONFIG=configs/recipes is to be a folder with a file for each stage, but there is no sft.yaml and no "
        "ppo.yaml; configs/recipes has: grpo.yaml, instructgpt.yaml, rloo.yaml, tldr.yaml, ziegler.yaml\n"
    )
    assert ppo("--config=configs/recipes/ppo.yaml") == 2
    assert capsys.readouterr().err.startswith(
        "configs/recipes/ppo.yaml does not exist; configs/recipes has: "
    )
