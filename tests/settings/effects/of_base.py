"""Settings of the base stage."""

from __future__ import annotations

from tests.settings.effects.effect import Effect, Entry, Refused, becomes, falls, rises
from tests.settings.effects.look import (
    first,
    longest_pass,
    model_config,
    num_gaps,
    num_steps,
    saved_types,
    steps_of,
    summary,
    weights,
)
from tests.settings.effects.shared import checkpoint_effects, run_effects
from tests.settings.effects.trainer import trainer_effects

MORE_TEXT = (
    "[{path: '{inputs}/text.txt', format: text, separator: \"\\n\\n\"},"
    " {path: '{inputs}/more_text.txt', format: text, separator: \"\\n\\n\"}]"
)


def _made(architecture: str) -> tuple[str, ...]:
    return (f"model.architecture={architecture}",)


# A text of so many letters that they alone nearly fill the vocabulary of an encoder.
LETTERS = ("model.architecture=bert", "data.generator={inputs}/generator.py:letters")

ENTRIES: tuple[Entry, ...] = (
    *run_effects("base"),
    Effect("data.train", MORE_TEXT, "the texts of both sources", summary("num_documents"), rises),
    Effect("data.generator", "{inputs}/generator.py:riddles", "other texts", weights),
    Effect("data.generator", "null", "fewer texts", summary("num_documents"), falls),
    Effect("data.generator_seed", "5", "other texts", weights),
    Effect("data.num_documents", "10", "fewer texts", summary("num_documents"), falls),
    Effect("data.validation_fraction", "0.5", "fewer training texts", summary("num_documents"), falls),
    Effect("model.architecture", "t5", "a T5", model_config("model_type"), becomes("gpt2", "t5")),
    Effect("model.architecture", "bert", "a BERT", model_config("model_type"), becomes("gpt2", "bert")),
    *(
        Effect(f"model.{name}", to, "more parameters", summary("num_parameters"), rises, _made(kind))
        for kind in ("t5", "bert")
        for name, to in (("layers", "2"), ("width", "16"))
    ),
    Effect(
        "model.vocabulary_size",
        "320",
        "so many tokens",
        summary("vocabulary_size"),
        becomes(300, 320),
        _made("t5"),
    ),
    Effect("model.vocabulary_size", "261", "fewer tokens", summary("vocabulary_size"), falls, LETTERS),
    Effect("model.heads", "1", "so many heads", model_config("num_heads"), becomes(2, 1), _made("t5")),
    Effect(
        "model.heads", "1", "so many heads", model_config("num_attention_heads"), becomes(2, 1), _made("bert")
    ),
    Effect("model.context_tokens", "8", "longer texts are cut", num_steps, rises, _made("t5")),
    Effect("model.context_tokens", "8", "longer texts are cut", num_steps, rises, _made("bert")),
    Effect("model.layers", "2", "more parameters", summary("num_parameters"), rises),
    Effect("model.width", "16", "more parameters", summary("num_parameters"), rises),
    Effect("model.heads", "1", "so many heads", model_config("n_head"), becomes(2, 1)),
    Effect("model.context_tokens", "16", "so many tokens in a pass", longest_pass, becomes(32, 16)),
    Effect("model.vocabulary_size", "320", "so many tokens", summary("vocabulary_size"), becomes(300, 320)),
    *trainer_effects("base"),
    Effect("base.masked_fraction", "0.5", "more gaps", num_gaps, rises, _made("bert")),
    Refused("base.masked_fraction", "0.5", "is only read where model.architecture is bert"),
    Effect("base.copied_fraction", "1.0", "other rests of documents", weights, given=_made("t5")),
    Refused("base.copied_fraction", "0.5", "is only read where model.architecture is t5"),
    Effect(
        "base.save_dtype",
        "float32",
        "the weights are of that type",
        saved_types,
        becomes({"bfloat16"}, {"float32"}),
    ),
    Effect(
        "evaluation.every_updates",
        "3",
        "evaluations after other steps",
        steps_of("base/validation_loss"),
        lambda before, after: before[:2] == [0, 2] and after[:2] == [0, 3],
    ),
    Effect("evaluation.num_blocks", "1", "measured on other blocks", first("base/validation_loss")),
    *checkpoint_effects(8),
)
