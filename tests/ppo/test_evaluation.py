"""Evaluation on held-out prompts, and the judge."""

from __future__ import annotations

import pytest
import torch

from rlhf.ppo.evaluation import evaluate
from rlhf.rollout import build_generation, generate, response_logprobs
from rlhf.sampling import derive_seed
from tests.ppo.tiny import function_scorer, tiny_parts, tiny_prompts, tiny_recipe


@pytest.fixture
def recipe():
    return tiny_recipe(kl_coef=0.5)


@pytest.fixture
def parts(recipe):
    return tiny_parts(recipe)


def judge(prompts, responses, number):
    return [
        {"score": n / 10, "helpful": 1.0 if text else 0.0} for n, text in zip(number, responses, strict=True)
    ]


def sampled_ids(parts, recipe, prompt, temperature=1.0):
    generation = generate(
        parts.policy,
        [prompt.prompt_ids],
        stop_token_ids=parts.renderer.stop_token_ids,
        pad_token_id=0,
        max_new_tokens=recipe.max_response_tokens,
        temperature=temperature,
        seed=derive_seed(recipe.seed, "evaluation"),
    )
    return generation.responses()[0]


def test_evaluation_is_the_mean_over_its_rows(parts, recipe):
    found = evaluate(parts, recipe, tiny_prompts(parts.renderer)[:5], judge=judge)
    assert [row["prompt_id"] for row in found.rows] == [f"p{i}" for i in range(5)]
    assert found.metrics["evaluation/judge_score"] == pytest.approx(0.2)
    for name in ("score", "kl", "response_tokens", "ended"):
        assert found.metrics[f"evaluation/{name}"] == pytest.approx(sum(row[name] for row in found.rows) / 5)


def test_inv33_kl_of_an_unchanged_policy_is_0(parts, recipe):
    assert all(row["kl"] == 0 for row in evaluate(parts, recipe, tiny_prompts(parts.renderer)[:5]).rows)


def test_inv02_inv33_kl_is_0_at_every_temperature_and_has_it_on_both_sides(parts):
    recipe = tiny_recipe(temperature=0.6)
    prompts = tiny_prompts(parts.renderer)[:4]
    assert all(row["kl"] == 0 for row in evaluate(parts, recipe, prompts).rows)
    with torch.no_grad():
        parts.policy.lm_head.weight.mul_(20.0)
    found = evaluate(parts, recipe, prompts).rows[0]
    sampled = sampled_ids(parts, recipe, prompts[0], temperature=0.6)
    generation = build_generation([prompts[0].prompt_ids], [sampled], parts.renderer.stop_token_ids, 0)
    ours, theirs = (
        response_logprobs(model, generation, 0.6).sum() for model in (parts.policy, parts.reference)
    )
    assert found["kl"] == pytest.approx(float(ours - theirs), abs=1e-4)


@pytest.mark.parametrize(
    ("rules", "ended", "cut"),
    [
        ({"score_clip": 2.0}, 2.0, 2.0),
        ({"missing_eos_penalty": 1.5}, 5.0, 3.5),
        ({"missing_eos_score": -1.0}, 5.0, -1.0),
    ],
)
def test_inv22_inv37_the_objective_is_of_the_score_that_is_trained_on(rules, ended, cut):
    recipe = tiny_recipe(**rules)
    parts = tiny_parts(recipe, function_scorer(lambda prompts, responses: [5.0] * len(responses)))
    found = evaluate(parts, recipe, tiny_prompts(parts.renderer)[:16])
    assert {row["ended"] for row in found.rows} == {True, False}
    for row in found.rows:
        assert (row["score"], row["final_score"]) == (5.0, ended if row["ended"] else cut)
    lengths = {row["response_tokens"] for row in found.rows if not row["ended"]}
    assert lengths == {recipe.max_response_tokens}, "as long as in training"


def test_inv42_the_judge_reads_the_response_of_its_row(parts, recipe):
    def length(prompts, responses):
        return [{"score": float(len(text))} for text in responses]

    found = evaluate(parts, recipe, tiny_prompts(parts.renderer)[:6], judge=length)
    assert len({row["judge_score"] for row in found.rows}) > 2
    assert all(row["judge_score"] == len(row["response"]) for row in found.rows)


def test_kl_is_the_log_ratio_of_the_whole_response(parts, recipe):
    with torch.no_grad():
        parts.policy.lm_head.weight.mul_(20.0)  # tied to the embeddings: another model
    prompts = tiny_prompts(parts.renderer)[:5]
    found = evaluate(parts, recipe, prompts)
    assert found.metrics["evaluation/kl"] > 1
    generation = build_generation(
        [prompts[0].prompt_ids], [sampled_ids(parts, recipe, prompts[0])], parts.renderer.stop_token_ids, 0
    )
    ours, theirs = (
        response_logprobs(model, generation, 1.0).sum() for model in (parts.policy, parts.reference)
    )
    assert found.rows[0]["kl"] == pytest.approx(float(ours - theirs), abs=1e-4)
    assert found.metrics["evaluation/kl_per_token"] == pytest.approx(
        found.metrics["evaluation/kl"] / found.metrics["evaluation/response_tokens"]
    )
    assert found.objective == pytest.approx(
        found.metrics["evaluation/final_score"] - 0.5 * found.metrics["evaluation/kl"]
    )


def test_the_same_draws_each_time_and_others_for_another_seed(parts, recipe):
    prompts = tiny_prompts(parts.renderer)[:4]
    texts = [row["response"] for row in evaluate(parts, recipe, prompts).rows]
    assert [row["response"] for row in evaluate(parts, recipe, prompts).rows] == texts
    assert [row["response"] for row in evaluate(parts, tiny_recipe(seed=9), prompts).rows] != texts


def test_temperature_0_takes_the_likeliest_tokens(parts, recipe):
    prompts = tiny_prompts(parts.renderer)[:4]
    greedy = [evaluate(parts, tiny_recipe(seed=s), prompts, temperature=0.0).rows for s in (1, 2)]
    assert greedy[0] == greedy[1]


def test_an_evaluation_leaves_no_trace_in_the_global_generator(parts, recipe):
    state = torch.get_rng_state()
    evaluate(parts, recipe, tiny_prompts(parts.renderer)[:2])
    assert torch.equal(state, torch.get_rng_state())


def test_a_held_out_scorer_and_text_are_measured_beside_the_score(parts, recipe):
    held_out = function_scorer(lambda prompts, responses: [float(len(text)) for text in responses])
    found = evaluate(
        parts, recipe, tiny_prompts(parts.renderer)[:5], held_out_scorer=held_out, text_loss=lambda: 1.25
    )
    assert [row["held_out_score"] for row in found.rows] == [len(row["response"]) for row in found.rows]
    assert found.metrics["evaluation/text_loss"] == 1.25
    plain = evaluate(parts, recipe, tiny_prompts(parts.renderer)[:5])
    assert found.objective == plain.objective, "nothing is chosen by what is held out"


@pytest.mark.parametrize("normalisation", ["none", "initial", "running"])
def test_inv37_inv38_scores_of_evaluations_compare_whatever_is_normalised(normalisation):
    """By moments that stay: those of the start, or of the first evaluation where those of training move."""
    recipe = tiny_recipe(score_normalisation=normalisation)
    first, later = [8.0, 12.0, 8.0, 12.0], [14.0] * 4  # mean 10, deviation 2
    given = iter([first, later, later])
    parts = tiny_parts(recipe, function_scorer(lambda prompts, responses: next(given)))
    if normalisation == "initial":
        parts.moments.update(torch.tensor(first))
    found = []
    for _ in range(3):
        found.append(evaluate(parts, recipe, tiny_prompts(parts.renderer)[:4]).metrics)
        if normalisation == "running":
            parts.moments.update(torch.tensor([100.0, 300.0]))  # a rollout between
    assert [metrics["evaluation/score"] for metrics in found] == [10.0, 14.0, 14.0]
    expected = [10.0, 14.0, 14.0] if normalisation == "none" else [0.0, 2.0, 2.0]
    assert [metrics["evaluation/final_score"] for metrics in found] == pytest.approx(expected)


def test_scores_of_tokens_count_in_score_and_objective(recipe):
    def judge_of_tokens(prompts, generation, texts):
        return torch.ones(generation.response_ids.shape)

    parts = tiny_parts(recipe, judge_of_tokens)
    found = evaluate(parts, recipe, tiny_prompts(parts.renderer)[:5])
    for row in found.rows:
        assert row["score"] == row["final_score"] == row["response_tokens"]
    assert found.objective == pytest.approx(found.metrics["evaluation/response_tokens"])
