"""Rollout: what is sampled is softmax(logits / temperature) and nothing else, whatever surrounds a row."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import DynamicCache, GenerationConfig

from rlhf import rollout, sampling
from rlhf.errors import ModelError
from rlhf.maths.logprobs import token_logprobs
from rlhf.models.inputs import disable_dropout, forward_inputs
from rlhf.rollout import Generation, build_generation, cut_after_stop, generate, join, response_logprobs
from rlhf.sampling import NoiseSampler
from tests.helpers import tiny_gpt2

PROMPTS = [[10, 11, 12], [20, 21, 22, 23, 24, 25], [30]]
STOP, PAD = 1, 0


def sample(model, prompts=PROMPTS, **changes):
    options = {
        "stop_token_ids": [STOP],
        "pad_token_id": PAD,
        "max_new_tokens": 12,
        "temperature": 1.0,
        "seed": 5,
    }
    return generate(model, prompts, **{**options, **changes})


def prefer(model, token: int, amount: float = 50.0):
    """Make `token` by far the likeliest everywhere, whatever the context."""
    with torch.no_grad():
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.fill_(1.0)
        model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.lm_head.weight))
        model.lm_head.weight[token] = amount / model.config.n_embd
    return model


class Recorder(NoiseSampler):
    """Keep what the sampler is given, after every processor of transformers."""

    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __call__(self, input_ids, scores):
        self.seen.append((input_ids.clone(), scores.clone()))
        return super().__call__(input_ids, scores)


@pytest.fixture
def recorder(monkeypatch):
    Recorder.seen = []
    monkeypatch.setattr(sampling, "NoiseSampler", Recorder)
    return Recorder


def test_inv04_leftovers_of_the_generation_config_do_not_bend_sampling(policy, recorder):
    hostile = GenerationConfig(
        do_sample=True,
        top_k=3,
        top_p=0.5,
        temperature=0.6,
        repetition_penalty=1.9,
        no_repeat_ngram_size=2,
        min_new_tokens=8,
        suppress_tokens=[5, 6, 7],
        begin_suppress_tokens=[8],
        bad_words_ids=[[9]],
        forced_eos_token_id=STOP,
        num_beams=1,
        max_length=4,
        eos_token_id=17,
    )
    policy.generation_config = hostile
    hostile_sample = sample(policy, PROMPTS[:1])
    for ids, scores in recorder.seen:
        with torch.no_grad():
            logits = policy(input_ids=ids, use_cache=False).logits[:, -1]
        torch.testing.assert_close(scores, logits)
    assert policy.generation_config is hostile
    policy.generation_config = GenerationConfig()
    assert torch.equal(hostile_sample.response_ids, sample(policy, PROMPTS[:1]).response_ids)


def test_inv06_cached_sampling_logits_equal_a_full_forward(policy, recorder):
    sample(policy)
    width = max(map(len, PROMPTS))
    by_length = sorted(PROMPTS, key=len)  # as they are generated
    mask = torch.tensor([[False] * (width - len(ids)) + [True] * len(ids) for ids in by_length])
    for ids, scores in recorder.seen:
        added = torch.ones(len(PROMPTS), ids.shape[1] - width, dtype=torch.bool)
        full = torch.cat([mask, added], dim=1)
        with torch.no_grad():
            logits = policy(**forward_inputs(policy, ids, full), use_cache=False).logits[:, -1]
        torch.testing.assert_close(scores, logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_pads", [0, 3, 17])
def test_inv05_left_padding_changes_no_logprob(policy, num_pads):
    generation = sample(policy, PROMPTS[:1])
    pads = torch.full((1, num_pads), PAD)
    padded = Generation(
        torch.cat([pads, generation.prompt_ids], 1),
        torch.cat([torch.zeros_like(pads, dtype=torch.bool), generation.prompt_mask], 1),
        generation.response_ids,
        generation.response_mask,
        generation.ended,
    )
    torch.testing.assert_close(
        response_logprobs(policy, padded, 1.0),
        response_logprobs(policy, generation, 1.0),
        atol=1e-5,
        rtol=1e-5,
    )


def test_inv05_join_pads_on_the_left_only_and_positions_start_at_the_first_token():
    generation = build_generation([[5, 6], [7]], [[8, 1], [9, 9, 9, 1]], [STOP], PAD)
    ids, mask = join(generation)
    assert ids.tolist() == [[0, 5, 6, 8, 1], [7, 9, 9, 9, 1]]
    assert mask.tolist() == [[False, True, True, True, True], [True] * 5]


def test_inv07_a_row_is_sampled_alone_as_in_a_batch(policy):
    together = sample(policy).responses()
    for row, prompt in enumerate(PROMPTS):
        assert sample(policy, [prompt], rows=[row]).responses() == [together[row]]
    assert sample(policy, batch_size=1).responses() == together
    assert sample(policy, PROMPTS[::-1], rows=[2, 1, 0]).responses() == together[::-1]


def test_inv07_logprobs_do_not_depend_on_the_batch(policy):
    generation = sample(policy)
    whole = response_logprobs(policy, generation, 1.0)
    torch.testing.assert_close(response_logprobs(policy, generation, 1.0, microbatch_size=1), whole)


@pytest.mark.parametrize("cache", [DynamicCache, type("NoCacheIsOfThisKind", (), {})])
def test_inv07_dropping_ended_rows_changes_no_sample(tokenizer, monkeypatch, cache):
    """A third of the vocabulary ends a response, so that rows drop out all the time."""
    policy = tiny_gpt2(tokenizer, initializer_range=0.5)  # large weights: each token depends on all before
    options = {"stop_token_ids": range(1, 130), "max_new_tokens": 24}
    prompts = [[200 + i, *range(300, 300 + i)] for i in range(12)]
    monkeypatch.setattr(sampling, "_TOKENS_AT_A_TIME", 1000)
    together = sample(policy, prompts, **options).responses()
    assert len({len(ids) for ids in together}) > 3
    monkeypatch.setattr(sampling, "DynamicCache", cache)
    for count in (1, 3, 8):
        monkeypatch.setattr(sampling, "_TOKENS_AT_A_TIME", count)
        assert sample(policy, prompts, **options).responses() == together


def test_inv16_seed_and_row_decide_the_sample(policy):
    assert torch.equal(sample(policy).response_ids, sample(policy).response_ids)
    assert sample(policy, seed=6).responses() != sample(policy).responses()
    same_prompt = [PROMPTS[0]] * 4
    assert len({tuple(ids) for ids in sample(policy, same_prompt).responses()}) > 1
    state = torch.get_rng_state()
    sample(policy)
    assert torch.equal(state, torch.get_rng_state()), "sampling must not use the global generator"


def test_inv02_temperature_is_in_the_logprobs(policy):
    generation = sample(policy, PROMPTS[1:2])
    ids, _ = join(generation)
    logits = policy(input_ids=ids).logits[:, len(PROMPTS[1]) - 1 : -1]
    expected = torch.log_softmax(logits.float() / 0.7, -1).gather(-1, generation.response_ids[..., None])[
        ..., 0
    ]
    torch.testing.assert_close(response_logprobs(policy, generation, 0.7), expected)
    assert not torch.allclose(response_logprobs(policy, generation, 1.0), expected)


def test_inv08_logprobs_of_a_half_precision_model_are_float32(policy):
    generation = sample(policy)
    logprobs = response_logprobs(copy.deepcopy(policy).bfloat16(), generation, 1.0)
    assert logprobs.dtype == torch.float32


def test_inv11_ids_come_out_as_they_were_sampled(policy, recorder):
    generation = sample(policy, PROMPTS[:1])
    last_ids = recorder.seen[-1][0][0].tolist()  # all but the token sampled in the last step
    response = generation.responses()[0]
    assert last_ids[: len(PROMPTS[0])] == PROMPTS[0] == generation.prompts()[0]
    assert last_ids[len(PROMPTS[0]) :] == response[:-1]


def test_inv12_a_response_cut_at_the_limit_gets_no_end_token(policy):
    generation = sample(prefer(policy, token=40), max_new_tokens=5)
    assert generation.responses() == [[40] * 5] * 3
    assert generation.ended.tolist() == [False] * 3


@pytest.mark.parametrize("pad", [PAD, STOP], ids=["distinct", "pad is end"])
def test_inv17_masks_come_from_lengths(policy, pad):
    generation = sample(policy, pad_token_id=pad, max_new_tokens=40, temperature=2.0)
    reference = sample(policy, max_new_tokens=40, temperature=2.0)
    assert generation.responses() == reference.responses()
    assert torch.equal(generation.response_mask, reference.response_mask)
    torch.testing.assert_close(
        response_logprobs(policy, generation, 1.0), response_logprobs(policy, reference, 1.0)
    )


def test_inv18_a_sampled_pad_does_not_end_the_response(policy):
    generation = sample(prefer(policy, token=PAD), max_new_tokens=6)
    assert generation.responses() == [[PAD] * 6] * 3
    assert generation.response_mask.all()


def test_inv20_the_end_token_counts(policy):
    generation = sample(prefer(policy, token=STOP))
    assert generation.responses() == [[STOP]] * 3
    assert generation.ended.all()
    assert generation.response_mask.tolist() == [[True]] * 3


def test_inv20_mask_reaches_to_the_first_stop_token_or_over_all_of_a_response_that_was_cut(policy):
    stops, limit = set(range(1, 30)), 24
    generation = sample(policy, [[200 + i] for i in range(24)], stop_token_ids=stops, max_new_tokens=limit)
    lengths = generation.response_mask.sum(1).tolist()
    assert {limit} < set(lengths), "some are cut and some are not"
    for ids, length, ended in zip(generation.responses(), lengths, generation.ended.tolist(), strict=True):
        places = [place for place, token in enumerate(ids) if token in stops]
        assert ended == bool(places)
        assert length == (places[0] + 1 if ended else limit)


def test_inv21_any_of_several_stop_tokens_ends_a_response(policy):
    generation = sample(prefer(policy, token=33), stop_token_ids=[STOP, 33])
    assert generation.responses() == [[33]] * 3
    assert generation.ended.all()
    assert cut_after_stop([7, 33, 8, STOP], [STOP, 33]) == [7, 33]


def test_inv28_an_empty_response_has_a_finite_logprob(policy):
    generation = build_generation([[5]], [[STOP]], [STOP], PAD)
    assert torch.isfinite(response_logprobs(policy, generation, 1.0)).all()


def test_inv19_what_stands_after_the_end_changes_nothing(policy):
    generation = build_generation([[5, 6], [7]], [[8, STOP], [9, 9, 9, STOP]], [STOP], PAD)
    noisy_ids = torch.where(generation.response_mask, generation.response_ids, 77)
    noisy = Generation(
        generation.prompt_ids, generation.prompt_mask, noisy_ids, generation.response_mask, generation.ended
    )
    assert torch.equal(response_logprobs(policy, noisy, 1.0), response_logprobs(policy, generation, 1.0))


def test_inv26_prompt_and_response_must_fit_into_the_context(policy):
    with pytest.raises(ModelError, match="reads at most 128 tokens"):
        sample(policy, [[3] * 120])


def test_inv63_sampling_leaves_the_mode_of_the_model_alone(policy):
    policy.train()
    first = sample(policy)
    assert policy.training
    assert torch.equal(first.response_ids, sample(policy.eval()).response_ids), (
        "dropout is off while sampling"
    )


def test_inv63_two_forwards_in_train_mode_are_equal(policy):
    generation = sample(policy)
    policy.train()
    disable_dropout(policy)
    assert torch.equal(response_logprobs(policy, generation, 1.0), response_logprobs(policy, generation, 1.0))


def test_greedy_takes_the_likeliest_token(policy):
    generation = sample(policy, PROMPTS[:1], temperature=0.0, max_new_tokens=3)
    first = policy(input_ids=torch.tensor(PROMPTS[:1])).logits[0, -1].argmax()
    assert generation.response_ids[0, 0] == first


def test_logits_are_the_same_without_logits_to_keep(tokenizer, monkeypatch):
    model = tiny_gpt2(tokenizer)
    generation = sample(model)
    expected = response_logprobs(model, generation, 1.0)
    monkeypatch.setattr("rlhf.models.learner.accepts_logits_to_keep", lambda model: False)
    torch.testing.assert_close(response_logprobs(model, generation, 1.0), expected)


def test_gradient_flows_to_response_tokens_only(policy):
    generation = build_generation([[5, 6]], [[8, STOP]], [STOP], PAD)
    logits, ids = rollout.response_logits(policy, generation)
    assert logits.shape == (1, 2, policy.config.vocab_size)
    token_logprobs(logits, ids).sum().backward()
    assert policy.transformer.wte.weight.grad is not None
