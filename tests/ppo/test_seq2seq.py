"""PPO of an encoder-decoder: it starts at ratio 1 and KL 0, learns, and is what it was after an interruption."""

from __future__ import annotations

import pytest
import torch

from rlhf.ppo.checkpoint import Progress
from rlhf.ppo.iteration import one_update
from rlhf.ppo.loop import Habits, train
from rlhf.ppo.ptx import PtxText, demonstration_rows, policy_forward, stack_rows, text_loss
from rlhf.rendering import Rendered
from rlhf.rollout import build_generation, response_logprobs
from rlhf.runs.jsonl import read_jsonl
from rlhf.sft import response_loss
from tests.ppo.seq2seq import seq2seq_parts
from tests.ppo.tiny import open_run, same_weights, tiny_prompts, tiny_recipe, weights
from tests.seq2seq import ENCODER_DECODERS

NAMES = pytest.mark.parametrize("name", ["t5", "bart"])
DEMONSTRATIONS = [
    Rendered([5, 6, 7], [8, 9, 1]),
    Rendered([10], [11, 12, 13, 14, 1]),
    Rendered([20, 21], [1]),
]
OPENING = {"t5": (0,), "bart": (2, 0)}


@pytest.mark.parametrize("critic", ["own", "trunk"])
@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_inv01_the_first_ratio_is_one_and_the_first_kl_is_zero(name, critic):
    recipe = tiny_recipe(microbatch_size=4, minibatch_size=8, num_updates=1)
    parts = seq2seq_parts(recipe, name, critic=critic)
    metrics, _ = one_update(parts, recipe, tiny_prompts(parts.renderer, 8), Progress())
    assert metrics["ppo/kl"] == 0.0
    assert metrics["ppo/first_ratio_error"] == 0.0
    assert metrics["ppo/entropy"] > 0.1


@NAMES
@pytest.mark.parametrize("critic", ["own", "trunk"])
def test_the_score_rises(tmp_path, name, critic):
    recipe = tiny_recipe(num_updates=12, rollout_batch_size=32, minibatch_size=16, microbatch_size=16, kl_coef=0.01,
                         learning_rate=1e-2, ppo_epochs=2, value_coef=0.1 if critic == "trunk" else 1.0)  # fmt: skip
    parts = seq2seq_parts(recipe, name, critic=critic)
    run = open_run(tmp_path / "run")
    train(parts, recipe, tiny_prompts(parts.renderer, 32), run=run)
    run.finish("finished")
    scores = [row["ppo/score"] for row in read_jsonl(run.path / "metrics.jsonl")]
    assert sum(scores[-3:]) / 3 > 1.5 * sum(scores[:2]) / 2


def train_to_the_end(parts, recipe, run, habits):
    train(parts, recipe, tiny_prompts(parts.renderer), run=run, habits=habits)
    run.finish("finished")


@NAMES
def test_inv73_an_interrupted_run_ends_with_the_same_weights(tmp_path, name):
    recipe = tiny_recipe(num_updates=3)
    habits = Habits(evaluate_every=None, checkpoint_every=1)
    whole = seq2seq_parts(recipe, name)
    train_to_the_end(whole, recipe, open_run(tmp_path / "whole"), habits)
    broken, run = seq2seq_parts(recipe, name), open_run(tmp_path / "broken")
    run.stop_requested = True
    with pytest.raises(KeyboardInterrupt):
        train(broken, recipe, tiny_prompts(broken.renderer), run=run, habits=habits)
    run.finish("interrupted")
    resumed = seq2seq_parts(recipe, name)
    train_to_the_end(resumed, recipe, open_run(tmp_path / "broken"), habits)
    assert same_weights(weights(resumed.learner), weights(whole.learner))


@NAMES
def test_gradient_checkpointing_changes_nothing(tmp_path, name):
    recipe = tiny_recipe(num_updates=1)
    found = []
    for checkpointing in (False, True):
        parts = seq2seq_parts(recipe, name, gradient_checkpointing=checkpointing)
        one_update(parts, recipe, tiny_prompts(parts.renderer, 8), Progress())
        found.append(weights(parts.learner))
    for weight, value in found[0].items():
        torch.testing.assert_close(found[1][weight], value, atol=1e-6, rtol=0)


@NAMES
def test_ptx_learns_demonstrations_as_sft_measures_them(name):
    parts = seq2seq_parts(tiny_recipe(), name)
    rows = demonstration_rows(DEMONSTRATIONS, OPENING[name])
    part = stack_rows(rows, 3)
    assert part.predicted.sum(1).tolist() == [3, 5, 1]
    expected = response_loss(parts.policy, DEMONSTRATIONS, 3, 2, opening=OPENING[name])
    found = text_loss(policy_forward(parts.learner), rows, batch_size=2, pad_token_id=4)
    assert found.num_tokens == expected.num_tokens == 9
    assert found.loss == pytest.approx(expected.loss, abs=1e-5)
    generation = build_generation([one.prompt_ids for one in DEMONSTRATIONS], [one.response_ids for one in DEMONSTRATIONS],
                                  [1], 3, opening=OPENING[name])  # fmt: skip
    by_hand = -response_logprobs(parts.policy, generation, 1.0).sum() / 9
    assert expected.loss == pytest.approx(float(by_hand.detach()), abs=1e-5)


@NAMES
def test_ptx_in_an_update_makes_its_demonstrations_likelier(name):
    recipe = tiny_recipe(num_updates=1, kl_coef=0.0, learning_rate=1e-3)
    rows = demonstration_rows(DEMONSTRATIONS, OPENING[name])
    text = PtxText(rows, coef=10.0, batch_size=2, microbatch_size=2, seed=1, pad_token_id=3)
    parts = seq2seq_parts(recipe, name, ptx=text)
    before = response_loss(parts.policy, DEMONSTRATIONS, 3, 2, opening=OPENING[name]).loss
    metrics, _ = one_update(parts, recipe, tiny_prompts(parts.renderer, 8), Progress())
    assert metrics["ppo/ptx_loss"] > 0
    assert response_loss(parts.policy, DEMONSTRATIONS, 3, 2, opening=OPENING[name]).loss < before - 0.01
