"""The numbers of an update, by hand: two responses of 1 and 3 tokens, junk in the padding left out."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest
import torch

from rlhf.feedback.records import Message, Prompt
from rlhf.ppo.metrics import experience_metrics, sample_rows
from rlhf.ppo.types import Experience
from rlhf.rollout import build_generation

PROMPTS = tuple(Prompt(f"p{i}", (Message("user", f"ask {i}"),), f"g{i}", f"f:{i}") for i in range(2))
KL, ENTROPY = [0.5, -0.2, 0.1, 0.3], [2.0, 1.0, 4.0, 3.0]
RETURNS, VALUES = [1.0, 2.0, 4.0, -3.0], [0.5, 1.0, 5.0, -1.0]


def rows(values: list[float]) -> torch.Tensor:
    """Four numbers as two responses of 1 and 3 tokens; padding is 0, as at every station."""
    return torch.tensor([[values[0], 0.0, 0.0], values[1:]])


@pytest.fixture
def experience() -> Experience:
    generation = build_generation([[5, 6], [7]], [[1], [8, 9, 10]], [1], 0)
    return Experience(
        prompts=PROMPTS,
        generation=generation,
        texts=("", "longer"),
        minibatches=((torch.tensor([0, 1]),),),
        old_logprobs=rows([-1.0, -2.0, -1.5, -0.5]),
        entropy=rows(ENTROPY),
        temperature=1.0,
        rows=(0, 1),
        num_rows=2,
        raw_scores=torch.tensor([7.0, 2.0]),
        scores=torch.tensor([5.0, 1.0]),
        token_scores=torch.zeros(2, 3),
        score_parts={"part": torch.tensor([7.0, 2.0])},
        ref_logprobs=rows([-1.5, -1.8, -1.6, -0.8]),
        kl=rows(KL),
        rewards=torch.tensor([[4.9, 0.0, 0.0], [0.04, -0.02, 0.94]]),
        kl_coef=0.2,
        old_values=rows(VALUES),
        advantages=rows([9.0, -9.0, 9.0, -9.0]),
        returns=rows(RETURNS),
    )


def test_inv35_inv56_means_are_over_responses_or_over_their_tokens(experience: Experience) -> None:
    found = experience_metrics(experience)
    expected = {
        "raw_score": 4.5,
        "score": 3.0,
        "score_std": 2.0,
        "kl": sum(KL) / 2,
        "reward": (4.9 + 0.96) / 2,
        "response_tokens": 2.0,
        "ended_fraction": 0.5,
        "cut_score_lead": 1.0 - 5.0,
        "kl_per_token": sum(KL) / 4,
        "entropy": sum(ENTROPY) / 4,
        "value_mean": sum(VALUES) / 4,
        "return_mean": sum(RETURNS) / 4,
        "kl_coef": 0.2,
    }
    for name, value in expected.items():
        assert found[f"ppo/{name}"] == pytest.approx(value, abs=1e-6), name
    assert found["ppo/reward"] == pytest.approx(found["ppo/score"] - 0.2 * found["ppo/kl"], abs=1e-6)


@pytest.mark.parametrize("stop_tokens", [[], [1, 10]])
def test_cut_and_ended_responses_are_only_compared_where_there_are_both(experience, stop_tokens) -> None:
    alike = build_generation([[5, 6], [7]], [[1], [8, 9, 10]], stop_tokens, 0)
    assert len(set(alike.ended.tolist())) == 1
    assert "ppo/cut_score_lead" not in experience_metrics(replace(experience, generation=alike))


def test_explained_variance_is_of_the_returns_by_the_old_values(experience: Experience) -> None:
    errors = [r - v for r, v in zip(RETURNS, VALUES, strict=True)]
    expected = 1 - statistics.pvariance(errors) / statistics.pvariance(RETURNS)
    assert experience_metrics(experience)["ppo/explained_variance"] == pytest.approx(expected, abs=1e-6)


def test_samples_are_rows_of_one_response_each(experience: Experience) -> None:
    first, second = sample_rows(experience, 5)
    assert (first["prompt_id"], first["response"], first["score"], first["ended"]) == ("p0", "", 5.0, True)
    assert (second["prompt_id"], second["response"], second["response_tokens"]) == ("p1", "longer", 3)
    assert [first["kl"], second["kl"]] == pytest.approx([0.5, 0.2], abs=1e-6)
    assert first["prompt"] == [{"role": "user", "content": "ask 0"}]
    assert len(sample_rows(experience, 1)) == 1
