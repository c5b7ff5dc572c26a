"""How a reward model reads prompts and responses that come to it as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rlhf.errors import DataError
from rlhf.runs import console
from stages import _inputs

if TYPE_CHECKING:
    from rlhf.feedback.records import Prompt
    from rlhf.rendering import Renderer
    from rlhf.scoring import Scorer

__all__ = ["PROMPT_LIMIT", "build_reader", "keep_readable", "say_reading_counts"]

# In a reward model's config.json: at how many tokens the reward stage has cut its prompts.
PROMPT_LIMIT = "reward_max_prompt_tokens"


def build_reader(model: Any, tokenizer: Any, max_response_tokens: int) -> Renderer:
    """Build the renderer of a reward model that is given text, within what it reads and has learnt to read.

    Its prompts are cut where the reward stage has cut them, and leave room in the context for a response of
    `max_response_tokens`, or half of it. How many tokens a response will have to this tokenizer nobody knows:
    see `Renderer.render_scored`.
    """
    from rlhf.models.encoders import is_encoder, reads_pairs
    from rlhf.models.inputs import context_tokens
    from rlhf.rendering import Renderer

    limit, context = getattr(model.config, PROMPT_LIMIT, None), context_tokens(model)
    if context is not None:
        room = context - min(max_response_tokens, context // 2)
        limit = room if limit is None else min(limit, room)
    return Renderer(
        tokenizer,
        max_prompt_tokens=limit,
        context_tokens=context,
        pairs=reads_pairs(model.config),
        # No encoder stops at a separator; to others an end token in a text would be the end.
        spells_specials=not is_encoder(model.config),
    )


def keep_readable(prompts: Sequence[Prompt], scorer: Scorer, name: str) -> list[Prompt]:
    """Leave out prompts that a reward model of `scorer` cannot be given, and say what it cuts of the others.

    Raises:
        DataError: none is left.

    """
    from rlhf.rendering import render_prompts
    from rlhf.scoring import readers_of

    kept = list(prompts)
    for reader, renderer in readers_of(scorer):
        renderer.counts.clear()
        try:
            kept = [one.prompt for one in render_prompts(kept, renderer)]
        except DataError as error:
            raise DataError(f"{error.message}, for the reward model {reader!r}", where=error.where) from error
        _inputs.say_counts(f"{name} for {reader}", renderer)
        renderer.counts.clear()
    if len(kept) < len(prompts):
        console.say(
            f"  {name}: {len(prompts) - len(kept):,} prompts that a reward model cannot read; left out"
        )
    return kept


def say_reading_counts(scorer: Scorer) -> None:
    """Say what was cut of prompts and responses while they were scored."""
    from rlhf.scoring import readers_of

    for reader, renderer in readers_of(scorer):
        _inputs.say_counts(f"scoring by {reader}", renderer)
