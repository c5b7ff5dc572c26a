"""Encoder-decoders inside `rlhf.models` and the rollout: the same numbers with and without padding, by hand and by us."""

from __future__ import annotations

import copy

import pytest
import torch

from rlhf import sampling
from rlhf.errors import ModelError
from rlhf.models import LoraSpec, add_lora, disable_dropout
from rlhf.models.learner import SeparateLearner, TrunkLearner, last_logits
from rlhf.models.loading import build_reward_model, load_policy
from rlhf.models.seq2seq import Aside, Seq2SeqCritic, decoder_start, trunk_of
from rlhf.ppo.credit import response_values
from rlhf.rollout import (
    build_generation,
    check_context,
    generate,
    response_logits,
    response_logprobs,
    rows_of,
)
from rlhf.sampling import NoiseSampler
from tests.models.adapters import write_sft_adapter
from tests.seq2seq import CONTEXT, seq2seq_model, write_seq2seq

STOP = 1
PROMPTS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14, 15, 16, 17, 18]]
RESPONSES = [[9, 1], [21, 22, 23, 24, 1], [31]]


@pytest.fixture(params=["t5", "t5_gated", "bart"])
def policy(request):
    return seq2seq_model(request.param)


def opening_of(model):
    return (0,) if model.config.model_type == "t5" else (2, 0)


def sampled(model, pad=3):
    return build_generation(PROMPTS, RESPONSES, [STOP], pad, opening=opening_of(model))


def alone(model, prompt, response):
    """Log-probabilities of a response by the library's own call, without any padding or mask."""
    opening = list(opening_of(model))
    decoder = torch.tensor([[*opening, *response]])
    logits = model(input_ids=torch.tensor([prompt]), decoder_input_ids=decoder).logits[
        0, len(opening) - 1 : -1
    ]
    return logits.log_softmax(-1).gather(1, torch.tensor(response)[:, None])[:, 0].detach()


def test_rows_by_hand():
    generation = build_generation([[5, 6], [7]], [[8, 1], [9, 9, 1]], [1], 4, opening=(2, 0))
    ids, mask, aside = rows_of(generation)
    assert ids.tolist() == [[2, 0, 8, 1, 4], [2, 0, 9, 9, 1]]
    assert mask.tolist() == [[True, True, True, True, False], [True] * 5]
    assert aside.ids.tolist() == [[5, 6], [7, 4]]
    assert aside.mask.tolist() == [[True, True], [True, False]]


def test_each_token_is_predicted_from_the_opening_and_those_before_it(policy):
    logprobs = response_logprobs(policy, sampled(policy), 1.0)
    for row, (prompt, response) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
        torch.testing.assert_close(
            logprobs[row, : len(response)], alone(policy, prompt, response), atol=2e-5, rtol=0
        )
        assert (logprobs[row, len(response) :] == 0).all()


def test_inv05_padding_of_encoder_and_decoder_means_nothing(policy):
    expected = response_logprobs(policy, sampled(policy), 1.0)
    assert torch.equal(response_logprobs(policy, sampled(policy, pad=30), 1.0), expected)
    wide = build_generation(
        [*PROMPTS, [5] * 20], [*RESPONSES, [6] * 15], [STOP], 3, opening=opening_of(policy)
    )
    found = response_logprobs(policy, wide, 1.0)[:3, : expected.shape[1]]
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_only_the_response_and_what_stands_before_a_token_get_gradient(policy):
    """The prompt matters, and no later token does."""
    generation = sampled(policy)
    changed = build_generation(
        [[*ids[:-1], 20] for ids in PROMPTS], RESPONSES, [STOP], 3, opening=opening_of(policy)
    )
    later = build_generation(
        PROMPTS, [[9, 1], [21, 22, 30, 30, 1], [31]], [STOP], 3, opening=opening_of(policy)
    )
    expected = response_logprobs(policy, generation, 1.0)
    assert (response_logprobs(policy, changed, 1.0) - expected).abs().max() > 1e-3
    assert torch.equal(response_logprobs(policy, later, 1.0)[1, :2], expected[1, :2])


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_inv02_inv06_inv07_what_is_sampled_is_what_is_recomputed(policy, temperature, monkeypatch):
    """Each step's distribution while sampling, with the library's memory, is that of the training forward."""
    seen, kept = [], NoiseSampler.__call__

    def spy(sampler, ids, scores):
        chosen = kept(sampler, ids, scores)
        logprobs = torch.log_softmax(scores.float() / temperature, -1)
        seen.append(float(logprobs[0, chosen[0].argmax()]))
        return chosen

    monkeypatch.setattr(NoiseSampler, "__call__", spy)
    options = {"stop_token_ids": list(range(20, 28)), "pad_token_id": 3, "max_new_tokens": 20, "temperature": temperature,
               "seed": 2, "opening": opening_of(policy)}  # fmt: skip
    prompts = [[5 + n % 3, *range(6, 7 + n)] for n in range(8)]
    together = generate(policy, prompts, **options)
    lengths = together.response_mask.sum(1)
    assert lengths.min() < 8 < lengths.max(), "some end in the first stretch, some go on into the second"
    recomputed = response_logprobs(policy, together, temperature)
    for row, prompt in enumerate(prompts):
        seen.clear()
        (alone_ids,) = generate(policy, [prompt], rows=[row], **options).responses()
        assert alone_ids == together.responses()[row], "nor do rows that ended and were dropped matter"
        found = torch.tensor(seen[: len(alone_ids)])
        torch.testing.assert_close(found, recomputed[row, : len(alone_ids)], atol=3e-5, rtol=0)


def test_rows_that_end_do_not_matter_where_the_memory_cannot_drop_them(policy, monkeypatch):
    """Then those that go on are read once more, each beside its own prompt."""
    monkeypatch.setattr(sampling, "_can_drop_rows", lambda cache: False)
    options = {"stop_token_ids": list(range(20, 28)), "pad_token_id": 3, "max_new_tokens": 20, "temperature": 1.0,
               "seed": 2, "opening": opening_of(policy)}  # fmt: skip
    prompts = [[5 + n % 3, *range(6, 7 + n)] for n in range(8)]
    together = generate(policy, prompts, **options)
    assert together.response_mask.sum(1).min() < 8 < together.response_mask.sum(1).max()
    for row, prompt in enumerate(prompts):
        (alone_ids,) = generate(policy, [prompt], rows=[row], **options).responses()
        assert alone_ids == together.responses()[row]


def test_values_stand_before_the_tokens_and_see_nothing_of_them(policy):
    critic = Seq2SeqCritic(trunk_of(copy.deepcopy(policy)))
    for learner in (critic, SeparateLearner(policy, critic)):
        values = response_values(learner, sampled(policy))
        hidden = critic.model(input_ids=torch.tensor([PROMPTS[1]]),
                              decoder_input_ids=torch.tensor([[*opening_of(policy), *RESPONSES[1]]])).last_hidden_state  # fmt: skip
        expected = critic.score(hidden)[0, len(opening_of(policy)) - 1 : -1, 0]
        torch.testing.assert_close(values[1], expected, atol=2e-5, rtol=0)
    other = build_generation(
        PROMPTS, [[9, 1], [21, 22, 30, 30, 1], [31]], [STOP], 3, opening=opening_of(policy)
    )
    assert torch.equal(response_values(critic, other)[1, :3], values[1, :3])  # before the third token, too


def test_a_trunk_head_reads_what_the_output_layer_reads(policy):
    learner = TrunkLearner(policy)
    generation = sampled(policy)
    assert (response_values(learner, generation) == 0).all()
    torch.nn.init.normal_(learner.value_head.weight)
    ids, mask, aside = rows_of(generation)
    logits, values = learner(ids, mask, 5, aside=aside)
    assert torch.equal(logits, last_logits(policy, ids, mask, 5, aside))
    output = policy.get_output_embeddings()
    hidden = torch.linalg.lstsq(output.weight, (logits[1, 2])[:, None]).solution[:, 0]
    torch.testing.assert_close(values[1, 2], learner.value_head(hidden)[0], atol=1e-3, rtol=1e-3)


def test_a_critic_of_its_own_shares_no_weight_and_needs_all_it_has(policy):
    critic = Seq2SeqCritic(trunk_of(copy.deepcopy(policy)))
    learner = SeparateLearner(policy, critic)
    assert not {id(p) for p in learner.policy_parameters()} & {id(p) for p in learner.critic_parameters()}
    ids, mask, aside = rows_of(sampled(policy))
    logits, values = learner(ids, mask, 5, aside=aside)
    (logits.sum() + values.sum()).backward()
    assert all(parameter.grad is not None for parameter in learner.parameters())


def test_a_new_critics_head_starts_as_small_as_a_reward_models(policy):
    torch.manual_seed(0)
    heads = torch.cat([Seq2SeqCritic(trunk_of(policy)).score.weight for _ in range(100)])
    assert float(heads.detach().std()) == pytest.approx(1 / 17**0.5, rel=0.1)


def test_inv72_values_are_float32_also_under_autocast(policy):
    critic = Seq2SeqCritic(trunk_of(copy.deepcopy(policy)))
    with torch.autocast("cpu", torch.bfloat16):
        values = response_values(critic, sampled(policy))
    assert values.dtype == torch.float32
    assert not torch.equal(values, values.bfloat16().float())


def test_adapters_change_nothing_at_first_and_are_trained_everywhere(policy):
    expected, _ = response_logits(policy, sampled(policy))
    adapted = add_lora(policy, LoraSpec(2, 4.0))
    found, _ = response_logits(adapted, sampled(policy))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    trained = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert any("encoder" in name for name in trained)
    assert any("decoder" in name for name in trained)
    assert not any("lm_head" in name or "shared" in name for name in trained)
    assert adapted.peft_config["default"].task_type == "SEQ_2_SEQ_LM"
    responses = generate(adapted, PROMPTS, stop_token_ids=[STOP], pad_token_id=3, max_new_tokens=12, temperature=1.0,
                         opening=opening_of(adapted.get_base_model()))  # fmt: skip
    assert max(len(ids) for ids in responses.responses()) == 12


def test_dropout_goes_everywhere(policy):
    disable_dropout(policy)
    policy.train()
    first, _ = response_logits(policy, sampled(policy))
    assert torch.equal(first, response_logits(policy, sampled(policy))[0])
    policy.eval()
    assert torch.equal(first, response_logits(policy, sampled(policy))[0])


def test_the_context_bounds_encoder_and_decoder_each_by_itself():
    bart, t5 = seq2seq_model("bart"), seq2seq_model("t5")
    check_context(bart, CONTEXT, CONTEXT - 2, "the policy", 2)
    for lengths in ((CONTEXT + 1, 1), (1, CONTEXT - 1)):
        with pytest.raises(
            ModelError, match=r"reads at most 96 tokens each in its encoder and in its decoder"
        ):
            check_context(bart, *lengths, "the policy", 2)
        check_context(t5, *lengths, "the policy", 1)
    prompts = [list(range(4, CONTEXT + 4))]
    generation = generate(bart, prompts, stop_token_ids=[10**6], pad_token_id=3, max_new_tokens=CONTEXT - 2,
                          temperature=1.0, opening=(2, 0))  # fmt: skip
    assert response_logprobs(bart, generation, 1.0).isfinite().all()


def test_a_config_without_a_start_token_says_so():
    model = seq2seq_model("bart")
    assert decoder_start(model) == 2
    model.config.decoder_start_token_id = model.generation_config.decoder_start_token_id = None
    with pytest.raises(ModelError, match="names no decoder_start_token_id"):
        decoder_start(model)


def test_an_encoder_decoder_is_not_sampled_from_without_an_opening():
    options = {"stop_token_ids": [1], "pad_token_id": 0, "max_new_tokens": 2, "temperature": 1.0}
    with pytest.raises(AssertionError, match="decoder_start_token_id"):
        generate(seq2seq_model("t5"), PROMPTS, **options)


def test_what_the_encoder_reads_is_part_of_the_forward(policy):
    ids, mask, aside = rows_of(sampled(policy))
    other = Aside(aside.ids.flip(0), aside.mask.flip(0))
    assert not torch.equal(last_logits(policy, ids, mask, 5, aside), last_logits(policy, ids, mask, 5, other))


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_a_reward_model_starts_from_an_adapter_as_from_the_merged_model(tmp_path, name):
    base = write_seq2seq(tmp_path / "base", name)
    adapter = write_sft_adapter(tmp_path / "kept", base)
    below = trunk_of(load_policy(adapter)).state_dict()
    found = build_reward_model(adapter).base_model.state_dict()
    assert found.keys() == below.keys()
    assert all(torch.equal(found[key], value) for key, value in below.items())
