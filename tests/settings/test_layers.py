from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, model_validator

from rlhf.errors import SettingsError
from rlhf.settings.layers import (
    Items,
    Resolved,
    Settings,
    describe_layers,
    resolve_settings,
    settings_to_yaml,
)
from rlhf.settings.shared import LoraSettings, ModelSettings, RunSettings, SourceSettings, check_divides


class Data(Settings):
    train: Items[SourceSettings] = ()


class Algorithm(Settings):
    kl_coef: float = Field(0.05, ge=0)
    clip_range: float = 0.2
    num_updates: int = Field(100, ge=1)
    rollout_batch_size: int = 64
    minibatch_size: int = 16
    note: str | None = None
    judge: str = "judge.py:judge"
    roles: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _divides(self) -> Algorithm:
        check_divides(
            self.rollout_batch_size, "ppo.rollout_batch_size", self.minibatch_size, "ppo.minibatch_size"
        )
        return self


class Ppo(Settings):
    run: RunSettings = RunSettings(output="{run.root}/ppo")
    model: ModelSettings = ModelSettings(path="{run.root}/sft")
    lora: LoraSettings | None = None
    data: Data = Data()
    ppo: Algorithm = Algorithm()


class SftTraining(Settings):
    epochs: float = 2.0
    tags: Items[str] = ()


class Sft(Settings):
    run: RunSettings = RunSettings(output="{run.root}/sft")
    sft: SftTraining = SftTraining()


class Resolver:
    """Writes a YAML file and resolves it with pairs."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "mine.yaml"

    def __call__(self, text: str = "", *pairs: str, **options: Any) -> Resolved[Ppo]:
        self.config.write_text(text)
        return resolve_settings(Ppo, self.config, pairs, **options)

    def mistakes(self, text: str = "", *pairs: str, **options: Any) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            self(text, *pairs, **options)
        return [line.replace(str(self.config), "mine.yaml") for line in str(caught.value).splitlines()]


@pytest.fixture
def resolve(tmp_path: Path) -> Resolver:
    return Resolver(tmp_path)


def test_three_layers(resolve: Resolver) -> None:
    resolved = resolve("ppo:\n  kl_coef: 5e-6\n  clip_range: 0.3\n", "ppo.clip_range=0.4")
    ppo = resolved.settings.ppo
    assert (ppo.num_updates, ppo.kl_coef, ppo.clip_range) == (100, 5e-6, 0.4)
    keys = ("ppo.num_updates", "ppo.kl_coef", "ppo.clip_range")
    assert [resolved.origin(key) for key in keys] == ["default", str(resolve.config), "command line"]


def test_every_setting_is_shown_with_its_layer_and_what_it_replaced(resolve: Resolver) -> None:
    resolved = resolve("ppo:\n  clip_range: 0.3\n", "ppo.clip_range=0.4", "run.seed=7")
    lines = {line.split()[0]: line.split(maxsplit=2)[1:] for line in describe_layers(resolved)}
    assert lines["ppo.kl_coef"] == ["0.05", "default"]
    assert lines["ppo.clip_range"] == ["0.4", f"command line ({resolve.config}: 0.3)"]
    assert lines["run.seed"] == ["7", "command line (default: 1)"]
    assert {"run.output", "model.path", "lora"} <= set(lines)


def test_the_story_of_a_value_ends_when_it_is_replaced(resolve: Resolver) -> None:
    resolved = resolve("data: {train: [{path: a, limit: 3}]}\n", "data.train=[{path: b}]", "lora={rank: 8}")
    keys = ("data.train[0].path", "data.train[0].limit", "lora.rank", "lora.alpha")
    assert [resolved.origin(key) for key in keys] == ["command line", "default", "command line", "default"]
    shown = [line.split()[0] for line in describe_layers(resolved)]
    assert [key for key in shown if key.startswith("data.")] == ["data.train[0].path"]


def test_no_config_is_defaults_and_pairs_only() -> None:
    assert resolve_settings(Ppo, overrides=["run.seed=2"]).settings.run.seed == 2


def test_a_yaml_section_keeps_the_stage_defaults_it_does_not_name(resolve: Resolver) -> None:
    assert resolve("run:\n  seed: 3\n").settings.run.output == "runs/ppo"


def test_run_root_moves_every_path_that_names_it(resolve: Resolver) -> None:
    text = "ppo:\n  note: '{run.root} and {other}'\n"
    settings = resolve(text, "run.root=runs/seed3").settings
    assert (settings.run.output, settings.model.path) == ("runs/seed3/ppo", "runs/seed3/sft")
    assert settings.ppo.note == "runs/seed3 and {other}"
    nested = resolve("data:\n  train:\n    - path: '{run.root}/x.jsonl'\n").settings
    assert nested.data.train[0].path == "runs/x.jsonl"


def test_run_root_cannot_stand_for_itself(resolve: Resolver) -> None:
    assert resolve.mistakes("", "run.root={run.root}/x") == [
        "command line: run.root is '{run.root}/x'; it cannot stand for itself"
    ]


def test_the_resolved_yaml_repeats_the_run(resolve: Resolver, tmp_path: Path) -> None:
    text = "run:\n  name: 'no'\n  root: elsewhere\ndata:\n  train:\n    - {path: a, limit: 3, label_values: {0: first}}\n"
    first = resolve(text, "lora={rank: 4}", "ppo.kl_coef=1e-7").settings
    (tmp_path / "config.yaml").write_text(settings_to_yaml(first))
    assert resolve_settings(Ppo, tmp_path / "config.yaml").settings == first


def test_settings_are_frozen(resolve: Resolver) -> None:
    with pytest.raises(ValueError, match="frozen"):
        resolve().settings.run.seed = 4  # type: ignore[misc]


# --- values on the command line


def test_a_whole_section_from_the_command_line(resolve: Resolver) -> None:
    assert resolve("", "lora={rank: 8}").settings.lora == LoraSettings(rank=8)
    assert resolve("lora: {rank: 8, alpha: 4}", "lora={rank: 2}").settings.lora == LoraSettings(
        rank=2, alpha=4.0
    )
    assert resolve("lora: {rank: 8}", "lora=null").settings.lora is None
    assert resolve("", "lora.rank=8").settings.lora == LoraSettings(rank=8)


def test_lists_from_the_command_line(resolve: Resolver) -> None:
    text = "data:\n  train:\n    - path: a\n    - path: b\n"
    assert [s.path for s in resolve(text, "data.train=[{path: c}]").settings.data.train] == ["c"]
    assert [s.path for s in resolve(text, "data.train[1].path=c").settings.data.train] == ["a", "c"]
    assert [s.limit for s in resolve(text, "data.train.0.limit=5").settings.data.train] == [5, None]
    assert resolve("", "run.trackers=[tensorboard]").settings.run.trackers == ("tensorboard",)
    assert resolve.mistakes(text, "data.train[2].path=c") == [
        "command line: data.train[2].path: data.train has 2 items"
    ]


def test_a_free_mapping_takes_any_key(resolve: Resolver) -> None:
    assert resolve("ppo:\n  roles: {bot: user}\n", "ppo.roles.gpt=assistant").settings.ppo.roles == {
        "bot": "user",
        "gpt": "assistant",
    }


def test_one_yaml_anchor_in_two_places_is_two_values(resolve: Resolver) -> None:
    text = "data: {train: [{path: a, roles: &r {bot: user}}, {path: b, roles: *r}]}\n"
    sources = resolve(text, "data.train[0].roles.gpt=assistant").settings.data.train
    assert [len(source.build().roles) for source in sources] == [2, 1]


@pytest.mark.parametrize("text", ["7", "no", "true", "a: b", "[x", "1e5", "*.jsonl", "{instruction}", "a=b"])
def test_a_text_field_takes_the_text_of_a_pair_as_it_is(resolve: Resolver, text: str) -> None:
    assert resolve("", f"ppo.judge={text}").settings.ppo.judge == text


def test_null_is_not_set(resolve: Resolver) -> None:
    assert resolve("ppo:\n  note: x\n", "ppo.note=null").settings.ppo.note is None
    assert resolve.mistakes("", "ppo.judge=null") == [
        "command line: ppo.judge is null; text is expected (null means not set, and this has to be set)"
    ]


def test_no_in_a_text_field_of_the_yaml_is_text(resolve: Resolver) -> None:
    assert resolve("ppo:\n  note: no\n").settings.ppo.note == "no"


def test_an_integer_may_stand_for_any_number_but_not_the_reverse(resolve: Resolver) -> None:
    value = resolve("ppo:\n  clip_range: 1\n").settings.ppo.clip_range
    assert (value, type(value)) == (1.0, float)
    assert resolve.mistakes("ppo:\n  num_updates: 1e3\n") == [
        "mine.yaml: ppo.num_updates is 1000.0; a whole number is expected"
    ]


# --- mistakes


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
        ("run: {output: ''}", "run.output is ''; text of at least 1 characters is expected"),
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
