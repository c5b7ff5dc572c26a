"""Let a model answer prompts, and have the answers scored by the reward model and the judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rlhf.functions import judge_responses
from rlhf.maths.masked import masked_sum
from rlhf.rollout import Generation, respond, response_logprobs
from rlhf.scoring import Scorer, as_scores

if TYPE_CHECKING:
    from rlhf.feedback.records import Prompt
    from rlhf.rendering import Renderer

__all__ = ["Answer", "answer_prompts", "judge_answers", "response_kl", "score_answers", "spread_evenly"]


@dataclass(frozen=True)
class Answer:
    """One model's answer to the prompt number `row`, with what is known about it so far."""

    row: int
    response: str
    tokens: int  # end token included
    ended: bool  # False: cut at the length limit
    reward_score: float | None = None
    kl: float | None = None  # nats, against the SFT policy; of sampled answers only
    verdict: Mapping[str, float] = field(default_factory=dict)  # the judge's "score" and criteria


def spread_evenly(count: int, wanted: int) -> list[int]:
    """Choose `wanted` of `count` rows at equal distances: files are often sorted by topic.

    >>> spread_evenly(10, 4)
    [0, 2, 5, 7]
    """
    return [number * count // wanted for number in range(wanted)] if wanted < count else list(range(count))


def answer_prompts(
    model: Any,
    renderer: Renderer,
    prompts: Sequence[Prompt],
    rows: Sequence[int],
    *,
    temperature: float,
    max_response_tokens: int,
    seed: int,
    batch_size: int,
) -> tuple[list[Answer], Generation]:
    """Answer each prompt once.

    Args:
        model: a causal language model.
        renderer: its own.
        prompts: B of them.
        rows: their numbers among all prompts; with the seed they decide the random draws, so that how
            prompts are shared out over processes changes nothing.
        temperature: divides the logits; 0 takes the likeliest token.
        max_response_tokens: longest answer.
        seed: of the draws.
        batch_size: answers sampled together.

    Returns:
        B answers, and the same as ids.
    """
    generation = respond(
        model,
        renderer,
        prompts,
        max_new_tokens=max_response_tokens,
        temperature=temperature,
        seed=seed,
        rows=rows,
        batch_size=batch_size,
    )
    lengths, ended = generation.response_mask.sum(1).tolist(), generation.ended.tolist()
    answers = [
        Answer(row, renderer.decode_response(ids), length, end)
        for row, ids, length, end in zip(rows, generation.responses(), lengths, ended, strict=True)
    ]
    return answers, generation


def response_kl(
    policy: Any, reference: Any, generation: Generation, temperature: float, batch_size: int
) -> list[float]:
    """Compute log pi(y) - log pi_ref(y) of each response, nats.

    Their mean over responses sampled from the policy at this temperature estimates KL(pi || pi_ref) of whole
    responses without bias (k1; single responses may be negative).

    Args:
        policy: what sampled the responses.
        reference: the SFT policy; it must share the policy's vocabulary.
        generation: B responses.
        temperature: that of the sampling.
        batch_size: responses in one forward pass.

    Returns:
        B numbers.
    """
    lengths = generation.prompt_mask.sum(1) + generation.response_mask.sum(1)
    kl = [0.0] * len(generation)
    for index in lengths.argsort(stable=True).split(batch_size):
        part = generation.rows(index)
        ratio = response_logprobs(policy, part, temperature) - response_logprobs(reference, part, temperature)
        sums = masked_sum(ratio, part.response_mask, dim=1).tolist()
        for row, value in zip(index.tolist(), sums, strict=True):
            kl[row] = value
    return kl


def score_answers(
    answers: Sequence[Answer], prompts: Sequence[Prompt], generation: Generation, scorer: Scorer
) -> list[Answer]:
    """Add the reward model's score."""
    given = as_scores(scorer(prompts, generation, [answer.response for answer in answers]), generation)
    scores = given.responses.tolist()
    return [replace(answer, reward_score=score) for answer, score in zip(answers, scores, strict=True)]


def judge_answers(
    answers: Sequence[Answer], prompts: Sequence[Prompt], judge: Callable[..., Any], name: str
) -> list[Answer]:
    """Add the judge's verdicts.

    Args:
        answers: B of them.
        prompts: what they answer.
        judge: ``f(prompts, responses, **columns)``, giving a dictionary of numbers a response with "score".
        name: what errors call it, ``file.py:name``.

    Raises:
        RunError: it fails, or does not give what a judge gives.
    """
    verdicts = judge_responses(judge, prompts, [answer.response for answer in answers], name)
    return [replace(answer, verdict=verdict) for answer, verdict in zip(answers, verdicts, strict=True)]
