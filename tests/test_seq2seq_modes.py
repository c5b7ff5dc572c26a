"""The modes of the stages with an encoder-decoder as the policy: each works, or one message says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from rlhf.models import load_policy
from rlhf.models.seq2seq import is_encoder_decoder
from tests.ppo_stage import lay_over, prompts, write_reward
from tests.ppo_stage import main as run_ppo
from tests.seq2seq import write_seq2seq
from tests.stage_data import (
    demonstrations,
    files_of,
    run_main,
    run_with_interrupt,
    summary_of,
    weights_of,
    write_base,
    write_jsonl,
)
from tests.test_families import ppo_words, reward_words, run_reward, run_sft, sft_words
from tests.test_report_stage import main as run_report

SCORE = """
def vowels(prompts, responses, **columns):
    return [sum(letter in "aeiou" for letter in text) / 8 for text in responses]

def judge(prompts, responses, **columns):
    return [{"score": len(text) / 100} for text in responses]
"""
KEPT = "lora={rank: 4, alpha: 8.0, merge: false}"


def ppo_of(root: Path, policy: str, *more: str) -> list[str]:
    (root / "score.py").write_text(SCORE)
    words = [*ppo_words(root), f"policy.path={policy}", f"scores=[{{function: {root}/score.py:vowels}}]",
             "critic.init_from=policy", "evaluation.judge=null"]  # fmt: skip
    return lay_over(list(dict.fromkeys(words)), *more)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_adapters_through_sft_and_ppo(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """SFT leaves an adapter, PPO goes on from it on one base, and its adapter loads with peft alone."""
    root, base = tmp_path, write_seq2seq(tmp_path / "base", name)
    (root / "runs").mkdir()
    assert run_main(run_sft, [*sft_words(root / "runs", base), KEPT]) == 0
    assert "adapter_config.json" in files_of(root / "runs" / "sft")
    more = ("memory.one_base=true", KEPT, "ppo.learning_rate=1e-2")
    for critic in ("policy", "trunk"):
        words = ppo_of(
            root / "runs",
            f"{root}/runs/sft",
            *more,
            f"critic.init_from={critic}",
            f"run.output={root}/{critic}",
        )
        assert run_main(run_ppo, words) == 0
        assert "one base: the" in capsys.readouterr().out
        folder = root / critic
        assert summary_of(folder)["kl_before"] == pytest.approx(0.0, abs=1e-4)
        assert is_encoder_decoder(load_policy(str(folder)).config)
        plain = AutoModelForSeq2SeqLM.from_pretrained(folder)  # the library puts the adapter on its base
        assert "lora" in "".join(name for name, _ in plain.named_parameters())


def test_every_setting_of_a_run_at_once(tmp_path: Path) -> None:
    """Averaged weights, text of demonstrations, LoRA merged, moments, checkpointing, an interruption."""
    base = write_seq2seq(tmp_path / "base", "bart")
    demos = write_jsonl(tmp_path / "demos.jsonl", demonstrations(8, seed=5))
    ptx = f"ptx={{demonstrations: [{{path: {demos}}}], coef: 0.5, batch_size: 4, max_tokens: 64}}"
    words = ppo_of(tmp_path, base, ptx, "lora={rank: 4, alpha: 8.0}", "ppo.ema_decay=0.9", "checkpoint.weights=average",
                   "ppo.score_normalisation=running", "ppo.gradient_checkpointing=true", "checkpoint.every_updates=1")  # fmt: skip
    whole, broken = f"run.output={tmp_path}/whole", f"run.output={tmp_path}/broken"
    assert run_main(run_ppo, lay_over(words, whole)) == 0
    run_with_interrupt(run_ppo, lay_over(words, broken))
    found, expected = weights_of(tmp_path / "broken"), weights_of(tmp_path / "whole")
    assert all((found[name] == value).all() for name, value in expected.items())
    start = weights_of(tmp_path / "base")
    assert any((start[name] != value).any() for name, value in expected.items())


def test_groups_without_a_critic_and_scores_on_tokens(tmp_path: Path) -> None:
    base = write_seq2seq(tmp_path / "base", "t5")
    (tmp_path / "tokens.py").write_text(
        "def f(prompts, responses, tokens, **columns):\n    return [[float(len(t)) for t in row] for row in tokens]\n"
    )
    scores = f"scores=[{{function: {tmp_path}/tokens.py:f, per_token: true}}]"
    words = ppo_of(tmp_path, base, scores, "ppo.advantages=leave_one_out", "ppo.samples_per_prompt=2", "ppo.kl_in=loss",
                   "ppo.kl_loss=k3", "critic=null")  # fmt: skip
    assert run_main(run_ppo, [word for word in words if not word.startswith("critic.")]) == 0


def test_the_report_answers_scores_and_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, root = write_seq2seq(tmp_path / "base", "t5"), tmp_path / "runs"
    write_base(tmp_path / "gpt")
    assert run_main(run_sft, sft_words(root, base)) == 0
    assert run_main(run_reward, [*reward_words(root), f"model.path={tmp_path}/gpt"]) == 0
    assert run_main(run_ppo, [*ppo_words(root), "critic.init_from=trunk"]) == 0
    (root / "score.py").write_text(SCORE)
    test = write_jsonl(root / "test.jsonl", prompts(6, seed=3))
    words = ["--config=configs/report.yaml", f"run.root={root}", f"data.test=[{{path: {test}}}]", "evaluation.num_prompts=6",
             f"evaluation.judge={root}/score.py:judge", "evaluation.max_prompt_tokens=48", "evaluation.max_response_tokens=8"]  # fmt: skip
    assert run_main(run_report, words) == 0
    assert "PPO beats SFT on" in capsys.readouterr().out
    numbers = (root / "summary.json").read_text()
    assert '"reward_score"' in numbers
    assert '"kl"' in numbers


def test_a_reference_of_another_kind_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tokens are the same, and so is their number."""
    base = write_seq2seq(tmp_path / "base", "t5_bytes")
    write_base(tmp_path / "gpt", vocab_size=AutoConfig.from_pretrained(base).vocab_size)
    assert run_main(run_ppo, ppo_of(tmp_path, base, f"reference={{path: {tmp_path}/gpt}}")) == 2
    assert "reference.path: one of reference and policy is a decoder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("critic.init_from=reward",), "critic.init_from: is reward, but the policy {base!r} is an encoder-decoder"),
        (("ptx={text: [{path: x.jsonl}], coef: 1.0}",), "ptx.text: the policy {base!r} is an encoder-decoder"),
        (("ptx={generator: data/pocket_world/raw_text.py:documents, num_documents: 10, coef: 1.0}",), "set ptx.demonstrations instead"),
        (("evaluation.text={generator: data/pocket_world/raw_text.py:documents, num_documents: 10}",), "it has no loss on text; set null"),
        (("sampling.max_response_tokens=95",), "the policy reads at most 96 tokens each in its encoder and in its decoder"),
    ],
)  # fmt: skip
def test_what_ppo_cannot_do_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    base = write_seq2seq(tmp_path / "base", "bart")
    scores = (
        f"scores=[{{model: {tmp_path}/gpt}}]"
        if "reward" in more[0]
        else f"scores=[{{function: {tmp_path}/score.py:vowels}}]"
    )
    write_reward(tmp_path / "gpt")
    assert run_main(run_ppo, ppo_of(tmp_path, base, scores, *more)) == 2
    said = capsys.readouterr()
    assert message.format(base=base) in said.err + said.out
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("t5", ("model.eos_token=</s>",), "model.eos_token: {base!r} is an encoder-decoder"),
        ("t5", (KEPT,), "lora.merge: an adapter by itself is for reward models that read as the policy does"),
        ("t5_bytes", (), "set model.path to an encoder, or to a decoder"),
    ],
)
def test_what_a_reward_model_cannot_be_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, more: tuple[str, ...], message: str
) -> None:
    base = write_seq2seq(tmp_path / "base", name)
    assert run_main(run_reward, [*reward_words(tmp_path / "runs"), f"model.path={base}", *more]) == 2
    said = capsys.readouterr()
    assert message.format(base=base) in said.err + said.out
    assert "Traceback" not in said.err


def test_an_encoder_decoder_reward_model_is_no_critic_of_a_decoder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "runs"
    base = write_seq2seq(tmp_path / "base", "t5")
    write_base(root / "sft")
    assert run_main(run_reward, [*reward_words(root), f"model.path={base}", "centring=null"]) == 0
    assert run_main(run_ppo, ppo_words(root)) == 2
    assert "set critic.init_from=policy" in capsys.readouterr().err
    assert run_main(run_ppo, [*ppo_words(root), "critic.init_from=policy"]) == 0
    assert "is an encoder-decoder: it is given prompt and response as two texts" in capsys.readouterr().out
