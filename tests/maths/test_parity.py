"""One PPO loss computation, end to end, against NumPy in float64 written from the papers alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rlhf.maths.advantages import gae
from rlhf.maths.kl import kl_k1
from rlhf.maths.logprobs import token_logprobs
from rlhf.maths.losses import policy_loss, value_loss
from rlhf.maths.masked import whiten
from rlhf.maths.rewards import clip_scores, subtract_missing_eos_penalty, token_rewards

B, R, V = 5, 7, 11
KL_COEF, GAMMA, LAMBDA, CLIP, VALUE_CLIP, TEMPERATURE = 0.15, 0.98, 0.95, 0.2, 0.25, 0.8
SCORE_LIMIT, EOS_PENALTY = 1.5, 0.5


def fixed_batch() -> dict[str, Any]:
    """Fixed tensors of one update: responses of 7, 4, 1, 6 and 7 tokens, two of them cut."""
    random = np.random.default_rng(20)
    lengths = np.array([7, 4, 1, 6, 7])
    logits = random.normal(size=(B, R, V))
    return {
        "mask": np.arange(R) < lengths[:, None],
        "ended": np.array([False, True, True, True, False]),
        "ids": random.integers(V, size=(B, R)),
        "logits": logits + random.normal(size=(B, R, V)) / 5,  # of the policy after some steps
        "old_logits": logits,
        "ref_logits": logits + random.normal(size=(B, R, V)) / 3,
        "old_values": (old_values := random.normal(size=(B, R))),
        "values": old_values + random.normal(size=(B, R)) / 3,
        "scores": random.normal(size=B) * 2,
    }


def reference(batch: dict[str, Any]) -> dict[str, Any]:
    """Ziegler et al. equation 2, Schulman et al. 2016 equation 16, Schulman et al. 2017 equations 7 and 9.

    Token by token, in the words of the papers, without a line of the code under test.
    """
    mask = batch["mask"]

    def logprob_of(logits: np.ndarray) -> np.ndarray:
        scaled = np.exp(logits / TEMPERATURE)
        return np.log(np.take_along_axis(scaled, batch["ids"][..., None], -1)[..., 0] / scaled.sum(-1))

    new, old, ref = (logprob_of(batch[name]) for name in ("logits", "old_logits", "ref_logits"))
    scores = np.clip(batch["scores"], -SCORE_LIMIT, SCORE_LIMIT) - EOS_PENALTY * ~batch["ended"]
    advantages, returns = np.zeros((B, R)), np.zeros((B, R))
    for b in range(B):
        length = int(mask[b].sum())
        rewards = [-KL_COEF * (old[b, t] - ref[b, t]) for t in range(length)]
        rewards[length - 1] += scores[b]
        values = [*batch["old_values"][b, :length], 0.0]
        for t in range(length):
            for k in range(t, length):
                delta = rewards[k] + GAMMA * values[k + 1] - values[k]
                advantages[b, t] += (GAMMA * LAMBDA) ** (k - t) * delta
            returns[b, t] = advantages[b, t] + values[t]
    counted = advantages[mask]
    whitened = (advantages - counted.mean()) / counted.std()
    num_tokens = mask.sum()
    result: dict[str, Any] = {"returns": returns, "whitened": np.where(mask, whitened, 0.0)}
    losses, value_losses = np.zeros((B, R)), np.zeros((B, R))
    logit_gradient, value_gradient = np.zeros((B, R, V)), np.zeros((B, R))
    for b, t in zip(*np.nonzero(mask), strict=True):
        ratio, advantage = np.exp(new[b, t] - old[b, t]), whitened[b, t]
        objective = min(ratio * advantage, np.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage)
        losses[b, t] = -objective
        slope = -advantage * ratio if objective == ratio * advantage else 0.0  # d exp(x) = exp(x)
        probs = np.exp(batch["logits"][b, t] / TEMPERATURE)
        one_hot = np.eye(V)[batch["ids"][b, t]]
        logit_gradient[b, t] = slope * (one_hot - probs / probs.sum()) / TEMPERATURE / num_tokens
        value, old_value, target = batch["values"][b, t], batch["old_values"][b, t], returns[b, t]
        near = np.clip(value, old_value - VALUE_CLIP, old_value + VALUE_CLIP)
        plain, clipped = (value - target) ** 2, (near - target) ** 2
        value_losses[b, t] = 0.5 * max(plain, clipped)
        value_gradient[b, t] = (value - target) / num_tokens if plain >= clipped else 0.0
    result["policy_loss"], result["value_loss"] = losses.sum() / num_tokens, value_losses.sum() / num_tokens
    result["logit_gradient"], result["value_gradient"] = logit_gradient, value_gradient
    return result


def ours(batch: dict[str, Any], dtype: torch.dtype, microbatches: list[slice]) -> dict[str, Any]:
    """The same with the functions under test; gradients are gathered over the micro-batches."""
    t = {name: torch.tensor(value) for name, value in batch.items()}
    t = {name: value.to(dtype) if value.is_floating_point() else value for name, value in t.items()}
    logits, values = t["logits"].requires_grad_(), t["values"].requires_grad_()
    old, ref = (token_logprobs(t[name], t["ids"], TEMPERATURE) for name in ("old_logits", "ref_logits"))
    scores = subtract_missing_eos_penalty(clip_scores(t["scores"], SCORE_LIMIT), t["ended"], EOS_PENALTY)
    rewards = token_rewards(scores, kl_k1(old, ref), t["mask"], KL_COEF)
    advantages, returns = gae(rewards, t["old_values"], t["mask"], GAMMA, LAMBDA)
    whitened = whiten(advantages, t["mask"])
    totals, num_tokens = {"policy_loss": 0.0, "value_loss": 0.0}, t["mask"].sum()
    for rows in microbatches:
        new = token_logprobs(logits[rows], t["ids"][rows], TEMPERATURE)
        policy, _ = policy_loss(new, old[rows], whitened[rows], t["mask"][rows], CLIP, num_tokens=num_tokens)
        value, _ = value_loss(
            values[rows],
            t["old_values"][rows],
            returns[rows],
            t["mask"][rows],
            VALUE_CLIP,
            num_tokens=num_tokens,
        )
        (policy + value).backward()
        totals["policy_loss"] += policy.item()
        totals["value_loss"] += value.item()
    gradients = {"logit_gradient": logits.grad, "value_gradient": values.grad}
    return {**totals, **gradients, "returns": returns, "whitened": whitened}


def assert_same(found: dict[str, Any], expected: dict[str, Any], tolerance: float) -> None:
    """Compare every entry."""
    for name, value in expected.items():
        np.testing.assert_allclose(
            np.asarray(found[name]), value, rtol=tolerance, atol=tolerance, err_msg=name
        )


@pytest.mark.parametrize(
    "microbatches", [[slice(0, 5)], [slice(0, 2), slice(2, 5)], [slice(b, b + 1) for b in range(5)]]
)
def test_inv54_one_update_equals_the_reference_in_float64(microbatches: list[slice]) -> None:
    batch = fixed_batch()
    # 1e-8 inside the square root of whitening is ours; the rest agrees to the last digits
    assert_same(ours(batch, torch.float64, microbatches), reference(batch), 1e-7)


def test_one_update_equals_the_reference_in_float32() -> None:
    batch = fixed_batch()
    assert_same(ours(batch, torch.float32, [slice(0, 5)]), reference(batch), 1e-6)


def test_the_reference_meets_every_branch() -> None:
    # or the parity would say nothing about them
    batch, expected = fixed_batch(), reference(fixed_batch())
    stopped = (expected["logit_gradient"] == 0).all(-1) & batch["mask"]
    assert 0 < stopped.sum() < batch["mask"].sum()
    assert 0 < ((expected["value_gradient"] == 0) & batch["mask"]).sum() < batch["mask"].sum()
    assert (np.abs(batch["scores"]) > SCORE_LIMIT).any()
    assert not batch["ended"].all()


def test_inv19_after_the_end_nothing_counts() -> None:
    batch = fixed_batch()
    clean = ours(batch, torch.float64, [slice(0, 5)])
    random = np.random.default_rng(0)
    for name in ("ids", "logits", "old_logits", "ref_logits", "values", "old_values"):
        mask = batch["mask"].reshape(*batch["mask"].shape, *[1] * (batch[name].ndim - 2))
        noise = (
            random.integers(V, size=(B, R)) if name == "ids" else 50 * random.normal(size=batch[name].shape)
        )
        batch[name] = np.where(mask, batch[name], noise)
    dirty = ours(batch, torch.float64, [slice(0, 5)])
    assert_same(dirty, clean, 0.0)
