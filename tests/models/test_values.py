from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForSequenceClassification

from rlhf.models import Critic, load_reward_model, recentre, save_model, sequence_scores
from rlhf.models.padding import ensure_distinct_pad
from rlhf.ppo.parts import is_checkpointing
from tests.helpers import tiny_reward_model, tiny_tokenizer


def padded(sequences: list[list[int]], left: int, right: int, pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, sequences)) + right
    ids = torch.tensor([[pad] * left + s + [pad] * (width - len(s)) for s in sequences])
    mask = torch.tensor([[0] * left + [1] * len(s) + [0] * (width - len(s)) for s in sequences]).bool()
    return ids, mask


SEQUENCES = [[9, 8, 7, 6, 5], [30, 31], [40, 1, 41, 1]]


@pytest.mark.parametrize("pad", [0, 1, 55])
@pytest.mark.parametrize(("left", "right"), [(0, 0), (4, 0), (0, 5), (2, 3)])
def test_inv40_score_is_read_by_the_mask(pad: int, left: int, right: int) -> None:
    model = tiny_reward_model(tiny_tokenizer())
    alone = torch.cat(
        [sequence_scores(model, torch.tensor([s]), torch.ones(1, len(s)).bool()) for s in SEQUENCES]
    )
    torch.testing.assert_close(
        sequence_scores(model, *padded(SEQUENCES, left, right, pad)), alone, atol=1e-5, rtol=0
    )


def test_inv67_critic_starts_as_the_reward_model() -> None:
    model = tiny_reward_model(tiny_tokenizer())
    ids, mask = padded(SEQUENCES, 0, 2, 0)
    values = Critic(model)(ids, mask)
    assert values.shape == ids.shape
    last = values[torch.arange(3), mask.sum(1) - 1]
    assert torch.equal(last, sequence_scores(model, ids, mask))


def test_inv81_head_runs_in_float32() -> None:
    model = tiny_reward_model(tiny_tokenizer())
    ids, mask = padded(SEQUENCES, 0, 0, 0)
    with torch.autocast("cpu", torch.bfloat16):
        scores = sequence_scores(model, ids, mask)
    assert scores.dtype == torch.float32
    assert not torch.equal(scores, scores.bfloat16().float())


def test_inv81_scores_of_a_bfloat16_backbone_are_float32_all_the_way(tmp_path: Path) -> None:
    """Eight bits would make ties of scores that differ."""
    tokenizer = tiny_tokenizer()
    save_model(tiny_reward_model(tokenizer), tokenizer, tmp_path)
    model = load_reward_model(str(tmp_path), dtype="bfloat16")
    assert model.transformer.wte.weight.dtype == torch.bfloat16
    assert model.score.weight.dtype == torch.float32
    scores = sequence_scores(model, *padded(SEQUENCES, 0, 0, 0))
    assert scores.dtype == torch.float32
    assert not torch.equal(scores, scores.bfloat16().float())


def test_inv38_recentring_shifts_every_score_and_keeps_the_order(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_reward_model(tokenizer)
    ids, mask = padded(SEQUENCES, 0, 1, tokenizer.pad_token_id)
    before = sequence_scores(model, ids, mask).detach()
    recentre(model, before.mean().item())
    after = sequence_scores(model, ids, mask)
    assert abs(after.mean().item()) < 1e-5
    torch.testing.assert_close(after, before - before.mean(), atol=1e-5, rtol=0)
    assert model.score.bias is None  # in the weights that every loader reads


def test_inv38_recentring_takes_back_an_attempt_that_does_not_fit() -> None:
    """Something after the final norm doubles what its bias does; the head gets a bias instead."""
    model = tiny_reward_model(tiny_tokenizer())
    model.transformer.register_forward_hook(
        lambda _, __, out: type(out)(last_hidden_state=2 * out.last_hidden_state)
    )
    ids, mask = padded(SEQUENCES, 0, 1, 0)
    before, kept = sequence_scores(model, ids, mask).detach(), model.transformer.ln_f.bias.clone()
    recentre(model, 1.0)
    assert torch.equal(model.transformer.ln_f.bias, kept)
    torch.testing.assert_close(sequence_scores(model, ids, mask), before - 1.0, atol=1e-5, rtol=0)


def test_recentring_without_a_norm_bias_is_restored_on_loading(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_labels=1,
        pad_token_id=0,
    )
    model = LlamaForSequenceClassification(config).eval()
    ids, mask = padded(SEQUENCES, 0, 1, 0)
    before = sequence_scores(model, ids, mask)
    recentre(model, 2.0)
    recentre(model, 1.0)
    save_model(model, tokenizer, tmp_path)
    after = sequence_scores(load_reward_model(str(tmp_path)).eval(), ids, mask)
    torch.testing.assert_close(after, before - 3.0, atol=1e-5, rtol=0)


OUTSIDE = """
import sys, json, torch
sys.modules["rlhf"] = sys.modules["stages"] = None  # installed or not, importing them fails
from transformers import AutoModelForSequenceClassification
ids, mask = json.loads(sys.argv[2])
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1]).eval()
print(json.dumps(model(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask)).logits[:, 0].tolist()))
"""


def test_inv40_plain_transformers_gives_our_scores(tmp_path: Path) -> None:
    import json

    tokenizer = tiny_tokenizer(pad_token="<|end|>")  # the hard case: HF looks for the pad's id
    model = tiny_reward_model(tokenizer)
    ensure_distinct_pad(model, tokenizer)
    recentre(model, -1.5)
    save_model(model, tokenizer, tmp_path)
    sequences = [[9, 8, 7, tokenizer.eos_token_id], [30, tokenizer.eos_token_id]]
    ids, mask = padded(sequences, 0, 2, tokenizer.pad_token_id)
    words = [str(tmp_path), json.dumps([ids.tolist(), mask.long().tolist()])]
    found = subprocess.run(
        [sys.executable, "-I", "-c", OUTSIDE, *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    ours = sequence_scores(model, ids, mask).tolist()
    assert json.loads(found.stdout.splitlines()[-1]) == pytest.approx(ours, abs=1e-5)


@pytest.mark.parametrize("name", ["activation_checkpointing_enable", "gradient_checkpointing_enable"])
def test_trainers_of_new_and_old_transformers_find_the_critics_checkpointing(name: str) -> None:
    critic = Critic(tiny_reward_model(tiny_tokenizer()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the old name, in a new release
        getattr(critic, name)({"use_reentrant": False})
    assert is_checkpointing(critic)
