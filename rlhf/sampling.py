"""Random numbers drawn beforehand, and a sampler that obeys them inside transformers' `generate`.

A response then depends on the seed and its own number only: not on the rows that share its batch, not on the
number of processes, and not on a generator whose state would have to be saved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    DynamicCache,
    EncoderDecoderCache,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
)
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer
from transformers.modeling_outputs import BaseModelOutput

from rlhf.models.quiet import quiet_library
from rlhf.models.seq2seq import Aside, encode

_KEYS_AND_VALUES = (DynamicLayer, DynamicSlidingWindowLayer)
_TOKENS_AT_A_TIME = 8  # more: fewer calls; fewer: rows that have ended are dropped sooner


def derive_seed(*parts: int | str) -> int:
    """Return a 63-bit seed that depends on every part; different parts give unrelated streams."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def sampling_noise(seed: int, rows: Iterable[int], num_tokens: int) -> Tensor:
    """Draw the uniform numbers in [0, 1) that decide the tokens of each row.

    `rows` are numbers that identify a response in the whole (all-process) batch. Returns (B, num_tokens)
    float64 on the CPU; a row's numbers depend on `seed` and its own number only.
    """
    drawn = []
    for row in rows:
        generator = torch.Generator().manual_seed(derive_seed(seed, row))
        drawn.append(torch.rand(num_tokens, generator=generator, dtype=torch.float64))
    return torch.stack(drawn)


class NoiseSampler(LogitsProcessor):
    """Sample by inverting the distribution function at numbers drawn beforehand.

    Leaves one token possible a row, so that greedy decoding takes it: token v is chosen where
    F(v-1) <= u < F(v), F the cumulated softmax(logits / temperature). It runs after every processor of
    transformers, so what it is given is what would be sampled from.
    """

    def __init__(self, noise: Tensor, temperature: float, num_prompt_tokens: int) -> None:
        self.noise = noise
        self.temperature = temperature
        self.num_prompt_tokens = num_prompt_tokens

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return `scores` (B, V) with every token but the chosen one at minus infinity."""
        step = input_ids.shape[1] - self.num_prompt_tokens
        probabilities = torch.softmax(scores.float() / self.temperature, dim=-1)
        # float32 sums of a large vocabulary lose the tail; MPS knows no float64
        wide = torch.float32 if scores.device.type == "mps" else torch.float64
        cumulated = probabilities.to(wide).cumsum(dim=-1)
        level = self.noise[:, step : step + 1].to(scores.device, wide) * cumulated[:, -1:]
        chosen = torch.searchsorted(cumulated, level, right=True).clamp(max=scores.shape[-1] - 1)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)


def sample_batch(
    model: nn.Module,
    prompt_ids: Tensor,
    prompt_mask: Tensor,
    noise: Tensor | None,
    *,
    temperature: float,
    stop_token_ids: Sequence[int],
    pad_token_id: int,
    max_new_tokens: int,
    opening: Sequence[int] = (),
) -> list[list[int]]:
    """Run transformers' `generate` on a padded batch, a few tokens at a time, dropping rows that have ended.

    Most responses are much shorter than the longest: carrying them on would be most of the work. `prompt_ids`
    and `prompt_mask` (B, P) are left-padded, or right-padded for an encoder-decoder, whose decoder starts
    from the `opening`; `noise` (B, max_new_tokens), None takes the likeliest tokens. Returns each row's new
    ids; what follows a stop token in them means nothing.
    """
    generator: Any = model
    stops = torch.tensor(list(stop_token_ids), device=prompt_ids.device)
    active = torch.arange(len(prompt_ids), device=prompt_ids.device)
    found: list[list[int]] = [[] for _ in range(len(prompt_ids))]
    carried: dict[str, Any] = {}
    num_done, num_next = 0, _TOKENS_AT_A_TIME
    # transformers drops a mask that hides nothing and then warns, where a response has the pad token.
    with torch.inference_mode(), quiet_library():
        aside = Aside(prompt_ids, prompt_mask)
        reading = _Apart(model, aside, opening) if opening else _Joined(*aside)
        ids = reading.start
        while len(active) and num_done < max_new_tokens:
            config = GenerationConfig(
                do_sample=False,  # NoiseSampler leaves one token to choose from
                num_beams=1,
                use_cache=True,
                max_new_tokens=min(num_next, max_new_tokens - num_done),
                eos_token_id=list(stop_token_ids),
                pad_token_id=pad_token_id,
                decoder_start_token_id=opening[0] if opening else None,
                return_dict_in_generate=True,
            )
            processors = LogitsProcessorList()
            if noise is not None:
                processors.append(NoiseSampler(noise[active.cpu()], temperature, reading.start.shape[1]))
            output = generator.generate(
                **reading.arguments(ids, active),
                generation_config=config,
                logits_processor=processors,
                **carried,
            )
            new_ids = output.sequences[:, ids.shape[1] :]
            for row, more in zip(active.tolist(), new_ids.tolist(), strict=True):
                found[row] += more
            num_done += new_ids.shape[1]
            going_on = (~torch.isin(new_ids, stops).any(1)).nonzero()[:, 0]
            active, ids = active[going_on], output.sequences[going_on]
            cache = output.get("past_key_values")
            if _can_drop_rows(cache):
                cache.batch_select_indices(going_on)
                carried = {"past_key_values": cache}
            else:  # another kind of memory, which cannot drop rows: read once more and go on to the end
                carried, num_next = {}, max_new_tokens
    return found


class _Joined:
    """What a decoder is called with: prompts, and behind them what has been sampled."""

    def __init__(self, prompt_ids: Tensor, prompt_mask: Tensor) -> None:
        self.start = prompt_ids
        self._mask = prompt_mask.long()

    def arguments(self, ids: Tensor, active: Tensor) -> dict[str, Any]:
        """Return the arguments of `generate` for the rows `active`, which have come to `ids`."""
        mask = self._mask[active]
        sampled = mask.new_ones(len(ids), ids.shape[1] - mask.shape[1])
        return {"input_ids": ids, "attention_mask": torch.cat([mask, sampled], dim=1)}


class _Apart:
    """What an encoder-decoder is called with: the prompts, encoded once, and what its decoder has written."""

    def __init__(self, model: nn.Module, aside: Aside, opening: Sequence[int]) -> None:
        self.start = torch.tensor(list(opening), device=aside.ids.device).repeat(len(aside.ids), 1)
        self._encoded = encode(model, aside)
        self._mask = aside.mask.long()

    def arguments(self, ids: Tensor, active: Tensor) -> dict[str, Any]:
        """Return the arguments of `generate` for the rows `active`, which have come to `ids`."""
        encoded = BaseModelOutput(last_hidden_state=self._encoded[active])
        return {
            "encoder_outputs": encoded,
            "attention_mask": self._mask[active],
            "decoder_input_ids": ids,
            # without it the library takes all of them for new ones, whatever the memory holds
            "decoder_attention_mask": torch.ones_like(ids),
        }


def _can_drop_rows(cache: Any) -> bool:
    """Say whether a memory consists of keys and values alone, of which rows can be selected.

    Those of linear attention (Mamba, LFM2) and of hybrids also hold states, which stay as they are.
    """
    if isinstance(cache, EncoderDecoderCache):
        return _can_drop_rows(cache.self_attention_cache) and _can_drop_rows(cache.cross_attention_cache)
    return isinstance(cache, DynamicCache) and all(type(layer) in _KEYS_AND_VALUES for layer in cache.layers)
