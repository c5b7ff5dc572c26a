"""Give the reward model a zero that means something: the policy that PPO starts from scores 0 on average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rlhf.feedback.records import Prompt
from rlhf.models.centring import recentre
from rlhf.rendering import Renderer
from rlhf.rollout import respond
from rlhf.scoring import RewardModelScorer

__all__ = ["Centred", "centre_on_policy"]


class Centred(NamedTuple):
    """What centring did: the mean score before and after, and the spread, over the responses that ended.

    Where all of the `num_samples` were cut (`num_ended` is 0) it is over all.
    """

    shift: float
    mean: float
    std: float
    num_samples: int
    num_ended: int


def centre_on_policy(
    reward_model: Any,
    policy: Any,
    renderer: Renderer,
    prompts: Sequence[Prompt],
    *,
    max_response_tokens: int,
    temperature: float,
    seed: int,
    batch_size: int,
    reading: Renderer | None = None,
) -> Centred:
    """Shift the reward model in place so that responses of the policy score 0 on average (invariant 38).

    Ouyang et al. 2022 (arXiv:2203.02155, section 3.5) centre on the labelers' demonstrations; we centre on
    what the policy says, which is what PPO meets first. Rankings do not change, and neither does PPO's
    optimum; the critic starts near the truth and clipping of scores is symmetric. Responses that were cut do
    not count, unless all were: the reward model has learnt to read the end token, and says anything of them.

    Args:
        reward_model: without adapters.
        policy: the SFT model.
        renderer: of the policy's tokenizer.
        prompts: at least one; training prompts, never test ones.
        max_response_tokens: as in PPO, or longer.
        temperature: as in PPO.
        seed: of the sampling.
        batch_size: sequences at once.
        reading: the reward model's own renderer, where it is given text (encoders, other tokenizers); None:
            it reads the policy's ids.

    Raises:
        RunError: a prompt and a response are longer than the reward model reads.

    """
    policy.eval()
    reward_model.eval()
    generation = respond(
        policy,
        renderer,
        prompts,
        max_new_tokens=max_response_tokens,
        temperature=temperature,
        seed=seed,
        batch_size=batch_size,
    )
    num_samples, num_ended = len(generation), int(generation.ended.sum())
    if num_ended:
        kept = generation.ended.nonzero()[:, 0]
        generation, prompts = generation.rows(kept), [prompts[row] for row in kept.tolist()]
    advice = "lower reward.max_prompt_tokens or centring.max_response_tokens"
    scorer = RewardModelScorer(reward_model.name_or_path, reward_model, reading, batch_size, advice)
    texts = [renderer.decode_response(ids) for ids in generation.responses()]
    shift = float(scorer(prompts, generation, texts).double().mean())
    recentre(reward_model, shift)
    after = scorer(prompts, generation, texts).double()
    return Centred(shift, float(after.mean()), float(after.std(correction=0)), num_samples, num_ended)
