"""Several sources of scores as one: weighted sums, ensembles, and scores of single tokens."""

from __future__ import annotations

import pytest
import torch

from rlhf.errors import RunError
from rlhf.rendering import Renderer
from rlhf.scoring import (
    EnsembleScorer,
    FunctionScorer,
    RewardModelScorer,
    WeightedScorer,
    as_scores,
    models_of,
)
from tests.helpers import tiny_reward_model
from tests.test_scoring import PROMPTS, generation_of


@pytest.fixture
def renderer(tokenizer):
    return Renderer(tokenizer)


def test_several_sources_are_added_with_their_weights(renderer):
    texts = ["one", "two", "three"]
    one = FunctionScorer("one", lambda prompts, responses: [1.0, 2.0, 3.0])
    ten = FunctionScorer("ten", lambda prompts, responses: [10, 10, 20])
    scores = WeightedScorer(((one, 1.0), (ten, -0.5)))(PROMPTS, generation_of(renderer, texts), texts)
    assert scores.responses.tolist() == [-4.0, -3.0, -7.0]
    assert scores.parts["scores[1]"].tolist() == [10.0, 10.0, 20.0], "each source as it was, to look at"


def constant(*values):
    return FunctionScorer("f", lambda prompts, responses: list(values))


@pytest.mark.parametrize(
    ("how", "std_coef", "expected"),
    [
        ("mean", 1.0, [2.0, 4.0, 0.0]),
        ("min", 1.0, [1.0, 4.0, -3.0]),
        ("mean_minus_std", 1.0, [1.0, 4.0, -3.0]),  # deviations of two: 1, 0, 3
        ("mean_minus_std", 0.5, [1.5, 4.0, -1.5]),
    ],
)
def test_an_ensemble_by_hand(renderer, how, std_coef, expected):
    texts = ["one", "two", "three"]
    members = (constant(1.0, 4.0, 3.0), constant(3.0, 4.0, -3.0))
    found = EnsembleScorer("e", members, how, std_coef)(PROMPTS, generation_of(renderer, texts), texts)
    assert found.responses.tolist() == pytest.approx(expected)
    assert found.parts["disagreement"].tolist() == [1.0, 0.0, 3.0]


def test_a_function_scores_tokens(renderer, tokenizer):
    seen = {}

    def score(prompts, responses, tokens):
        seen["tokens"] = tokens
        return [[float(i) for i, _ in enumerate(pieces)] for pieces in tokens]

    texts = ["one", "two and three", "x"]
    generation = generation_of(renderer, texts)
    scorer = FunctionScorer("f", score, lambda ids: [tokenizer.decode([token]) for token in ids])
    found = as_scores(scorer(PROMPTS, generation, texts), generation)
    lengths = generation.response_mask.sum(1).tolist()
    assert [len(pieces) for pieces in seen["tokens"]] == lengths
    assert "".join(seen["tokens"][1][:-1]) == texts[1], "the pieces of the text, and the end token"
    for row, length in enumerate(lengths):
        assert found.tokens[row, :length].tolist() == [float(i) for i in range(length)]
        assert found.tokens[row, length:].abs().sum() == 0
    assert found.responses.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("given", [[[1.0]] * 3, [1.0, 2.0, 3.0], ["abcd"] * 3, [[float("nan")] * 4] * 3])
def test_scores_of_tokens_that_do_not_fit_are_named(renderer, tokenizer, given):
    texts = ["one two", "one two", "one two"]
    scorer = FunctionScorer("f", lambda prompts, responses: given, lambda ids: ["a"] * 4)
    with pytest.raises(RunError, match=r"f gave .* for prompt 'p0'; (with per_token|a token's score)"):
        scorer(PROMPTS, generation_of(renderer, texts), texts)


def test_sums_hold_tokens_and_responses_and_find_their_models(renderer, tokenizer):
    texts = ["one", "two", "three"]
    generation = generation_of(renderer, texts)
    per_token = FunctionScorer(
        "t", lambda prompts, responses, tokens: [[1.0] * len(p) for p in tokens], lambda ids: ["a"] * len(ids)
    )
    model = tiny_reward_model(tokenizer)
    judge = RewardModelScorer("rm", model, None, 4)
    ensemble = EnsembleScorer("e", (judge, constant(0.0, 0.0, 0.0)))
    both = WeightedScorer(((per_token, 0.5), (constant(1.0, 2.0, 3.0), 2.0), (ensemble, 0.0)))
    found = both(PROMPTS, generation, texts)
    assert found.responses.tolist() == [2.0, 4.0, 6.0]
    assert torch.equal(found.tokens, 0.5 * generation.response_mask)
    assert {"scores[0]", "scores[1]", "scores[2]", "scores[2].disagreement"} == found.parts.keys()
    assert models_of(both) == [model]


def test_inv45_what_a_scorer_says_of_padding_does_not_count(renderer):
    generation = generation_of(renderer, ["one", "two and three"])
    assert not generation.response_mask.all()
    given = torch.full(generation.response_ids.shape, 7.0)
    assert torch.equal(as_scores(given, generation).tokens, 7.0 * generation.response_mask)


def test_inv19_scores_of_tokens_past_a_response_never_count(renderer):
    texts = ["one", "two and three", "x"]
    generation = generation_of(renderer, texts)
    found = as_scores(torch.full(generation.response_ids.shape, 2.0), generation)
    assert not generation.response_mask.all()
    assert torch.equal(found.tokens, 2.0 * generation.response_mask)
