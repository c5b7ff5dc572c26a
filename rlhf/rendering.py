"""The only place where text becomes token ids and a mask (station 3), for training and for sampling alike.

One rule joins prompt and response everywhere: ``ids = prompt_ids + response_ids``, each encoded by itself,
the response ending with the end token. What the policy is asked, what SFT and the reward model are trained
on, and what they are shown in PPO are therefore the same ids. Masks come from lengths, never from looking
for a pad id.

Nothing is cut or dropped without being counted in `Renderer.counts`: prompts that are too long are cut
(oldest part first), responses never are; what does not fit is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import get_args

import torch

from rlhf.encoding import encode_documents
from rlhf.errors import DataError
from rlhf.feedback.records import Demonstration, Prompt, Ranking
from rlhf.renderer import NoEmbedding, Rendered, Renderer, TooLong
from rlhf.templates import supply_chat_template

__all__ = [
    "Rendered",
    "RenderedPrompt",
    "RenderedRanking",
    "Renderer",
    "encode_documents",
    "pad_left",
    "pad_right",
    "render_demonstrations",
    "render_prompts",
    "render_rankings",
    "supply_chat_template",
]


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt and its ids, ending exactly where a response starts."""

    prompt: Prompt
    prompt_ids: list[int]


@dataclass(frozen=True, slots=True)
class RenderedRanking:
    """A ranking as ids.

    Args:
        prompt: the record's prompt.
        prompt_ids: its ids.
        response_ids: of the K kept responses, each ending with the end token.
        ranks: of the kept responses, 1 is best, None is unranked.
        comparisons: ``(i, j, p)`` as `Ranking.comparisons`, with places in the kept responses.
        kept: the place in the record of each kept response.
        annotator: the record's.
        responses: the texts of the kept responses.
    """

    prompt: Prompt
    prompt_ids: list[int]
    response_ids: list[list[int]]
    ranks: list[int | None]
    comparisons: list[tuple[int, int, float]]
    kept: list[int]
    annotator: str | None = None
    responses: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[list[int]]:
        """Return the K whole sequences."""
        return [self.prompt_ids + ids for ids in self.response_ids]


def render_prompts(
    prompts: Sequence[Prompt], renderer: Renderer, *, too_long: TooLong = "cut"
) -> list[RenderedPrompt]:
    """Render prompts; those the template refuses or that no cut makes short enough are dropped and counted.

    Args:
        prompts: records.
        renderer: with the limits; its `counts` grow.
        too_long: cut prompts above `max_prompt_tokens` from the left, or drop them.

    Raises:
        DataError: nothing is left.
    """
    if too_long not in get_args(TooLong):
        raise ValueError(f"too_long is cut or drop, not {too_long!r}")
    rendered = []
    for prompt, ids in zip(prompts, _prompt_ids(prompts, renderer, too_long), strict=True):
        if isinstance(ids, DataError):
            renderer.counts["dropped_prompts"] += 1
        else:
            rendered.append(RenderedPrompt(prompt, ids))
    _check_left(len(rendered), len(prompts), "prompts", renderer)
    return rendered


def render_demonstrations(demonstrations: Sequence[Demonstration], renderer: Renderer) -> list[Rendered]:
    """Render demonstrations; those whose response or whole is too long are dropped and counted.

    Raises:
        DataError: nothing is left.
    """
    prompts = _prompt_ids([one.prompt for one in demonstrations], renderer, "cut")
    responses = renderer.render_response_batch([one.response for one in demonstrations])
    _refuse_unreadable(responses, [one.prompt for one in demonstrations])
    rendered = []
    for one, prompt_ids, response_ids in zip(demonstrations, prompts, responses, strict=True):
        if isinstance(prompt_ids, DataError):
            renderer.counts["dropped_prompts"] += 1
        elif isinstance(response_ids, DataError) or not renderer.fits(Rendered(prompt_ids, response_ids)):
            renderer.counts["dropped_responses"] += 1
        else:
            rendered.append(Rendered(prompt_ids, response_ids, one.prompt))
    _check_left(len(rendered), len(demonstrations), "demonstrations", renderer)
    return rendered


def render_rankings(rankings: Sequence[Ranking], renderer: Renderer) -> list[RenderedRanking]:
    """Render rankings; a response that is too long is dropped, and the ranking if nothing compared is left.

    Raises:
        DataError: nothing is left.
    """
    prompts = _prompt_ids([one.prompt for one in rankings], renderer, "cut")
    flat = renderer.render_response_batch(list(chain.from_iterable(one.responses for one in rankings)))
    _refuse_unreadable(flat, [one.prompt for one in rankings for _ in one.responses])
    responses = iter(flat)
    rendered = []
    for ranking, prompt_ids in zip(rankings, prompts, strict=True):
        found = [next(responses) for _ in ranking.responses]
        if isinstance(prompt_ids, DataError):
            renderer.counts["dropped_prompts"] += 1
            continue
        one = _rendered_ranking(ranking, prompt_ids, found, renderer)
        if one.comparisons:
            rendered.append(one)
        else:
            renderer.counts["dropped_rankings"] += 1
    _check_left(len(rendered), len(rankings), "rankings", renderer)
    return rendered


def _rendered_ranking(
    ranking: Ranking, prompt_ids: list[int], found: list[list[int] | DataError], renderer: Renderer
) -> RenderedRanking:
    kept = {
        place: ids
        for place, ids in enumerate(found)
        if not isinstance(ids, DataError) and renderer.fits(Rendered(prompt_ids, ids))
    }
    if len(kept) < len(found):
        renderer.counts["dropped_responses"] += len(found) - len(kept)
    new_place = {place: number for number, place in enumerate(kept)}
    return RenderedRanking(
        prompt=ranking.prompt,
        prompt_ids=prompt_ids,
        response_ids=list(kept.values()),
        ranks=[ranking.ranks[place] for place in kept],
        comparisons=[
            (new_place[i], new_place[j], p) for i, j, p in ranking.comparisons() if i in kept and j in kept
        ],
        kept=list(kept),
        annotator=ranking.annotator,
        responses=[ranking.responses[place] for place in kept],
    )


def _prompt_ids(
    prompts: Sequence[Prompt], renderer: Renderer, too_long: TooLong
) -> list[list[int] | DataError]:
    """Render each distinct conversation once: several annotators may have ranked the same prompt."""
    distinct = list(dict.fromkeys(prompt.messages for prompt in prompts))
    ids = dict(zip(distinct, renderer.render_prompt_batch(distinct, too_long=too_long), strict=True))
    found = [ids[prompt.messages] for prompt in prompts]
    _refuse_unreadable(found, prompts)
    return found


def _refuse_unreadable(found: Sequence[list[int] | DataError], prompts: Sequence[Prompt]) -> None:
    """Stop at the first text with a token that the model cannot read: more of them would follow.

    Raises:
        DataError: with the place of its row.
    """
    for ids, prompt in zip(found, prompts, strict=True):
        if isinstance(ids, NoEmbedding):
            raise DataError(ids.message, prompt.where)


def _check_left(left: int, given: int, kind: str, renderer: Renderer) -> None:
    if given and not left:
        reasons = "; ".join(renderer.report()) or "no reason was counted"
        raise DataError(f"none of {given} {kind} is left after rendering: {reasons}")


def pad_left(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad prompts on the left to the longest.

    Args:
        sequences: B lists of ids.
        pad_id: what to fill with; it may be any id, the mask does not look at it.

    Returns:
        ids (B, P), int64, and mask (B, P), bool, True where a sequence has an id.
    """
    ids, mask = pad_right([list(reversed(sequence)) for sequence in sequences], pad_id)
    return ids.flip(1), mask.flip(1)


def pad_right(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad on the right to the longest; as `pad_left`."""
    lengths = torch.tensor([len(sequence) for sequence in sequences], dtype=torch.long)
    width = max(map(len, sequences), default=0)
    rows = [[*sequence, *[pad_id] * (width - len(sequence))] for sequence in sequences]
    ids = torch.tensor(rows, dtype=torch.long).reshape(len(rows), width)
    return ids, torch.arange(width) < lengths[:, None]
