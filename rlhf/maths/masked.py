"""Sums, means and moments that see only the positions that count.

Masked positions are removed with ``torch.where`` semantics, never by multiplying with zero: ``nan * 0`` is
``nan``, and padding may hold anything (OpenRLHF pull request 1240).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Reduce = Callable[[torch.Tensor], torch.Tensor]
"""Returns the sum of a tensor over all processes, for example ``lambda x: accelerator.reduce(x, "sum")``."""

_EPSILON = 1e-8


def check_mask(x: torch.Tensor, mask: torch.Tensor) -> None:
    """Raise where ``mask`` is not a boolean tensor of the shape of ``x``.

    A float mask would silently turn ``~mask`` or ``where`` into something else, and a mask of another shape
    would broadcast, so both are refused.

    Args:
        x: Any tensor.
        mask: The mask that is to select from it.

    Raises:
        TypeError: ``mask`` is not boolean.
        ValueError: The shapes differ.
    """
    if mask.dtype != torch.bool:
        raise TypeError(f"a mask must be boolean (True counts), not {mask.dtype}")
    if mask.shape != x.shape:
        raise ValueError(
            f"the mask has shape {tuple(mask.shape)} but masks a tensor of shape {tuple(x.shape)}"
        )


def zero_masked(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Replace everything that does not count by 0, whatever it holds; no gradient flows to it.

    Args:
        x: Values, any shape; integers and half precision are promoted to float32.
        mask: Boolean, same shape, True counts.

    Returns:
        A new tensor of the shape of ``x``.

    >>> zero_masked(torch.tensor([1.0, float("nan")]), torch.tensor([True, False]))
    tensor([1., 0.])
    """
    check_mask(x, mask)
    return x.to(torch.promote_types(x.dtype, torch.float32)).masked_fill(~mask, 0.0)


def masked_sum(x: torch.Tensor, mask: torch.Tensor, dim: int | None = None) -> torch.Tensor:
    """Add up what counts.

    Args:
        x: Values, any shape.
        mask: Boolean, same shape, True counts.
        dim: The axis to sum over; ``None`` sums over all.

    Returns:
        The sum, a scalar or ``x`` without axis ``dim``; 0 where nothing counts.

    >>> masked_sum(torch.tensor([[1.0, 2.0], [4.0, 8.0]]), torch.tensor([[True, True], [True, False]]), dim=1)
    tensor([3., 4.])
    """
    kept = zero_masked(x, mask)
    return kept.sum() if dim is None else kept.sum(dim)


def masked_mean(x: torch.Tensor, mask: torch.Tensor, dim: int | None = None) -> torch.Tensor:
    """Average what counts.

    Where nothing counts the mean is 0 and still differentiable, so that a micro-batch without a counted
    token adds nothing to a loss instead of making it ``nan``.

    Args:
        x: Values, any shape.
        mask: Boolean, same shape, True counts.
        dim: The axis to average over; ``None`` averages over all.

    Returns:
        The mean, a scalar or ``x`` without axis ``dim``.

    >>> mask = torch.tensor([[True, True], [True, False]])
    >>> masked_mean(torch.tensor([[1.0, 2.0], [4.0, 8.0]]), mask, dim=1)
    tensor([1.5000, 4.0000])
    """
    count = mask.sum() if dim is None else mask.sum(dim)
    return masked_sum(x, mask, dim) / count.clamp(min=1)


def masked_moments(
    x: torch.Tensor, mask: torch.Tensor, reduce: Reduce | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Measure mean, variance and count of what counts, over one process or all.

    The variance is that of the population (divided by the count, as in Huang et al.), so that one token has
    variance 0, not ``nan``. It is taken in a second pass around the mean: the difference of two large sums of
    squares would lose all its digits in float32.

    Args:
        x: Values, any shape.
        mask: Boolean, same shape, True counts.
        reduce: Sums a tensor over all processes; called twice, on every process, also where nothing counts.

    Returns:
        Mean, variance and count, three scalars; all 0 where nothing counts.

    Source:
        Huang et al. 2024 (arXiv:2403.17031), `whiten` of their code.

    >>> mask = torch.tensor([True, True, False])
    >>> mean, variance, count = masked_moments(torch.tensor([1.0, 3.0, 99.0]), mask)
    >>> mean.item(), variance.item(), count.item()
    (2.0, 1.0, 2.0)
    """
    add_up = reduce or (lambda tensor: tensor)
    kept = zero_masked(x, mask)
    total, count = add_up(torch.stack([kept.sum(), mask.sum().to(kept.dtype)])).unbind()
    mean = total / count.clamp(min=1)
    squares = add_up(masked_sum((kept - mean).square(), mask))
    return mean, squares / count.clamp(min=1), count


def whiten(x: torch.Tensor, mask: torch.Tensor, *, reduce: Reduce | None = None) -> torch.Tensor:
    """Shift and scale to mean 0 and variance 1 over everything that counts, on all processes together.

    For advantages. :func:`rescale` keeps the mean; they are two functions because a flag that flips a
    formula gets flipped wrongly (torchtune's whitened advantages keep their mean).

    Args:
        x: Values, any shape.
        mask: Boolean, same shape, True counts.
        reduce: Sums a tensor over all processes, see :func:`masked_moments`.

    Returns:
        A tensor of the shape of ``x``, 0 where masked. A single counted value becomes 0.

    Source:
        Huang et al. 2024 (arXiv:2403.17031), `whiten(shift_mean=True)` of their code; there over all
        positions, here over the response tokens alone.

    >>> whiten(torch.tensor([1.0, 3.0, 99.0]), torch.tensor([True, True, False]))
    tensor([-1.,  1.,  0.])
    """
    x = zero_masked(x, mask)
    mean, variance, _ = masked_moments(x, mask, reduce)
    return zero_masked((x - mean) * torch.rsqrt(variance + _EPSILON), mask)


def rescale(x: torch.Tensor, mask: torch.Tensor, *, reduce: Reduce | None = None) -> torch.Tensor:
    """Scale the spread around the mean to variance 1 and keep the mean, on all processes together.

    For rewards: shifting them would change what is rewarded (a reward of 0 a token is neutral), see Huang
    et al., detail 24, who also found that it shortens responses.

    Args:
        x: Values, any shape.
        mask: Boolean, same shape, True counts.
        reduce: Sums a tensor over all processes, see :func:`masked_moments`.

    Returns:
        A tensor of the shape of ``x``, 0 where masked. A single counted value stays as it is.

    Source:
        Huang et al. 2024 (arXiv:2403.17031), `whiten(shift_mean=False)` of their code.

    >>> rescale(torch.tensor([1.0, 5.0, 99.0]), torch.tensor([True, True, False]))
    tensor([2., 4., 0.])
    """
    x = zero_masked(x, mask)
    mean, variance, _ = masked_moments(x, mask, reduce)
    return zero_masked((x - mean) * torch.rsqrt(variance + _EPSILON) + mean, mask)
