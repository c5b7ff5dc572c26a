"""Invariant 63: dropout is off in all of the models of PPO, as the stage builds them, whatever their configs say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from rlhf.models.saving import save_model
from rlhf.scoring import models_of
from rlhf.settings.layers import resolve_settings
from rlhf.settings.ppo import PpoSettings
from stages._ppo_models import build_parts, build_recipe
from tests.helpers import tiny_reward_model, tiny_tokenizer
from tests.ppo_stage import lay_over
from tests.stage_data import write_base

HALF = {"attn_pdrop": 0.5, "resid_pdrop": 0.5, "embd_pdrop": 0.5}


def train_mode_twice(model: torch.nn.Module, **more: int) -> bool:
    """Whether two forwards in train mode give the same, and that is what evaluation mode gives."""
    ids = torch.randint(5, 300, (2, 9))
    found = []
    with torch.no_grad():
        for mode in (False, True, True):
            out = model.train(mode)(input_ids=ids, attention_mask=torch.ones_like(ids), **more)
            found.append(torch.cat([part.flatten() for part in out]) if more else out.logits)
    return torch.equal(found[0], found[1]) and torch.equal(found[1], found[2])


@pytest.mark.parametrize("critic", ["reward", "policy", "trunk"])
def test_inv63_dropout_is_off_in_policy_critic_reference_and_reward_model(
    tmp_path: Path, words: list[str], critic: str
) -> None:
    tokenizer = tiny_tokenizer()
    write_base(tmp_path / "sft", **HALF)
    judge = tiny_reward_model(tokenizer, seed=3, **HALF)
    assert not train_mode_twice(judge)
    save_model(judge, tokenizer, tmp_path / "reward")
    told = lay_over(words, f"critic.init_from={critic}")
    settings = resolve_settings(PpoSettings, Path("configs/ppo.yaml"), told[1:]).settings
    parts = build_parts(settings, Accelerator(cpu=True), build_recipe(settings))
    assert train_mode_twice(parts.learner, num_last=4)
    (reward_model,) = models_of(parts.scorer)
    for model in (parts.reference, reward_model):
        assert train_mode_twice(model)
