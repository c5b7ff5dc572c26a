"""Raw text of a stage: read for pretraining, as rows for PPO's ptx term, and held out to measure on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rlhf.errors import SettingsError
from rlhf.runs import console
from stages import _inputs

if TYPE_CHECKING:
    from accelerate import Accelerator

    from rlhf.ppo.ptx import PtxText, TextRow
    from rlhf.rendering import Renderer
    from rlhf.settings.ppo import PpoSettings
    from rlhf.settings.ptx import DocumentSettings, HeldOutTextSettings, PtxSettings
    from rlhf.settings.shared import SourceSettings

__all__ = [
    "Document",
    "build_texts",
    "check_ptx",
    "check_texts",
    "read_documents",
    "text_sources",
]


class Document(NamedTuple):
    """A text, the group in which equal texts are, and how many times an epoch reads it."""

    text: str
    group: str
    repeats: int = 1


def check_texts(
    name: str, sources: Sequence[SourceSettings], generator: str | None, *, held_out: bool = False
) -> None:
    """Read the text files and say what is in them under `name`; load the generator.

    Held-out texts count once.
    """
    from rlhf.feedback.reading import read_texts
    from rlhf.functions import load_function

    if generator is not None:
        load_function(generator, f"{name}.generator", num_arguments=1)
    if sources:
        built = _inputs.build_sources(sources)
        reading = read_texts(built)
        _inputs.say_reading(name, built, reading)
        if held_out:
            _inputs.check_counts_once(name, reading.records)


def read_documents(
    sources: Sequence[SourceSettings], generator: str | None, generator_seed: int, num_documents: int | None
) -> Iterator[Document]:
    """Read the text files, then draw the generator's texts; one document after the other."""
    from rlhf.feedback.columns import group_of_text
    from rlhf.feedback.reading import read_texts
    from rlhf.functions import generated_texts

    if sources:
        for record in read_texts(_inputs.build_sources(sources)).records:
            yield Document(record.text, record.group, record.repeats)
    if generator is not None:
        for text in generated_texts(generator, generator_seed, num_documents):
            yield Document(text, group_of_text(text))


def check_ptx(settings: PtxSettings) -> None:
    """Read everything that the ptx term is to learn from."""
    from rlhf.feedback.reading import read_demonstrations

    check_texts("ptx.text", settings.text, settings.generator)
    if settings.demonstrations:
        sources = _inputs.build_sources(settings.demonstrations)
        _inputs.say_reading("ptx.demonstrations", sources, read_demonstrations(sources))


def text_sources(settings: PpoSettings) -> list[Sequence[SourceSettings]]:
    """Return every list of files that text of PPO is read from."""
    ptx, held_out = settings.ptx, settings.evaluation.text
    return [
        *([ptx.text, ptx.demonstrations] if ptx is not None else []),
        *([held_out.text] if held_out is not None else []),
    ]


def build_texts(
    ptx: PtxSettings | None,
    held_out: HeldOutTextSettings | None,
    renderer: Renderer,
    accelerator: Accelerator,
    *,
    microbatch_size: int,
    seed: int,
) -> tuple[PtxText | None, Sequence[TextRow]]:
    """Read the text that is learnt and the text that is held out; each may be None.

    Call it on every process, with the policy's renderer. Returns what gives this process its rows of the ptx
    term, and the held-out rows, all of them on every process.
    """
    for name, settings in (("ptx", ptx), ("evaluation.text", held_out)):
        if settings is not None:
            _check_fits(settings.max_tokens, renderer, f"{name}.max_tokens")
    learnt = _documents(ptx) if ptx is not None else []
    kept_back = _documents(held_out) if held_out is not None else []
    if kept_back:
        _say_overlap(learnt, kept_back)
    rows: Sequence[TextRow] = []
    if held_out is not None:
        rows = _text_rows("evaluation.text", kept_back, held_out.max_tokens, renderer)
        _check_same_everywhere(rows, "evaluation.text", accelerator)
    if ptx is None:
        return None, rows
    return _build_ptx(ptx, learnt, renderer, accelerator, microbatch_size, seed), rows


def _build_ptx(
    settings: PtxSettings,
    documents: Sequence[Document],
    renderer: Renderer,
    accelerator: Accelerator,
    microbatch_size: int,
    seed: int,
) -> PtxText:
    from rlhf.feedback.shelf import join
    from rlhf.ppo.ptx import PtxText

    rows = _text_rows("ptx", documents, settings.max_tokens, renderer) if documents else []
    rows = join([rows, _demonstration_rows(settings, renderer)])
    _check_same_everywhere(rows, "ptx", accelerator)
    text = PtxText(
        rows,
        coef=settings.coef,
        batch_size=settings.batch_size,
        microbatch_size=microbatch_size,
        seed=seed,
        pad_token_id=renderer.pad_token_id,
        process_index=accelerator.process_index,
        num_processes=accelerator.num_processes,
        device=accelerator.device,
    )
    console.say(f"ptx: {len(rows) / settings.batch_size:,.1f} optimizer steps read all {len(rows):,} rows")
    return text


def _documents(settings: DocumentSettings) -> Sequence[Document]:
    from rlhf.feedback.shelf import shelve

    return shelve(
        read_documents(settings.text, settings.generator, settings.generator_seed, settings.num_documents)
    )


def _say_overlap(learnt: Sequence[Document], held_out: Sequence[Document]) -> None:
    """Say how many held-out documents are learnt all the same; they stay, so that runs can be compared."""
    from rlhf.feedback.shelf import Ledger

    groups = Ledger()
    for document in learnt:
        groups.number(document.group)
    both = sum(document.group in groups for document in held_out)
    if both:
        console.say(f"evaluation.text: {both:,} of {len(held_out):,} documents also stand in the text of ptx")


def _text_rows(
    name: str, documents: Sequence[Document], max_tokens: int, renderer: Renderer
) -> Sequence[TextRow]:
    from rlhf.ppo.ptx import cut_texts

    texts = (document.text for document in documents for _ in range(document.repeats))
    rows = cut_texts(texts, renderer.tokenizer, max_tokens)
    num_tokens = sum(row.num_predicted for row in rows)
    console.say(f"{name}: {len(documents):,} documents, {num_tokens:,} tokens to predict, {len(rows):,} rows")
    return rows


def _demonstration_rows(settings: PtxSettings, policy: Renderer) -> Sequence[TextRow]:
    """Render demonstrations as the policy's renderer would, but with the limit that rows of text have."""
    from rlhf.feedback.reading import read_demonstrations
    from rlhf.ppo.ptx import demonstration_rows
    from rlhf.rendering import Renderer, render_demonstrations

    if not settings.demonstrations:
        return []
    renderer = Renderer(
        policy.tokenizer,
        context_tokens=settings.max_tokens,
        extra_stop_token_ids=policy.stop_token_ids,
        decoder_start_token_id=policy.opening[0] if policy.opening else None,
    )
    records = read_demonstrations(_inputs.build_sources(settings.demonstrations)).records
    rendered = _inputs.epoch_of(render_demonstrations(records, renderer), settings.demonstrations)
    console.say(f"ptx.demonstrations: {len(rendered):,} rows")
    _inputs.say_counts("ptx.demonstrations", renderer)
    return demonstration_rows(rendered, policy.opening)


def _check_fits(max_tokens: int, renderer: Renderer, setting: str) -> None:
    limit = renderer.context_tokens
    if limit is not None and max_tokens > limit:
        raise SettingsError(
            f"{max_tokens} is more than the policy's context of {limit} tokens; lower it", where=setting
        )


def _check_same_everywhere(rows: Sequence[TextRow], name: str, accelerator: Accelerator) -> None:
    """Refuse texts that are others on every process: each has to know the rows of all."""
    from accelerate.utils import gather_object

    if accelerator.num_processes == 1:
        return
    content = hashlib.sha256()
    for row in rows:
        content.update(repr((list(row.ids), row.num_given, list(row.aside))).encode())
    if len(set(gather_object([content.hexdigest()]))) > 1:
        raise SettingsError(
            "processes read different texts; a generator has to draw from its seed alone (the order of a set "
            "is another one in each process), and files have to be the same on every machine",
            where=name,
        )
