"""Settings of what scores, what values and what is kept where, in the PPO stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rlhf.settings.layers import Items, Settings
from rlhf.settings.shared import Dtype, PathText

__all__ = ["CriticSettings", "MemorySettings", "ScoreSettings"]


class ScoreSettings(Settings):
    """One source of scores: a reward model, an ensemble of them, or a Python function."""

    model: PathText | None = None
    """Folder or hub id of a reward model with one output; with another tokenizer it is given text."""
    models: Items[PathText] = ()
    """Several reward models that are made one, see `combine`; instead of `model`."""
    combine: Literal["mean", "min", "mean_minus_std"] | None = None
    """How an ensemble becomes one score: the mean, the worst, or the mean less what they disagree by."""
    combine_std_coef: float | None = Field(None, ge=0)
    """Standard deviations of the members that mean_minus_std takes off."""
    function: str | None = None
    """Function ``file.py:name`` as f(prompts, responses, **columns) -> one number a response."""
    per_token: bool = False
    """The function scores tokens: it also gets the column `tokens` and gives a list for each response."""
    weight: float = 1.0
    """What the score is multiplied by before all sources are added."""
    revision: str | None = None
    """Branch, tag or commit of the model on the hub; null is the newest."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model, and read pickled weights."""
    dtype: Dtype = "float32"
    """Precision of the model's weights in memory."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the reward models of this source."""
        return self.models or ((self.model,) if self.model is not None else ())

    @model_validator(mode="after")
    def _one_kind(self) -> ScoreSettings:
        if sum((self.model is not None, bool(self.models), self.function is not None)) != 1:
            raise ValueError(
                "a source of scores is either a model, an ensemble of models or a function: "
                "set one of model, models and function"
            )
        if self.per_token and self.function is None:
            raise ValueError("per_token is only read where function is set")
        if (self.combine is not None) != bool(self.models):
            raise ValueError("models and combine (mean, min or mean_minus_std) are set together")
        if len({*self.models}) < len(self.models):
            raise ValueError("models names one reward model twice, which agrees with itself")
        if (self.combine_std_coef is not None) != (self.combine == "mean_minus_std"):
            raise ValueError("combine_std_coef is set where combine is mean_minus_std, and only there")
        if self.function is not None and (self.revision, self.trust_remote_code, self.dtype) != _OF_NO_MODEL:
            raise ValueError("revision, trust_remote_code and dtype are only read where a model is loaded")
        return self


_OF_NO_MODEL = (None, False, "float32")


class CriticSettings(Settings):
    """Where the value function starts."""

    init_from: Literal["reward", "policy", "trunk"] = "reward"
    """reward: the reward model, head included; policy: a copy of the policy's transformer with a new head;
    trunk: a new head on the policy's own transformer."""
    path: PathText | None = None
    """Reward model that the critic starts from; null: the first model of `scores`."""
    learning_rate: float = Field(5e-4, gt=0)
    """Highest step size of its AdamW; it has the policy's schedule."""
    value_coef: float | None = Field(None, gt=0)
    """Weight of the critic's loss beside the policy's, for a trunk that both pull at; null: 0.1 there."""

    @model_validator(mode="after")
    def _all_is_read(self) -> CriticSettings:
        if self.init_from != "reward" and self.path is not None:
            raise ValueError("critic.path is only read where critic.init_from is reward")
        if self.init_from != "trunk" and self.value_coef is not None:
            raise ValueError(
                "critic.value_coef is only read where critic.init_from is trunk: a critic of its own has a "
                "learning rate of its own, critic.learning_rate"
            )
        return self


class MemorySettings(Settings):
    """What of the frozen models is kept where."""

    one_base: bool = False
    """Policy, reference, critic and reward models are adapters on one frozen base model."""
    offload: bool = False
    """Reference and reward models are in main memory while they are not used."""
