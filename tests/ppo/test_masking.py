"""What does not count has no effect from end to end: tokens after the end, and responses of which nothing counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from rlhf.models.saving import unwrap_model
from rlhf.ppo.credit import advantages
from rlhf.ppo.iteration import learn, roll_out
from rlhf.ppo.metrics import experience_metrics
from rlhf.ppo.parts import Parts
from rlhf.ppo.recipe import Recipe
from rlhf.ppo.steps import score
from rlhf.ppo.types import Experience, Rollout
from tests.ppo.tiny import tiny_parts, tiny_prompts, tiny_recipe

RECIPE = tiny_recipe(max_response_tokens=12, entropy_coef=0.1)


def rolled_out(parts: Parts, recipe: Recipe = RECIPE) -> Rollout:
    rolled = roll_out(parts, recipe, tiny_prompts(parts.renderer, 8), seed=4)
    mask = rolled.generation.response_mask
    assert not mask.all()
    assert mask.all(1).any(), "some responses are cut, some end"
    return rolled


def experience_of(parts: Parts, rolled: Rollout, **options: object) -> Experience:
    return advantages(score(rolled, parts.scorer), parts.reference, parts.learner, kl_coef=0.3, **options)


def moved_parts() -> Parts:
    """The tiny parts with a policy that is not the reference, so that there is a KL."""
    parts = tiny_parts(RECIPE)
    with torch.no_grad():
        parts.policy.lm_head.weight.mul_(1.5)
    return parts


@pytest.mark.parametrize("junk", [0, 1, 77, 399])
def test_inv19_what_stands_after_the_end_changes_no_metric_of_an_update(junk: int) -> None:
    """The ids behind each response are replaced before anything is scored, compared, valued or learnt."""
    found = []
    for replaced in (False, True):
        parts = moved_parts()
        rolled = rolled_out(parts)
        if replaced:
            generation = rolled.generation
            ids = torch.where(generation.response_mask, generation.response_ids, junk)
            assert junk == 0 or not torch.equal(ids, generation.response_ids)
            rolled = dataclasses.replace(rolled, generation=dataclasses.replace(generation, response_ids=ids))
        experience = experience_of(parts, rolled)
        stats = learn(parts, RECIPE, experience, 1)
        found.append({**experience_metrics(experience), **dataclasses.asdict(stats)})
    assert found[0]["ppo/kl"] != 0
    assert found[0] == found[1]


def gradients(parts: Parts, recipe: Recipe, experience: Experience) -> dict[str, torch.Tensor]:
    for optimizer in (parts.policy_optimizer, parts.critic_optimizer):
        optimizer.step = lambda: None
        optimizer.zero_grad = lambda **_: None
    learn(parts, dataclasses.replace(recipe, max_grad_norm=None), experience, 1)
    return {name: p.grad.clone() for name, p in unwrap_model(parts.learner).named_parameters()}


@pytest.mark.parametrize("loss_average", ["tokens", "responses"])
def test_inv29_a_microbatch_of_which_nothing_counts_adds_nothing(loss_average: str) -> None:
    """One minibatch of two microbatches; nothing of the second counts: as if it were not there."""
    recipe = dataclasses.replace(RECIPE, minibatch_size=4, microbatch_size=2, loss_average=loss_average)
    found = []
    for empty in (True, False):
        parts = moved_parts()
        experience = experience_of(parts, rolled_out(parts, recipe))
        (first, second), *_ = experience.minibatches
        mask = experience.generation.response_mask.clone()
        if empty:
            mask[second] = False
        microbatches = (first, second) if empty else (first,)
        found.append(
            gradients(
                parts,
                recipe,
                dataclasses.replace(
                    experience,
                    minibatches=(microbatches,),
                    generation=dataclasses.replace(experience.generation, response_mask=mask),
                ),
            )
        )
    for name, value in found[1].items():
        torch.testing.assert_close(found[0][name], value, atol=1e-6, rtol=1e-4, msg=name)
    assert max(value.abs().max() for value in found[1].values()) > 1e-3


@pytest.fixture
def in_bfloat16() -> Iterator[Accelerator]:
    AcceleratorState._reset_state(reset_partial_state=True)
    yield Accelerator(cpu=True, mixed_precision="bf16")
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("critic", ["reward", "trunk"])
def test_inv09_inv72_in_bfloat16_samples_are_drawn_in_the_precision_of_training(
    in_bfloat16: Accelerator, critic: str
) -> None:
    """Else they would come from another policy than the one whose log-probabilities are trained."""
    parts = tiny_parts(RECIPE, accelerator=in_bfloat16, critic=critic)
    seen: set[torch.dtype] = set()
    for name, module in parts.policy.named_modules():
        if name.endswith("mlp.c_fc"):
            module.register_forward_hook(lambda _, __, out: seen.add(out.dtype))
    roll_out(parts, RECIPE, tiny_prompts(parts.renderer, 8), seed=4)
    assert seen == {torch.bfloat16}
