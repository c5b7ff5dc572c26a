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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rlhf.errors import ModelError
from rlhf.maths.logprobs import token_logprobs
from rlhf.models.inputs import context_tokens
from rlhf.models.learner import Learner, last_logits
from rlhf.models.saving import unwrap_model
from rlhf.rendering import pad_left, pad_right
from rlhf.sampling import own_generation_config, sample_batch, sampling_noise

if TYPE_CHECKING:
    from rlhf.feedback.records import Prompt
    from rlhf.rendering import Renderer


@dataclass(frozen=True)
class Generation:
    """Prompts and the responses sampled for them, as ids (station 5, before log-probabilities).

    prompt_ids (B, P) int64 left-padded, prompt_mask (B, P) bool; response_ids (B, R) int64 right-padded,
    response_mask (B, R) bool, True up to and including the stop token; ended (B,) bool, True where a stop
    token was sampled (False: cut at the length limit). Masks come from lengths, never from the pad id.
    """

    prompt_ids: Tensor
    prompt_mask: Tensor
    response_ids: Tensor
    response_mask: Tensor
    ended: Tensor

    def __len__(self) -> int:
        return int(self.prompt_ids.shape[0])

    def rows(self, index: Tensor) -> Generation:
        """Return the rows `index` (N,), trimmed to their own longest prompt and response."""
        prompt_mask, response_mask = self.prompt_mask[index], self.response_mask[index]
        num_prompt_tokens = max(int(prompt_mask.sum(1).max()), 1)
        num_response_tokens = max(int(response_mask.sum(1).max()), 1)
        return Generation(
            prompt_ids=self.prompt_ids[index][:, -num_prompt_tokens:],
            prompt_mask=prompt_mask[:, -num_prompt_tokens:],
            response_ids=self.response_ids[index][:, :num_response_tokens],
            response_mask=response_mask[:, :num_response_tokens],
            ended=self.ended[index],
        )

    def responses(self) -> list[list[int]]:
        """Return each row's sampled ids without padding, bit for bit what was sampled."""
        lengths = self.response_mask.sum(1).tolist()
        return [ids[:n] for ids, n in zip(self.response_ids.tolist(), lengths, strict=True)]

    def prompts(self) -> list[list[int]]:
        """Return each row's prompt ids without padding."""
        lengths = self.prompt_mask.sum(1).tolist()
        return [ids[len(ids) - n :] for ids, n in zip(self.prompt_ids.tolist(), lengths, strict=True)]


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
) -> Generation:
    """Sample one response for each prompt, by a language model or the policy of a `Learner`.

    `prompts` are B lists of token ids, each ending where its response starts. Sampling is from
    softmax(logits / temperature) over the whole vocabulary; temperature 0 takes the likeliest token.
    A response stops at the first of `stop_token_ids` (kept, part of the response) or after `max_new_tokens`
    (then without a stop token: none is forced). `rows` are the prompts' numbers in the whole batch of all
    processes (default 0..B-1); `seed` and number decide the random draws. `batch_size` sequences are
    generated together (default all), in order of prompt length; the rows come back in the order given.

    Raises ModelError where prompt and response do not fit into the model's context.
    """
    assert min(len(prompts), max_new_tokens, len(stop_token_ids)) > 0
    model, autocast = _sampling_model(model)
    check_context(model, max(len(ids) for ids in prompts), max_new_tokens, "the policy")
    numbers = list(rows) if rows is not None else list(range(len(prompts)))
    by_length = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    size = batch_size or len(prompts)
    responses: list[list[int]] = [[] for _ in prompts]
    with evaluating(model), own_generation_config(model), autocast():
        for start in range(0, len(prompts), size):
            chosen = by_length[start : start + size]
            prompt_ids, prompt_mask = pad_left([list(prompts[i]) for i in chosen], pad_token_id)
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
            )
            for i, ids in zip(chosen, sampled, strict=True):
                responses[i] = cut_after_stop(ids, stop_token_ids)
    return build_generation(prompts, responses, stop_token_ids, pad_token_id, device_of(model))


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
        **options,
    )


def cut_after_stop(ids: Sequence[int], stop_token_ids: Sequence[int]) -> list[int]:
    """Return `ids` up to and including the first stop token; all of them where there is none."""
    stops = set(stop_token_ids)
    for position, token in enumerate(ids):
        if token in stops:
            return list(ids[: position + 1])
    return list(ids)


def build_generation(
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    stop_token_ids: Sequence[int],
    pad_token_id: int,
    device: torch.device | str = "cpu",
) -> Generation:
    """Pad prompts (left) and responses (right, already cut after their stop token) into a Generation."""
    stops = set(stop_token_ids)
    prompt_ids, prompt_mask = pad_left([list(ids) for ids in prompts], pad_token_id)
    response_ids, response_mask = pad_right([list(ids) for ids in responses], pad_token_id)
    ended = torch.tensor([len(ids) > 0 and ids[-1] in stops for ids in responses], dtype=torch.bool)
    return Generation(
        prompt_ids.to(device),
        prompt_mask.to(device),
        response_ids.to(device),
        response_mask.to(device),
        ended.to(device),
    )


def join(generation: Generation) -> tuple[Tensor, Tensor]:
    """Put each row's prompt and response side by side, padding only on the left: ids and mask (B, T).

    All rows end in the last column, T is the longest row: nothing is padded between prompt and response, and
    the last R columns hold all response tokens.
    """
    ids = torch.cat([generation.prompt_ids, generation.response_ids], dim=1)
    mask = torch.cat([generation.prompt_mask, generation.response_mask], dim=1)
    unused = (~generation.response_mask).sum(1, keepdim=True)
    columns = torch.arange(ids.shape[1], device=ids.device)
    source = (columns - unused) % ids.shape[1]  # turns the padding behind a row over to its front
    longest = int(mask.sum(1).max())
    return ids.gather(1, source)[:, -longest:], mask.gather(1, source)[:, -longest:]


def align_left(values: Tensor, generation: Generation) -> Tensor:
    """Move (B, R) values of right-aligned responses to where `response_ids` has them; the rest is junk."""
    unused = (~generation.response_mask).sum(1, keepdim=True)
    columns = torch.arange(values.shape[1], device=values.device)
    return values.gather(1, (columns + unused) % values.shape[1])


def response_logits(model: nn.Module, generation: Generation) -> tuple[Tensor, Tensor]:
    """Return the logits (B, R, V) that predict the last R tokens of each joined row, and those ids (B, R).

    `model` is a language model or a `Learner`. One forward pass, through whatever wraps it for data-parallel
    training. Right-aligned: see `align_left`.
    """
    num_response_tokens = generation.response_ids.shape[1]
    ids, mask = join(generation)
    if isinstance(unwrap_model(model), Learner):
        logits, _ = model(ids, mask, num_response_tokens, want="logits")
    else:
        logits = last_logits(model, ids, mask, num_response_tokens)
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


def check_context(model: nn.Module, num_prompt_tokens: int, num_response_tokens: int, what: str) -> None:
    """Raise ModelError where a prompt and a response together do not fit into the model's context."""
    limit = context_tokens(unwrap_model(model))
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
