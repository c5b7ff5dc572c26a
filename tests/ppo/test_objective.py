"""What an optimizer step minimises, against one response after the other without padding."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from rlhf.maths.losses import entropy_loss, kl_loss, policy_loss, value_loss
from rlhf.ppo.credit import advantages
from rlhf.ppo.iteration import roll_out
from rlhf.ppo.objective import STEP_STATS, Objective, microbatch_terms
from rlhf.ppo.steps import score
from tests.ppo.tiny import tiny_parts, tiny_prompts, tiny_recipe

TEMPERATURE, KL_COEF = 0.7, 0.3
OBJECTIVE = Objective(
    clip_range=0.05,
    clip_range_high=0.1,
    dual_clip=1.2,
    value_clip_range=0.005,
    value_coef=0.4,
    entropy_coef=0.2,
)


def moved_off():
    """Experience, and a policy and critic that have moved since and are not the reference's."""
    recipe = tiny_recipe(max_response_tokens=12, temperature=TEMPERATURE)
    parts = tiny_parts(recipe)
    with torch.no_grad():
        parts.reference.lm_head.weight.mul_(0.8)
    rolled = roll_out(parts, recipe, tiny_prompts(parts.renderer, 8), seed=4)
    found = advantages(
        score(rolled, parts.scorer), parts.reference, parts.learner, kl_coef=KL_COEF, kl_in="loss"
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        weight = parts.policy.lm_head.weight
        weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.02)
        for parameter in parts.learner.critic.parameters():
            parameter.mul_(0.9)
    # advantages of both signs at ratios of both sides, so that each clip meets tokens that it holds back
    mask = found.generation.response_mask
    credit, shift = (torch.randn(mask.shape, generator=generator) * mask for _ in range(2))
    found = dataclasses.replace(found, advantages=credit, old_logprobs=found.old_logprobs + 0.3 * shift)
    return parts, found


def row_by_row(parts, found, rows, objective, divisor):
    """The four terms as they are written in the papers' sums, and the largest |ratio - 1|."""
    signs = set()
    sums = dict.fromkeys(("policy_loss", "value_loss", "entropy_loss", "kl_loss"), torch.zeros(()))
    worst = 0.0
    prompts, responses = found.generation.prompts(), found.generation.responses()
    for row in rows:
        ids, length = torch.tensor([prompts[row] + responses[row]]), len(responses[row])
        before = slice(ids.shape[1] - length - 1, ids.shape[1] - 1)  # the places that predict the response
        distribution = torch.log_softmax(parts.policy(input_ids=ids).logits[:, before] / TEMPERATURE, -1)
        logprobs = distribution.gather(-1, ids[:, -length:, None]).squeeze(-1)
        values = parts.learner.critic(ids, torch.ones_like(ids, dtype=torch.bool))[:, before]
        old, ref, credit, old_values, returns = (
            getattr(found, name)[row : row + 1, :length]
            for name in ("old_logprobs", "ref_logprobs", "advantages", "old_values", "returns")
        )
        each = {"num_tokens": divisor * (length if objective.loss_average == "responses" else 1)}
        mask = torch.ones_like(old, dtype=torch.bool)
        clips = (objective.clip_range,)
        high = {"clip_range_high": objective.clip_range_high, "dual_clip": objective.dual_clip}
        sums["policy_loss"] = (
            sums["policy_loss"] + policy_loss(logprobs, old, credit, mask, *clips, **high, **each)[0]
        )
        sums["value_loss"] = (
            sums["value_loss"]
            + value_loss(values, old_values, returns, mask, objective.value_clip_range, **each)[0]
        )
        sums["entropy_loss"] = sums["entropy_loss"] + entropy_loss(
            -(distribution.exp() * distribution).sum(-1), mask, **each
        )
        if objective.kl_loss is not None:
            sums["kl_loss"] = sums["kl_loss"] + kl_loss(
                logprobs, ref, old, mask, estimator=objective.kl_loss, **each
            )
        ratio, sign = (logprobs.detach() - old).exp()[0].tolist(), (credit > 0)[0].tolist()
        signs |= {(r > 1.2, r < 0.95, positive) for r, positive in zip(ratio, sign, strict=True)}
        worst = max(worst, float((logprobs.detach() - old).exp().sub(1).abs().max()))
    assert {(True, False, True), (True, False, False), (False, True, False)} <= signs, "every clip is needed"
    return sums, worst


@pytest.mark.parametrize("loss_average", ["tokens", "responses"])
@pytest.mark.parametrize("estimator", [None, "k2", "k3"])
def test_inv02_inv51_inv53_the_loss_is_the_weighted_sum_of_its_terms_row_by_row(estimator, loss_average):
    """Left and right padding, temperature, positions, clips and coefficients; the gradient tells them apart."""
    parts, found = moved_off()
    objective = dataclasses.replace(OBJECTIVE, kl_loss=estimator, loss_average=loss_average)
    rows = torch.tensor([7, 6, 3])
    assert len(set(found.generation.response_mask[rows].sum(1).tolist())) == 3
    terms = microbatch_terms(parts.learner, found, rows, 17, objective)
    sums, worst = row_by_row(parts, found, rows.tolist(), objective, 17)
    expected = (
        sums["policy_loss"]
        + 0.2 * sums["entropy_loss"]
        + KL_COEF * sums["kl_loss"]
        + 0.4 * sums["value_loss"]
    )
    torch.testing.assert_close(terms.loss, expected, atol=1e-5, rtol=1e-5)
    stats = dict(zip(STEP_STATS, terms.stats.tolist(), strict=True))
    for name, value in sums.items():
        assert stats[name] == pytest.approx(float(value.detach()), abs=1e-5), name
    assert stats["clip_fraction"] > 0
    assert stats["value_clip_fraction"] > 0
    assert terms.ratio_error == pytest.approx(worst, rel=1e-4)
    assert worst > 0.1
    trained = parts.learner.policy_parameters() + parts.learner.critic_parameters()
    pairs = zip(torch.autograd.grad(terms.loss, trained), torch.autograd.grad(expected, trained), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)


def test_inv76_the_critic_alone_has_a_loss_without_the_policys_terms():
    parts, found = moved_off()
    rows = torch.tensor([7, 6, 3])
    terms = microbatch_terms(parts.learner, found, rows, 17, OBJECTIVE, policy_counts=False)
    sums, _ = row_by_row(parts, found, rows.tolist(), OBJECTIVE, 17)
    torch.testing.assert_close(terms.loss, 0.4 * sums["value_loss"], atol=1e-6, rtol=1e-5)
    grads = torch.autograd.grad(terms.loss, parts.learner.policy_parameters())
    assert all((grad == 0).all() for grad in grads), "zero, and there: wrappers wait for it"
