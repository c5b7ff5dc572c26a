"""What reaches a reward model: the ids that it was trained on, read at their last place."""

from __future__ import annotations

import pytest
import torch

from rlhf.feedback.records import Ranking
from rlhf.models.values import sequence_scores
from rlhf.rendering import Renderer, render_rankings
from rlhf.scoring import RewardModelScorer, score_sequences
from tests.helpers import tiny_reward_model
from tests.test_scoring import PROMPTS, generation_of, other_tokenizer


@pytest.fixture
def renderer(tokenizer):
    return Renderer(tokenizer)


def test_inv40_a_config_without_pad_token_changes_no_score(tokenizer):
    """transformers' own read-out cannot do it: it looks for the pad's id, and refuses (trl#2778)."""
    model = tiny_reward_model(tokenizer)
    sequences = [[5, 6, 7, 1], [8, 1], [9, 10, 0, 12, 0, 0]]  # 0 pads, and may be sampled all the same
    with torch.no_grad():
        hidden = [model.transformer(torch.tensor([ids])).last_hidden_state[0, -1] for ids in sequences]
        expected = torch.cat([model.score(state) for state in hidden])
    for pad in (0, None):
        model.config.pad_token_id = pad
        torch.testing.assert_close(score_sequences(model, sequences, 3), expected, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="no padding token"):
        model(input_ids=torch.tensor([[5, 6, 7, 1], [8, 1, 0, 0]]))


@pytest.mark.parametrize("pad", [0, 1])
def test_inv17_inv40_a_score_is_read_at_the_last_id_also_where_that_is_the_pads(tokenizer, pad):
    model = tiny_reward_model(tokenizer, pad_token_id=pad)
    sequences = [[5, 6, 0, 7, 1], [8, 1], [9, 0]]
    expected = [sequence_scores(model, torch.tensor([ids]), torch.ones(1, len(ids))) for ids in sequences]
    torch.testing.assert_close(score_sequences(model, sequences, 3), torch.cat(expected))


@pytest.mark.parametrize("other", [False, True], ids=["ids go across", "text goes across"])
def test_inv24_the_reward_model_is_shown_in_ppo_what_it_was_trained_on(
    renderer, tokenizer, monkeypatch, other
):
    """The same ids, its own end-of-turn token last, whether the policy's ids or its text go across."""
    seen = []
    monkeypatch.setattr(
        "rlhf.scoring.score_sequences", lambda m, ids, size: seen.extend(ids) or torch.zeros(3)
    )
    own = Renderer(other_tokenizer()) if other else renderer
    texts = ["The key", "apple, pear", ""]
    scorer = RewardModelScorer("rm", tiny_reward_model(tokenizer), own if other else None, 4)
    scorer(PROMPTS, generation_of(renderer, texts), texts)
    rankings = [Ranking(prompt, (text, "worse"), (1, 2)) for prompt, text in zip(PROMPTS, texts, strict=True)]
    assert seen == [ranking.ids[0] for ranking in render_rankings(rankings, own)]
    assert {ids[-1] for ids in seen} == {own.end_token_id}
