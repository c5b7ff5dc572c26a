"""What a base model makes of held-out documents, for people to read."""

from __future__ import annotations

from typing import Any

import torch
from transformers import GenerationConfig

from rlhf.models.quiet import quiet_library
from rlhf.pretraining.masked import IGNORED, MaskedPairs
from rlhf.pretraining.text_to_text import TextToText

__all__ = ["sample_gaps", "sample_rests"]


@torch.no_grad()
def sample_rests(
    model: Any, examples: TextToText, tokenizer: Any, num_samples: int, max_new_tokens: int
) -> list[dict[str, str]]:
    """Let a T5 go on from the beginnings of documents, always by the likeliest token.

    Returns:
        Rows of ``prompt``, ``response`` and ``document_response``, what stands there in the document.

    """
    chosen = [examples[index] for index in range(min(num_samples, len(examples)))]
    batch = examples.collate(chosen)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    with quiet_library():
        written = model.generate(
            input_ids=batch["input_ids"].to(device),
            attention_mask=batch["attention_mask"].to(device),
            generation_config=_greedy(model, tokenizer, max_new_tokens),
        )
    model.train(was_training)
    return [
        {
            "prompt": _decode(tokenizer, one["prompt"]),
            "response": _decode(tokenizer, ids.tolist()),
            "document_response": _decode(tokenizer, one["response"]),
        }
        for one, ids in zip(chosen, written, strict=True)
    ]


@torch.no_grad()
def sample_gaps(model: Any, examples: MaskedPairs, tokenizer: Any, num_samples: int) -> list[dict[str, Any]]:
    """Let a BERT fill the gaps of documents.

    Returns:
        Rows of ``prompt`` with the gaps, and ``response`` and ``document_response``: the tokens that it takes
        for those asked for, and those of the document.

    """
    chosen = [examples[index] for index in range(min(num_samples, len(examples)))]
    batch = examples.collate(chosen)
    labels = batch.pop("labels")
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    logits = model(**{name: tensor.to(device) for name, tensor in batch.items()}).logits
    model.train(was_training)
    guessed = logits.argmax(-1).cpu()
    return [
        {
            "prompt": tokenizer.decode(one["input_ids"]),
            "response": tokenizer.convert_ids_to_tokens(guesses[row != IGNORED].tolist()),
            "document_response": tokenizer.convert_ids_to_tokens(row[row != IGNORED].tolist()),
        }
        for one, guesses, row in zip(chosen, guessed, labels, strict=True)
    ]


def _greedy(model: Any, tokenizer: Any, max_new_tokens: int) -> GenerationConfig:
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        decoder_start_token_id=model.config.decoder_start_token_id,
        eos_token_id=[tokenizer.eos_token_id],
        pad_token_id=tokenizer.pad_token_id,
    )


def _decode(tokenizer: Any, ids: list[int]) -> str:
    text: str = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text
