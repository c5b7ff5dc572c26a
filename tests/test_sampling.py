"""Random draws: from the policy's distribution, and decided by seed and row."""

from __future__ import annotations

import torch

from rlhf.ppo.parts import enable_gradient_checkpointing
from rlhf.rollout import generate, response_logprobs
from rlhf.sampling import NoiseSampler, derive_seed, sampling_noise


def test_inv02_samples_follow_softmax_of_logits_over_temperature():
    """Four words, 20,000 draws: frequencies within 4 standard deviations of the exact probabilities."""
    logits, temperature, count = torch.tensor([2.0, 1.0, 0.0, -torch.inf]), 0.7, 20_000
    noise = sampling_noise(3, range(count), 1)
    chosen = NoiseSampler(noise, temperature, 5)(torch.zeros(count, 5), logits.repeat(count, 1)).argmax(-1)
    expected = torch.softmax(logits / temperature, 0)
    found = torch.bincount(chosen, minlength=4) / count
    assert ((found - expected).abs() <= 4 * (expected * (1 - expected) / count).sqrt()).all()
    assert found[3] == 0


def test_inv71_the_cache_is_on_while_sampling_and_off_in_the_training_forward(policy):
    """Also with gradient checkpointing in train mode, for which transformers would turn the cache off."""
    seen = []
    enable_gradient_checkpointing(policy)
    policy.train()
    policy.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append((kwargs["use_cache"], args[0].shape[1])),
        with_kwargs=True,
    )
    options = {"stop_token_ids": [99_999], "pad_token_id": 0, "max_new_tokens": 20, "temperature": 1.0}
    generation = generate(policy, [[10, 11, 12, 13]], **options)
    assert seen == [(True, 4)] + [(True, 1)] * 19, "the prompt once, then each token alone"
    seen.clear()
    response_logprobs(policy, generation, 1.0)
    assert seen == [(False, 24)]


def test_seeds_differ_by_every_part():
    seeds = {derive_seed(1, "a", 2), derive_seed(1, "a", 3), derive_seed(1, "b", 2), derive_seed(2, "a", 2)}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, 12) != derive_seed(11, 2)


def test_inv16_the_next_seed_is_not_the_next_row_and_every_token_has_its_own_number():
    five, six = sampling_noise(5, range(8), 16), sampling_noise(6, range(8), 16)
    every = torch.cat([five, six]).flatten().tolist()
    assert len(set(every)) == len(every)
    assert torch.equal(sampling_noise(5, [3], 16), five[3:4])


def test_inv16_each_token_is_decided_by_its_own_number():
    noise, logits = torch.tensor([[0.15, 0.95, 0.45]], dtype=torch.float64), torch.zeros(1, 10)
    sampler = NoiseSampler(noise, 1.0, num_prompt_tokens=2)
    chosen = [int(sampler(torch.zeros(1, 2 + step), logits).argmax(-1)) for step in range(3)]
    assert chosen == [1, 9, 4]


def test_a_word_of_probability_0_is_never_chosen_not_even_at_the_edges():
    logits = torch.tensor([-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]).repeat(4, 1)
    noise = torch.tensor([[0.0], [0.5 - 1e-9], [0.5], [1.0 - 2**-53]], dtype=torch.float64)
    chosen = NoiseSampler(noise, 1.0, 0)(torch.zeros(4, 0), logits).argmax(-1)
    assert chosen.tolist() == [1, 1, 3, 3]


def test_a_rounded_sum_below_1_lets_no_word_of_probability_0_in():
    """47 equal probabilities in float32 add up to less than 1: the largest number drawn is beyond them."""
    num_words = 47
    logits = torch.tensor([[0.0] * num_words + [-torch.inf]])
    assert torch.softmax(logits, -1).double().sum() < 1 - 2**-30
    noise = torch.tensor([[1.0 - 2**-53]], dtype=torch.float64)
    assert NoiseSampler(noise, 1.0, 0)(torch.zeros(1, 0), logits).argmax(-1).item() == num_words - 1
