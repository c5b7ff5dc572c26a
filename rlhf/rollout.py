"""Turn prompts into sampled responses, and responses into log-probabilities.

Sampling is transformers' `generate` with a configuration made from nothing, so that no leftover of the
model's own `generation_config.json` (top_k, repetition penalty, suppressed tokens ...) bends the distribution
that PPO believes it sampled from. The random numbers are drawn beforehand, one per row and token, from a seed
and the row's number: a response does not depend on which rows share its batch or on how many processes there
are.

Axes: B sequences, P prompt tokens (left-padded), R response tokens (right-padded), V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rlhf.errors import ModelError
from rlhf.generation import Generation, align_left, build_generation, join, rows_of
from rlhf.maths.logprobs import token_logprobs
from rlhf.models.generation_config import own_generation_config
from rlhf.models.inputs import context_tokens, plain_model
from rlhf.models.learner import Learner, last_logits
from rlhf.models.saving import unwrap_model
from rlhf.models.seq2seq import is_encoder_decoder
from rlhf.rendering import pad_left, pad_right
from rlhf.sampling import sample_batch, sampling_noise

__all__ = [
    "Generation",
    "align_left",
    "build_generation",
    "check_context",
    "cut_after_stop",
    "device_of",
    "evaluating",
    "generate",
    "join",
    "logprobs_with_gradient",
    "respond",
    "response_logits",
    "response_logprobs",
    "rows_of",
    "sample_texts",
]

if TYPE_CHECKING:
    from rlhf.feedback.records import Prompt
    from rlhf.rendering import Renderer


def generate(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    *,
    stop_token_ids: Sequence[int],
    pad_token_id: int,
    max_new_tokens: int,
    temperature: float,
    seed: int = 0,
    rows: Sequence[int] | None = None,
    batch_size: int | None = None,
    opening: Sequence[int] = (),
) -> Generation:
    """Sample one response for each prompt, by a language model or the policy of a `Learner`.

    `prompts` are B lists of token ids, each ending where its response starts. Sampling is from
    softmax(logits / temperature) over the whole vocabulary; temperature 0 takes the likeliest token.
    A response stops at the first of `stop_token_ids` (kept, part of the response) or after `max_new_tokens`
    (then without a stop token: none is forced). `rows` are the prompts' numbers in the whole batch of all
    processes (default 0..B-1); `seed` and number decide the random draws. `batch_size` sequences are
    generated together (default all), in order of prompt length; the rows come back in the order given.
    `opening` (`Renderer.opening`) is what an encoder-decoder's decoder reads before a response; the encoder
    reads the prompt. () for a decoder, which reads the prompt itself.

    Raises ModelError where prompt and response do not fit into the model's context.
    """
    assert min(len(prompts), max_new_tokens, len(stop_token_ids)) > 0
    model, autocast = _sampling_model(model)
    _check_kind(model, opening)
    check_context(model, max(len(ids) for ids in prompts), max_new_tokens, "the policy", len(opening))
    numbers = list(rows) if rows is not None else list(range(len(prompts)))
    by_length = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    size = batch_size or len(prompts)
    responses: list[list[int]] = [[] for _ in prompts]
    with evaluating(model), own_generation_config(model), autocast():
        for start in range(0, len(prompts), size):
            chosen = by_length[start : start + size]
            pad = pad_right if opening else pad_left
            prompt_ids, prompt_mask = pad([list(prompts[i]) for i in chosen], pad_token_id)
            noise = (
                sampling_noise(seed, [numbers[i] for i in chosen], max_new_tokens)
                if temperature > 0
                else None
            )
            sampled = sample_batch(
                model,
                prompt_ids.to(device_of(model)),
                prompt_mask.to(device_of(model)),
                noise,
                temperature=temperature,
                stop_token_ids=stop_token_ids,
                pad_token_id=pad_token_id,
                max_new_tokens=max_new_tokens,
                opening=opening,
            )
            for i, ids in zip(chosen, sampled, strict=True):
                responses[i] = cut_after_stop(ids, stop_token_ids)
    return build_generation(prompts, responses, stop_token_ids, pad_token_id, device_of(model), opening)


def _check_kind(model: nn.Module, opening: Sequence[int]) -> None:
    """Make sure that an opening is given for an encoder-decoder, and for nothing else."""
    apart = is_encoder_decoder(plain_model(model).config)
    assert apart == bool(opening), "an encoder-decoder's renderer knows its decoder_start_token_id"


def _sampling_model(model: nn.Module) -> tuple[nn.Module, Callable[[], AbstractContextManager[Any]]]:
    """Return the language model to sample from, and the precision to do it in."""
    inner = unwrap_model(model)
    return (inner.policy, inner.autocast) if isinstance(inner, Learner) else (inner, nullcontext)


def respond(model: nn.Module, renderer: Renderer, prompts: Sequence[Prompt], **options: Any) -> Generation:
    """Render prompts and sample one response for each; `options` are those of `generate`."""
    return generate(
        model,
        [renderer.render_prompt(prompt.messages) for prompt in prompts],
        stop_token_ids=renderer.stop_token_ids,
        pad_token_id=renderer.pad_token_id,
        opening=renderer.opening,
        **options,
    )


def cut_after_stop(ids: Sequence[int], stop_token_ids: Sequence[int]) -> list[int]:
    """Return `ids` up to and including the first stop token; all of them where there is none."""
    stops = set(stop_token_ids)
    for position, token in enumerate(ids):
        if token in stops:
            return list(ids[: position + 1])
    return list(ids)


def response_logits(model: nn.Module, generation: Generation) -> tuple[Tensor, Tensor]:
    """Return the logits (B, R, V) that predict the last R tokens of each row, and those ids (B, R).

    `model` is a language model or a `Learner`. One forward pass, through whatever wraps it for data-parallel
    training. The rows are those of `rows_of`: see `align_left`.
    """
    num_response_tokens = generation.response_ids.shape[1]
    ids, mask, aside = rows_of(generation)
    if isinstance(unwrap_model(model), Learner):
        logits, _ = model(ids, mask, num_response_tokens, want="logits", aside=aside)
    else:
        logits = last_logits(model, ids, mask, num_response_tokens, aside)
    return logits, ids[:, -num_response_tokens:]


def logprobs_with_gradient(model: nn.Module, generation: Generation, temperature: float) -> Tensor:
    """Return log-probabilities (B, R), nats, of the sampled tokens under softmax(logits / temperature).

    Values past a response mean nothing: mask them.
    """
    logits, ids = response_logits(model, generation)
    return align_left(token_logprobs(logits, ids, temperature), generation)


def response_logprobs(
    model: nn.Module, generation: Generation, temperature: float, microbatch_size: int | None = None
) -> Tensor:
    """Return log-probabilities (B, R), nats, of the sampled tokens without gradient, 0 past each response.

    Rows are taken `microbatch_size` at a time in the order given (default: all at once).
    """
    size = microbatch_size or len(generation)
    result = torch.zeros(generation.response_ids.shape, device=generation.response_ids.device)
    with torch.no_grad():
        for start in range(0, len(generation), size):
            index = torch.arange(start, min(start + size, len(generation)), device=result.device)
            part = generation.rows(index)
            logprobs = logprobs_with_gradient(model, part, temperature)
            result[index, : logprobs.shape[1]] = torch.where(part.response_mask, logprobs, 0.0)
    return result


def sample_texts(
    model: nn.Module,
    renderer: Renderer,
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    batch_size: int = 64,
) -> list[str]:
    """Return one response text for each prompt, sampled at `temperature` (0: the likeliest tokens)."""
    if not prompts:
        return []
    generation = respond(
        model,
        renderer,
        prompts,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        seed=seed,
        batch_size=batch_size,
    )
    return [renderer.decode_response(ids) for ids in generation.responses()]


def check_context(
    model: nn.Module, num_prompt_tokens: int, num_response_tokens: int, what: str, num_opening_tokens: int = 0
) -> None:
    """Raise ModelError where a prompt and a response do not fit into the model's context.

    They do so together, or each by itself where a decoder is opened with tokens of its own
    (encoder-decoders).
    """
    limit = context_tokens(unwrap_model(model))
    if limit is not None and num_opening_tokens:
        if max(num_prompt_tokens, num_opening_tokens + num_response_tokens) > limit:
            raise ModelError(
                f"{what} reads at most {limit} tokens each in its encoder and in its decoder, but a prompt "
                f"has up to {num_prompt_tokens} tokens, and a response {num_response_tokens} with "
                f"{num_opening_tokens} before it; lower sampling.max_prompt_tokens or "
                "sampling.max_response_tokens"
            )
        return
    if limit is not None and num_prompt_tokens + num_response_tokens > limit:
        raise ModelError(
            f"{what} reads at most {limit} tokens, but a prompt of {num_prompt_tokens} and a response of "
            f"{num_response_tokens} tokens make {num_prompt_tokens + num_response_tokens}; "
            "lower sampling.max_prompt_tokens or sampling.max_response_tokens"
        )


def device_of(model: nn.Module) -> torch.device:
    """Return the device of the model's parameters."""
    return next(model.parameters()).device


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model into evaluation mode and restore its mode afterwards."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
