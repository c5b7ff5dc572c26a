"""The sections that several stages have in common.

Text values may hold ``{run.root}``, which is replaced by the value of ``run.root`` and by nothing else, so
that one setting moves the outputs and inputs of all stages together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from pydantic import AfterValidator, Field, create_model, model_validator

from rlhf.feedback.mapping import Source
from rlhf.feedback.presets import lay_over_preset
from rlhf.settings.layers import Items, Settings

__all__ = [
    "AdapterSettings",
    "CheckpointSettings",
    "Dtype",
    "LoraSettings",
    "ModelSettings",
    "PathText",
    "RunSettings",
    "SamplingSettings",
    "SourceSettings",
    "Tracker",
    "WeightsSettings",
    "check_divides",
    "check_final_fraction",
    "check_own_held_out",
]


def _expand_home(text: str) -> str:
    return str(Path(text).expanduser()) if text.startswith("~") else text


PathText = Annotated[str, Field(min_length=1), AfterValidator(_expand_home)]
"""A path or a hub id as text; a leading ``~`` is the home folder."""

Dtype = Literal["float32", "bfloat16", "float16"]
Tracker = Literal[
    "tensorboard", "wandb", "trackio", "comet_ml", "aim", "mlflow", "clearml", "dvclive", "swanlab"
]


def check_own_held_out(data: Any, *names: str) -> None:
    """Refuse to measure training on own data by the held-out sources of the small world.

    Args:
        data: a section of data with the field train.
        names: its held-out fields, of which the defaults are the small world's.

    Raises:
        ValueError: with what to write.
    """
    world = [source.path for name in ("train", *names) for source in type(data).model_fields[name].default]
    own = [source.path for source in data.train if source.path not in world]
    if len(own) < len(data.train) or not own:
        return
    left = [
        name
        for name in names
        if [source.path for source in getattr(data, name)]
        and all(source.path in world for source in getattr(data, name))
    ]
    if not left:
        return
    first = left[0]
    entry = f"{{path: {own[0]}, split: {first}, {first}_fraction: 0.1}}"
    lines = [f"{first}: [{entry}]", *(f"{name}: []" for name in left[1:])]
    raise ValueError(
        f"data.{first} is {getattr(data, first)[0].path}, which is of the small world, and data.train "
        f"({own[0]}) is not: numbers on it would say nothing. Divide your own, as in data: {{train: [{{path: "
        f"{own[0]}, split: train, {first}_fraction: 0.1}}], {', '.join(lines)}}} (with what else the source "
        "says), or name held-out data; and set evaluation.judge: null where the stage has a judge, which "
        "knows the small world alone"
    )


def _source_fields() -> Iterator[tuple[str, Any, Any]]:
    """Name, type and default of each field of `Source`, as pydantic takes them."""
    hints = get_type_hints(Source)
    for field in fields(Source):
        if field.default_factory is not MISSING:
            yield field.name, hints[field.name], Field(default_factory=field.default_factory)
        else:
            yield field.name, hints[field.name], ... if field.default is MISSING else field.default


class RunSettings(Settings):
    """Where a run writes, from which seed it starts, and what happens to an older run in the same place."""

    root: PathText = "runs"
    """Folder that holds the folders of all stages; ``{run.root}`` elsewhere stands for it."""
    output: PathText
    """Folder of this run; each stage has its own below `root`."""
    name: str | None = None
    """What reports and trackers call this run; null is the output folder's name."""
    seed: int = Field(1, ge=0, lt=2**31)
    """Start of every random generator; the same seed repeats a run on the same machine."""
    resume: Literal["auto"] | bool = "auto"
    """auto: go on with an unfinished run of the same settings; true: go on or stop; false: start anew."""
    keep_previous: bool = True
    """When a new run starts, move a finished one to ``<output>.previous`` instead of deleting it."""
    trackers: Items[Tracker] = ()
    """Experiment trackers beside metrics.jsonl, as accelerate names them."""


class WeightsSettings(Settings):
    """A model that is given ids, so that its own tokenizer is not looked at: a local folder or a hub id."""

    path: PathText
    """Folder or hub id."""
    revision: str | None = None
    """Branch, tag or commit on the hub; null is the newest."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model, and read pickled weights."""
    dtype: Dtype = "float32"
    """Precision of the weights in memory."""


class ModelSettings(WeightsSettings):
    """A model and its tokenizer: a local folder or a hub id."""

    eos_token: str | None = None
    """End-of-sequence token; null is the tokenizer's own."""
    chat_template: PathText | None = None
    """File with a Jinja chat template; null is the tokenizer's own, or a plain one where it has none."""


class AdapterSettings(Settings):
    """Train low-rank adapters (Hu et al. 2021, arXiv:2106.09685) in place of all weights, without dropout."""

    rank: int = Field(16, ge=1)
    """Rank of the update of each adapted matrix."""
    alpha: float = Field(32.0, gt=0)
    """The update is scaled by alpha / rank."""
    target_modules: Items[str] | None = None
    """Names of the modules that get adapters; null is peft's choice for the architecture."""
    merge: bool = True
    """Add the adapters into the weights when saving, so that the folder loads without peft."""
    quantize: Literal["4bit"] | None = None
    """Hold the frozen weights below the adapters in 4 bits (QLoRA, needs bitsandbytes); null: as they are."""


class LoraSettings(AdapterSettings):
    """Train low-rank adapters in place of all weights."""

    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on the adapters' input."""


if TYPE_CHECKING:

    class SourceSettings(Settings):
        """One source of data, with the fields of `rlhf.feedback.mapping.Source`."""

        path: str

        def build(self) -> Source:
            """Turn the settings into what `rlhf.feedback` reads."""

else:
    # Made from the dataclass, so that what a source may say is written down once, beside the readers.
    class _SourceSettings(Settings):
        @model_validator(mode="before")
        @classmethod
        def _over_preset(cls, values: Any) -> Any:
            # Before the defaults are filled in, while what was given can still be told from them.
            return lay_over_preset(values) if isinstance(values, dict) else values

        def build(self) -> Source:
            return Source(**dict(self))

    SourceSettings = create_model(
        "SourceSettings",
        __base__=_SourceSettings,
        __doc__="One source of data, with the fields of `rlhf.feedback.mapping.Source`.",
        **{name: (hint, default) for name, hint, default in _source_fields()},
    )


class SamplingSettings(Settings):
    """How responses are drawn from a policy."""

    temperature: float = Field(1.0, gt=0)
    """Divides the logits; below 1 is more careful, above 1 more varied."""
    max_response_tokens: int = Field(64, ge=1)
    """Longest response, its end token included."""


class CheckpointSettings(Settings):
    """How often a run can be taken up again."""

    every_updates: int | None = Field(20, ge=1)
    """Updates between checkpoints; null writes none, and a killed run starts anew."""
    keep: int = Field(1, ge=1)
    """Newest checkpoints that are kept."""


def check_final_fraction(settings: Any) -> None:
    """Refuse a `final_learning_rate_fraction` that a constant schedule would not read.

    Raises:
        ValueError: it is not what it is by itself, and the schedule is constant.
    """
    left_alone = type(settings).model_fields["final_learning_rate_fraction"].default
    if settings.schedule == "constant" and settings.final_learning_rate_fraction != left_alone:
        raise ValueError(
            "final_learning_rate_fraction is only read where schedule is cosine or linear: leave it at "
            f"{left_alone}"
        )


def check_divides(whole: int, whole_name: str, part: int, part_name: str) -> int:
    """Return ``whole / part``, which has to be a whole number.

    Raises:
        ValueError: it is not; names both settings and the nearest values that would do.
    """
    if whole % part:
        below, above = whole - whole % part, whole - whole % part + part
        near = f"{below} or {above}" if below else f"{above}"
        raise ValueError(f"{whole_name} {whole} is not a multiple of {part_name} {part}; {near} would be")
    return whole // part
