"""What several stages do with their settings before the library takes over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rlhf.errors import DataError, ModelError, SettingsError
from rlhf.runs import console

if TYPE_CHECKING:
    from rlhf.feedback.mapping import Source
    from rlhf.feedback.records import Reading
    from rlhf.models.adapters import LoraSpec
    from rlhf.rendering import Renderer
    from rlhf.runs.folder import RunFolder
    from rlhf.settings.shared import AdapterSettings, ModelSettings, SourceSettings, WeightsSettings
    from stages._limits import Limits

__all__ = [
    "build_lora",
    "build_renderer",
    "build_sources",
    "check_counts_once",
    "check_enough",
    "check_held_out",
    "check_lora",
    "epoch_of",
    "fingerprint_sources",
    "open_policy",
    "open_tokenizer",
    "refuse_adapter_on_adapter",
    "say_counts",
    "say_reading",
]

T = TypeVar("T")


def build_sources(settings: Sequence[SourceSettings]) -> list[Source]:
    """Turn the settings of data sources into what `rlhf.feedback` reads."""
    return [source.build() for source in settings]


def fingerprint_sources(run: RunFolder, *groups: Sequence[SourceSettings]) -> None:
    """Note which files the run reads, adapters among them; a resumed run refuses other ones."""
    from rlhf.feedback.adapters import files_of
    from rlhf.feedback.hub import hub_fingerprint

    sources = [source.build() for group in groups for source in group]
    named: dict[str, str] = {}
    for source in sources:
        named |= hub_fingerprint(source) if source.hub is not None else {}
    run.fingerprint_data((file for source in sources for file in files_of(source)), named)


def say_reading(name: str, sources: Sequence[Source], reading: Reading[Any]) -> None:
    """Say as what sources were read, one BEST and WORST response, and everything odd: a check in short."""
    from rlhf.checking.brief import brief_lines

    for line in brief_lines(name, sources, reading):
        console.say(line)


def check_enough(reading: Reading[Any], batch_size: int, setting: str) -> None:
    """Refuse fewer records than one batch takes while nothing is loaded or moved yet."""
    from rlhf.feedback.mixture import repeats_of

    num_records = len(reading.records)
    if num_records < batch_size and sum(map(repeats_of, reading.records)) < batch_size:
        raise SettingsError(
            f"data.train has {num_records:,} records, fewer than one batch of {batch_size:,}; "
            f"lower {setting} or add data",
            where=setting,
        )


def check_held_out(readings: Mapping[str, Reading[Any]]) -> None:
    """Say how many held-out records have prompts that are trained on; refuse a split of nothing else.

    `readings` by their names in `data`, train among them. Evaluations leave such records out. A held-out
    record that would count twice is refused.
    """
    from rlhf.feedback.splits import leave_out_known

    for name, reading in readings.items():
        if name == "train":
            continue
        check_counts_once(f"data.{name}", reading.records)
        num_records = len(reading.records)
        num_kept = len(leave_out_known(reading.records, readings["train"].records))
        if num_kept == num_records:
            continue
        found = f"{num_records - num_kept:,} of {num_records:,} records have prompts of data.train"
        if num_kept == 0:
            raise DataError(
                f"{found}: nothing is held out; name other data, or divide one source by split and fractions",
                where=f"data.{name}",
            )
        console.say(f"data.{name}: {found}: left out, as numbers on them would be too good")


def check_counts_once(name: str, records: Iterable[Any]) -> None:
    """Refuse records to measure on that the weight of their source repeats."""
    from rlhf.feedback.mixture import repeats_of

    if any(repeats_of(record) > 1 for record in records):
        raise DataError(
            "weight above 1 would measure on some records twice; it is for data that is trained on",
            where=name,
        )


def epoch_of(items: Sequence[T], sources: Sequence[SourceSettings]) -> Sequence[T]:
    """Return what an epoch of training reads of what was made of these sources' records, by their weights."""
    from rlhf.feedback import mixture

    return mixture.epoch_of(items) if any(source.weight > 1 for source in build_sources(sources)) else items


def say_counts(name: str, renderer: Renderer) -> None:
    """Say what rendering cut, dropped or adapted."""
    for line in renderer.report():
        console.say(f"  {name}: {line}")


def open_tokenizer(model: ModelSettings, setting: str = "model.path", *, pairs: bool = False) -> Any:
    """Load the tokenizer that the setting `setting` names, with the end token and template beside it.

    With `pairs` it is an encoder's.
    """
    from rlhf.models.loading import load_tokenizer

    template = None
    if model.chat_template is not None:
        template = _read_template(Path(model.chat_template), f"{setting.removesuffix('.path')}.chat_template")
    return load_tokenizer(
        model.path,
        revision=model.revision,
        trust_remote_code=model.trust_remote_code,
        eos_token=model.eos_token,
        chat_template=template,
        pairs=pairs,
        setting=setting,
    )


def open_policy(model: WeightsSettings, setting: str = "model.path", *, weights: bool = True) -> Any:
    """Load the language model that the setting `setting` names, without dropout.

    Without `weights` they stay on the disk, see `rlhf.models.load_policy`.
    """
    from rlhf.models import disable_dropout, load_policy

    found = load_policy(
        model.path,
        dtype=model.dtype,
        revision=model.revision,
        trust_remote_code=model.trust_remote_code,
        setting=setting,
        weights=weights,
    )
    disable_dropout(found)
    return found


def _read_template(file: Path, setting: str) -> str:
    if not file.is_file():
        raise ModelError(f"{str(file)!r} does not exist", where=setting)
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelError(f"{str(file)!r} is not UTF-8 text ({error.reason})", where=setting) from error


def build_renderer(
    tokenizer: Any,
    model: Any,
    limits: Limits,
    setting: str = "model.path",
) -> Renderer:
    """Build the renderer for a model: its context bounds the lengths, its own stop tokens end a response.

    To an encoder prompt and response are two texts; an encoder-decoder reads them apart. `setting` is the
    dotted key that named both.

    Raises:
        ModelError: the tokenizer is unfit, or not the model's.
        SettingsError: the limits do not fit into the model's context.
    """
    from rlhf.models.folders import check_vocabulary
    from rlhf.models.inputs import context_tokens
    from rlhf.rendering import Renderer

    check_vocabulary(tokenizer, model, setting)
    generation = getattr(model, "generation_config", None)
    stops = getattr(generation, "eos_token_id", None)
    try:
        return Renderer(
            tokenizer,
            max_prompt_tokens=limits.prompt,
            max_response_tokens=limits.response,
            context_tokens=context_tokens(model),
            extra_stop_token_ids=[] if stops is None else [stops] if isinstance(stops, int) else list(stops),
            num_embeddings=model.get_input_embeddings().num_embeddings,
            **reading_of(model),
        )
    except SettingsError as error:
        raise SettingsError(error.message, where=limits.section) from error


def reading_of(model: Any) -> dict[str, Any]:
    """Return how a model reads prompt and response, as `rlhf.rendering.Renderer` is told."""
    from rlhf.models.encoders import reads_pairs
    from rlhf.models.seq2seq import decoder_start, is_encoder_decoder

    apart = is_encoder_decoder(model.config) and model.can_generate()  # else it is a reward model
    return {
        "pairs": reads_pairs(model.config) and not apart,
        "decoder_start_token_id": decoder_start(model) if apart else None,
        "spells_specials": is_encoder_decoder(model.config),
    }


def build_lora(settings: AdapterSettings | None) -> LoraSpec | None:
    """Turn the settings of LoRA into what `rlhf.models` takes; None trains all weights."""
    from rlhf.models.adapters import LoraSpec
    from rlhf.settings.shared import LoraSettings

    if settings is None:
        return None
    dropout = settings.dropout if isinstance(settings, LoraSettings) else 0.0
    return LoraSpec(settings.rank, settings.alpha, dropout, settings.target_modules, settings.quantize)


def check_lora(settings: AdapterSettings | None) -> None:
    """Refuse weights of 4 bits where bitsandbytes is missing or does not work."""
    from rlhf.models.quantised import check_quantiser

    if settings is not None and settings.quantize is not None:
        check_quantiser()


def refuse_adapter_on_adapter(path: str, lora: AdapterSettings | None, setting: str) -> None:
    """Refuse to save an adapter whose base would be another adapter's model, which is in no folder."""
    from rlhf.models.adapters import is_adapter_folder

    if lora is not None and not lora.merge and is_adapter_folder(path):
        raise SettingsError(
            f"{setting} {path!r} is an adapter itself, and an adapter on it could not be loaded again; "
            "set lora.merge=true, or save that model merged first",
            where="lora.merge",
        )
