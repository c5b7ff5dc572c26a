"""`Generation`: prompts with the responses sampled for them, and the rows of ids that a model reads of them.

Axes: B sequences, P prompt tokens (left-padded), R response tokens (right-padded).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlhf.models.seq2seq import Aside
from rlhf.rendering import pad_left, pad_right

__all__ = ["Generation", "align_left", "build_generation", "join", "rows_of"]


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
    opening: tuple[int, ...] = ()

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
            opening=self.opening,
        )

    def responses(self) -> list[list[int]]:
        """Return each row's sampled ids without padding, bit for bit what was sampled."""
        lengths = self.response_mask.sum(1).tolist()
        return [ids[:n] for ids, n in zip(self.response_ids.tolist(), lengths, strict=True)]

    def prompts(self) -> list[list[int]]:
        """Return each row's prompt ids without padding."""
        lengths = self.prompt_mask.sum(1).tolist()
        return [ids[len(ids) - n :] for ids, n in zip(self.prompt_ids.tolist(), lengths, strict=True)]


def build_generation(
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    stop_token_ids: Sequence[int],
    pad_token_id: int,
    device: torch.device | str = "cpu",
    opening: Sequence[int] = (),
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
        tuple(opening),
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


def rows_of(generation: Generation) -> tuple[Tensor, Tensor, Aside | None]:
    """Return what a model reads: rows of ids (B, T) with their mask, and what it reads aside.

    A decoder reads prompt and response joined. An encoder-decoder reads the prompts aside, padded on the
    right; its rows are those of the decoder, opening and response. The last R columns hold all response
    tokens either way.
    """
    if not generation.opening:
        return *join(generation), None
    response_ids, response_mask = generation.response_ids, generation.response_mask
    opening = torch.tensor(generation.opening, device=response_ids.device).expand(len(generation), -1)
    ids = torch.cat([opening, response_ids], dim=1)
    mask = torch.cat([torch.ones_like(opening, dtype=torch.bool), response_mask], dim=1)
    unused = (~generation.prompt_mask).sum(1, keepdim=True)
    columns = torch.arange(generation.prompt_ids.shape[1], device=ids.device)
    source = (columns + unused) % generation.prompt_ids.shape[1]
    return ids, mask, Aside(generation.prompt_ids.gather(1, source), generation.prompt_mask.gather(1, source))


def align_left(values: Tensor, generation: Generation) -> Tensor:
    """Move (B, R) values of the last R columns of `rows_of` to where `response_ids` has them; else junk."""
    if generation.opening:
        return values
    unused = (~generation.response_mask).sum(1, keepdim=True)
    columns = torch.arange(values.shape[1], device=values.device)
    return values.gather(1, (columns + unused) % values.shape[1])
