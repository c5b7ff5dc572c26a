"""Rollout: ids and masks are what was given and sampled, also where an id is the pad's or the end's."""

from __future__ import annotations

import pytest
import torch

from rlhf import sampling
from rlhf.feedback.records import Message, Prompt
from rlhf.rendering import Renderer
from rlhf.rollout import build_generation, respond, response_logprobs
from tests.test_rollout import PAD, PROMPTS, STOP, prefer, recorder, sample

__all__ = ["recorder"]  # the fixture

TALKS = [[10, 11, STOP, 12], [20, STOP, 22, 23, STOP, 25, 26]]  # earlier turns end within the prompt


def test_inv17_the_ends_of_earlier_turns_are_seen_where_the_pad_is_the_end(policy):
    same = build_generation(TALKS, [[7, STOP]] * 2, [STOP], STOP)
    assert same.prompt_mask.sum(1).tolist() == [4, 7]
    torch.testing.assert_close(
        response_logprobs(policy, same, 1.0),
        response_logprobs(policy, build_generation(TALKS, [[7, STOP]] * 2, [STOP], PAD), 1.0),
    )


def test_inv17_prompts_are_read_whole_while_sampling_where_the_pad_is_the_end(policy, recorder):
    found = []
    for pad in (PAD, STOP):
        recorder.seen.clear()
        sample(policy, TALKS, pad_token_id=pad)
        found.append(recorder.seen[0][1])
    torch.testing.assert_close(found[0], found[1])


def test_inv18_a_sampled_pad_is_seen_by_the_tokens_after_it(policy, recorder, monkeypatch):
    monkeypatch.setattr(sampling, "_TOKENS_AT_A_TIME", 4)
    pad = sample(policy, PROMPTS[:1]).responses()[0][1]
    recorder.seen.clear()
    (response,) = sample(policy, PROMPTS[:1], pad_token_id=pad).responses()
    assert response[1] == pad
    assert len(response) == 12
    for ids, scores in recorder.seen:
        with torch.no_grad():
            logits = policy(input_ids=ids, use_cache=False).logits[:, -1]
        torch.testing.assert_close(scores, logits, atol=1e-5, rtol=1e-5)


def test_inv11_prompts_of_unequal_length_come_back_as_they_were_given(policy):
    assert sample(policy).prompts() == PROMPTS


@pytest.mark.parametrize("token", [STOP, 33])
def test_inv21_every_stop_token_of_the_renderer_ends_a_response(policy, tokenizer, token):
    renderer = Renderer(tokenizer, extra_stop_token_ids=(33,))
    assert renderer.stop_token_ids == (STOP, 33)
    prompt = Prompt("p", (Message("user", "Hello"),), "g", "f:1")
    generation = respond(prefer(policy, token), renderer, [prompt], max_new_tokens=5, temperature=1.0)
    assert generation.responses() == [[token]]
    assert generation.ended.tolist() == [True]


def test_inv50_logprobs_for_the_targets_have_no_gradient(policy):
    assert not response_logprobs(policy, sample(policy), 1.0).requires_grad


def test_rows_trims_to_the_longest_of_the_rows():
    generation = build_generation([[5, 6, 7], [8]], [[9, STOP], [9, 9, 9]], [STOP], PAD)
    part = generation.rows(torch.tensor([0]))
    assert part.prompt_ids.tolist() == [[5, 6, 7]]
    assert part.response_ids.tolist() == [[9, STOP]]
    other = generation.rows(torch.tensor([1]))
    assert (other.prompt_ids.tolist(), other.response_ids.tolist()) == ([[8]], [[9, 9, 9]])
    assert other.ended.tolist() == [False]
