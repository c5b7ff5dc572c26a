"""The stages with lora.quantize=4bit; what needs bitsandbytes is skipped where it is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from rlhf.models import load_policy, load_reward_model, quantised
from rlhf.models.adapter_folders import adapter_base
from rlhf.models.quantised import is_quantised
from rlhf.runs.jsonl import read_jsonl
from tests import ppo_stage
from tests.models.adapters import write_reward_adapter, write_sft_adapter
from tests.models.test_quantised import needs_it
from tests.stage_data import (
    files_of,
    reward_words,
    run_main,
    run_with_interrupt,
    summary_of,
    weights_of,
    write_base,
)
from tests.test_reward_stage import main as reward_main
from tests.test_sft_stage import main as sft_main
from tests.test_sft_stage import words as sft_words  # noqa: F401  # a fixture

MERGED = "lora={rank: 4, alpha: 8.0, quantize: 4bit}"
KEPT = "lora={rank: 4, alpha: 8.0, quantize: 4bit, merge: false}"


@pytest.fixture
def rewarded(tmp_path: Path) -> list[str]:
    write_base(tmp_path / "sft")
    return reward_words(tmp_path)


@needs_it
def test_a_stage_prints_nothing_of_bitsandbytes() -> None:
    """Its import, of which peft has one, advises to install faster kernels for processors."""
    code = "from rlhf.runs import console; console.quiet_notices(); import peft.tuners.lora.bnb"
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


STAGES = {
    "sft": (sft_main, "sft_words"),
    "reward": (reward_main, "rewarded"),
    "ppo": (ppo_stage.main, "words"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_without_bitsandbytes_lora_quantize_is_refused_before_anything_is_loaded(
    stage: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main, fixture = STAGES[stage]
    monkeypatch.setattr(quantised.importlib.util, "find_spec", lambda name: None)
    assert run_main(main, [*request.getfixturevalue(fixture), MERGED, "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert "lora.quantize: 4bit needs bitsandbytes, which is not installed: pip install 'rlhf[4bit]'" in said
    assert "Traceback" not in said


@needs_it
@pytest.mark.parametrize("lora", [MERGED, KEPT])
def test_sft_learns_on_rounded_weights_and_leaves_whole_ones(
    tmp_path: Path,
    sft_words: list[str],  # noqa: F811
    lora: str,
) -> None:
    assert run_main(sft_main, [*sft_words, lora]) == 0
    folder = tmp_path / "sft"
    numbers = summary_of(folder)
    assert numbers["validation_perplexity"] < numbers["validation_perplexity_before"]
    model = load_policy(str(folder))
    assert not is_quantised(model)
    assert ("adapter_config.json" in files_of(folder)) == (lora == KEPT)
    start = load_policy(adapter_base(str(folder)) if lora == KEPT else str(tmp_path / "base"))
    assert start.num_parameters() + numbers["num_trained_parameters"] == numbers["num_parameters"]
    if lora == MERGED:
        plain = AutoModelForCausalLM.from_pretrained(folder)
        for name, value in plain.state_dict().items():
            torch.testing.assert_close(value, model.state_dict()[name])
            same = torch.equal(value, start.state_dict()[name])
            assert same != ("attn.c_" in name or "mlp.c_" in name) or name.endswith("bias"), name


@needs_it
@pytest.mark.parametrize("lora", [MERGED, KEPT])
def test_a_reward_model_learns_on_rounded_weights(tmp_path: Path, rewarded: list[str], lora: str) -> None:
    assert run_main(reward_main, [*rewarded, lora]) == 0
    folder = tmp_path / "reward"
    numbers = summary_of(folder)
    assert numbers["pair_accuracy_labels"] > numbers["pair_accuracy_labels_before"] + 0.2
    model = load_reward_model(str(folder))
    assert not is_quantised(model)
    if lora == MERGED:
        plain = AutoModelForSequenceClassification.from_pretrained(folder)
        for name, value in plain.state_dict().items():
            torch.testing.assert_close(value, model.state_dict()[name])


@needs_it
def test_a_reward_adapter_goes_on_from_the_sft_adapter(tmp_path: Path, rewarded: list[str]) -> None:
    (tmp_path / "sft").rename(tmp_path / "base")
    write_sft_adapter(tmp_path / "sft", str(tmp_path / "base"))
    assert run_main(reward_main, [*rewarded, KEPT]) == 0
    assert adapter_base(str(tmp_path / "reward")) == str(tmp_path / "base")
    assert not is_quantised(load_reward_model(str(tmp_path / "reward")))


def first_kl(folder: Path) -> float:
    return next(row["ppo/kl"] for row in read_jsonl(folder / "metrics.jsonl") if "ppo/kl" in row)


@needs_it
@pytest.mark.parametrize("lora", [MERGED, KEPT])
def test_inv64_ppo_starts_at_its_reference_and_leaves_whole_weights(
    tmp_path: Path, words: list[str], lora: str
) -> None:
    told = ppo_stage.lay_over(
        words, lora, "ppo.num_updates=2", "ppo.learning_rate=3e-2", "ppo.mixed_precision=no"
    )
    assert run_main(ppo_stage.main, told) == 0
    folder = tmp_path / "ppo"
    assert first_kl(folder) == pytest.approx(0.0, abs=1e-6), "the reference is rounded as the policy is"
    assert not is_quantised(load_policy(str(folder)))
    if lora == MERGED:
        start, end = weights_of(tmp_path / "sft"), weights_of(folder)
        assert start.keys() == end.keys()
        moved = {name for name in start if not torch.equal(start[name], end[name])}
        assert moved
        assert not any(part in name for name in moved for part in ("wte", "wpe", "ln", "bias"))


@needs_it
@pytest.mark.parametrize("from_adapter", [False, True])
def test_ppo_on_one_rounded_base(
    tmp_path: Path, words: list[str], from_adapter: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "sft"
    if from_adapter:
        base = (tmp_path / "sft").rename(tmp_path / "base")
        write_sft_adapter(tmp_path / "sft", str(base))
    in_base = load_policy(str(base)).num_parameters()
    write_reward_adapter(tmp_path / "judge_on_base", str(base))
    told = ppo_stage.lay_over(
        words,
        MERGED,
        "memory.one_base=true",
        f"scores=[{{model: {tmp_path}/judge_on_base}}]",
        "ppo.num_updates=2",
        "ppo.mixed_precision=no",
    )
    assert run_main(ppo_stage.main, told) == 0
    said = capsys.readouterr().out
    assert f"one base: the {in_base:,} parameters of" in said
    assert "loaded whole" not in said
    assert first_kl(tmp_path / "ppo") == pytest.approx(0.0, abs=1e-6)
    assert not is_quantised(load_policy(str(tmp_path / "ppo")))


@needs_it
def test_inv73_an_interrupted_reward_run_goes_on_with_the_same_rounding(
    tmp_path: Path, rewarded: list[str]
) -> None:
    kept = [*rewarded, KEPT]
    assert run_main(reward_main, [*kept, f"run.output={tmp_path / 'a'}"]) == 0
    run_with_interrupt(reward_main, [*kept, f"run.output={tmp_path / 'b'}"])
    first, second = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("a", "b"))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
