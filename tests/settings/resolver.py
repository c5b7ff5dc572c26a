"""Two small stages to resolve settings for."""

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
    resolve_settings,
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
