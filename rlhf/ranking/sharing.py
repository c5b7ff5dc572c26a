"""One row a prompt: the prompt once, its K responses behind it, none of which sees another.

Scored one by one, the K responses of a prompt cost K times its tokens. Here they stand in one row, each
continues the prompt's positions, and the attention mask keeps them apart, so each is scored as if it stood
alone. The idea is that of tree attention in speculative decoding (Miao et al. 2023, arXiv:2305.09781).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from rlhf.models.inputs import takes_position_ids
from rlhf.models.values import backbone, sequence_scores
from rlhf.rendering import RenderedRanking, pad_right

__all__ = [
    "longest",
    "row_length",
    "saved_work",
    "shared_rows",
    "shared_scores",
    "sharing_mask",
    "why_not_shared",
]

PROMPT, PADDING = 0, -1  # segments that are no response; responses are 1 to K
# Differences of the scores that are rounding alone, as shares of the largest score (but at least of 1).
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4}
TOLERANCE_16_BIT = 0.05


def shared_rows(rankings: Sequence[RenderedRanking], pad_token_id: int) -> dict[str, torch.Tensor]:
    """Lay B rankings out as B rows.

    Returns:
        input_ids (B, T) right-padded; position_ids (B, T), which start behind the prompt again for each
        response; segments (B, T): 0 prompt, 1 to K the responses, -1 padding; ends (N, 2): row and column of
        each response's last token, all responses of a ranking one after the other.

    """
    rows, positions, segments, ends = [], [], [], []
    for b, ranking in enumerate(rankings):
        prompt = ranking.prompt_ids
        row, position, segment = list(prompt), list(range(len(prompt))), [PROMPT] * len(prompt)
        for k, response in enumerate(ranking.response_ids, start=1):
            row += response
            position += range(len(prompt), len(prompt) + len(response))
            segment += [k] * len(response)
            ends.append((b, len(row) - 1))
        rows.append(row)
        positions.append(position)
        segments.append(segment)
    return {
        "input_ids": pad_right(rows, pad_token_id)[0],
        "position_ids": pad_right(positions, 0)[0],
        "segments": pad_right(segments, PADDING)[0],
        "ends": torch.tensor(ends, dtype=torch.long),
    }


def sharing_mask(segments: torch.Tensor) -> torch.Tensor:
    """Say which token sees which: what stands before it in the prompt or in its own response.

    Args:
        segments: (B, T), see `shared_rows`.

    Returns:
        (B, 1, T, T) bool, queries before keys.

    >>> sharing_mask(torch.tensor([[0, 1, 2]]))[0, 0].int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [1, 0, 1]], dtype=torch.int32)

    """
    query, key = segments.unsqueeze(2), segments.unsqueeze(1)
    width = segments.shape[1]
    earlier = torch.ones(width, width, dtype=torch.bool, device=segments.device).tril()
    return (earlier & ((key == query) | (key == PROMPT))).unsqueeze(1)


def shared_scores(model: Any, rows: dict[str, torch.Tensor]) -> torch.Tensor:
    """Score every response of `shared_rows` with a `Critic`, also a wrapped one; (N,) float32."""
    values = model(rows["input_ids"], sharing_mask(rows["segments"]), rows["position_ids"])
    row, column = rows["ends"].unbind(dim=1)
    return values[row, column]


def row_length(ranking: RenderedRanking) -> int:
    """Count the tokens of the ranking's shared row."""
    return len(ranking.prompt_ids) + sum(map(len, ranking.response_ids))


def longest(ranking: RenderedRanking) -> int:
    """Count the tokens of the ranking's longest sequence."""
    return len(ranking.prompt_ids) + max(map(len, ranking.response_ids))


def saved_work(rankings: Sequence[RenderedRanking], width: int) -> float:
    """Estimate how many times less work shared prompts are; below 1 where responses are long and many.

    A token costs a layer about 12 width^2 multiplications in its matrices, and 2 width for each token of its
    row in the attention: T tokens in a row cost in proportion to T (6 width + T).
    """

    def work(length: int) -> int:
        return length * (6 * width + length)

    alone = sum(work(len(ids)) for ranking in rankings for ids in ranking.ids)
    return alone / sum(work(row_length(ranking)) for ranking in rankings)


def why_not_shared(critic: Any, rankings: Sequence[RenderedRanking], pad_token_id: int) -> str | None:
    """Try it: does this architecture give the responses of the longest rows the scores that they have alone?

    Not all do: some take no mask of this form (fused kernels, ALiBi), some look only so far back (sliding
    windows), some have no attention at all. Where it does not work, nothing is wrong with the model; its
    responses go through it one by one. So do an encoder's, of which a `Critic` cannot be made.

    Returns:
        What stands in the way, in a few words; None where nothing does.

    """
    if not takes_position_ids(backbone(critic.model)):
        return "it takes no positions"
    # Of the longest row, and of the longest sequence: a window that is too short shows in either.
    tried = [max(rankings, key=row_length), max(rankings, key=longest)]
    parameter = next(critic.parameters())
    ids, mask = pad_right([ids for ranking in tried for ids in ranking.ids], pad_token_id)
    rows = {name: part.to(parameter.device) for name, part in shared_rows(tried, pad_token_id).items()}
    modes = [(module, module.training) for module in critic.modules()]
    critic.eval()
    try:
        with torch.no_grad():
            alone = sequence_scores(critic, ids.to(parameter.device), mask.to(parameter.device))
            try:
                together = shared_scores(critic, rows)
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
                return f"it refuses the mask: {type(error).__name__}: {error}"
    finally:
        for module, mode in modes:
            module.training = mode
    apart = float((alone - together).abs().max())
    tolerance = TOLERANCE.get(parameter.dtype, TOLERANCE_16_BIT) * max(1.0, float(alone.abs().max()))
    return None if apart <= tolerance else f"its scores would differ by {apart:.2g}"
