"""What a check measures token lengths with: the tokenizer, template and limits that a stage will use.

No weights are read. A model that is not there is no mistake here (runs/sft, say, before `make sft`): then the
reason is said, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rlhf.checking.results import Subject
from rlhf.errors import SettingsError, UserError
from stages import _inputs
from stages._limits import Limits, limits_of

if TYPE_CHECKING:
    from rlhf.checking.lengths import Ruler
    from rlhf.settings.shared import ModelSettings

__all__ = ["open_ruler", "ruler_of_stage"]


def ruler_of_stage(
    stage: str, settings: Any, model: ModelSettings | None
) -> Callable[[Subject], Ruler | str]:
    """Return what gives each source of a stage its ruler, or says why it has none.

    Args:
        stage: its name.
        settings: its settings.
        model: measure with this one instead of the stage's.
    """
    opened: dict[Any, Ruler | str] = {}

    def ruler_of(subject: Subject) -> Ruler | str:
        named = _model_and_limits(stage, settings, subject, model)
        if isinstance(named, str):
            return named
        key = (named[1].path, named[2])
        if key not in opened:
            opened[key] = _or_reason(*named, scores=stage == "reward")
        return opened[key]

    return ruler_of


def _model_and_limits(
    stage: str, settings: Any, subject: Subject, model: ModelSettings | None
) -> tuple[str, ModelSettings, Limits] | str:
    """Return the dotted key of the model that reads a source, its settings and the limits it has there."""
    if stage in ("sft", "reward"):
        return "model.path", model or settings.model, limits_of(getattr(settings, stage), stage)
    if stage == "ppo":
        limits = Limits() if "ptx" in subject.part else limits_of(settings.sampling, "sampling")
        return "policy.path", model or settings.policy, limits
    if model is not None:
        return "--model", model, Limits()
    if stage == "base":
        return "the base stage makes its own tokenizer of these texts"
    return "each of the report's models reads the prompts in its own way"


def _or_reason(setting: str, model: ModelSettings, limits: Limits, *, scores: bool) -> Ruler | str:
    try:
        return open_ruler(model, limits, setting, scores=scores)
    except UserError as error:
        return str(error)


def open_ruler(model: ModelSettings, limits: Limits, setting: str, *, scores: bool) -> Ruler:
    """Open a model's tokenizer and read its config, as training would.

    With `scores` it becomes a reward model: one of an encoder-decoder reads prompt and response as two texts.

    Raises:
        UserError: it is not there, or broken.
    """
    from rlhf.checking.lengths import Ruler
    from rlhf.models.encoders import is_encoder, reads_pairs
    from rlhf.models.folders import check_model_path
    from rlhf.models.inputs import context_tokens
    from rlhf.rendering import Renderer

    check_model_path(model.path, setting=setting)
    frame = _frame(model, setting, scores=scores)
    pairs = (reads_pairs if scores else is_encoder)(frame.config)
    tokenizer = _inputs.open_tokenizer(model, setting, pairs=pairs)
    whole = Renderer(tokenizer, **_inputs.reading_of(frame))
    if limits.prompt is None and context_tokens(frame) is None:
        return Ruler(model.path, whole)  # nothing bounds them
    try:
        limited = _inputs.build_renderer(tokenizer, frame, limits, setting)
    except SettingsError as error:
        return Ruler(model.path, whole, why_no_limits=f"the stage stops: {error}")
    by_context = limits.prompt is None and limited.max_prompt_tokens is not None
    return Ruler(model.path, whole, limited, by_context=by_context)


def _frame(model: ModelSettings, setting: str, *, scores: bool) -> Any:
    """Return the model without its weights: what it would look like, in no memory."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM

    from rlhf.models.adapter_folders import adapter_base, adapter_revision
    from rlhf.models.adapters import is_adapter_folder
    from rlhf.models.reading import call_loader
    from rlhf.models.seq2seq import is_encoder_decoder

    path, revision = model.path, model.revision
    if is_adapter_folder(path):
        path, revision = adapter_base(path), adapter_revision(path)
    trust = model.trust_remote_code

    def load() -> Any:
        config = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=trust)
        with torch.device("meta"):
            kind = AutoModelForSeq2SeqLM if is_encoder_decoder(config) and not scores else AutoModel
            return kind.from_config(config, trust_remote_code=trust)

    return call_loader(load, path, "model", setting)
