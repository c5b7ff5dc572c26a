"""The only place where text becomes token ids and a mask (station 3), for training and for sampling alike.

One rule joins prompt and response everywhere: ``ids = prompt_ids + response_ids``, each encoded by itself,
the response ending with the end token. What the policy is asked, what SFT and the reward model are trained
on, and what they are shown in PPO are therefore the same ids. Masks come from lengths, never from looking
for a pad id.

Nothing is cut or dropped without being counted in `Renderer.counts`: prompts that are too long are cut
(oldest part first), responses never are; what does not fit is dropped. Large sets do not fill the memory: see
`rlhf.feedback.shelf`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, TypeVar, get_args

import torch

from rlhf.encoding import encode_stream
from rlhf.errors import DataError
from rlhf.feedback.records import Demonstration, Message, Packed, Prompt, Ranking
from rlhf.feedback.shelf import Ledger, shelve
from rlhf.renderer import NoEmbedding, Rendered, Renderer, TooLong
from rlhf.templates import supply_chat_template

__all__ = [
    "Rendered",
    "RenderedPrompt",
    "RenderedRanking",
    "Renderer",
    "encode_stream",
    "pad_left",
    "pad_right",
    "render_demonstrations",
    "render_prompts",
    "render_rankings",
    "supply_chat_template",
]

_AT_ONCE = 1000  # records rendered in one go

Record = TypeVar("Record")
One = TypeVar("One")


@dataclass(frozen=True, slots=True)
class RenderedPrompt(Packed):
    """A prompt and its ids, ending exactly where a response starts."""

    prompt: Prompt
    prompt_ids: list[int]


@dataclass(frozen=True, slots=True)
class RenderedRanking(Packed):
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
        strengths: of `comparisons`, as `Ranking.strengths`.
    """

    prompt: Prompt
    prompt_ids: list[int]
    response_ids: list[list[int]]
    ranks: list[int | None]
    comparisons: list[tuple[int, int, float]]
    kept: list[int]
    annotator: str | None = None
    responses: list[str] = field(default_factory=list)
    strengths: list[float | None] | None = None

    @property
    def ids(self) -> list[list[int]]:
        """Return the K whole sequences."""
        return [self.prompt_ids + ids for ids in self.response_ids]


def render_prompts(
    prompts: Sequence[Prompt], renderer: Renderer, *, too_long: TooLong = "cut"
) -> Sequence[RenderedPrompt]:
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
    encoder = _PromptEncoder(renderer, too_long)

    def rendered() -> Iterator[RenderedPrompt]:
        for some in _portions(prompts):
            for prompt, ids in zip(some, encoder.ids_of(some), strict=True):
                if not isinstance(ids, DataError):
                    yield RenderedPrompt(prompt, ids)

    return _left(rendered(), prompts, "prompts", renderer)


def render_demonstrations(demonstrations: Sequence[Demonstration], renderer: Renderer) -> Sequence[Rendered]:
    """Render demonstrations; those whose response or whole is too long are dropped and counted.

    Raises:
        DataError: nothing is left.
    """
    encoder = _PromptEncoder(renderer)

    def rendered() -> Iterator[Rendered]:
        for some in _portions(demonstrations):
            prompts = encoder.ids_of([one.prompt for one in some])
            responses = renderer.render_response_batch([one.response for one in some])
            _refuse_unreadable(responses, [one.prompt for one in some])
            for one, prompt_ids, response_ids in zip(some, prompts, responses, strict=True):
                if isinstance(prompt_ids, DataError):
                    continue
                if isinstance(response_ids, DataError):
                    renderer.counts["dropped_responses"] += 1
                    continue
                whole = Rendered(prompt_ids, response_ids, one.prompt)
                if renderer.fits(whole):
                    yield whole
                else:
                    renderer.counts["dropped_responses"] += 1

    return _left(rendered(), demonstrations, "demonstrations", renderer)


def render_rankings(rankings: Sequence[Ranking], renderer: Renderer) -> Sequence[RenderedRanking]:
    """Render rankings; a response that is too long is dropped, and the ranking if nothing compared is left.

    Raises:
        DataError: nothing is left.
    """
    encoder = _PromptEncoder(renderer)

    def rendered() -> Iterator[RenderedRanking]:
        for some in _portions(rankings):
            prompts = encoder.ids_of([one.prompt for one in some])
            texts = list(chain.from_iterable(one.responses for one in some))
            encoded = renderer.render_response_batch(texts)
            _refuse_unreadable(encoded, [one.prompt for one in some for _ in one.responses])
            responses = iter(encoded)
            for ranking, prompt_ids in zip(some, prompts, strict=True):
                found = [next(responses) for _ in ranking.responses]
                if isinstance(prompt_ids, DataError):
                    continue
                one = _rendered_ranking(ranking, prompt_ids, found, renderer)
                if one.comparisons:
                    yield one
                else:
                    renderer.counts["dropped_rankings"] += 1

    return _left(rendered(), rankings, "rankings", renderer)


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
    comparisons = ranking.comparisons()
    left = [number for number, (i, j, _) in enumerate(comparisons) if i in kept and j in kept]
    return RenderedRanking(
        prompt=ranking.prompt,
        prompt_ids=prompt_ids,
        response_ids=list(kept.values()),
        ranks=[ranking.ranks[place] for place in kept],
        comparisons=[(new_place[i], new_place[j], p) for i, j, p in (comparisons[n] for n in left)],
        kept=list(kept),
        annotator=ranking.annotator,
        responses=[ranking.responses[place] for place in kept],
        strengths=None if ranking.strengths is None else [ranking.strengths[n] for n in left],
    )


class _PromptEncoder:
    """Renders prompts; what is cut or adapted of a conversation is counted once, however often it comes.

    Several annotators may have ranked the same prompt. A record whose prompt is refused is counted each time.
    """

    def __init__(self, renderer: Renderer, too_long: TooLong = "cut") -> None:
        self.renderer = renderer
        self.too_long: TooLong = too_long
        self.met = Ledger()

    def ids_of(self, prompts: Sequence[Prompt]) -> list[list[int] | DataError]:
        distinct = list(dict.fromkeys(prompt.messages for prompt in prompts))
        num_met = len(self.met)
        fresh = [messages for messages in distinct if self.met.number(repr(messages)) >= num_met]
        ids = self._encode(fresh)
        counts = self.renderer.counts.copy()
        ids |= self._encode([messages for messages in distinct if messages not in ids])
        self.renderer.counts.clear()
        self.renderer.counts.update(counts)
        found = [ids[prompt.messages] for prompt in prompts]
        _refuse_unreadable(found, prompts)
        num_refused = sum(isinstance(one, DataError) for one in found)
        if num_refused:
            self.renderer.counts["dropped_prompts"] += num_refused
        return found

    def _encode(
        self, conversations: list[tuple[Message, ...]]
    ) -> dict[tuple[Message, ...], list[int] | DataError]:
        encoded = self.renderer.render_prompt_batch(conversations, too_long=self.too_long)
        return dict(zip(conversations, encoded, strict=True))


def _refuse_unreadable(found: Sequence[list[int] | DataError], prompts: Sequence[Prompt]) -> None:
    """Stop at the first text with a token that the model cannot read: more of them would follow.

    Raises:
        DataError: with the place of its row.
    """
    for ids, prompt in zip(found, prompts, strict=True):
        if isinstance(ids, NoEmbedding):
            raise DataError(ids.message, prompt.where)


def _portions(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Yield a few records after the other, so that only their texts and ids are in memory."""
    iterator = iter(records)
    while some := list(islice(iterator, _AT_ONCE)):
        yield some


def _left(found: Iterable[One], given: Sequence[Any], kind: str, renderer: Renderer) -> Sequence[One]:
    rendered = shelve(found)
    if given and not rendered:
        reasons = "; ".join(renderer.report()) or "no reason was counted"
        raise DataError(f"none of {len(given)} {kind} is left after rendering: {reasons}")
    return rendered


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
