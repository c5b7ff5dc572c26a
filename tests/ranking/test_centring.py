"""A reward model's zero is what the policy says, as PPO will sample it."""

from __future__ import annotations

import pytest

from rlhf.feedback.records import Message, Prompt
from rlhf.ranking.centring import centre_on_policy
from rlhf.rendering import Renderer
from rlhf.rollout import respond
from rlhf.scoring import score_sequences
from tests.helpers import tiny_gpt2, tiny_reward_model, tiny_tokenizer

PROMPTS = [Prompt(f"p{i}", (Message("user", "Why? " * i),), f"g{i}", f"f:{i}") for i in range(1, 9)]


def test_inv38_the_policys_own_samples_score_0_on_average_and_keep_their_spread() -> None:
    """Dropout of 0.1 in both configs, and both in train mode: it must be off while this is measured."""
    tokenizer = tiny_tokenizer()
    policy, model = tiny_gpt2(tokenizer), tiny_reward_model(tokenizer, initializer_range=0.5)
    renderer = Renderer(tokenizer)
    sampling = {"temperature": 1.3, "seed": 4, "batch_size": 3}
    generation = respond(policy, renderer, PROMPTS, max_new_tokens=6, **sampling)
    sequences = [
        prompt + response
        for prompt, response in zip(generation.prompts(), generation.responses(), strict=True)
    ]
    before = score_sequences(model, sequences, 8)
    found = centre_on_policy(
        model.train(), policy.train(), renderer, PROMPTS, max_response_tokens=6, **sampling
    )
    after = score_sequences(model.eval(), sequences, 8)
    assert (found.num_samples, found.num_ended) == (8, 0), "where all are cut, all count"
    assert found.shift == pytest.approx(float(before.mean()), abs=1e-5)
    assert abs(found.shift) > 1e-2
    assert after.mean().abs() < 1e-3
    assert (found.mean, found.std) == pytest.approx((0.0, float(before.std(correction=0))), abs=1e-4)


def test_inv38_responses_that_were_cut_do_not_count() -> None:
    """Scores of what the reward model has never learnt to read would move the zero of all others."""
    tokenizer = tiny_tokenizer()
    policy, model = tiny_gpt2(tokenizer), tiny_reward_model(tokenizer, initializer_range=0.5)
    renderer = Renderer(tokenizer)
    renderer.stop_token_ids = (*renderer.stop_token_ids, *range(100, 200))  # or hardly any would end
    sampling = {"temperature": 1.0, "seed": 4, "batch_size": 3}
    generation = respond(policy, renderer, PROMPTS, max_new_tokens=4, **sampling)
    pairs = zip(generation.prompts(), generation.responses(), generation.ended.tolist(), strict=True)
    complete = [prompt + response for prompt, response, ended in pairs if ended]
    assert 0 < len(complete) < 8
    found = centre_on_policy(model, policy, renderer, PROMPTS, max_response_tokens=4, **sampling)
    assert (found.num_samples, found.num_ended) == (8, len(complete))
    assert score_sequences(model, complete, 8).mean().abs() < 1e-3
    assert found.mean == pytest.approx(0.0, abs=1e-4)
