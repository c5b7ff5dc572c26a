"""The verbs of PPO, callable one by one: `rollout` and `score` (here), `advantages` and `update` (beside).

    learner = SeparateLearner(policy, critic)
    rolled = rollout(learner, prompts, renderer, temperature=1.0, max_response_tokens=64, seed=1)
    scored = score(rolled, scorer)
    experience = advantages(scored, reference, learner, kl_coef=0.05)
    stats = update(learner, policy_optimizer, critic_optimizer, experience, ...)

The learner may be wrapped by accelerate; every function takes the rows of one process, and `reduce` sums a
tensor over all processes (`None`: there is one).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rlhf.maths.logprobs import entropy, token_logprobs
from rlhf.maths.masked import Reduce
from rlhf.maths.moments import RunningMoments
from rlhf.maths.rewards import (
    clip_scores,
    replace_missing_eos_score,
    subtract_length_penalty,
    subtract_missing_eos_penalty,
)
from rlhf.ppo.batching import split_minibatches
from rlhf.ppo.types import Minibatches, Rollout, ScoredRollout, advance
from rlhf.rollout import Generation, align_left, generate, response_logits
from rlhf.scoring import as_scores

if TYPE_CHECKING:
    from rlhf.rendering import RenderedPrompt, Renderer
    from rlhf.scoring import Scorer


@dataclass(frozen=True, kw_only=True)
class ScoreRules:
    """What happens to a score between the scorer and the reward, in this order; score units.

    Clipped to [-score_clip, score_clip]; a response that was cut before it ended gets `missing_eos_score`
    instead of its score and those of its tokens, or loses `missing_eos_penalty`; every token costs
    `length_penalty`. With neither, as here, a cut response keeps its score, which means little where a reward
    model gave it: that has learnt to read complete responses.
    """

    score_clip: float | None = None
    missing_eos_score: float | None = None
    missing_eos_penalty: float = 0.0
    length_penalty: float = 0.0


def rollout(
    learner: nn.Module,
    prompts: Sequence[RenderedPrompt],
    renderer: Renderer,
    *,
    temperature: float,
    max_response_tokens: int,
    seed: int,
    rows: Sequence[int] | None = None,
    num_rows: int | None = None,
    minibatch_size: int | None = None,
    microbatch_size: int | None = None,
    generation_batch_size: int | None = None,
) -> Rollout:
    """Sample a response for each rendered prompt and take its log-probabilities by the training forward.

    `learner` is a `Learner` or a plain language model. `temperature` > 0 is in the sampling and in every
    log-probability from here on. `rows` are the prompts' numbers in the batch of all processes, which has
    `num_rows` (default: this is the whole batch); they decide the random draws, so a prompt that stands in
    several rows gets several responses. `minibatch_size` and `microbatch_size` are rows of this process
    (default: all rows, and the minibatch). Returns a Rollout whose texts end before the stop token.
    """
    assert temperature > 0, "PPO needs samples: temperature 0 has no log-probability"
    rows = list(range(len(prompts))) if rows is None else rows
    generation = generate(
        learner,
        [prompt.prompt_ids for prompt in prompts],
        stop_token_ids=renderer.stop_token_ids,
        pad_token_id=renderer.pad_token_id,
        opening=renderer.opening,
        max_new_tokens=max_response_tokens,
        temperature=temperature,
        seed=seed,
        rows=rows,
        batch_size=generation_batch_size,
    )
    minibatch_size = minibatch_size or len(prompts)
    minibatches = split_minibatches(
        row_lengths(generation), minibatch_size, microbatch_size or minibatch_size
    )
    old_logprobs, entropies = logprobs_and_entropy(learner, generation, minibatches, temperature)
    texts = tuple(renderer.decode_response(ids) for ids in generation.responses())
    records = tuple(prompt.prompt for prompt in prompts)
    return Rollout(
        records, generation, texts, minibatches, old_logprobs, entropies, temperature,
        tuple(rows), num_rows or len(prompts),
    )  # fmt: skip


def score(
    rolled: Rollout,
    scorer: Scorer,
    *,
    rules: ScoreRules | None = None,
    moments: RunningMoments | None = None,
    moving: bool = False,
    reduce: Reduce | None = None,
) -> ScoredRollout:
    """Give each response its score.

    `moments` bring the scorer's numbers to mean 0 and variance 1; with `moving` they first take in those of
    this rollout, of all processes, that `rules` do not replace. Then `rules` apply. All of it concerns the
    score alone: the KL penalty comes later and is never normalised or clipped.
    """
    generation = rolled.generation
    device = generation.response_ids.device
    given = as_scores(scorer(rolled.prompts, generation, rolled.texts), generation)
    raw_scores = given.responses.to(device)
    if moments is not None and moving:
        moments.update(kept_scores(raw_scores, generation, rules), reduce)
    scores = final_scores(raw_scores, generation, rules, moments)
    return advance(
        rolled,
        ScoredRollout,
        raw_scores=raw_scores,
        scores=scores,
        token_scores=final_token_scores(given.tokens.to(device), generation, rules),
        score_parts=given.parts,
    )


def kept_scores(raw_scores: Tensor, generation: Generation, rules: ScoreRules | None = None) -> Tensor:
    """Return those of the scores (B,) that `rules` do not replace: what is never used moves no moments."""
    if rules is None or rules.missing_eos_score is None:
        return raw_scores
    return raw_scores[generation.ended.to(raw_scores.device)]


def final_token_scores(
    token_scores: Tensor, generation: Generation, rules: ScoreRules | None = None
) -> Tensor:
    """Drop the scores (B, R) of the tokens of a response whose score is replaced because it was cut."""
    if rules is None or rules.missing_eos_score is None:
        return token_scores
    return torch.where(generation.ended.to(token_scores.device)[:, None], token_scores, 0.0)


def final_scores(
    raw_scores: Tensor,
    generation: Generation,
    rules: ScoreRules | None = None,
    moments: RunningMoments | None = None,
) -> Tensor:
    """Normalise scores (B,) and apply `rules` to them, in the order in which those are listed."""
    rules = rules or ScoreRules()
    scores = raw_scores if moments is None else moments.normalise(raw_scores)
    scores = clip_scores(scores, rules.score_clip)
    ended = generation.ended.to(scores.device)
    if rules.missing_eos_score is not None:
        scores = replace_missing_eos_score(scores, ended, rules.missing_eos_score)
    scores = subtract_missing_eos_penalty(scores, ended, rules.missing_eos_penalty)
    num_tokens = generation.response_mask.sum(1).to(scores.device)
    return subtract_length_penalty(scores, num_tokens, rules.length_penalty)


def logprobs_and_entropy(
    learner: nn.Module, generation: Generation, minibatches: Minibatches, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return log-probabilities and entropies, each (B, R), from one forward pass a microbatch."""

    def both(part: Generation) -> Tensor:
        logits, ids = response_logits(learner, part)
        found = (token_logprobs(logits, ids, temperature), entropy(logits, temperature))
        return torch.stack([align_left(values, part) for values in found], dim=-1)

    stacked = by_microbatch(generation, minibatches, both)
    return stacked[..., 0].contiguous(), stacked[..., 1].contiguous()


def by_microbatch(
    generation: Generation, minibatches: Minibatches, function: Callable[[Generation], Tensor]
) -> Tensor:
    """Apply `function`, microbatch -> (b, r, ...), to each without gradient and put the rows together.

    Returns (B, R, ...), 0 past each response.
    """
    mask = generation.response_mask
    result: Tensor | None = None
    with torch.no_grad():
        for index in (rows.to(mask.device) for minibatch in minibatches for rows in minibatch):
            part = generation.rows(index)
            found = function(part)
            if result is None:
                result = found.new_zeros(*mask.shape, *found.shape[2:])
            kept = part.response_mask.reshape(*part.response_mask.shape, *[1] * (found.dim() - 2))
            result[index, : found.shape[1]] = torch.where(kept, found, torch.zeros_like(found))
    assert result is not None
    return result


def row_lengths(generation: Generation) -> list[int]:
    """Return how many tokens, prompt and response, each row holds."""
    lengths: list[int] = (generation.prompt_mask.sum(1) + generation.response_mask.sum(1)).tolist()
    return lengths
