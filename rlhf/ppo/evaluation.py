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
from rlhf.ppo.parts import Parts
from rlhf.ppo.recipe import Recipe
from rlhf.ppo.steps import final_scores, final_token_scores, kept_scores
from rlhf.rollout import Generation, generate, response_logprobs
from rlhf.sampling import derive_seed
from rlhf.scoring import as_scores, models_of

if TYPE_CHECKING:
    from rlhf.feedback.records import Prompt
    from rlhf.rendering import RenderedPrompt
    from rlhf.scoring import Scorer


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
    held_out_scorer: Scorer | None = None,
    text_loss: Callable[[], float] | None = None,
) -> Evaluation:
    """Answer `prompts` and score the answers; prompts are shared out over the processes, all get the result.

    `temperature` None is the recipe's; at 0 (the likeliest tokens) the KL is the log-ratio of these answers
    at the recipe's temperature. `judge(prompts, responses, **columns)` gives a dictionary of numbers for each
    response, `held_out_scorer` a score that nothing is trained on, and `text_loss` what the policy has kept
    of language: its loss on held-out text, nats a token.
    """
    from accelerate.utils import gather_object

    accelerator = parts.accelerator
    mine = own_rows(len(prompts), accelerator.process_index, accelerator.num_processes)
    rows: list[dict[str, Any]] = []
    if mine:
        temperature = recipe.temperature if temperature is None else temperature
        rows = _answer(parts, recipe, [prompts[i] for i in mine], mine, temperature, held_out_scorer)
        if judge is not None:
            _add_verdicts(rows, [prompts[i] for i in mine], judge, judge_name)
    else:
        _note_moments(parts, recipe, torch.zeros(0))  # the other processes wait for this one's share
    loss = None if text_loss is None else text_loss()
    gathered: list[dict[str, Any]] = sorted(gather_object(rows), key=lambda row: row["row"])
    found = summarise(gathered, recipe.kl_coef)
    if loss is not None:
        found.metrics["evaluation/text_loss"] = loss
    return found


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
    parts: Parts,
    recipe: Recipe,
    prompts: Sequence[RenderedPrompt],
    numbers: list[int],
    temperature: float,
    held_out_scorer: Scorer | None,
) -> list[dict[str, Any]]:
    generation = generate(
        unwrap_model(parts.learner),
        [prompt.prompt_ids for prompt in prompts],
        stop_token_ids=parts.renderer.stop_token_ids,
        pad_token_id=parts.renderer.pad_token_id,
        opening=parts.renderer.opening,
        max_new_tokens=recipe.max_response_tokens,
        temperature=temperature,
        seed=derive_seed(recipe.seed, "evaluation"),
        rows=numbers,
        batch_size=recipe.generation_batch_size,
    )
    texts = [parts.renderer.decode_response(ids) for ids in generation.responses()]
    records = [prompt.prompt for prompt in prompts]
    columns = {
        **_scores(parts, recipe, records, generation, texts),
        "kl": _response_kl(parts, recipe, generation, temperature or recipe.temperature),
        "response_tokens": generation.response_mask.sum(1).tolist(),
        "ended": generation.ended.tolist(),
    }
    if held_out_scorer is not None:
        with parts.at_hand(*models_of(held_out_scorer)):
            columns["held_out_score"] = _totals(held_out_scorer, records, generation, texts)
    return [
        {
            "row": number,
            "prompt_id": record.id,
            "prompt": record.as_dicts(),
            "response": texts[i],
            **{name: values[i] for name, values in columns.items()},
        }
        for i, (number, record) in enumerate(zip(numbers, records, strict=True))
    ]


def _scores(
    parts: Parts, recipe: Recipe, records: list[Prompt], generation: Generation, texts: list[str]
) -> dict[str, list[float]]:
    """Return what the scorer gives, and what is left of it after the recipe's rules.

    Scores are normalised by moments that stay: with those that move, two evaluations would not compare. Where
    they move in training, it is those of the first evaluation.
    """
    with parts.at_hand(*models_of(parts.scorer)):
        given = as_scores(parts.scorer(records, generation, texts), generation)
    on_tokens = given.tokens.sum(1)
    _note_moments(parts, recipe, kept_scores(given.responses, generation, recipe.score_rules))
    moments = parts.evaluation_moments
    final = final_scores(given.responses, generation, recipe.score_rules, moments)
    final = final + final_token_scores(given.tokens, generation, recipe.score_rules).sum(1)
    return {"score": (given.responses + on_tokens).tolist(), "final_score": final.tolist()}


def _note_moments(parts: Parts, recipe: Recipe, scores: torch.Tensor) -> None:
    """Take the moments of the first evaluation's scores, where those of training move; on every process."""
    moments = parts.evaluation_moments
    if moments is not None and recipe.score_normalisation == "running" and moments.count == 0:
        moments.update(scores.to(parts.accelerator.device), parts.add_up)


def _totals(scorer: Scorer, records: list[Prompt], generation: Generation, texts: list[str]) -> list[float]:
    given = as_scores(scorer(records, generation, texts), generation)
    totals: list[float] = (given.responses + given.tokens.sum(1)).tolist()
    return totals


def _response_kl(parts: Parts, recipe: Recipe, generation: Generation, temperature: float) -> list[float]:
    """Return log pi / pi_ref of each response, in batches of similar length and in the order of the rows."""
    lengths = generation.prompt_mask.sum(1) + generation.response_mask.sum(1)
    order = lengths.argsort(stable=True)
    kl = torch.zeros(len(generation), dtype=torch.float64)
    with parts.at_hand(parts.reference):
        for index in order.split(recipe.microbatch_size):
            part = generation.rows(index)
            ours = response_logprobs(unwrap_model(parts.learner), part, temperature)
            theirs = response_logprobs(parts.reference, part, temperature)
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
