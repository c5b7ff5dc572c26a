from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch.nn.functional import logsigmoid

from rlhf.models import LoraSpec, add_lora, disable_dropout, sequence_scores
from rlhf.ranking.batch import RankingCollator
from rlhf.ranking.trainer import ranking_loss
from rlhf.ranking.training import train_reward_model
from rlhf.rendering import RenderedRanking
from rlhf.runs.folder import RunFolder
from rlhf.runs.jsonl import read_jsonl
from rlhf.training.order import LengthBatchSampler
from rlhf.training.plan import TrainingPlan
from tests.helpers import tiny_reward_model, tiny_tokenizer
from tests.ranking.test_batch import PROMPT, ranking


def rankings(count: int = 24) -> list[RenderedRanking]:
    """The response with the larger token is better: something that a tiny model learns."""
    draw = random.Random(0)
    made = []
    for _ in range(count):
        tokens = draw.sample(range(20, 300), draw.choice([2, 3, 4]))
        order = sorted(tokens, reverse=True)
        ranks: list[int | None] = [order.index(token) + 1 for token in tokens]
        pairs = [
            (i, j, 1.0) if tokens[i] > tokens[j] else (j, i, 1.0)
            for i in range(len(tokens))
            for j in range(i)
        ]
        responses = [[token] * draw.choice([1, 3]) + [1] for token in tokens]
        made.append(RenderedRanking(PROMPT, [5, 6], responses, ranks, pairs, list(range(len(tokens)))))
    return made


def plan(**changes: object) -> TrainingPlan:
    values = {
        "epochs": 2.0,
        "learning_rate": 3e-3,
        "batch_size": 8,
        "microbatch_size": 4,
        "seed": 1,
        "log_every": 1,
    }
    return TrainingPlan(**{**values, **changes})  # type: ignore[arg-type]


def fit(path: Path, the_plan: TrainingPlan, resume: bool = False, **options: object) -> torch.nn.Module:
    model = tiny_reward_model(tiny_tokenizer())
    disable_dropout(model)
    run = RunFolder.open(path, {"run": {"seed": 1}}, stage="reward", resume=resume)
    try:
        train_reward_model(model, rankings(), the_plan, run=run, **options)  # type: ignore[arg-type]
    finally:
        run.finish("interrupted")
    return model


def weights(model: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach() for parameter in model.parameters()]


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def test_inv78_gradient_is_that_of_the_naive_loop_over_pairs() -> None:
    model = tiny_reward_model(tiny_tokenizer())
    items = [ranking([1, 2, 3], [2, 5, 3]), ranking([2, 1], first=60), ranking([1, 1, 2, 3], first=90)]
    batch = RankingCollator(0)(items)
    scores = sequence_scores(model, batch["input_ids"], batch["attention_mask"])
    ranking_loss(scores, batch, loss="pairwise", centring_coef=0.0, num_prompts=3).backward()
    ours = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    total = torch.tensor(0.0)
    for item in items:
        for i, j, p in item.comparisons:
            first, second = (
                sequence_scores(model, torch.tensor([item.ids[k]]), torch.ones(1, len(item.ids[k])).bool())
                for k in (i, j)
            )
            lead = first - second
            one = -(p * logsigmoid(lead) + (1 - p) * logsigmoid(-lead))
            total = total + one.squeeze() / len(item.comparisons) / 3
    total.backward()
    naive = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    for a, b in zip(ours, naive, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)  # sums of float32 in another order


def test_inv16_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    first, second = fit(tmp_path / "a", plan()), fit(tmp_path / "b", plan())
    assert same(first, second)
    assert not same(first, fit(tmp_path / "c", plan(seed=2)))


def test_inv16_batches_come_in_the_order_of_the_seed_with_the_ties_as_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []

    class Spy(RankingCollator):
        def __call__(self, some: Sequence[RenderedRanking]) -> dict[str, torch.Tensor]:
            assert self.ties == "drop"
            seen.append([max(len(ids) for ids in one.ids) for one in some])
            return super().__call__(some)

    monkeypatch.setattr("rlhf.ranking.training.RankingCollator", Spy)
    fit(tmp_path, plan(epochs=2.0), ties="drop")
    lengths = [max(len(ids) for ids in one.ids) for one in rankings()]
    sampler, expected = LengthBatchSampler(lengths, 4, seed=1), []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        expected += [lengths[i] for i in sampler]
    assert [length for of_batch in seen for length in of_batch] == expected


def test_inv80_plackett_luce_by_hand_leaves_out_what_has_no_rank() -> None:
    """Ranks 2, none, 1 and scores 1, 9, 3: the third is chosen before the first, the second is no rival."""
    items = [ranking([2, None, 1]), ranking([1, 2, 3, 4])]
    scores, batch = torch.tensor([1.0, 9.0, 3.0, 4.0, 3.0, 2.0, 1.0]), RankingCollator(0)(items)
    found = ranking_loss(scores, batch, loss="plackett_luce", centring_coef=0.0, num_prompts=2)
    first = -logsigmoid(torch.tensor(2.0))
    choices = [torch.logsumexp(scores[k:7], 0) - scores[k] for k in (3, 4, 5)]
    torch.testing.assert_close(found, (first + torch.stack(choices).mean()) / 2)


def test_inv54_microbatches_do_not_matter(tmp_path: Path) -> None:
    norms = []
    for size in (24, 8, 4):
        path = tmp_path / str(size)
        fit(path, plan(epochs=1.0, batch_size=24, microbatch_size=size))
        (row,) = [row for row in read_jsonl(path / "metrics.jsonl") if "reward/loss" in row]
        norms.append([row["reward/gradient_norm"], row["reward/loss"]])
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)
    assert norms[2] == pytest.approx(norms[0], rel=1e-4)


@pytest.mark.parametrize("loss", ["pairwise", "plackett_luce"])
def test_it_learns_the_order(tmp_path: Path, loss: str) -> None:
    model = fit(tmp_path, plan(epochs=30.0, learning_rate=1e-2), loss=loss)
    hits = []
    for item in rankings():
        ids, mask = RankingCollator(0)([item])["input_ids"], RankingCollator(0)([item])["attention_mask"]
        scores = sequence_scores(model.eval(), ids, mask)
        hits += [bool(scores[i] > scores[j]) for i, j, _ in item.comparisons]
    assert sum(hits) / len(hits) > 0.9


def test_inv73_resumed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    unbroken = fit(tmp_path / "a", plan())
    path = tmp_path / "b"
    calls = iter(range(100))

    def stop() -> dict[str, float]:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        fit(path, plan(checkpoint_every=2, evaluate_every=1), evaluate=stop)
    assert [folder.name for folder in (path / "checkpoints").glob("step_*")] == ["step_000002"]
    evaluated: list[int] = []

    def measure() -> dict[str, float]:
        evaluated.append(1)
        return {}

    assert same(
        unbroken, fit(path, plan(checkpoint_every=2, evaluate_every=1), resume=True, evaluate=measure)
    )
    assert len(evaluated) == 3, "it goes on after the second of six steps; the last is left to the stage"
    steps = [row["step"] for row in read_jsonl(path / "metrics.jsonl") if "reward/loss" in row]
    assert steps == [1, 2, 3, 4, 5, 6], "what was measured after the checkpoint stands there once"


def test_inv38_centring_penalty_moves_the_mean(tmp_path: Path) -> None:
    batch = RankingCollator(0)(rankings())
    means = []
    for coefficient in (0.0, 1.0):
        model = fit(tmp_path / str(coefficient), plan(epochs=20.0), centring_coef=coefficient).eval()
        means.append(abs(sequence_scores(model, batch["input_ids"], batch["attention_mask"]).mean().item()))
    assert means[1] < means[0]


def test_lora_trains_adapters_and_the_head_only(tmp_path: Path) -> None:
    plain = tiny_reward_model(tiny_tokenizer())
    disable_dropout(plain)
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    model = add_lora(plain, LoraSpec(rank=2, alpha=4.0), keep_trainable=("score",))
    run = RunFolder.open(tmp_path, {"run": {"seed": 1}}, stage="reward")
    train_reward_model(model, rankings(), plan(), run=run)
    run.finish()
    assert torch.equal(model.get_base_model().transformer.wte.weight, before["transformer.wte.weight"])
    assert not torch.equal(model.get_base_model().score.weight, before["score.weight"])


def test_dropped_ties_are_dropped_from_plackett_luce_too() -> None:
    """Scores 1 and 3 tie for the best before 0: log(1 + exp(-1)) and log(1 + exp(-3)), on average."""
    item = RenderedRanking(
        PROMPT,
        [5],
        [[20, 1], [21, 1], [22, 1]],
        [1, 1, 2],
        [(0, 1, 0.5), (0, 2, 1.0), (1, 2, 1.0)],
        [0, 1, 2],
    )
    scores, batch = torch.tensor([1.0, 3.0, 0.0]), RankingCollator(0, "drop")([item])
    found = ranking_loss(scores, batch, loss="plackett_luce", ties="drop", centring_coef=0.0, num_prompts=1)
    assert found.item() == pytest.approx(-(logsigmoid(torch.tensor([1.0, 3.0])).mean().item()))
