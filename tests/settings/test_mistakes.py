"""What is wrong in the settings is said, all of it together."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, Field, ValidationError, model_validator

from rlhf.errors import SettingsError
from rlhf.settings.layers import Items, Settings, describe_layers, resolve_settings
from rlhf.settings.problems import describe
from rlhf.settings.shared import SourceSettings
from tests.settings.resolver import Resolver, Sft


@pytest.fixture
def resolve(tmp_path: Path) -> Resolver:
    return Resolver(tmp_path)


def test_an_unknown_key_says_file_key_nearest_and_what_the_section_has(resolve: Resolver) -> None:
    assert resolve.mistakes("ppo:\n  kl_coeff: 0.1\n") == [
        "mine.yaml: ppo.kl_coeff is not a setting; did you mean ppo.kl_coef? (ppo has: clip_range, judge, kl_coef, "
        "minibatch_size, note, num_updates, roles, rollout_batch_size)"
    ]


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        (
            "kl_coef: 1\n",
            "kl_coef is not a setting; did you mean ppo.kl_coef? (the top level has: data, lora, model,",
        ),
        ("rank: 1\n", "rank is not a setting; did you mean lora.rank? (the top level has:"),
        (
            "pppo: {}\n",
            "pppo is not a setting; did you mean ppo? (the top level has: data, lora, model, ppo, run)",
        ),
        ("lora: {rnk: 1}\n", "lora.rnk is not a setting; did you mean lora.rank? (lora has: alpha, dropout,"),
        (
            "data: {train: [{pth: a, path: b}]}\n",
            "data.train[0].pth is not a setting; did you mean data.train[0].path?",
        ),
        ("run: {zzz: 1}\n", "run.zzz is not a setting (run has: keep_previous,"),
        ("1: 2\n", "1 is not a setting (the top level has:"),
    ],
)
def test_unknown_keys_anywhere(resolve: Resolver, text: str, beginning: str) -> None:
    (line,) = resolve.mistakes(text)
    assert line.startswith(f"mine.yaml: {beginning}")


def test_all_mistakes_of_all_layers_come_together(resolve: Resolver) -> None:
    text = "run:\n  seed: -3\n  name: 3\nmodel:\n  dtype: fp16\nppo:\n  kl_coeff: 1\n"
    lines = resolve.mistakes(text, "ppo.clip_range=abc", "nonsense", "ppo.gone=1")
    assert len(lines) == 7
    assert "mine.yaml: run.seed is -3; at least 0 is expected" in lines
    assert "mine.yaml: run.name is 3; text is expected; quote it: '3'" in lines
    assert "mine.yaml: model.dtype is 'fp16'; 'float32', 'bfloat16' or 'float16' is expected" in lines
    assert "command line: ppo.clip_range is 'abc'; a number is expected" in lines
    assert "command line: 'nonsense' is not key=value, as in run.seed=3" in lines
    assert sum("is not a setting" in line for line in lines) == 2


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("run: {resume: 2}", "run.resume is 2; 'auto' or true or false is expected"),
        (
            "run: {trackers: wandb}",
            "run.trackers is 'wandb'; a list is expected; write [a, b] or one '- ' line an item",
        ),
        ("lora: 7", "lora is 7; a section with key: value lines is expected"),
        (
            "ppo:",
            "ppo is null; a section with key: value lines is expected (null means not set, and this has to be set)",
        ),
        ("lora: {rank: 0}", "lora.rank is 0; at least 1 is expected"),
        ("lora: {dropout: 1}", "lora.dropout is 1; less than 1 is expected"),
        ("ppo: {clip_range: .nan}", "ppo.clip_range is nan; a finite number is expected"),
        ("ppo: {clip_range: true}", "ppo.clip_range is true; a number is expected"),
        ("ppo: {clip_range: '3'}", "ppo.clip_range is '3'; a number is expected"),
        ("data: {train: [{format: pair}]}", "data.train[0].path is not set and has no default"),
        ("run: {output: ''}", "run.output is ''; text of at least 1 character is expected"),
    ],
)
def test_wrong_values(resolve: Resolver, text: str, line: str) -> None:
    assert resolve.mistakes(text + "\n") == [f"mine.yaml: {line}"]


def test_a_check_over_several_settings_names_every_layer_it_read(resolve: Resolver) -> None:
    message = "ppo.rollout_batch_size 100 is not a multiple of ppo.minibatch_size 16; 96 or 112 would be"
    assert resolve.mistakes("ppo: {rollout_batch_size: 100}\n") == [f"mine.yaml: {message}"]
    assert resolve.mistakes("ppo: {minibatch_size: 16}\n", "ppo.rollout_batch_size=100") == [
        f"command line and mine.yaml: {message}"
    ]


def test_a_key_given_twice_with_two_values_is_refused(resolve: Resolver) -> None:
    assert resolve.mistakes("", "run.seed=1", "run.seed=2") == [
        "command line: run.seed is given twice: run.seed=1 and run.seed=2"
    ]
    assert resolve("", "run.seed=2", "run.seed=2").settings.run.seed == 2


# --- one mistake is one line


class Score(Settings):
    model: str | None = None
    models: Items[str] = ()
    weight: float = 1.0

    @model_validator(mode="after")
    def _has_one(self) -> Score:
        if (self.model is None) != bool(self.models):
            raise ValueError("set one of model and models")
        return self


class Scored(Settings):
    scores: Items[Score] = (Score(model="runs/reward"),)
    extra: Score | None = None
    sources: Items[SourceSettings] = ()
    limit: int = 1

    @model_validator(mode="after")
    def _limit_fits(self) -> Scored:
        if self.limit < len(self.scores):
            raise ValueError("limit is too low for scores")
        return self


def scored(tmp_path: Path, text: str, *pairs: str) -> list[str]:
    config = tmp_path / "mine.yaml"
    config.write_text(text)
    with pytest.raises(SettingsError) as caught:
        resolve_settings(Scored, config, pairs)
    return [line.replace(str(config), "mine.yaml") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    ("pair", "beginning"),
    [
        ("scores=[{modl: x}]", "scores[0].modl is not a setting; did you mean scores[0].model?"),
        ("extra={modls: [x]}", "extra.modls is not a setting; did you mean extra.models?"),
        ("extra.modl=x", "extra.modl is not a setting; did you mean extra.model?"),
        ("sources=[{pth: x}]", "sources[0].pth is not a setting; did you mean sources[0].path?"),
        ("limit=[1", "limit: '[1'"),
        ("scores[2].model=x", "scores[2].model: scores has 1 item"),
    ],
)
def test_what_follows_from_a_mistake_is_no_mistake_of_its_own(
    tmp_path: Path, pair: str, beginning: str
) -> None:
    text = "limit: 0\n"  # the check over all of it waits, as it does where a value is of the wrong type
    (line,) = scored(tmp_path, text, pair)
    assert line.startswith(f"command line: {beginning}")


def test_a_mistake_elsewhere_hides_nothing(tmp_path: Path) -> None:
    lines = scored(tmp_path, "scores: [{modl: x}, {weight: 2.0}]\n", "extra={}")
    assert len(lines) == 3
    assert lines[0].startswith("mine.yaml: scores[0].modl is not a setting")
    assert lines[1:] == [
        "mine.yaml: scores[1]: set one of model and models",
        "command line: extra: set one of model and models",
    ]


def test_an_empty_section_or_item_is_of_the_layer_that_gave_it(tmp_path: Path) -> None:
    message = "set one of model and models"
    assert scored(tmp_path, "", "scores=[{}]") == [f"command line: scores[0]: {message}"]
    assert scored(tmp_path, "scores: [{}]\n") == [f"mine.yaml: scores[0]: {message}"]
    assert scored(tmp_path, "scores: [{}]\n", "extra={weight: 2.0}") == [
        f"mine.yaml: scores[0]: {message}",
        f"command line: extra: {message}",
    ]
    assert scored(tmp_path, "extra: {}\n", "extra.weight=2.0") == [
        f"command line and mine.yaml: extra: {message}"
    ]
    assert scored(tmp_path, "", "sources=[{}]") == [
        "command line: sources[0].path is not set and has no default"
    ]


# --- make all: pairs that only other stages know


def test_pairs_of_other_stages_are_skipped_and_said(resolve: Resolver) -> None:
    resolved = resolve("", "sft.epochs=3", "run.seed=5", other_stages={"sft": Sft})
    assert (resolved.settings.run.seed, resolved.skipped) == (5, ("sft.epochs=3",))
    assert describe_layers(resolved)[-1] == "sft.epochs=3  (skipped: a setting of another stage)"


def test_without_that_option_they_are_mistakes(resolve: Resolver) -> None:
    assert "sft.epochs is not a setting" in resolve.mistakes("", "sft.epochs=3")[0]


def test_a_key_that_no_stage_knows_and_a_wrong_value_for_another_stage_stop_at_once(
    resolve: Resolver,
) -> None:
    lines = resolve.mistakes("", "sft.epoch=3", "sft.epochs=many", "sft.tags=[1]", other_stages={"sft": Sft})
    assert lines[0].startswith("command line: sft.epoch is not a setting")
    assert lines[1:] == [
        "command line: sft.epochs is 'many'; a number is expected",
        "command line: sft.tags[0] is 1; text is expected; quote it: '1'",
    ]


def test_the_yaml_of_a_stage_is_strict_even_then(resolve: Resolver) -> None:
    assert "sft is not a setting" in resolve.mistakes("sft: {epochs: 3}\n", other_stages={"sft": Sft})[0]


def test_a_wrong_item_does_not_make_its_list_too_short() -> None:
    class Sources(BaseModel):
        scores: tuple[int, ...] = Field(min_length=1)

    def lines(scores: list[object]) -> list[str]:
        with pytest.raises(ValidationError) as caught:
            Sources(scores=scores)  # type: ignore[arg-type]
        return describe(caught.value, Sources, lambda path: "mine.yaml")

    (line,) = lines(["x"])
    assert line.startswith("mine.yaml: scores[0] is 'x'; ")
    assert lines([]) == ["mine.yaml: scores is an empty list; at least 1 item is expected"]
