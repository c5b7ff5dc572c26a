"""A prompt shared by its responses: every response is scored as if it stood alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BloomConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
)

from rlhf.models import Critic, LoraSpec, add_lora, disable_dropout, sequence_scores
from rlhf.ranking.batch import Loss, RankingCollator
from rlhf.ranking.sharing import (
    saved_work,
    shared_rows,
    shared_scores,
    sharing_mask,
    why_not_shared,
)
from rlhf.ranking.trainer import ranking_loss
from rlhf.rendering import RenderedRanking
from tests.helpers import tiny_reward_model, tiny_tokenizer
from tests.ranking.test_batch import PROMPT
from tests.ranking.test_training import fit, plan, rankings

SMALL = {
    "vocab_size": 400,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "num_labels": 1,
    "pad_token_id": 0,
}


BLOOM = {"vocab_size": 400, "hidden_size": 16, "n_layer": 2, "n_head": 2, "num_labels": 1, "pad_token_id": 0}


def model_of(config: PreTrainedConfig) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForSequenceClassification.from_config(config).eval()


def batch() -> list[RenderedRanking]:
    made = []
    for prompt, responses in (
        ([5, 6, 7, 8], [[20, 21, 1], [22, 1], [23, 24, 25, 26, 1]]),
        ([9], [[30, 31, 32, 1], [33, 1]]),
    ):
        ranks: list[int | None] = list(range(1, len(responses) + 1))
        pairs = [(i, j, 1.0) for j in range(len(responses)) for i in range(j)]
        made.append(RenderedRanking(PROMPT, prompt, responses, ranks, pairs, list(range(len(responses)))))
    return made


def test_inv14_rows_by_hand() -> None:
    rows = shared_rows(batch(), pad_token_id=0)
    assert rows["input_ids"].tolist() == [
        [5, 6, 7, 8, 20, 21, 1, 22, 1, 23, 24, 25, 26, 1],
        [9, 30, 31, 32, 1, 33, 1, 0, 0, 0, 0, 0, 0, 0],
    ]
    assert rows["position_ids"].tolist()[0] == [0, 1, 2, 3, 4, 5, 6, 4, 5, 4, 5, 6, 7, 8]
    assert rows["position_ids"].tolist()[1][:7] == [0, 1, 2, 3, 4, 1, 2]
    assert rows["segments"].tolist()[1] == [0, 1, 1, 1, 1, 2, 2, -1, -1, -1, -1, -1, -1, -1]
    assert rows["ends"].tolist() == [[0, 6], [0, 8], [0, 13], [1, 4], [1, 6]]


def test_saved_work_by_hand() -> None:
    """T tokens in a row cost T (6 width + T)."""
    alone = 7 * 103 + 6 * 102 + 9 * 105 + 5 * 101 + 3 * 99
    assert saved_work(batch(), width=16) == pytest.approx(alone / (14 * 110 + 7 * 103))
    # 8 responses of 50 tokens behind a prompt of one: more attention than is saved
    long = RenderedRanking(
        PROMPT, [5], [[20] * 49 + [1]] * 8, list(range(1, 9)), [(0, 1, 1.0)], list(range(8))
    )
    assert saved_work([long], width=16) == pytest.approx(8 * 51 * (96 + 51) / (401 * (96 + 401)))
    assert saved_work([long], width=16) < 1


def test_inv14_mask_against_its_definition() -> None:
    segments = shared_rows(batch(), 0)["segments"]
    mask = sharing_mask(segments)
    for b, row in enumerate(segments.tolist()):
        for q, asking in enumerate(row):
            for k, asked in enumerate(row):
                assert mask[b, 0, q, k].item() == (k <= q and asked in (0, asking))
    assert mask.any(dim=-1).all()  # also padding sees something: a softmax over nothing is no number


@pytest.mark.parametrize("loss", ["pairwise", "plackett_luce"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("config", [None, LlamaConfig(**SMALL), Qwen2Config(**SMALL)])
def test_inv14_inv40_scores_and_gradients_are_those_of_each_response_alone(
    config: PreTrainedConfig | None, attention: str, loss: Loss
) -> None:
    """Invariant 40: what stands beside a response in its batch does not change its score."""
    model = tiny_reward_model(tiny_tokenizer()) if config is None else model_of(config)
    model.set_attn_implementation(attention)
    critic, items = Critic(model), batch()
    assert why_not_shared(critic, items, 0) is None
    found = []
    for share in (False, True):
        tensors = RankingCollator(0, share_prompts=share)(items)
        if share:
            scores = shared_scores(critic, tensors)
        else:
            scores = sequence_scores(critic, tensors["input_ids"], tensors["attention_mask"])
        model.zero_grad()
        ranking_loss(scores, tensors, loss=loss, centring_coef=0.1, num_prompts=2).backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        found.append((scores.detach(), gradients))
    (alone, of_alone), (together, of_together) = found
    assert torch.allclose(alone, together, atol=1e-5, rtol=0)
    assert of_alone.keys() == of_together.keys()
    for name, gradient in of_alone.items():
        assert torch.allclose(gradient, of_together[name], atol=1e-5, rtol=1e-4), name


def test_inv14_a_response_does_not_see_its_neighbours() -> None:
    critic = Critic(tiny_reward_model(tiny_tokenizer()))
    before = shared_scores(critic, shared_rows(batch(), 0))
    changed = batch()
    changed[0].response_ids[0][:] = [77, 78, 79, 80, 1]
    after = shared_scores(critic, shared_rows(changed, 0))
    assert not torch.allclose(before[0], after[0], atol=1e-4)
    assert torch.allclose(before[1:], after[1:], atol=1e-6)


@pytest.mark.parametrize(
    ("config", "obstacle"),
    [
        (BloomConfig(**BLOOM), "no positions"),  # ALiBi
        (MistralConfig(**SMALL, sliding_window=3), "differ"),  # sees the last three tokens only
    ],
)
def test_architectures_that_cannot_are_found_out(config: PreTrainedConfig, obstacle: str) -> None:
    assert obstacle in (why_not_shared(Critic(model_of(config)), batch(), 0) or "")


def test_inv63_the_attempt_is_made_without_dropout_and_leaves_every_mode_as_it_was() -> None:
    critic = Critic(tiny_reward_model(tiny_tokenizer(), resid_pdrop=0.5)).train()
    critic.model.transformer.h[0].eval()
    modes = [module.training for module in critic.modules()]
    assert why_not_shared(critic, batch(), 0) is None
    assert [module.training for module in critic.modules()] == modes


def test_a_window_that_only_one_long_sequence_leaves_is_found_out() -> None:
    """The longest row has short sequences; the longest sequence stands in a shorter row."""
    short = RenderedRanking(
        PROMPT, [5], [[20 + k, 1] for k in range(9)], list(range(1, 10)), [(0, 1, 1.0)], []
    )
    long = RenderedRanking(PROMPT, list(range(5, 13)), [[20, 1], [21, 1]], [1, 2], [(0, 1, 1.0)], [])
    critic = Critic(model_of(MistralConfig(**SMALL, sliding_window=4)))
    assert why_not_shared(critic, [short], 0) is None
    assert "differ" in (why_not_shared(critic, [short, long], 0) or "")


def test_bfloat16_products_change_scores_by_rounding_only() -> None:
    critic = Critic(tiny_reward_model(tiny_tokenizer(), n_embd=64, n_head=4))
    alone, together = RankingCollator(0)(batch()), RankingCollator(0, share_prompts=True)(batch())
    exact = shared_scores(critic, together)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first = sequence_scores(critic, alone["input_ids"], alone["attention_mask"])
        second = shared_scores(critic, together)
    assert torch.allclose(first, exact, atol=0.02)
    assert torch.allclose(second, exact, atol=0.02)


def test_lora_shares_too() -> None:
    model = tiny_reward_model(tiny_tokenizer())
    disable_dropout(model)
    adapted = add_lora(model, LoraSpec(rank=2, alpha=4), keep_trainable=("score",))
    before = shared_scores(Critic(adapted), shared_rows(batch(), 0))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:  # starts at zero, where adapters do nothing
                weight.normal_(generator=torch.Generator().manual_seed(0))
    after = shared_scores(Critic(adapted), shared_rows(batch(), 0))
    assert not torch.allclose(before, after, atol=1e-3)
    assert why_not_shared(Critic(adapted), batch(), 0) is None


def test_training_is_the_same_either_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One micro-batch a step, so that the different order inside a pool of lengths does not matter."""
    whole = plan(batch_size=24, microbatch_size=24)
    alone = fit(tmp_path / "alone", whole)
    shared = fit(tmp_path / "shared", whole, share_prompts=True)
    assert "times less work" in capsys.readouterr().out
    items = rankings()
    ids = RankingCollator(0)(items)
    first, second = (
        sequence_scores(m.eval(), ids["input_ids"], ids["attention_mask"]) for m in (alone, shared)
    )
    assert torch.allclose(first, second, atol=1e-3)


def test_what_is_more_work_or_impossible_goes_alone_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlhf.ranking.training.saved_work", lambda *_: 0.9)
    fit(tmp_path / "more", plan(epochs=1.0), share_prompts=True)
    assert "once for each response (gpt2: it would be more work)" in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.setattr("rlhf.ranking.sharing.shared_scores", _refuse)
    fit(tmp_path / "refused", plan(epochs=1.0), share_prompts=True)
    assert "once for each response (gpt2: it refuses the mask: ValueError: no" in capsys.readouterr().out


def _refuse(*_: object) -> torch.Tensor:
    raise ValueError("no such mask")
