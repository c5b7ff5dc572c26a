from __future__ import annotations

from pathlib import Path

import pytest

from rlhf.settings.layers import (
    describe_layers,
    resolve_settings,
    settings_to_yaml,
)
from rlhf.settings.shared import LoraSettings
from tests.settings.resolver import Ppo, Resolver


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
