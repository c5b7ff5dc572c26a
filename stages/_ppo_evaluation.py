"""What PPO is measured by while it trains, from the stage's settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rlhf.errors import DataError
from rlhf.runs import console
from rlhf.settings.ppo import PpoSettings
from stages._ppo_scores import build_scorer
from stages._reading import keep_readable

if TYPE_CHECKING:
    from rlhf.models.one_base import OneBase
    from rlhf.ppo.evaluation import Evaluation
    from rlhf.ppo.parts import Parts
    from rlhf.ppo.ptx import TextRow
    from rlhf.ppo.recipe import Recipe
    from rlhf.rendering import RenderedPrompt
    from rlhf.scoring import Scorer


def build_evaluation(
    settings: PpoSettings,
    parts: Parts,
    recipe: Recipe,
    prompts: Sequence[RenderedPrompt],
    text: Sequence[TextRow],
    base: OneBase | None,
) -> Callable[[], Evaluation]:
    """Put together what is asked on held-out prompts: score, KL, a judge, a held-out scorer, loss on text."""
    from rlhf.functions import load_function
    from rlhf.ppo.evaluation import evaluate

    name = settings.evaluation.judge
    judge = load_function(name) if name is not None else None
    held_out_scorer = _held_out_scorer(settings, parts, base)
    if held_out_scorer is not None:
        kept = keep_readable([one.prompt for one in prompts], held_out_scorer, "data.validation")
        readable = {id(prompt) for prompt in kept}
        prompts = [one for one in prompts if id(one.prompt) in readable]
    chosen = _chosen(prompts, settings.evaluation.num_prompts)
    text_loss = _text_loss(settings, parts, text) if text else None

    def evaluate_now() -> Evaluation:
        return evaluate(
            parts,
            recipe,
            chosen,
            temperature=settings.evaluation.temperature,
            judge=judge,
            judge_name=name or "judge",
            held_out_scorer=held_out_scorer,
            text_loss=text_loss,
        )

    return evaluate_now


def _chosen(prompts: Sequence[RenderedPrompt], wanted: int) -> Sequence[RenderedPrompt]:
    if not prompts:
        raise DataError("there are no held-out prompts to evaluate on", where="data.validation")
    if len(prompts) < wanted:
        console.say(
            f"evaluation.num_prompts is {wanted}, but there are {len(prompts)} held-out prompts: all are used"
        )
    return prompts[:wanted]


def _held_out_scorer(settings: PpoSettings, parts: Parts, base: OneBase | None) -> Scorer | None:
    from rlhf.scoring import models_of

    sources = settings.evaluation.held_out_scores
    if not sources:
        return None
    name = "evaluation.held_out_scores"
    scorer = build_scorer(settings, sources, name, parts.accelerator, parts.renderer, base)
    with parts.at_hand(*models_of(scorer)):
        pass  # with memory.offload they leave the device: a run that goes on may not evaluate for long
    return scorer


def _text_loss(settings: PpoSettings, parts: Parts, rows: Sequence[TextRow]) -> Callable[[], float]:
    """Return what measures the policy's loss on text, its rows shared out over the processes."""
    from rlhf.feedback.shelf import pick
    from rlhf.models import unwrap_model
    from rlhf.ppo.batching import own_rows
    from rlhf.ppo.ptx import policy_forward, text_loss

    accelerator = parts.accelerator
    mine = own_rows(len(rows), accelerator.process_index, accelerator.num_processes)

    def measure() -> float:
        found = text_loss(
            policy_forward(unwrap_model(parts.learner)),
            pick(rows, mine),
            batch_size=settings.ppo.microbatch_size,
            pad_token_id=parts.renderer.pad_token_id,
            device=accelerator.device,
            reduce=parts.add_up,
        )
        return found.loss

    return measure
