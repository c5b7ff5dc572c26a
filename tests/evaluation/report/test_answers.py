from __future__ import annotations

from typing import Any

import pytest
import torch

from rlhf.errors import RunError
from rlhf.evaluation.report.answers import (
    answer_prompts,
    judge_answers,
    response_kl,
    spread_evenly,
)
from rlhf.rendering import Renderer
from rlhf.rollout import response_logprobs
from tests.evaluation.report.made_up import answer, prompt
from tests.helpers import tiny_gpt2

PROMPTS = [prompt(number, f"Say {'bread ' * (5 - number)}") for number in range(5)]


def draw(model: Any, tokenizer: Any, rows: list[int], batch_size: int = 2) -> Any:
    renderer = Renderer(tokenizer, max_prompt_tokens=40)
    chosen = [PROMPTS[row] for row in rows]
    options: dict[str, Any] = {"temperature": 1.0, "max_response_tokens": 12, "seed": 7}
    return answer_prompts(model, renderer, chosen, rows, batch_size=batch_size, **options)


def test_answers_do_not_depend_on_how_prompts_are_shared_out(policy, tokenizer) -> None:
    together, _ = draw(policy, tokenizer, [0, 1, 2, 3, 4])
    apart = [*draw(policy, tokenizer, [0, 2, 4], 3)[0], *draw(policy, tokenizer, [1, 3])[0]]
    assert sorted(apart, key=lambda one: one.row) == together
    assert [one.row for one in together] == [0, 1, 2, 3, 4]


def test_inv33_kl_of_a_policy_to_itself_is_zero_and_to_another_the_log_ratio(policy, tokenizer) -> None:
    _, generation = draw(policy, tokenizer, [0, 1, 2, 3, 4])
    assert response_kl(policy, policy, generation, 1.0, 2) == [0.0] * 5
    other = tiny_gpt2(tokenizer, seed=1)
    wide = response_logprobs(policy, generation, 1.0) - response_logprobs(other, generation, 1.0)
    torch.testing.assert_close(
        torch.tensor(response_kl(policy, other, generation, 1.0, 2)), wide.sum(1), rtol=1e-4, atol=1e-5
    )


def test_prompts_are_spread_over_a_sorted_file() -> None:
    assert spread_evenly(1000, 4) == [0, 250, 500, 750]
    assert spread_evenly(3, 5) == [0, 1, 2]
    assert len(set(spread_evenly(1000, 999))) == 999


def test_a_judge_is_given_the_columns() -> None:
    def judge(prompts: Any, responses: Any, *, family: Any) -> Any:
        return [{"score": float(name == "b")} for name in family]

    chosen = [prompt(0, family="a"), prompt(1, family="b")]
    judged = judge_answers([answer(0, 0.5), answer(1, 0.5)], chosen, judge, "j.py:judge")
    assert [one.verdict for one in judged] == [{"score": 0.0}, {"score": 1.0}]


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        (lambda prompts, responses: [1.0 for _ in responses], "a dictionary with 'score'"),
        (lambda prompts, responses: [{"helpful": 1.0} for _ in responses], "a dictionary with 'score'"),
        (lambda prompts, responses: [{"score": "good"} for _ in responses], "a finite number"),
        (lambda prompts, responses: [{"score": float("nan")} for _ in responses], "a finite number"),
        (lambda prompts, responses: [{"score": 1.0}], "gave 1 values for 2 responses"),
        (lambda prompts, responses: [{"score": 1.0}, {"score": 1.0, "x": 1.0}], "the same for all"),
        (lambda prompts, responses: prompts[99], r"failed with IndexError: .*test_answers.py:\d+"),
    ],
)
def test_a_bad_judge_is_one_message(judge: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        judge_answers([answer(0, 0.5), answer(1, 0.5)], PROMPTS[:2], judge, "j.py:judge")
