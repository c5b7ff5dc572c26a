"""Settings of the report stage: what the three stages made, side by side."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from rlhf.settings.layers import Items, Settings
from rlhf.settings.shared import ModelSettings, PathText, SourceSettings

__all__ = ["ReportSettings"]

WORLD = "data/pocket_world"


class ReportRunSettings(Settings):
    """Where the report's own run writes, and its seed."""

    resume: ClassVar[bool] = False
    """A report has no checkpoints: it always starts anew."""

    root: PathText = "runs"
    """Folder that holds the folders of all stages; ``{run.root}`` elsewhere stands for it."""
    output: PathText = "{run.root}/report"
    """Folder of this run: its settings, provenance and all answers (samples.jsonl)."""
    name: str | None = None
    """Title of the page; null says what was done in a sentence."""
    seed: int = Field(1, ge=0, lt=2**31)
    """Of the sampled answers and of the intervals."""
    keep_previous: bool = False
    """Move an older report in `output` to ``<output>.previous`` instead of deleting it."""


class StagesSettings(Settings):
    """The folders of the three runs; null leaves a stage out."""

    sft: PathText | None = "{run.root}/sft"
    """Run of `make sft`."""
    reward: PathText | None = "{run.root}/reward"
    """Run of `make reward`."""
    ppo: PathText | None = "{run.root}/ppo"
    """Run of `make ppo`."""

    @model_validator(mode="after")
    def _has_a_stage(self) -> StagesSettings:
        if self.sft is None and self.reward is None and self.ppo is None:
            raise ValueError("sft, reward and ppo are all null: there is nothing to report")
        return self


class TestDataSettings(Settings):
    """Where the prompts come from."""

    test: Items[SourceSettings] = Field((SourceSettings(path=f"{WORLD}/prompts.test.jsonl"),), min_length=1)
    """Sources of prompts that no stage has seen."""


class ReportEvaluationSettings(Settings):
    """How the answers are drawn and judged."""

    num_prompts: int = Field(1000, ge=1)
    """Distinct test prompts, spread evenly over the sources; all of them where there are fewer."""
    judge: str | None = f"{WORLD}/judge.py:judge"
    """Function ``file.py:name`` that judges the answers; null compares by the reward model's score."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature of the answers that everything is measured on; that of the training."""
    greedy: bool = True
    """Also measure the likeliest answers (temperature 0)."""
    max_prompt_tokens: int = Field(160, ge=1)
    """Longer prompts lose their oldest part, which is counted."""
    max_response_tokens: int = Field(64, ge=1)
    """Longest answer, its end token included."""
    batch_size: int = Field(64, ge=1)
    """Answers that one process samples together."""
    microbatch_size: int = Field(16, ge=1)
    """Answers in one forward pass when they are scored and compared."""


class PageSettings(Settings):
    """What is written, and where."""

    summary: PathText = "{run.root}/summary.json"
    """The numbers, for programs."""
    page: PathText = "{run.root}/report.html"
    """The page, for people: one file that opens offline."""
    family: str | None = "family"
    """Column of the prompts that numbers are also split by; null, or not there: no split."""
    num_examples: int = Field(120, ge=0)
    """Prompts whose answers the page shows side by side."""


class ReportSettings(Settings):
    """Everything that `make report` can be told."""

    run: ReportRunSettings = ReportRunSettings()
    stages: StagesSettings = StagesSettings()
    base: ModelSettings | None = None
    data: TestDataSettings = TestDataSettings()
    evaluation: ReportEvaluationSettings = ReportEvaluationSettings()
    report: PageSettings = PageSettings()
