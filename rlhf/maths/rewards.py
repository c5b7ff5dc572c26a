"""From the scores of one or several judges to one reward a token."""

from __future__ import annotations

from typing import Literal

import torch

from rlhf.maths.masked import check_mask, zero_masked


def last_token_index(response_mask: torch.Tensor) -> torch.Tensor:
    """Find the last token of each response that counts.

    Args:
        response_mask: (B, R) boolean, True counts; gaps are allowed.

    Returns:
        (B,) int64 in [0, R). A response without a single counted token has 0, never a negative index.

    >>> last_token_index(torch.tensor([[True, True, False], [True, False, True], [False, False, False]]))
    tensor([1, 2, 0])
    """
    positions = torch.arange(response_mask.shape[1], device=response_mask.device)
    return (positions * response_mask).amax(dim=1)


def token_rewards(
    scores: torch.Tensor,
    kl: torch.Tensor,
    response_mask: torch.Tensor,
    kl_coef: float,
    token_scores: torch.Tensor | None = None,
) -> torch.Tensor:
    """Penalise the divergence on every token and put the score on the last one.

    r_t = -kl_coef * kl_t, plus the score at the last token that counts: the end token, or the last token
    sampled where the response was cut; plus the token's own score where a judge gives one a token. The
    rewards of a response add up to ``score + sum(token_scores) - kl_coef * sum(kl)``.

    Args:
        scores: (B,) one number a response, after clipping and normalising.
        kl: (B, R) nats, the estimate k1 of each token.
        response_mask: (B, R) boolean, True counts; includes the end token.
        kl_coef: Weight of the penalty, score units per nat, not negative.
        token_scores: (B, R) score units, one a token; whatever is masked does not matter. ``None``: there are
            none.

    Returns:
        (B, R) in score units, 0 where masked. A response without a counted token has no place for its score.

    Raises:
        ValueError: The shapes do not fit.

    Source:
        Ziegler et al. 2019 (arXiv:1909.08593), equation 2; Stiennon et al. 2020 (arXiv:2009.01325), section
        3.4; Ouyang et al. 2022 (arXiv:2203.02155), equation 2.

    >>> kl, mask = torch.tensor([[0.5, 0.25, 9.0]]), torch.tensor([[True, True, False]])
    >>> token_rewards(torch.tensor([1.0]), kl, mask, kl_coef=2.0)
    tensor([[-1.0000,  0.5000,  0.0000]])
    """
    if scores.shape != kl.shape[:1]:
        raise ValueError(f"scores have shape {tuple(scores.shape)}, kl {tuple(kl.shape)}: they do not fit")
    check_mask(kl, response_mask)
    positions = torch.arange(kl.shape[1], device=kl.device)
    is_last = response_mask & (positions == last_token_index(response_mask)[:, None])
    penalty = zero_masked(-kl_coef * kl, response_mask)
    rewards = penalty + torch.where(is_last, scores[:, None].to(penalty.dtype), 0.0)
    return rewards if token_scores is None else rewards + zero_masked(token_scores, response_mask)


def combine_scores(
    scores: torch.Tensor, how: Literal["mean", "min", "mean_minus_std"], std_coef: float
) -> torch.Tensor:
    """Make one score of those of an ensemble of reward models, in doubt the lower one.

    A policy finds the responses that one model overrates; the others seldom agree on those. ``min`` believes
    the strictest model, ``mean_minus_std`` takes off what they disagree by, ``mean`` only averages.

    Args:
        scores: (K, B) score units, a row a model.
        how: ``"mean"``, ``"min"`` or ``"mean_minus_std"``.
        std_coef: Standard deviations to take off, not negative; used by ``"mean_minus_std"`` alone.

    Returns:
        (B,) in score units; of a single model its own scores. The standard deviation is that of the
        population (divided by K): these K models are all there are, and one model has none instead of nan.

    Raises:
        ValueError: ``how`` is none of these, ``std_coef`` is negative, or there is no model.

    Source:
        Coste et al. 2023 (arXiv:2310.02743): mean, worst-case and uncertainty-weighted optimisation. There
        the *variance* is taken off; the deviation is in score units, so that the coefficient keeps its
        meaning where the scores are rescaled.

    >>> scores = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    >>> combine_scores(scores, "min", 0.0), combine_scores(scores, "mean_minus_std", 0.5)  # 2 - 0.5 * 1
    (tensor([1., 0.]), tensor([1.5000, 0.0000]))
    """
    if scores.ndim != 2 or scores.shape[0] == 0:
        raise ValueError(f"scores of an ensemble must be (models, responses), not {tuple(scores.shape)}")
    if not std_coef >= 0:
        raise ValueError(f"std_coef must be at least 0, not {std_coef}")
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if how == "mean":
        return scores.mean(dim=0)
    if how == "min":
        return scores.amin(dim=0)
    if how == "mean_minus_std":
        return scores.mean(dim=0) - std_coef * scores.std(dim=0, correction=0)
    raise ValueError(f"scores are combined by mean, min or mean_minus_std, not {how!r}")


def subtract_length_penalty(scores: torch.Tensor, num_tokens: torch.Tensor, coef: float) -> torch.Tensor:
    """Lower the score of each response in proportion to its length.

    Args:
        scores: (B,) in score units.
        num_tokens: (B,) integers, the tokens of each response that count, with the end token.
        coef: Score units a token, not negative; 0 changes nothing.

    Returns:
        (B,) in score units.

    Raises:
        ValueError: ``coef`` is negative or the shapes differ.

    Source:
        Singhal et al. 2023 (arXiv:2310.03716), the "length penalty" among their interventions, up to a
        constant.

    >>> subtract_length_penalty(torch.tensor([2.0, 2.0]), torch.tensor([1, 10]), 0.1)
    tensor([1.9000, 1.0000])
    """
    if not coef >= 0:
        raise ValueError(f"the length penalty must be at least 0 score units a token, not {coef}")
    if num_tokens.shape != scores.shape:
        raise ValueError(
            f"there are scores of shape {tuple(scores.shape)} and lengths of shape {tuple(num_tokens.shape)}"
        )
    return scores - coef * num_tokens


def clip_scores(scores: torch.Tensor, limit: float | None) -> torch.Tensor:
    """Limit scores to [-limit, limit], so that one odd response cannot rule a batch.

    Applied to the score alone, before the KL penalty: clipping their sum would hide the penalty of exactly
    those responses that drifted furthest.

    Args:
        scores: (B,) in score units.
        limit: Positive, in score units; ``None`` leaves the scores as they are.

    Returns:
        (B,) in score units.

    Raises:
        ValueError: ``limit`` is not positive.

    Source:
        Zheng et al. 2023 (arXiv:2307.04964), section 5.3.1.

    >>> clip_scores(torch.tensor([-7.0, 0.5]), 5.0)
    tensor([-5.0000,  0.5000])
    """
    if limit is None:
        return scores
    if not limit > 0:
        raise ValueError(f"the limit of the scores must be positive, not {limit}")
    return scores.clamp(-limit, limit)


def subtract_missing_eos_penalty(scores: torch.Tensor, ended: torch.Tensor, penalty: float) -> torch.Tensor:
    """Lower the score of each response that was cut before it ended.

    Args:
        scores: (B,) in score units.
        ended: (B,) boolean, True where a stop token was sampled.
        penalty: In score units, not negative; 0 changes nothing.

    Returns:
        (B,) in score units.

    Source:
        The `missing_eos_penalty` of TRL's PPO; compare :func:`replace_missing_eos_score`.

    >>> subtract_missing_eos_penalty(torch.tensor([2.0, 2.0]), torch.tensor([True, False]), 0.5)
    tensor([2.0000, 1.5000])
    """
    check_mask(scores, ended)
    return torch.where(ended, scores, scores - penalty)


def replace_missing_eos_score(scores: torch.Tensor, ended: torch.Tensor, value: float) -> torch.Tensor:
    """Give each response that was cut before it ended the same score, whatever it says ("EOS trick").

    Args:
        scores: (B,) in score units.
        ended: (B,) boolean, True where a stop token was sampled.
        value: In score units; should be lower than what most responses get (Huang et al.: -1).

    Returns:
        (B,) in score units.

    Source:
        Huang et al. 2024 (arXiv:2403.17031), detail 23; Stiennon et al. 2020 (arXiv:2009.01325).

    >>> replace_missing_eos_score(torch.tensor([2.0, 2.0]), torch.tensor([True, False]), -1.0)
    tensor([ 2., -1.])
    """
    check_mask(scores, ended)
    return torch.where(ended, scores, value)
