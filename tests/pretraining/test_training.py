from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from rlhf.pretraining.masked import MaskedPairs
from rlhf.pretraining.models import build_bert, build_t5
from rlhf.pretraining.samples import sample_gaps, sample_rests
from rlhf.pretraining.text_to_text import TextToText
from rlhf.pretraining.tokenizers import train_tokenizer, train_wordpiece
from rlhf.pretraining.training import label_loss, perplexity, pretrain
from rlhf.runs.folder import RunFolder
from rlhf.runs.jsonl import read_jsonl
from rlhf.training.plan import TrainingPlan
from tests.pretraining.texts import TEXTS

SIZES = {"layers": 1, "width": 16, "heads": 2, "context_tokens": 64}
KINDS = ("t5", "bert")
BPE, WORDPIECE = train_tokenizer(TEXTS, 300, 64), train_wordpiece(TEXTS, 260, 64)


def examples_of(kind: str, texts: list[str] = TEXTS) -> TextToText | MaskedPairs:
    if kind == "t5":
        return TextToText(texts, BPE, context_tokens=64, seed=1)
    return MaskedPairs(texts, WORDPIECE, context_tokens=64, seed=1)


def model_of(kind: str) -> Any:
    torch.manual_seed(3)
    return build_t5(BPE, **SIZES) if kind == "t5" else build_bert(WORDPIECE, **SIZES)


def plan(**changes: Any) -> TrainingPlan:
    values = {
        "epochs": 2.0, "learning_rate": 3e-3, "batch_size": 24, "microbatch_size": 24, "seed": 1, "log_every": 1,
    }  # fmt: skip
    return TrainingPlan(**{**values, **changes})


def fit(path: Path, kind: str, resume: bool = False, evaluate: Any = None, **changes: Any) -> Any:
    model = model_of(kind)
    run = RunFolder.open(path, {"run": {"seed": 1}}, stage="base", resume=resume)
    try:
        pretrain(model, examples_of(kind), plan(**changes), run=run, evaluate=evaluate)
    finally:
        run.finish("interrupted")
    return model


def difference(first: Any, second: Any) -> float:
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return max(float((one - other).detach().abs().max()) for one, other in pairs)


@pytest.mark.parametrize("kind", KINDS)
def test_inv54_microbatches_do_not_matter(tmp_path: Path, kind: str) -> None:
    """Rows have other numbers of labels, so a mean of means would be something else."""
    changes = {"epochs": 0.4, "learning_rate": 1e-3, "max_grad_norm": 1e9, "seed": 1}
    whole = fit(tmp_path / "a", kind, batch_size=120, microbatch_size=120, **changes)
    parts = fit(tmp_path / "b", kind, batch_size=120, microbatch_size=40, **changes)
    assert difference(model_of(kind), whole) > 5e-4
    assert gradients(tmp_path / "a") == pytest.approx(gradients(tmp_path / "b"), rel=1e-4)
    assert difference(whole, parts) < 1e-4


def gradients(path: Path) -> list[float]:
    return [row["base/gradient_norm"] for row in read_jsonl(path / "metrics.jsonl") if "base/loss" in row]


@pytest.mark.parametrize("kind", KINDS)
def test_inv73_resumed_run_ends_with_the_same_weights(tmp_path: Path, kind: str) -> None:
    """It stops in the second epoch, whose examples are others than those of the first."""
    unbroken = fit(tmp_path / "a", kind)
    calls = iter(range(100))

    def stop() -> dict[str, float]:
        if next(calls) == 7:
            raise KeyboardInterrupt
        return {}

    often = {"checkpoint_every": 2, "evaluate_every": 1}
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "b", kind, evaluate=stop, **often)
    assert [folder.name for folder in (tmp_path / "b" / "checkpoints").glob("step_*")] == ["step_000006"]
    assert difference(unbroken, fit(tmp_path / "b", kind, resume=True, **often)) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_second_epoch_has_other_examples(tmp_path: Path, kind: str, monkeypatch: Any) -> None:
    seen: list[tuple[int, int]] = []
    cls = TextToText if kind == "t5" else MaskedPairs
    take = cls.__getitem__

    def note(self: Any, index: int) -> Any:
        seen.append((self.epoch, index))
        return take(self, index)

    monkeypatch.setattr(cls, "__getitem__", note)
    fit(tmp_path, kind)
    assert [epoch for epoch, _ in seen] == [0] * 120 + [1] * 120
    assert sorted(index for _, index in seen[:120]) == list(range(120))


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_and_the_loss_is_that_of_a_loop_over_documents(tmp_path: Path, kind: str) -> None:
    model = fit(tmp_path, kind, epochs=12.0, learning_rate=1e-2)
    held_out = examples_of(kind, [text.replace("red", "warm") for text in TEXTS[:20]])
    held_out.epoch = 5  # a measurement is always that of epoch 0, and leaves the epoch as it was
    model.train()
    found = label_loss(model, held_out, 7)
    assert (model.training, held_out.epoch) == (True, 5)
    held_out.epoch = 0
    total, count = 0.0, 0
    with torch.no_grad():
        for index in range(len(held_out)):
            batch = held_out.collate([held_out[index]])
            labels = batch.pop("labels")[0]
            logits = model.eval()(**batch).logits[0]
            for place, label in enumerate(labels.tolist()):
                if label != -100:
                    total += float(cross_entropy(logits[place], torch.tensor(label)))
                    count += 1
    assert found == pytest.approx(total / count, rel=1e-5)
    assert found < label_loss(model_of(kind), held_out, 8) / 1.5
    assert label_loss(model, held_out, 8, 3) != found


@pytest.mark.parametrize("kind", KINDS)
def test_untrained_loss_is_about_that_of_guessing(kind: str) -> None:
    size = len(BPE if kind == "t5" else WORDPIECE)
    # T5's embedding starts at standard deviation 1, so its guesses are not all equally likely: half a nat more.
    expected = torch.tensor(float(size)).log().item() + (0.5 if kind == "t5" else 0.0)
    assert label_loss(model_of(kind), examples_of(kind), 16) == pytest.approx(expected, abs=0.4)


def test_samples_show_the_prompt_what_the_model_makes_of_it_and_the_document() -> None:
    rests = TextToText(TEXTS, BPE, context_tokens=64, seed=1, copied_fraction=0.0)
    rows = sample_rests(model_of("t5"), rests, BPE, 3, 5)
    assert [row["prompt"] + row["document_response"] for row in rows] == TEXTS[:3]
    model = model_of("t5").eval()
    alone = model.generate(torch.tensor([rests[1]["prompt"]]), max_new_tokens=5, do_sample=False)
    assert rows[1]["response"] == BPE.decode(alone[0], skip_special_tokens=True)
    gaps = examples_of("bert")
    rows = sample_gaps(model_of("bert"), gaps, WORDPIECE, 200)
    assert len(rows) == len(TEXTS)
    asked = [label for label in gaps[0]["labels"] if label != -100]
    assert rows[0]["document_response"] == WORDPIECE.convert_ids_to_tokens(asked)
    assert len(rows[0]["response"]) == len(asked)
    assert rows[0]["prompt"] == WORDPIECE.decode(gaps[0]["input_ids"])


def test_perplexity_of_a_huge_loss_is_a_number() -> None:
    assert perplexity(0.0) == 1.0
    assert perplexity(1e9) == perplexity(700.0)
