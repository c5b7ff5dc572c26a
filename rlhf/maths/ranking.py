"""Losses that teach a reward model the order of K responses to one prompt.

All are means over prompts: within a prompt its comparisons are averaged, so that nine ranked responses (36
pairs) do not weigh 36 times as much as two. ``num_prompts`` plays the part that ``num_tokens`` plays in the
losses of PPO.
"""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

from rlhf.maths.masked import check_mask, masked_mean, zero_masked


def pairwise_ranking_loss(
    scores: torch.Tensor,
    pairs: torch.Tensor,
    targets: torch.Tensor,
    *,
    num_prompts: int | torch.Tensor | None = None,
    margin: float | torch.Tensor = 0.0,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute the logistic (Bradley-Terry) loss of compared pairs, averaged within each prompt.

    Per pair -w [p log sigma(d) + (1 - p) log sigma(-d)] with d = score_i - score_j - margin. p = 1 is a plain
    preference, p = 0.5 a tie, p = 1 - epsilon label smoothing, and a share of votes stands for several
    annotators. To drop ties, leave their pairs out.

    Args:
        scores: (B, K) one score a response, computed once however many pairs it is in; unused places may
            hold anything.
        pairs: (N, 3) int64 rows (b, i, j): response i of prompt b against response j.
        targets: (N,) probability in [0, 1] that i is better than j.
        num_prompts: Prompts with a pair in the whole optimizer step; ``None`` counts those of this batch.
        margin: A number or (N,) in score units: how far i must lead j. With a tie it should be 0.
        weights: (N,) w, from 0 up, what each pair counts; ``None`` is 1 each. The means still divide by the
            numbers of pairs and prompts, not by sums of weights, so that a prompt's gradient does not depend
            on which others it is in a step with.

    Returns:
        The loss in nats, a scalar: 0 with gradient 0 where there is no pair.

    Raises:
        ValueError: The shapes do not fit.

    Source:
        Ouyang et al. 2022 (arXiv:2203.02155), section 3.5, equation 1: all C(K, 2) pairs of a prompt as one
        batch element, weight 1 / C(K, 2). Ties were dropped there; soft targets as in Liu et al. 2024
        (arXiv:2410.05328) are ours by default. Margin: Touvron et al. 2023 (arXiv:2307.09288), equation 2.
        Weights: Wang et al. 2024 (arXiv:2410.01257), "scaled Bradley-Terry".

    >>> scores = torch.tensor([[2.0, 0.0]])
    >>> pairwise_ranking_loss(scores, torch.tensor([[0, 0, 1]]), torch.tensor([1.0]))  # log(1 + exp(-2))
    tensor(0.1269)
    """
    if weights is not None and weights.shape != targets.shape:
        raise ValueError(f"weights must be (N,) as targets, not {tuple(weights.shape)}")
    if pairs.ndim != 2 or pairs.shape[1] != 3 or targets.shape != pairs.shape[:1]:
        raise ValueError(
            f"pairs must be (N, 3) and targets (N,), not {tuple(pairs.shape)}, {tuple(targets.shape)}"
        )
    prompt, first, second = pairs.unbind(dim=1)
    # bfloat16 scores would tie where they differ
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    lead = scores[prompt, first] - scores[prompt, second] - margin
    losses = -(targets * logsigmoid(lead) + (1.0 - targets) * logsigmoid(-lead))
    losses = losses if weights is None else weights * losses
    pairs_of_prompt = torch.bincount(prompt, minlength=scores.shape[0])
    per_pair = losses / pairs_of_prompt[prompt]
    return per_pair.sum() / _count(num_prompts, pairs_of_prompt > 0)


def plackett_luce_loss(
    scores: torch.Tensor,
    ranks: torch.Tensor,
    mask: torch.Tensor,
    *,
    drop_ties: bool = False,
    num_prompts: int | torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute minus the log-likelihood of rankings: the best of all is chosen, then of the rest, ...

    Each response i adds logsumexp(scores of all ranked no better than i) - score_i, and the sum is divided
    by the number of such choices that were choices (a last response without a rival is none). For two
    responses this is the pairwise loss exactly, tied or not. Tied responses are chosen from the same set
    (Breslow), which also pulls their scores together; with `drop_ties` they are no rivals of each other.

    Args:
        scores: (B, K) one score a response.
        ranks: (B, K) integers, 1 is best, equal is a tie; only their order matters.
        mask: (B, K) boolean, True where there is a ranked response.
        drop_ties: Responses of equal rank are not compared.
        num_prompts: Prompts with two or more ranked responses in the whole optimizer step; ``None`` counts
            those of this batch.

    Returns:
        The loss in nats a choice, a scalar: 0 with gradient 0 where there is nothing to choose.

    Raises:
        ValueError: The shapes differ.

    Source:
        Plackett 1975; Luce 1959; for reward models Zhu et al. 2023 (arXiv:2301.11270). Ties:
        Breslow 1974.

    >>> scores, everything = torch.tensor([[2.0, 0.0]]), torch.tensor([[True, True]])
    >>> plackett_luce_loss(scores, torch.tensor([[1, 2]]), everything)  # log(1 + exp(-2)), as for the pair
    tensor(0.1269)
    """
    check_mask(ranks, mask)
    scores = zero_masked(scores, mask)
    alone = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    # rivals[b, i, j]: j is ranked no better than i (worse than i, where ties are dropped). Each has itself,
    # also masked ones, so that no row is empty and logsumexp stays finite.
    worse = ranks[:, None, :] > ranks[:, :, None]
    tied = (ranks[:, None, :] == ranks[:, :, None]) & (not drop_ties)
    rivals = (worse | tied) & mask[:, None, :] & mask[:, :, None] | alone
    normaliser = scores[:, None, :].masked_fill(~rivals, -torch.inf).logsumexp(dim=-1)
    is_choice = rivals.sum(dim=-1) > 1
    per_prompt = masked_mean(normaliser - scores, is_choice, dim=1)
    return per_prompt.sum() / _count(num_prompts, is_choice.any(dim=1))


def centring_penalty(
    scores: torch.Tensor, mask: torch.Tensor, *, num_prompts: int | torch.Tensor | None = None
) -> torch.Tensor:
    """Penalise scores of a prompt that are not zero on average: (2 * mean of its scores)^2.

    A ranking loss does not change when a prompt's scores are shifted together; this settles where they lie,
    so that scores of different prompts can be compared. The factor 2 makes it (score_i + score_j)^2 for a
    pair.

    Args:
        scores: (B, K) one score a response.
        mask: (B, K) boolean, True where there is a response.
        num_prompts: Prompts with a response in the whole optimizer step; ``None`` counts those of this batch.

    Returns:
        The penalty in squared score units, a scalar, not yet multiplied by its coefficient (usually 0.01).

    Raises:
        ValueError: The shapes differ.

    Source:
        Eisenstein et al. 2023 (arXiv:2312.09244), section on underspecification, for a pair; K responses
        are ours.

    >>> centring_penalty(torch.tensor([[2.0, 1.0, 9.0]]), torch.tensor([[True, True, False]]))  # (2 + 1)^2
    tensor(9.)
    """
    per_prompt = (2.0 * masked_mean(scores, mask, dim=1)).square()
    return per_prompt.sum() / _count(num_prompts, mask.any(dim=1))


def _count(num_prompts: int | torch.Tensor | None, has_any: torch.Tensor) -> torch.Tensor:
    """Count the prompts to average over; at least 1, so that a step without any has loss 0, not nan."""
    counted = has_any.sum() if num_prompts is None else torch.as_tensor(num_prompts, device=has_any.device)
    return counted.clamp(min=1)
