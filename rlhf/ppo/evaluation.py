"""Measure the policy on held-out prompts: always the same prompts and the same random draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from rlhf.functions import judge_responses
from rlhf.maths.masked import masked_sum
from rlhf.models.saving import unwrap_model
from rlhf.ppo.batching import own_rows
from rlhf.ppo.parts import Parts, Recipe
from rlhf.ppo.steps import final_scores
from rlhf.rollout import Generation, generate, response_logprobs
from rlhf.sampling import derive_seed

if TYPE_CHECKING:
    from rlhf.rendering import RenderedPrompt


@dataclass(frozen=True)
class Evaluation:
    """What held-out prompts say about the policy.

    `objective` is what the best checkpoint is chosen by: the mean final score minus `Recipe.kl_coef` (as set,
    also where a controller changes it, so that evaluations compare) times the KL of a response.
    """

    metrics: dict[
        str, float
    ]  # evaluation/...: score, kl (nats a response), response_tokens, judge_<criterion> ...
    objective: float
    rows: list[dict[str, Any]]  # one a prompt, in the order of the prompts


def evaluate(
    parts: Parts,
    recipe: Recipe,
    prompts: Sequence[RenderedPrompt],
    *,
    temperature: float | None = None,
    judge: Callable[..., Any] | None = None,
    judge_name: str = "judge",
) -> Evaluation:
    """Answer `prompts` and score the answers; prompts are shared out over the processes, all get the result.

    `temperature` None is the recipe's; at 0 (the likeliest tokens) the KL is the log-ratio of these answers
    at the recipe's temperature. `judge(prompts, responses, **columns)` gives a dictionary of numbers for each
    response.
    """
    from accelerate.utils import gather_object

    accelerator = parts.accelerator
    mine = own_rows(len(prompts), accelerator.process_index, accelerator.num_processes)
    rows: list[dict[str, Any]] = []
    if mine:
        temperature = recipe.temperature if temperature is None else temperature
        rows = _answer(parts, recipe, [prompts[i] for i in mine], mine, temperature)
        if judge is not None:
            _add_verdicts(rows, [prompts[i] for i in mine], judge, judge_name)
    gathered: list[dict[str, Any]] = sorted(gather_object(rows), key=lambda row: row["row"])
    return summarise(gathered, recipe.kl_coef)


def summarise(rows: list[dict[str, Any]], kl_coef: float) -> Evaluation:
    """Average the rows of an evaluation."""
    names = [name for name, value in rows[0].items() if isinstance(value, (int, float)) and name != "row"]
    means = {name: sum(float(row[name]) for row in rows) / len(rows) for name in names}
    means["kl_per_token"] = means["kl"] / means["response_tokens"]
    objective = means["final_score"] - kl_coef * means["kl"]
    metrics = {f"evaluation/{name}": value for name, value in means.items()} | {
        "evaluation/objective": objective
    }
    return Evaluation(metrics, objective, rows)


def _answer(
    parts: Parts, recipe: Recipe, prompts: Sequence[RenderedPrompt], numbers: list[int], temperature: float
) -> list[dict[str, Any]]:
    policy = unwrap_model(parts.policy)
    generation = generate(
        policy,
        [prompt.prompt_ids for prompt in prompts],
        stop_token_ids=parts.renderer.stop_token_ids,
        pad_token_id=parts.renderer.pad_token_id,
        max_new_tokens=recipe.max_response_tokens,
        temperature=temperature,
        seed=derive_seed(recipe.seed, "evaluation"),
        rows=numbers,
        batch_size=recipe.generation_batch_size,
    )
    texts = [parts.renderer.decode_response(ids) for ids in generation.responses()]
    records = [prompt.prompt for prompt in prompts]
    scores = parts.scorer(records, generation, texts)
    final = final_scores(
        scores,
        generation.ended.cpu(),
        score_clip=recipe.score_clip,
        missing_eos_penalty=recipe.missing_eos_penalty,
        missing_eos_score=recipe.missing_eos_score,
    )
    kl = _response_kl(parts, recipe, generation, temperature or recipe.temperature)
    tokens, ended = generation.response_mask.sum(1).tolist(), generation.ended.tolist()
    return [
        {
            "row": number,
            "prompt_id": record.id,
            "prompt": record.as_dicts(),
            "response": texts[i],
            "score": float(scores[i]),
            "final_score": float(final[i]),
            "kl": kl[i],
            "response_tokens": tokens[i],
            "ended": ended[i],
        }
        for i, (number, record) in enumerate(zip(numbers, records, strict=True))
    ]


def _response_kl(parts: Parts, recipe: Recipe, generation: Generation, temperature: float) -> list[float]:
    """Return log pi / pi_ref of each response, in batches of similar length and in the order of the rows."""
    lengths = generation.prompt_mask.sum(1) + generation.response_mask.sum(1)
    order = lengths.argsort(stable=True)
    kl = torch.zeros(len(generation), dtype=torch.float64)
    policy, reference = unwrap_model(parts.policy), parts.reference
    for index in order.split(recipe.microbatch_size):
        part = generation.rows(index)
        ours = response_logprobs(policy, part, temperature)
        theirs = response_logprobs(reference, part, temperature)
        kl[index.cpu()] = masked_sum(ours - theirs, part.response_mask, dim=1).double().cpu()
    found: list[float] = kl.tolist()
    return found


def _add_verdicts(
    rows: list[dict[str, Any]], prompts: Sequence[RenderedPrompt], judge: Callable[..., Any], name: str
) -> None:
    records = [prompt.prompt for prompt in prompts]
    verdicts = judge_responses(judge, records, [row["response"] for row in rows], name)
    for row, verdict in zip(rows, verdicts, strict=True):
        row.update({f"judge_{criterion}": value for criterion, value in verdict.items()})
