"""A whole PPO run of a tiny encoder-decoder in memory."""

from __future__ import annotations

import copy
from typing import Any

import torch
from accelerate import Accelerator

from rlhf.models.adapters import LoraSpec, add_lora
from rlhf.models.attention import choose_attention
from rlhf.models.learner import SeparateLearner, TrunkLearner
from rlhf.models.seq2seq import Seq2SeqCritic, decoder_start, trunk_of
from rlhf.ppo.parts import Parts, build_parts
from rlhf.ppo.recipe import Recipe
from rlhf.rendering import Renderer
from rlhf.scoring import Scorer
from tests.ppo.tiny import function_scorer
from tests.seq2seq import ENCODER_DECODERS, seq2seq_model


def vowels(prompts: list[Any], responses: list[str], **columns: Any) -> list[float]:
    """A score that can be learnt in a few updates: the share of vowels."""
    return [sum(letter in "aeiou" for letter in text.lower()) / 8 for text in responses]


def seq2seq_parts(recipe: Recipe, name: str, scorer: Scorer | None = None, **options: Any) -> Parts:
    """Policy and reference with equal weights; `critic` is "own", "trunk" or None, `lora` trains adapters alone."""
    policy, critic = choose_attention(seq2seq_model(name)), options.pop("critic", "own")
    reference = copy.deepcopy(policy)
    renderer = Renderer(
        ENCODER_DECODERS[name][2](),
        max_prompt_tokens=64,
        max_response_tokens=recipe.max_response_tokens,
        decoder_start_token_id=decoder_start(policy),
    )
    renderer.stop_token_ids = (*renderer.stop_token_ids, *range(30, 40))  # responses differ in length
    torch.manual_seed(0)  # heads and adapters start at random, in every process and run alike
    own = Seq2SeqCritic(trunk_of(copy.deepcopy(policy))) if critic == "own" else None
    if options.pop("lora", False):
        policy = add_lora(policy, LoraSpec(4, 8.0))
    return build_parts(
        options.pop("accelerator", None) or Accelerator(cpu=True),
        recipe,
        learner=TrunkLearner(policy) if critic == "trunk" else SeparateLearner(policy, own),
        reference=reference,
        scorer=scorer or function_scorer(vowels),
        renderer=renderer,
        **options,
    )
