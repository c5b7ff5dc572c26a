"""The verbs of PPO, callable one by one: `rollout`, `score`, `advantages` (and `update`, in its own file).

    prompts = render_prompts(records, renderer)
    rolled = rollout(policy, prompts, renderer, temperature=1.0, max_response_tokens=64, seed=1)
    scored = score(rolled, scorer)
    experience = advantages(scored, reference, critic, kl_coef=0.05, gamma=1.0, gae_lambda=0.95)
    stats = update(policy, critic, policy_optimizer, critic_optimizer, experience, ...)

Models may be wrapped by accelerate; every function takes the rows of one process, and `reduce` sums a tensor
over all processes (`None`: there is one).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rlhf.maths.advantages import gae
from rlhf.maths.kl import kl_k1
from rlhf.maths.logprobs import entropy, token_logprobs
from rlhf.maths.masked import Reduce, whiten
from rlhf.maths.rewards import (
    clip_scores,
    replace_missing_eos_score,
    subtract_missing_eos_penalty,
    token_rewards,
)
from rlhf.models.saving import unwrap_model
from rlhf.ppo.batching import split_minibatches
from rlhf.ppo.types import (
    ComparedRollout,
    Experience,
    Minibatches,
    RewardedRollout,
    Rollout,
    ScoredRollout,
    advance,
)
from rlhf.rollout import Generation, align_left, generate, join, logprobs_with_gradient, response_logits

if TYPE_CHECKING:
    from rlhf.rendering import RenderedPrompt, Renderer
    from rlhf.scoring import Scorer


def rollout(
    policy: nn.Module,
    prompts: Sequence[RenderedPrompt],
    renderer: Renderer,
    *,
    temperature: float,
    max_response_tokens: int,
    seed: int,
    rows: Sequence[int] | None = None,
    minibatch_size: int | None = None,
    microbatch_size: int | None = None,
    generation_batch_size: int | None = None,
) -> Rollout:
    """Sample a response for each rendered prompt and take its log-probabilities by the training forward.

    `temperature` > 0 is in the sampling and in every log-probability from here on. `rows` are the prompts'
    numbers in the batch of all processes (see `rlhf.rollout.generate`). `minibatch_size` and
    `microbatch_size` are rows of this process (default: all rows, and the minibatch). Returns a Rollout whose
    texts end before the stop token.
    """
    assert temperature > 0, "PPO needs samples: temperature 0 has no log-probability"
    generation = generate(
        unwrap_model(policy),
        [prompt.prompt_ids for prompt in prompts],
        stop_token_ids=renderer.stop_token_ids,
        pad_token_id=renderer.pad_token_id,
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
    old_logprobs, entropies = logprobs_and_entropy(policy, generation, minibatches, temperature)
    texts = tuple(renderer.decode_response(ids) for ids in generation.responses())
    records = tuple(prompt.prompt for prompt in prompts)
    return Rollout(records, generation, texts, minibatches, old_logprobs, entropies, temperature)


def score(
    rolled: Rollout,
    scorer: Scorer,
    *,
    score_clip: float | None = None,
    missing_eos_penalty: float = 0.0,
    missing_eos_score: float | None = None,
) -> ScoredRollout:
    """Give each response its score.

    `score_clip` limits the scorer's numbers to [-score_clip, score_clip]; then a response that was cut before
    it ended loses `missing_eos_penalty`, or gets `missing_eos_score` instead of its score (score units). All
    of it concerns the score alone: the KL penalty comes later and is never clipped.
    """
    generation = rolled.generation
    raw_scores = scorer(rolled.prompts, generation, rolled.texts).to(generation.response_ids.device)
    scores = final_scores(
        raw_scores,
        generation.ended,
        score_clip=score_clip,
        missing_eos_penalty=missing_eos_penalty,
        missing_eos_score=missing_eos_score,
    )
    return advance(rolled, ScoredRollout, raw_scores=raw_scores, scores=scores)


def final_scores(
    scores: Tensor,
    ended: Tensor,
    *,
    score_clip: float | None = None,
    missing_eos_penalty: float = 0.0,
    missing_eos_score: float | None = None,
) -> Tensor:
    """Apply the rules of `score` to scores (B,) of responses of which some have ended (B,) bool."""
    scores = clip_scores(scores, score_clip)
    if missing_eos_score is not None:
        scores = replace_missing_eos_score(scores, ended, missing_eos_score)
    return subtract_missing_eos_penalty(scores, ended, missing_eos_penalty)


def advantages(
    scored: ScoredRollout,
    reference: nn.Module,
    critic: nn.Module,
    *,
    kl_coef: float,
    gamma: float,
    gae_lambda: float,
    whiten_advantages: bool = True,
    reduce: Reduce | None = None,
) -> Experience:
    """Credit each token: compare with the reference, reward, and estimate advantages against the critic."""
    return credit(
        reward(compare(scored, reference), kl_coef=kl_coef),
        critic,
        gamma=gamma,
        gae_lambda=gae_lambda,
        whiten_advantages=whiten_advantages,
        reduce=reduce,
    )


def compare(scored: ScoredRollout, reference: nn.Module) -> ComparedRollout:
    """Take the reference's log-probabilities of the same ids, microbatches and temperature."""
    ref_logprobs = by_microbatch(
        scored.generation,
        scored.minibatches,
        lambda part: logprobs_with_gradient(reference, part, scored.temperature),
    )
    return advance(scored, ComparedRollout, ref_logprobs=ref_logprobs)


def reward(compared: ComparedRollout, *, kl_coef: float) -> RewardedRollout:
    """Turn score and KL into one reward a token; `kl_coef` in score units per nat."""
    mask = compared.generation.response_mask
    kl = torch.where(mask, kl_k1(compared.old_logprobs, compared.ref_logprobs), 0.0)
    rewards = token_rewards(compared.scores, kl, mask, kl_coef)
    return advance(compared, RewardedRollout, kl=kl, rewards=rewards, kl_coef=kl_coef)


def credit(
    rewarded: RewardedRollout,
    critic: nn.Module,
    *,
    gamma: float,
    gae_lambda: float,
    whiten_advantages: bool = True,
    reduce: Reduce | None = None,
) -> Experience:
    """Estimate advantages and returns; returns are of raw advantages, whitening is over all processes."""
    mask = rewarded.generation.response_mask
    old_values = by_microbatch(
        rewarded.generation, rewarded.minibatches, lambda part: response_values(critic, part)
    )
    raw_advantages, returns = gae(rewarded.rewards, old_values, mask, gamma, gae_lambda)
    credited = whiten(raw_advantages, mask, reduce=reduce) if whiten_advantages else raw_advantages
    return advance(rewarded, Experience, old_values=old_values, advantages=credited, returns=returns)


def response_values(critic: nn.Module, generation: Generation) -> Tensor:
    """Return the critic's value (B, R) before each response token; goes through the wrapper."""
    values: Tensor = critic(*join(generation))
    num_response_tokens = generation.response_ids.shape[1]
    return align_left(values[:, -num_response_tokens - 1 : -1], generation)


def logprobs_and_entropy(
    policy: nn.Module, generation: Generation, minibatches: Minibatches, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return log-probabilities and entropies, each (B, R), from one forward pass a microbatch."""

    def both(part: Generation) -> Tensor:
        logits, ids = response_logits(policy, part)
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
