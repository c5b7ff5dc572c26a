"""One PPO update, end to end, against NumPy in float64 written from the papers alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rlhf.maths.advantages import gae, group_normalised, leave_one_out, spread
from rlhf.maths.kl import kl_k1
from rlhf.maths.logprobs import entropy, token_logprobs
from rlhf.maths.losses import entropy_loss, kl_loss, policy_loss, response_weights, value_loss
from rlhf.maths.masked import whiten
from rlhf.maths.rewards import (
    clip_scores,
    replace_missing_eos_score,
    subtract_missing_eos_penalty,
    token_rewards,
)
from tests.maths import parity
from tests.maths.parity import B, R, Recipe, V, fixed_batch, reference

PLAIN = Recipe()
RECIPES = {
    "plain": PLAIN,
    "missing EOS replaced": Recipe(missing_eos="replace"),
    "score by the token": Recipe(score_place="tokens"),
    "score by the token, missing EOS replaced": Recipe(score_place="tokens", missing_eos="replace"),
    "clip higher": Recipe(clip_range_high=0.28),
    "dual clip": Recipe(dual_clip=1.3),
    "entropy bonus": Recipe(entropy_coef=parity.ENTROPY_COEF),
    "KL as a loss, k2": Recipe(kl_loss="k2"),
    "KL as a loss, k3": Recipe(kl_loss="k3"),
    "mean over responses": Recipe(loss_average="responses"),
    "everything": Recipe(0.28, 1.3, parity.ENTROPY_COEF, "k2", "replace", "last", "gae", "responses"),
    "RLOO": Recipe(advantages="leave_one_out"),
    "GRPO": Recipe(advantages="group_normalised", kl_loss="k3", loss_average="responses"),
}
CUTS = ([slice(0, 6)], [slice(0, 2), slice(2, 6)], [slice(b, b + 1) for b in range(6)])


def credited(t: dict[str, torch.Tensor], recipe: Recipe, old, ref) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages as the policy gets them, and returns, with the functions under test."""
    by_token = recipe.score_place == "tokens"
    scores = clip_scores(t["scores"] * (not by_token), parity.SCORE_LIMIT)
    if recipe.missing_eos == "replace":
        scores = replace_missing_eos_score(scores, t["ended"], parity.EOS_SCORE)
    else:
        scores = subtract_missing_eos_penalty(scores, t["ended"], parity.EOS_PENALTY)
    kl_coef = parity.KL_COEF if recipe.kl_loss is None else 0.0
    rewards = token_rewards(
        scores, kl_k1(old, ref), t["mask"], kl_coef, t["token_scores"] if by_token else None
    )
    if recipe.advantages == "gae":
        advantages, returns = gae(rewards, t["old_values"], t["mask"], parity.GAMMA, parity.LAMBDA)
        return whiten(advantages, t["mask"]), returns
    of_prompts = {"leave_one_out": leave_one_out, "group_normalised": group_normalised}[recipe.advantages]
    return spread(of_prompts(rewards.sum(dim=1), parity.SAMPLES), t["mask"]), torch.zeros_like(rewards)


def losses_of(t: dict[str, torch.Tensor], recipe: Recipe, rows: slice, old, ref, advantages, returns):
    """The four losses of some rows, by name."""
    mask, by_response = t["mask"][rows], recipe.loss_average == "responses"
    share: dict[str, Any] = {"num_tokens": B if by_response else t["mask"].sum()}
    share["weights"] = response_weights(mask) if by_response else None
    new = token_logprobs(t["logits"][rows], t["ids"][rows], parity.TEMPERATURE)
    policy, _ = policy_loss(
        new,
        old[rows],
        advantages[rows],
        mask,
        parity.CLIP,
        clip_range_high=recipe.clip_range_high,
        dual_clip=recipe.dual_clip,
        **share,
    )
    value, _ = value_loss(
        t["values"][rows], t["old_values"][rows], returns[rows], mask, parity.VALUE_CLIP, **share
    )
    bonus = entropy_loss(entropy(t["logits"][rows], parity.TEMPERATURE), mask, **share)
    divergence = torch.zeros(())
    if recipe.kl_loss is not None:
        divergence = kl_loss(new, ref[rows], old[rows], mask, estimator=recipe.kl_loss, **share)
    return {"policy_loss": policy, "value_loss": value, "entropy_loss": bonus, "kl_loss": divergence}


def ours(batch: dict[str, Any], recipe: Recipe, dtype: torch.dtype, cut: list[slice]) -> dict[str, Any]:
    """The same update with the functions under test and torch's Adam; gradients add up over the cut."""
    t = {name: torch.tensor(value) for name, value in batch.items()}
    t = {name: value.to(dtype) if value.is_floating_point() else value for name, value in t.items()}
    trained = {"logit": t["logits"].requires_grad_(), "value": t["values"].requires_grad_()}
    adam = torch.optim.Adam(
        trained.values(), lr=parity.LEARNING_RATE, betas=parity.BETAS, eps=parity.ADAM_EPSILON
    )
    old, ref = (
        token_logprobs(t[name], t["ids"], parity.TEMPERATURE) for name in ("old_logits", "ref_logits")
    )
    advantages, returns = credited(t, recipe, old, ref)
    result: dict[str, Any] = {"advantages": advantages, "returns": returns}
    for step in range(1, parity.EPOCHS + 1):
        adam.zero_grad()
        for rows in cut:
            losses = losses_of(t, recipe, rows, old, ref, advantages, returns)
            coefs = {"kl_loss": parity.KL_COEF, "entropy_loss": recipe.entropy_coef}
            sum(coefs.get(name, 1.0) * loss for name, loss in losses.items()).backward()
            for name, loss in losses.items():
                result[f"{name} {step}"] = result.get(f"{name} {step}", 0.0) + loss.item()
        for name, tensor in trained.items():
            assert tensor.grad is not None
            result[f"{name}_gradient {step}"] = tensor.grad.clone()
        adam.step()
    return result | {"logits": t["logits"].detach(), "values": t["values"].detach()}


def assert_same(found: dict[str, Any], expected: dict[str, Any], tolerance: float) -> None:
    """Compare every entry."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(
            np.asarray(found[name]), value, rtol=tolerance, atol=tolerance, err_msg=name
        )


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("cut", CUTS, ids=["whole", "two", "six"])
def test_inv54_one_update_equals_the_reference_in_float64(name: str, cut: list[slice]) -> None:
    batch, recipe = fixed_batch(), RECIPES[name]
    # 1e-8 in the square root of whitening is ours, and so are weights in float32; the rest agrees to the last
    # digits
    tolerance = 1e-7 if recipe.loss_average == "tokens" else 1e-6
    assert_same(ours(batch, recipe, torch.float64, cut), reference(batch, recipe), tolerance)


@pytest.mark.parametrize("name", RECIPES)
def test_one_update_equals_the_reference_in_float32(name: str) -> None:
    batch, recipe = fixed_batch(), RECIPES[name]
    assert_same(ours(batch, recipe, torch.float32, [slice(0, 6)]), reference(batch, recipe), 1e-6)


def test_the_reference_meets_every_branch() -> None:
    # or the parity would say nothing about them
    batch, expected = fixed_batch(), reference(fixed_batch(), PLAIN)
    stopped = (expected["logit_gradient 1"] == 0).all(-1) & batch["mask"]
    assert 0 < stopped.sum() < batch["mask"].sum()
    assert 0 < ((expected["value_gradient 1"] == 0) & batch["mask"]).sum() < batch["mask"].sum()
    assert (np.abs(batch["scores"]) > parity.SCORE_LIMIT).any()
    assert not batch["ended"].all()
    ratio = np.exp(
        parity.of_sampled(batch["logits"], batch["ids"])
        - parity.of_sampled(batch["old_logits"], batch["ids"])
    )[batch["mask"]]
    advantages = expected["advantages"][batch["mask"]]
    assert ((advantages > 0) & (ratio > 1.2) & (ratio < 1.28)).any()
    assert ((advantages < 0) & (ratio > 1.3)).any()


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "plain"])
def test_every_recipe_changes_the_update(name: str) -> None:
    batch = fixed_batch()
    change = reference(batch, RECIPES[name])["logits"] - reference(batch, PLAIN)["logits"]
    assert np.abs(change).max() > 1e-5


@pytest.mark.parametrize("name", ["plain", "everything", "GRPO"])
def test_inv19_after_the_end_nothing_counts(name: str) -> None:
    batch = fixed_batch()
    clean = ours(batch, RECIPES[name], torch.float64, [slice(0, 6)])
    random = np.random.default_rng(0)
    for key in ("ids", "logits", "old_logits", "ref_logits", "values", "old_values", "token_scores"):
        mask = batch["mask"].reshape(*batch["mask"].shape, *[1] * (batch[key].ndim - 2))
        noise = random.integers(V, size=(B, R)) if key == "ids" else 50 * random.normal(size=batch[key].shape)
        batch[key] = np.where(mask, batch[key], noise)
    dirty = ours(batch, RECIPES[name], torch.float64, [slice(0, 6)])
    for results in (clean, dirty):  # what was not trained is what it was
        for key in ("logits", "values"):
            results[key] = results[key][torch.tensor(batch["mask"])]
    assert_same(dirty, clean, 0.0)
