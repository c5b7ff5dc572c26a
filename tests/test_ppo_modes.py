"""What the PPO stage can be told beside the usual: sources of scores, critics, memory, averages, callbacks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig

from rlhf.models.saving import save_model
from rlhf.runs.jsonl import read_jsonl
from tests.helpers import tiny_reward_model, tiny_tokenizer
from tests.ppo_stage import lay_over, main
from tests.stage_data import run_main, summary_of, weights_of

LETTERS = """
def score(prompts, responses):
    return [text.count("e") / 4 for text in responses]

def tokens(prompts, responses, tokens):
    return [[float("e" in piece) for piece in pieces] for pieces in tokens]
"""
DIARY = """
import os

class Diary:
    def on_update(self, state):
        with open(os.path.join(str(state.folder), "diary.txt"), "a") as file:
            file.write(f"{state.update}\\n")
        state.stop = state.update == 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "letters.py").write_text(LETTERS)
    (tmp_path / "diary.py").write_text(DIARY)
    tokenizer = tiny_tokenizer()
    for seed in (4, 5):
        save_model(tiny_reward_model(tokenizer, seed=seed), tokenizer, tmp_path / f"reward{seed}")
    return tmp_path


def rows_of(path: Path) -> list[dict]:
    return [row for row in read_jsonl(path / "metrics.jsonl") if "ppo/kl" in row]


def ran(words: list[str], *more: str) -> list[dict]:
    """Run the stage and return its rows of metrics."""
    words = lay_over(words, "ppo.num_updates=2", "evaluation.every_updates=null", *more)
    assert run_main(main, words) == 0
    root = next(word.split("=")[1] for word in words if word.startswith("run.root="))
    return rows_of(Path(root) / "ppo")


def test_an_ensemble_is_one_score_and_says_what_its_members_disagree_by(folder, words):
    models = f"models: [{folder}/reward, {folder}/reward4, {folder}/reward5]"
    mean = ran(words, f"scores=[{{{models}, combine: mean}}]")[0]
    lowest = ran(words, f"scores=[{{{models}, combine: min}}]")[0]
    careful = ran(words, f"scores=[{{{models}, combine: mean_minus_std, combine_std_coef: 2.0}}]")[0]
    spread = mean["ppo/scores[0].disagreement"]
    assert spread > 0
    assert lowest["ppo/score"] < mean["ppo/score"]
    assert careful["ppo/score"] == pytest.approx(mean["ppo/score"] - 2.0 * spread, abs=1e-5)


def test_models_and_functions_add_up_with_their_weights_and_are_logged_apart(folder, words):
    sources = f"scores=[{{model: {folder}/reward}}, {{function: {folder}/letters.py:score, weight: 3.0}}]"
    row = ran(words, sources)[0]
    assert row["ppo/score"] == pytest.approx(row["ppo/scores[0]"] + 3.0 * row["ppo/scores[1]"], abs=1e-5)


def test_a_function_that_scores_tokens_is_the_same_as_one_that_scores_their_sum(folder, words):
    row = ran(
        words,
        f"scores=[{{function: {folder}/letters.py:tokens, per_token: true}}]",
        "critic.init_from=policy",
    )[0]
    samples = read_jsonl(folder / "ppo" / "samples.jsonl")
    assert row["ppo/reward"] == pytest.approx(row["ppo/score"] - 0.02 * row["ppo/kl"], abs=1e-6)
    assert any(sample["score"] > 0 for sample in samples)
    assert all(sample["score"] == int(sample["score"]) for sample in samples), "whole tokens are counted"


def test_a_held_out_reward_model_is_reported_and_never_trained_on(folder, words):
    plain = lay_over(words, "ppo.num_updates=2", "run.output={run.root}/plain")
    assert run_main(main, plain) == 0
    ran(words, f"evaluation.held_out_scores=[{{model: {folder}/reward4}}]")
    one, other = weights_of(folder / "plain"), weights_of(folder / "ppo")
    assert all(torch.equal(one[name], other[name]) for name in one)
    numbers = summary_of(folder / "ppo")
    assert numbers["held_out_score"] != numbers["score"]
    assert "held_out_score" not in summary_of(folder / "plain")


def test_a_critic_on_the_trunk(folder, words):
    rows = ran(words, "critic.init_from=trunk")
    assert rows[0]["ppo/value_mean"] == 0.0
    assert rows[0]["ppo/kl"] == 0.0
    strong = ran(words, "critic.init_from=trunk", "critic.value_coef=5.0")
    assert strong[1]["ppo/policy_grad_norm"] != rows[1]["ppo/policy_grad_norm"]


def test_a_callback_of_the_users_ends_the_run(folder, words, capsys):
    assert run_main(main, lay_over(words, f"callbacks=[{folder}/diary.py:Diary]")) == 0
    assert "a callback ended the run after update 3 of 4" in capsys.readouterr().out
    assert (folder / "ppo" / "diary.txt").read_text() == "1\n2\n3\n"
    assert summary_of(folder / "ppo")["num_updates"] == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["ppo.advantages=leave_one_out"], "set samples_per_prompt to 2 or more"),
        (["ppo.advantages=leave_one_out", "ppo.samples_per_prompt=2"], "uses no critic: set critic=null"),
        (["critic=null"], "ppo.advantages gae needs a critic"),
        (["ppo.samples_per_prompt=3"], "rollout_batch_size 8 is not a multiple of samples_per_prompt 3"),
        (["ppo.kl_in=loss"], "kl_loss .k2 or k3. is set where kl_in is loss"),
        (["ppo.kl_loss=k2"], "kl_loss .k2 or k3. is set where kl_in is loss"),
        (["ppo.ema_decay=0.9"], "checkpoint.weights=average reads the average that ppo.ema_decay keeps"),
        (["checkpoint.weights=average"], "set both or none"),
        (["critic.value_coef=0.5"], "critic.value_coef is only read where critic.init_from is trunk"),
        (["scores=[{models: [a, b]}]"], "models and combine .* are set together"),
        (["scores=[{model: a, combine: min}]"], "models and combine .* are set together"),
        (["scores=[{models: [a, b], combine: min, combine_std_coef: 1.0}]"], "combine_std_coef is set where"),
        (["scores=[{model: a, per_token: true}]"], "per_token is only read where function is set"),
        (
            ["scores=[{models: [runs/none], combine: min}]"],
            r"scores\[0\].models\[0\]: 'runs/none' does not exist",
        ),
        (
            ["evaluation.held_out_scores=[{model: runs/none}]"],
            r"held_out_scores\[0\].model: 'runs/none' does not",
        ),
        (["callbacks=[nowhere.py:Diary]"], "nowhere.py' does not exist"),
        (["ppo.dual_clip=0.5"], "ppo.dual_clip"),
        (
            ["ppo.missing_eos_penalty=1.0", "ppo.missing_eos_score=-1.0"],
            "set missing_eos_score to null, or leave missing_eos_penalty at 0",
        ),
        (
            ["ppo.critic_warmup_updates=4"],
            "critic_warmup_updates 4 leaves none of num_updates 4 to the policy",
        ),
        (
            ["ptx={generator: a.py:f, num_documents: 9, batch_size: 3}"],
            "ptx.batch_size 3 is not a multiple of",
        ),
    ],
)
def test_mistakes_end_in_one_clear_message(tmp_path, words, capsys, more, message):
    assert run_main(main, lay_over(words, *more)) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert re.search(message, error), error


@pytest.mark.parametrize(
    "trained",
    [
        [],
        ["lora={rank: 4, alpha: 8}"],
        ["lora={rank: 4, alpha: 8}", "memory.one_base=true", "critic.init_from=policy"],
    ],
    ids=["all weights", "lora", "one base"],
)
def test_inv74_the_generation_config_of_the_sft_model_is_exported_with_ours(folder, words, trained):
    told = GenerationConfig.from_pretrained(folder / "sft")
    told.update(do_sample=True, temperature=0.6, top_p=0.9, repetition_penalty=1.3)
    told.save_pretrained(folder / "sft")
    ran(words, *trained)
    kept = GenerationConfig.from_pretrained(folder / "ppo")
    assert (kept.do_sample, kept.temperature, kept.top_p, kept.repetition_penalty) == (True, 0.6, 0.9, 1.3)


def test_inv72_float16_on_a_cpu_is_refused_and_not_trained_in_float32(folder, words, capsys):
    assert run_main(main, lay_over(words, "ppo.mixed_precision=fp16")) == 2
    assert "ppo.mixed_precision is fp16, which needs a GPU; on a CPU set" in capsys.readouterr().err
    assert not (folder / "ppo").exists()


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("scores=[{{model: {root}/sft}}]", "scores[0].model: '{root}/sft' is not a reward model"),
        (
            "scores=[{{models: [{root}/reward, {root}/sft], combine: min}}]",
            "scores[0].models[1]: '{root}/sft' is not",
        ),
        ("critic.path={root}/sft", "critic.path: '{root}/sft' is not a reward model"),
        (
            "evaluation.held_out_scores=[{{model: {root}/sft}}]",
            "evaluation.held_out_scores[0].model: '{root}/sft' is",
        ),
        ("callbacks=[{root}/letters.py:score]", "callbacks: '{root}/letters.py:score' is no class"),
        ("scores=[{{function: {root}/letters.py:scor}}]", "scores[0].function: '{root}/letters.py:scor'"),
    ],
)
def test_a_dry_run_finds_what_the_run_would_end_with(folder, words, capsys, told, message):
    more = [told.format(root=folder), *(["critic.init_from=policy"] if "function" in told else [])]
    assert run_main(main, [*lay_over(words, *more), "--dry-run"]) == 2
    assert message.format(root=folder) in capsys.readouterr().err


def test_a_run_that_gained_nothing_says_that_what_it_saves_is_its_start(folder, words, capsys):
    (folder / "falling.py").write_text(
        "def score(prompts, responses, calls=[]):\n    calls.append(1)\n    return [-1.0 * len(calls)] * len(responses)\n"
    )
    told = [
        f"scores=[{{function: {folder}/falling.py:score}}]",
        "critic.init_from=policy",
        "checkpoint.export=best",
    ]
    ran(words, *told)
    assert "what is saved is the policy as it started" in capsys.readouterr().out
    start, end = weights_of(folder / "sft"), weights_of(folder / "ppo")
    assert all(torch.equal(start[name], end[name]) for name in start)
