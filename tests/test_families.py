"""The three stages on tiny random models of the public decoder families, each from a local folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from rlhf.models import load_policy, load_reward_model, sequence_scores
from rlhf.models.heads import added_bias
from rlhf.models.inputs import forward_inputs
from tests.families import DECODERS, NO_BIAS, write_decoder
from tests.ppo_stage import main as run_ppo
from tests.ppo_stage import prompts
from tests.stage_data import demonstrations, rankings, run_main, summary_of, write_jsonl
from tests.test_reward_stage import main as run_reward
from tests.test_sft_stage import main as run_sft

IDS = torch.tensor([[11, 12, 13, 14, 15], [21, 22, 23, 24, 25]])


def words_of(root: Path, stage: str, rows: dict[str, list[dict]], *more: str) -> list[str]:
    """The command line of a stage below `root` with a file for each kind of rows."""
    root.mkdir(exist_ok=True)
    files = {name: write_jsonl(root / f"{stage}.{name}.jsonl", found) for name, found in rows.items()}
    sources = [f"data.{name}=[{{path: {file}}}]" for name, file in files.items()]
    return [f"--config=configs/{stage}.yaml", f"run.root={root}", *sources, "evaluation.every_updates=null",
            "checkpoint.every_updates=null", *more]  # fmt: skip


def sizes_of(stage: str) -> list[str]:
    sizes = {
        "epochs": 1,
        "batch_size": 8,
        "microbatch_size": 8,
        "learning_rate": 1e-3,
        "mixed_precision": "no",
    }
    limits = {"max_prompt_tokens": 64, "max_response_tokens": 56}
    return [f"{stage}.{name}={value}" for name, value in (sizes | limits).items()]


def sft_words(root: Path, base: str) -> list[str]:
    rows = {"train": demonstrations(16), "validation": demonstrations(4, seed=1)}
    return [*words_of(root, "sft", rows, *sizes_of("sft")), f"model.path={base}", "evaluation.num_samples=1"]


def reward_words(root: Path) -> list[str]:
    rows = {"train": rankings(16), "validation": rankings(4, seed=1)}
    more = (
        "data.test=[]",
        "evaluation.judge=null",
        "centring.num_prompts=8",
        "centring.max_response_tokens=8",
    )
    return words_of(root, "reward", rows, *sizes_of("reward"), *more)


def ppo_words(root: Path) -> list[str]:
    rows = {"train": prompts(16), "validation": prompts(4, seed=1)}
    sizes = ("rollout_batch_size=8", "minibatch_size=4", "microbatch_size=4", "num_updates=2", "learning_rate=1e-3",
             "mixed_precision=no", "missing_eos_score=null")  # fmt: skip
    limits = ("sampling.max_prompt_tokens=64", "sampling.max_response_tokens=8")
    return words_of(root, "ppo", rows, *(f"ppo.{one}" for one in sizes), *limits,
                    "evaluation.judge=null", "evaluation.num_prompts=4", "checkpoint.export=last")  # fmt: skip


@pytest.mark.parametrize("name", DECODERS)
def test_inv74_three_stages_and_each_result_is_a_plain_model(tmp_path: Path, name: str) -> None:
    root = tmp_path / "runs"
    base = write_decoder(tmp_path / "base", name)
    assert run_main(run_sft, sft_words(root, base)) == 0
    assert run_main(run_reward, reward_words(root)) == 0
    assert run_main(run_ppo, ppo_words(root)) == 0
    assert summary_of(root / "ppo")["num_updates"] == 2
    for stage in ("sft", "ppo"):
        plain, ours = AutoModelForCausalLM.from_pretrained(root / stage), load_policy(str(root / stage))
        with torch.no_grad():
            expected = ours.eval()(**forward_inputs(ours, IDS, torch.ones_like(IDS))).logits
            torch.testing.assert_close(plain.eval()(IDS).logits, expected, atol=1e-6, rtol=0)  # other kernels
        assert not torch.equal(
            plain.get_input_embeddings().weight, load_policy(base).get_input_embeddings().weight
        )
    scorer = load_reward_model(str(root / "reward")).eval()
    plain = AutoModelForSequenceClassification.from_pretrained(root / "reward").eval()
    assert plain.config.pad_token_id == AutoTokenizer.from_pretrained(root / "reward").pad_token_id
    with torch.no_grad():
        found = sequence_scores(scorer, IDS, torch.ones_like(IDS)) - plain(IDS).logits[:, 0]
    # A head without a bias behind a norm without one has no place for the zero that the library would read.
    shift = added_bias(scorer)
    assert (shift is not None) == (name in NO_BIAS)
    torch.testing.assert_close(found, torch.full((2,), shift or 0.0), atol=1e-6, rtol=0)
    card = (root / "reward" / "README.md").read_text()
    assert ("scores are" in card) == (name in NO_BIAS)
    assert shift is None or f"its scores are {-shift:.4g} higher" in card
