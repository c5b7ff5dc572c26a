"""The third verb: compare with the reference, reward, and credit each token."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from rlhf.maths.advantages import gae, group_normalised, leave_one_out, spread
from rlhf.maths.kl import kl_k1
from rlhf.maths.masked import Reduce, rescale, whiten
from rlhf.maths.rewards import token_rewards
from rlhf.models.learner import Learner, values_before
from rlhf.models.saving import unwrap_model
from rlhf.ppo.steps import by_microbatch
from rlhf.ppo.types import ComparedRollout, Experience, RewardedRollout, ScoredRollout, advance
from rlhf.rollout import Generation, align_left, logprobs_with_gradient, rows_of

Method = Literal["gae", "leave_one_out", "group_normalised"]


def advantages(
    scored: ScoredRollout,
    reference: nn.Module,
    learner: nn.Module,
    *,
    kl_coef: float,
    kl_in: Literal["reward", "loss"] = "reward",
    whiten_rewards: bool = False,
    method: Method = "gae",
    samples_per_prompt: int = 1,
    gamma: float = 1.0,
    gae_lambda: float = 0.95,
    whiten_advantages: bool = True,
    reduce: Reduce | None = None,
) -> Experience:
    """Credit each token: compare with the reference, reward, and estimate advantages.

    The three steps are `compare`, `reward` and `credit`, where the arguments are explained.
    """
    compared = compare(scored, reference)
    rewarded = reward(compared, kl_coef=kl_coef, kl_in=kl_in, whiten_rewards=whiten_rewards, reduce=reduce)
    return credit(
        rewarded,
        learner,
        method=method,
        samples_per_prompt=samples_per_prompt,
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


def reward(
    compared: ComparedRollout,
    *,
    kl_coef: float,
    kl_in: Literal["reward", "loss"] = "reward",
    whiten_rewards: bool = False,
    reduce: Reduce | None = None,
) -> RewardedRollout:
    """Turn score and KL into one reward a token.

    `kl_coef` is in score units per nat; with `kl_in` "loss" the rewards are the scores alone and `update`
    adds the KL to its loss. `whiten_rewards` scales the rewards of all tokens and processes to variance 1 and
    keeps their mean (Huang et al. 2024, detail 24).
    """
    mask = compared.generation.response_mask
    kl = torch.where(mask, kl_k1(compared.old_logprobs, compared.ref_logprobs), 0.0)
    price = kl_coef if kl_in == "reward" else 0.0
    rewards = token_rewards(compared.scores, kl, mask, price, token_scores=compared.token_scores)
    if whiten_rewards:
        rewards = rescale(rewards, mask, reduce=reduce)
    return advance(compared, RewardedRollout, kl=kl, rewards=rewards, kl_coef=kl_coef)


def credit(
    rewarded: RewardedRollout,
    learner: nn.Module,
    *,
    method: Method = "gae",
    samples_per_prompt: int = 1,
    gamma: float = 1.0,
    gae_lambda: float = 0.95,
    whiten_advantages: bool = True,
    reduce: Reduce | None = None,
) -> Experience:
    """Estimate advantages and returns; returns are of raw advantages, whitening is over all processes.

    `method` "gae" asks the critic (`learner`: a `Learner` or a `Critic`) and uses `gamma` and `gae_lambda`.
    "leave_one_out" and "group_normalised" compare the `samples_per_prompt` responses of a prompt, which stand
    side by side in the batch of all processes, and give every token of a response the same advantage.
    """
    mask = rewarded.generation.response_mask
    if method == "gae":
        old_values = by_microbatch(
            rewarded.generation, rewarded.minibatches, lambda part: response_values(learner, part)
        )
        raw_advantages, returns = gae(rewarded.rewards, old_values, mask, gamma, gae_lambda)
    else:
        old_values = torch.zeros_like(rewarded.rewards)
        raw_advantages = returns = _group_advantages(rewarded, method, samples_per_prompt, reduce)
    credited = whiten(raw_advantages, mask, reduce=reduce) if whiten_advantages else raw_advantages
    return advance(rewarded, Experience, old_values=old_values, advantages=credited, returns=returns)


def _group_advantages(
    rewarded: RewardedRollout, method: Method, samples_per_prompt: int, reduce: Reduce | None
) -> Tensor:
    """Compare what the responses to a prompt add up to; a group may be spread over several processes."""
    totals = rewarded.rewards.sum(1)
    rows = torch.tensor(rewarded.rows, device=totals.device)
    every = totals.new_zeros(rewarded.num_rows).index_copy(0, rows, totals)
    every = every if reduce is None else reduce(every)
    compare_within = leave_one_out if method == "leave_one_out" else group_normalised
    return spread(compare_within(every, samples_per_prompt)[rows], rewarded.generation.response_mask)


def response_values(learner: nn.Module, generation: Generation) -> Tensor:
    """Return the value (B, R) before each response token by a `Learner` or a `Critic`, wrapped or not."""
    ids, mask, aside = rows_of(generation)
    num_response_tokens = generation.response_ids.shape[1]
    if isinstance(unwrap_model(learner), Learner):
        _, values = learner(ids, mask, num_response_tokens, want="values", aside=aside)
    else:
        values = values_before(learner, ids, mask, num_response_tokens, aside)
    return align_left(values, generation)
