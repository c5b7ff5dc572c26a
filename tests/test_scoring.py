"""Scoring: ids or text reach the judge unharmed, and every row gets its own number."""

from __future__ import annotations

import dataclasses

import numpy
import pytest
import torch
from tokenizers import pre_tokenizers

from rlhf.errors import RunError
from rlhf.feedback.records import Message, Prompt
from rlhf.models.values import sequence_scores
from rlhf.rendering import Renderer
from rlhf.rollout import build_generation
from rlhf.scoring import (
    FunctionScorer,
    RewardModelScorer,
    score_sequences,
)
from rlhf.shared_ids import same_rendering
from tests.helpers import tiny_reward_model, tiny_tokenizer

PROMPTS = [
    Prompt(f"p{i}", (Message("user", text),), f"g{i}", f"f:{i}", {"task": i, "family": f"family {i}"})
    for i, text in enumerate(["Who keeps the key?", "List three fruits: now", "Hello"])
]


@pytest.fixture
def renderer(tokenizer):
    return Renderer(tokenizer)


def generation_of(renderer, texts, ended=True):
    responses = [renderer.render_response(text) for text in texts]
    responses = responses if ended else [ids[:-1] for ids in responses]
    prompts = [renderer.render_prompt(prompt.messages) for prompt in PROMPTS[: len(texts)]]
    return build_generation(prompts, responses, renderer.stop_token_ids, renderer.pad_token_id)


# ---- functions of the user's


def test_inv42_columns_reach_the_function_in_the_right_row(renderer):
    seen = {}

    def score(prompts, responses, **columns):
        seen.update(columns, prompts=prompts, responses=responses)
        return [float(task) for task in columns["task"]]

    texts = ["one", "two", "three"]
    scores = FunctionScorer("f", score)(PROMPTS, generation_of(renderer, texts), texts)
    assert scores.tolist() == [0.0, 1.0, 2.0]
    assert seen["family"] == ["family 0", "family 1", "family 2"]
    assert seen["prompts"][2] == [{"role": "user", "content": "Hello"}]
    assert seen["responses"] == texts


def test_inv42_a_column_that_a_prompt_lacks_is_none_in_its_row(renderer):
    texts, seen = ["one", "two", "three"], []
    prompts = [PROMPTS[0], dataclasses.replace(PROMPTS[1], columns={}), PROMPTS[2]]

    def score(prompts, responses, family):
        seen.extend(family)
        return [0.0] * len(family)

    FunctionScorer("f", score)(prompts, generation_of(renderer, texts), texts)
    assert seen == ["family 0", None, "family 2"]


def test_a_function_gets_only_the_columns_that_it_names(renderer):
    def score(prompts, responses, family):
        return [float(name[-1]) for name in family]

    texts = ["one", "two", "three"]
    assert FunctionScorer("f", score)(PROMPTS, generation_of(renderer, texts), texts).tolist() == [
        0.0,
        1.0,
        2.0,
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "1"])
def test_inv42_a_score_that_is_no_finite_number_surfaces_with_its_prompt(renderer, value):
    texts = ["one", "two", "three"]
    with pytest.raises(RunError, match=r"rewards.py:score gave .* for prompt 'p1'"):
        FunctionScorer("rewards.py:score", lambda prompts, responses: [1.0, value, 1.0])(
            PROMPTS, generation_of(renderer, texts), texts
        )


def test_inv42_a_reward_model_that_overflows_surfaces_with_the_prompt(tokenizer, renderer):
    model = tiny_reward_model(tokenizer)
    with torch.no_grad():
        model.score.weight.fill_(torch.inf)
    texts = ["one", "two", "three"]
    with pytest.raises(
        RunError, match=r"runs/reward: the reward model scores .* to prompt 'p0' \(3 of 3 are"
    ):
        RewardModelScorer("runs/reward", model, None, 4)(PROMPTS, generation_of(renderer, texts), texts)


def test_inv42_a_wrong_count_and_exceptions_surface(renderer):
    texts = ["one", "two", "three"]
    with pytest.raises(RunError, match="gave 2 values for 3 responses"):
        FunctionScorer("f", lambda prompts, responses: [1, 2])(PROMPTS, generation_of(renderer, texts), texts)

    with pytest.raises(RunError, match="gave 4 values for 3 responses"):
        FunctionScorer("f", lambda prompts, responses: [1] * 4)(
            PROMPTS, generation_of(renderer, texts), texts
        )

    def fail(prompts, responses):
        raise KeyError("mine")

    with pytest.raises(RunError, match=r"f failed with KeyError: 'mine' \(.*test_scoring.py:\d+\)") as caught:
        FunctionScorer("f", fail)(PROMPTS, generation_of(renderer, texts), texts)
    assert isinstance(caught.value.__cause__, KeyError)  # for who calls it from a notebook


@pytest.mark.parametrize("value", [None, 1.0, "123", {"score": 1.0}])
def test_what_is_no_list_of_scores_is_named(renderer, value):
    texts = ["one", "two", "three"]
    with pytest.raises(
        RunError, match=r"gave .* for 3 responses; it must give a list with one value for each"
    ):
        FunctionScorer("f", lambda prompts, responses: value)(PROMPTS, generation_of(renderer, texts), texts)


def test_numbers_of_numpy_and_tensors_are_scores(renderer):
    texts = ["one", "two", "three"]
    for values in (
        torch.tensor([1.0, 2.0, 3.0]),
        numpy.array([1, 2, 3]),
        [numpy.float32(n) for n in (1, 2, 3)],
    ):
        score = FunctionScorer("f", lambda prompts, responses, values=values: values)
        assert score(PROMPTS, generation_of(renderer, texts), texts).tolist() == [1.0, 2.0, 3.0]


# ---- reward models


def test_inv40_a_score_does_not_depend_on_batch_or_order(tokenizer):
    model = tiny_reward_model(tokenizer)
    sequences = [[5, 6, 7, 1], [8, 1], [9, 10, 11, 12, 13, 1]]
    alone = torch.cat([score_sequences(model, [ids], 1) for ids in sequences])
    torch.testing.assert_close(score_sequences(model, sequences, 3), alone)
    torch.testing.assert_close(score_sequences(model, sequences[::-1], 2), alone.flip(0))


def test_inv11_inv12_a_model_with_the_same_tokenizer_is_given_the_sampled_ids(tokenizer, renderer):
    """Also ids that no text would give back, and no end token where none was sampled."""
    model = tiny_reward_model(tokenizer)
    odd = [[20, 20, 300, 5], [21, 1]]
    prompts = [renderer.render_prompt(prompt.messages) for prompt in PROMPTS[:2]]
    generation = build_generation(prompts, odd, renderer.stop_token_ids, 0)
    found = RewardModelScorer("rm", model, None, 4)(PROMPTS[:2], generation, ["never", "read"])
    for row in range(2):
        ids = torch.tensor([prompts[row] + odd[row]])
        expected = sequence_scores(model, ids, torch.ones_like(ids))
        torch.testing.assert_close(found[row : row + 1], expected)


def other_tokenizer():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = tokenizer.chat_template.replace("<|assistant|>", "<|system|><|assistant|>")
    return tokenizer


@pytest.mark.parametrize("ended", [True, False])
def test_inv41_text_goes_across_to_a_model_with_another_template_and_ids_do_not(renderer, ended):
    tokenizer = other_tokenizer()
    own = Renderer(tokenizer)
    model = tiny_reward_model(tokenizer)
    texts = ["The key", "apple, pear", "Hi"]
    generation = generation_of(renderer, texts, ended)
    found = RewardModelScorer("rm", model, own, 4)(PROMPTS, generation, texts)
    for row, (prompt, text) in enumerate(zip(PROMPTS, texts, strict=True)):
        ids = own.render_prompt(prompt.messages) + own.render_response(text)[: None if ended else -1]
        assert own.render_prompt(prompt.messages) != renderer.render_prompt(prompt.messages)
        row_ids = torch.tensor([ids])
        torch.testing.assert_close(
            found[row : row + 1], sequence_scores(model, row_ids, torch.ones_like(row_ids))
        )


def test_inv41_only_the_same_rendering_lets_ids_go_across(tokenizer):
    assert same_rendering(tokenizer, tiny_tokenizer())
    assert not same_rendering(tokenizer, other_tokenizer())
    longer = tiny_tokenizer()
    longer.add_tokens(["lantern"])
    assert not same_rendering(tokenizer, longer)
    other_rule = tiny_tokenizer()
    other_rule.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    assert other_rule.get_vocab() == tokenizer.get_vocab()
    assert not same_rendering(tokenizer, other_rule)


def test_a_pad_token_of_the_reward_models_own_is_no_other_rendering(tokenizer):
    without_pad = tiny_tokenizer(pad_token="<|end|>")
    with_pad = tiny_tokenizer(pad_token="<|end|>")
    with_pad.add_special_tokens({"pad_token": "[PAD]"})
    assert same_rendering(without_pad, with_pad)


def test_inv26_a_sequence_beyond_the_reward_models_context_is_an_error(tokenizer, renderer):
    model = tiny_reward_model(tokenizer, n_positions=8)
    texts = ["one two three four five six"]
    with pytest.raises(RunError, match="reward model 'rm' reads at most 8 tokens"):
        RewardModelScorer("rm", model, None, 4)(PROMPTS[:1], generation_of(renderer, texts), texts)
