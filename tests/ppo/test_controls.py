"""Every control of a run has the effect that it is named for."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from rlhf.ppo import update as update_module
from rlhf.ppo.credit import advantages
from rlhf.ppo.evaluation import evaluate
from rlhf.ppo.iteration import calibrate, collect, learn, roll_out
from rlhf.ppo.steps import ScoreRules, score
from rlhf.runs.jsonl import read_jsonl
from rlhf.scoring import FunctionScorer
from tests.ppo.running import all_weights, run_training
from tests.ppo.tiny import function_scorer, same_weights, tiny_parts, tiny_prompts, tiny_recipe, weights


def experience_of(parts, recipe, **options):
    rolled = roll_out(parts, recipe, tiny_prompts(parts.renderer, 8), seed=4)
    return advantages(score(rolled, parts.scorer), parts.reference, parts.learner, kl_coef=0.5, **options)


def learnt(recipe, nudge=0.0, **options):
    """The statistics and the policy's weights after one update; `nudge` moves the policy off the reference."""
    parts = tiny_parts(recipe)
    with torch.no_grad():
        parts.policy.lm_head.weight.mul_(1.0 + nudge)
    stats = learn(parts, recipe, experience_of(parts, recipe, **options), 1)
    return stats, weights(parts.policy)


# ---- terms of the loss


def test_an_entropy_bonus_raises_the_entropy(tmp_path):
    found = []
    for entropy_coef in (0.0, 5.0):
        recipe = tiny_recipe(num_updates=6, entropy_coef=entropy_coef, learning_rate=1e-2, kl_coef=0.0)
        run_training(tmp_path / str(entropy_coef), recipe, held_out=False)
        found.append(read_jsonl(tmp_path / str(entropy_coef) / "metrics.jsonl")[-1])
    assert found[1]["ppo/entropy"] > found[0]["ppo/entropy"]
    assert found[0]["ppo/entropy_loss"] == 0.0
    assert found[1]["ppo/entropy_loss"] == pytest.approx(-found[1]["ppo/entropy"], rel=0.05)


@pytest.mark.parametrize("estimator", ["k2", "k3"])
def test_inv34_kl_in_the_loss_pulls_back_to_the_reference(tmp_path, estimator):
    def letters(prompts, responses):
        return [float(sum(letter in "e " for letter in text)) / 4 for text in responses]

    found = {}
    for kl_coef in (0.0, 2.0):
        recipe = tiny_recipe(
            num_updates=8, rollout_batch_size=16, microbatch_size=4, learning_rate=2e-2, kl_in="loss",
            kl_loss=estimator, kl_coef=kl_coef,
        )  # fmt: skip
        folder = tmp_path / str(kl_coef)
        run_training(folder, recipe, scorer=function_scorer(letters), held_out=False)
        rows = read_jsonl(folder / "metrics.jsonl")
        assert all(row["ppo/reward"] == pytest.approx(row["ppo/score"], abs=1e-5) for row in rows)
        assert rows[-1]["ppo/kl_loss"] > 0
        found[kl_coef] = rows[-1]["ppo/kl_k3"]
    assert found[2.0] < 0.5 * found[0.0]


def test_inv52_a_higher_upper_clip_lets_good_tokens_grow_further():
    options = {"ppo_epochs": 6, "learning_rate": 1e-2}
    plain, _ = learnt(tiny_recipe(**options))
    high, _ = learnt(tiny_recipe(clip_range_high=5.0, **options))
    assert high.clip_fraction < plain.clip_fraction


def test_inv52_a_dual_clip_bounds_the_loss_of_bad_tokens():
    recipe = tiny_recipe(minibatch_size=8, learning_rate=1e-9)
    parts = tiny_parts(recipe)
    experience = experience_of(parts, recipe)
    # as if every sampled token had become e^3 = 20 times likelier since
    late = dataclasses.replace(experience, old_logprobs=experience.old_logprobs - 3.0)
    free, bound = (
        learn(tiny_parts(recipe), changed, late, 1).policy_loss
        for changed in (recipe, dataclasses.replace(recipe, dual_clip=3.0))
    )
    credited = late.advantages[late.generation.response_mask]
    expected = float((-3.0 * credited.clamp(max=0) - 1.2 * credited.clamp(min=0)).mean())
    assert bound == pytest.approx(expected, rel=1e-4)
    assert free > 3 * bound


def test_a_mean_over_responses_weighs_short_and_long_ones_alike():
    tokens, one = learnt(tiny_recipe(max_response_tokens=12))
    responses, other = learnt(tiny_recipe(max_response_tokens=12, loss_average="responses"))
    assert tokens.policy_loss != responses.policy_loss
    assert not same_weights(one, other)


def test_inv54_a_mean_over_responses_does_not_depend_on_the_cut_into_microbatches():
    found = []
    for size in (4, 1):
        recipe = tiny_recipe(max_response_tokens=12, loss_average="responses", microbatch_size=size)
        found.append(learnt(recipe, whiten_advantages=False)[1])
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], atol=1e-5, rtol=1e-3)


# ---- steps


def test_inv59_an_update_stops_once_its_kl_is_too_large(monkeypatch):
    """After the very step whose minibatch was further than that from the policy that sampled, in any epoch."""
    options = {"ppo_epochs": 4, "learning_rate": 1e-2}
    found = []
    finish = update_module._Gradients.finish

    def spy(self, max_grad_norm):
        stats = finish(self, max_grad_norm)
        found.append(stats)
        return stats

    monkeypatch.setattr(update_module._Gradients, "finish", spy)
    full, _ = learnt(tiny_recipe(**options))
    kl = [stats["approx_kl"] for stats in found]
    assert (full.num_optimizer_steps, full.stopped_early) == (8, 0.0)
    limit = 1.05 * max(kl[:4])
    expected = next(step for step, value in enumerate(kl, start=1) if value > limit)
    assert kl[0] == 0.0
    assert 5 <= expected <= 7
    assert sum(kl[:4]) > limit, "it is no sum over the steps"
    early, _ = learnt(tiny_recipe(early_stop_kl=limit, **options))
    assert early.num_optimizer_steps == expected
    assert early.stopped_early == 1.0
    assert early.approx_kl == pytest.approx(sum(kl[:expected]) / expected)


def test_inv58_an_early_stop_does_not_shift_the_schedule(tmp_path):
    recipe = tiny_recipe(
        num_updates=4, ppo_epochs=4, learning_rate=3e-2, schedule="linear", early_stop_kl=1e-4
    )
    _, progress, _ = run_training(tmp_path / "ppo", recipe, held_out=False)
    rows = read_jsonl(tmp_path / "ppo" / "metrics.jsonl")
    assert progress.num_optimizer_steps < recipe.num_optimizer_steps
    first_of_last = recipe.learning_rate * (1 - 3 / 4)
    assert rows[-1]["ppo/policy_learning_rate"] <= first_of_last + 1e-9


# ---- scores


def noisy(prompts, responses, number):
    return [50.0 + 3.0 * (n % 4) for n in number]


def test_inv38_initial_normalisation_gives_mean_0_and_spread_1_and_stays_as_it_is(tmp_path):
    recipe = tiny_recipe(num_updates=2, score_normalisation="initial")
    parts = tiny_parts(recipe, function_scorer(noisy))
    prompts = tiny_prompts(parts.renderer, 8)
    calibrate(parts, recipe, prompts)
    before = parts.moments.state_dict()
    rolled = roll_out(parts, recipe, prompts, seed=4)
    scored = score(rolled, parts.scorer, moments=parts.moments)
    assert scored.scores.mean().abs() < 1e-3
    torch.testing.assert_close(scored.scores.std(correction=0), torch.tensor(1.0), atol=1e-3, rtol=0)
    assert scored.raw_scores.tolist() == noisy(None, None, range(8)), "raw scores are kept to look at"
    learn(parts, recipe, experience_of(parts, recipe), 1)
    assert parts.moments.state_dict() == before


def test_inv37_running_normalisation_takes_in_every_rollout_and_survives_a_resume(tmp_path):
    def moving(prompts, responses, number):
        return [100.0 + len(response) for response in responses]  # changes with the policy

    recipe = tiny_recipe(num_updates=4, score_normalisation="running")
    whole, _, _ = run_training(tmp_path / "whole", recipe, scorer=function_scorer(moving))
    run_training(
        tmp_path / "half",
        tiny_recipe(num_updates=2, score_normalisation="running"),
        scorer=function_scorer(moving),
        finish=False,
    )
    resumed, _, _ = run_training(tmp_path / "half", recipe, scorer=function_scorer(moving))
    assert whole.moments.state_dict() == resumed.moments.state_dict()
    assert whole.moments.count == 32
    assert whole.evaluation_moments.state_dict() == resumed.evaluation_moments.state_dict()
    assert 0 < whole.evaluation_moments.count < 32, "those of the first evaluation"
    assert same_weights(all_weights(whole), all_weights(resumed))
    rows = [row for row in read_jsonl(tmp_path / "whole" / "metrics.jsonl") if "ppo/score" in row]
    assert all(abs(row["ppo/score"]) < 1 and row["ppo/raw_score"] > 50 for row in rows)


def test_inv37_normalising_touches_the_score_and_not_the_kl():
    recipe = tiny_recipe(score_normalisation="running")
    parts = tiny_parts(recipe, function_scorer(noisy))
    with torch.no_grad():
        parts.policy.lm_head.weight.mul_(1.5)
    rolled = roll_out(parts, recipe, tiny_prompts(parts.renderer, 8), seed=4)
    scored = score(rolled, parts.scorer, moments=parts.moments, moving=True)
    found = advantages(scored, parts.reference, parts.learner, kl_coef=0.5)
    torch.testing.assert_close(found.rewards.sum(1), scored.scores - 0.5 * found.kl.sum(1))


def test_each_token_costs_the_length_penalty():
    recipe = tiny_recipe(max_response_tokens=12)
    parts = tiny_parts(recipe, function_scorer(lambda prompts, responses: [2.0] * len(responses)))
    rolled = roll_out(parts, recipe, tiny_prompts(parts.renderer, 8), seed=4)
    scored = score(rolled, parts.scorer, rules=ScoreRules(length_penalty=0.1))
    lengths = rolled.generation.response_mask.sum(1)
    torch.testing.assert_close(scored.scores, 2.0 - 0.1 * lengths)


def test_inv22_a_replaced_score_replaces_those_of_the_tokens_too():
    recipe = tiny_recipe()

    def ones(prompts, responses, tokens):
        return [[1.0] * len(pieces) for pieces in tokens]

    scorer = FunctionScorer("ones", ones, lambda ids: ["a"] * len(ids))
    parts = tiny_parts(recipe, scorer)
    rolled = roll_out(parts, recipe, tiny_prompts(parts.renderer, 8), seed=4)
    found = score(rolled, scorer, rules=ScoreRules(missing_eos_score=-1.0))
    ended = rolled.generation.ended
    assert 0 < ended.sum() < 8
    assert (found.total_scores[~ended] == -1.0).all()
    assert torch.equal(found.total_scores[ended], rolled.generation.response_mask.sum(1)[ended].float())


@pytest.mark.parametrize("where", ["rollout", "calibration", "evaluation"])
@pytest.mark.parametrize("replaced", [True, False])
def test_inv22_inv38_what_is_replaced_moves_no_moments(where, replaced):
    """A reward model says 100 of what was cut, and 2 of the rest."""

    def fooled(prompts, generation, texts):
        return torch.where(generation.ended, 2.0, 100.0)

    moving = "initial" if where == "calibration" else "running"
    recipe = tiny_recipe(score_normalisation=moving, missing_eos_score=-1.0 if replaced else None)
    parts = tiny_parts(recipe, fooled)
    prompts = tiny_prompts(parts.renderer, 8)
    moments = parts.moments
    if where == "rollout":
        collect(parts, recipe, prompts, 1, {})
    elif where == "calibration":
        calibrate(parts, recipe, prompts)
    else:
        evaluate(parts, recipe, prompts)
        moments = parts.evaluation_moments
    if replaced:
        assert (moments.mean, moments.std) == (2.0, 0.0)
        assert 0 < moments.count < 8
    else:
        assert 2 < moments.mean < 100
        assert moments.count == 8


def test_inv49_whitened_rewards_have_variance_1_and_keep_their_mean():
    recipe = tiny_recipe()
    parts = tiny_parts(recipe)
    plain, white = experience_of(parts, recipe), experience_of(parts, recipe, whiten_rewards=True)
    mask = plain.generation.response_mask
    before, after = plain.rewards[mask], white.rewards[mask]
    torch.testing.assert_close(after.var(correction=0), torch.tensor(1.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(after.mean(), before.mean(), atol=1e-4, rtol=1e-3)
    assert torch.equal(plain.kl, white.kl)
