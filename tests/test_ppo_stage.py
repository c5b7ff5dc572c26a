from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from rlhf.models.loading import load_policy, load_reward_model
from rlhf.models.saving import save_model
from rlhf.rendering import Renderer
from rlhf.rollout import generate
from rlhf.runs.jsonl import read_jsonl
from tests.helpers import tiny_reward_model, tiny_tokenizer
from tests.ppo_stage import lay_over, main, prompts
from tests.stage_data import (
    files_of,
    run_main,
    summary_of,
    weights_of,
    write_base,
    write_jsonl,
)

ROOT = Path(__file__).parents[1]
REWARD = "def score(prompts, responses):\n    return [text.count('e') / 4 for text in responses]\n"


def test_inv74_stage_trains_and_leaves_a_plain_model_that_generates_as_ours(tmp_path, words):
    assert run_main(main, words) == 0
    folder = tmp_path / "ppo"
    assert files_of(folder) >= {
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "chat_template.jinja",
        "README.md",
        "config.yaml",
        "provenance.json",
        "metrics.jsonl",
        "samples.jsonl",
        "summary.json",
    }
    numbers = summary_of(folder)
    assert {
        "score",
        "kl",
        "response_tokens",
        "judge_score",
        "judge_helpful",
        "score_before",
    } <= numbers.keys()
    assert numbers["kl_before"] == 0.0
    assert (numbers["num_updates"], numbers["num_episodes"], numbers["num_optimizer_steps"]) == (4, 32, 8)
    rows = [row for row in read_jsonl(folder / "metrics.jsonl") if "ppo/kl" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert rows[0]["ppo/kl"] == 0.0
    assert all(row["ppo/first_ratio_error"] == 0.0 for row in rows)

    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert not any(name.startswith(("policy.", "module.")) for name in weights_of(folder))
    stops = GenerationConfig.from_pretrained(folder).eos_token_id
    assert stops == tokenizer.eos_token_id or tokenizer.eos_token_id in stops
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Say pear."}], add_generation_prompt=True, return_tensors="pt"
    )["input_ids"]
    theirs = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=6)
    ours = generate(
        load_policy(str(folder)),
        ids.tolist(),
        stop_token_ids=Renderer(tokenizer).stop_token_ids,
        pad_token_id=tokenizer.pad_token_id,
        max_new_tokens=6,
        temperature=0.0,
    )
    assert theirs[0, ids.shape[1] :].tolist()[: len(ours.responses()[0])] == ours.responses()[0]


def test_export_chooses_between_best_and_last(tmp_path, words):
    """An enormous learning rate makes every update worse: the best weights are those of the start."""
    awful = lay_over(words, "ppo.learning_rate=3.0", "ppo.kl_coef=100.0")
    assert run_main(main, lay_over(awful, "run.output={run.root}/best")) == 0
    assert run_main(main, lay_over(awful, "run.output={run.root}/last", "checkpoint.export=last")) == 0
    assert summary_of(tmp_path / "best")["exported_update"] == 0
    assert summary_of(tmp_path / "last")["exported_update"] == 4
    start, best, last = (weights_of(tmp_path / name) for name in ("sft", "best", "last"))
    assert all(torch.equal(start[name], best[name]) for name in start)
    assert not all(torch.equal(start[name], last[name]) for name in start)


def test_a_python_function_scores_and_the_critic_starts_from_the_policy(tmp_path, words):
    (tmp_path / "rewards.py").write_text(REWARD)
    source = f"scores=[{{function: {tmp_path}/rewards.py:score, weight: 2.0}}]"
    assert run_main(main, lay_over(words, source, "critic.init_from=policy")) == 0
    for row in read_jsonl(tmp_path / "ppo" / "samples.jsonl"):
        assert row["score"] == 2.0 * row["response"].count("e") / 4


def test_lora_trains_adapters_only_and_saves_a_merged_model(tmp_path, words):
    assert run_main(main, lay_over(words, "lora={rank: 4, alpha: 8}", "checkpoint.export=last")) == 0
    start, end = weights_of(tmp_path / "sft"), weights_of(tmp_path / "ppo")
    assert start.keys() == end.keys()
    moved = [name for name in start if not torch.equal(start[name], end[name])]
    assert moved
    assert not any("wte" in name or "wpe" in name or "ln" in name for name in moved)
    rows = [row for row in read_jsonl(tmp_path / "ppo" / "metrics.jsonl") if "ppo/kl" in row]
    assert rows[0]["ppo/kl"] == 0.0


def test_inv21_every_stop_token_of_the_sft_model_is_kept(tmp_path, words):
    config = GenerationConfig.from_pretrained(tmp_path / "sft")
    config.eos_token_id = [1, 250, 251]
    config.save_pretrained(tmp_path / "sft")
    assert run_main(main, lay_over(words, "ppo.num_updates=1")) == 0
    assert set(GenerationConfig.from_pretrained(tmp_path / "ppo").eos_token_id) == {1, 250, 251}


def test_inv17_pad_equal_to_end_trains_the_same_weights(tmp_path, words):
    assert run_main(main, words) == 0
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "sft")
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(tmp_path / "sft")
    (tmp_path / "ppo").rename(tmp_path / "distinct")
    assert run_main(main, words) == 0
    first, second = weights_of(tmp_path / "distinct"), weights_of(tmp_path / "ppo")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_trackers_get_the_metrics(tmp_path, words):
    assert run_main(main, lay_over(words, "run.trackers=[tensorboard]", "ppo.num_updates=1")) == 0
    assert list((tmp_path / "ppo").rglob("events.out.tfevents*"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["policy.path=runs/sft-none"], "policy.path: 'runs/sft-none' does not exist"),
        (["scores=[{model: runs/reward-none}]"], r"scores\[0\].model: 'runs/reward-none' does not exist"),
        (["scores=[{function: nowhere.py:score}]", "critic.init_from=policy"], "nowhere.py' does not exist"),
        (["scores=[{function: f.py:score}]"], "set critic.path or init_from=policy"),
        (["scores=[{}]"], "set one of model, models and function"),
        (["ppo.kl_controller=adaptive"], "needs kl_target"),
        (["ppo.minibatch_size=3"], "rollout_batch_size 8 is not a multiple of minibatch_size 3"),
        (["ppo.rollout_batch_size=32"], "data.train has 24 records, fewer than one batch of 32"),
        (["ppo.kl_coeff=1"], "did you mean ppo.kl_coef"),
        (["run.trackers=[wandb]"], "pip install wandb"),
        (["sampling.max_prompt_tokens=126"], "reads at most 128 tokens"),
    ],
)
def test_mistakes_end_in_one_clear_message(tmp_path, words, capsys, more, message):
    assert run_main(main, lay_over(words, *more)) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert re.search(message, error), error


def start(words: list[str]) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "stages.ppo", *words]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=-1, stderr=-1, text=True)


def wait_for_step(folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if any(row["step"] >= step for row in read_jsonl(folder / "metrics.jsonl")):
            return
        time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate()[1])


@pytest.mark.slow
def test_inv73_inv75_killed_and_terminated_runs_end_with_the_weights_of_an_unbroken_one(tmp_path, words):
    words = lay_over(words, "ppo.num_updates=8")
    assert run_main(main, lay_over(words, "run.output={run.root}/whole")) == 0
    folder = tmp_path / "ppo"
    killed = start(words)
    wait_for_step(folder, 2, killed)
    killed.kill()
    killed.communicate()
    terminated = start(words)
    wait_for_step(folder, 5, terminated)
    terminated.send_signal(signal.SIGTERM)
    output, error = terminated.communicate(timeout=300)
    assert terminated.returncode == 143, error
    assert "going on with the run" in output
    assert "the same command again goes on from" in error
    last = start(words)
    _, error = last.communicate(timeout=300)
    assert last.returncode == 0, error
    whole, broken = weights_of(tmp_path / "whole"), weights_of(folder)
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
    steps = [row["step"] for row in read_jsonl(folder / "metrics.jsonl") if "ppo/kl" in row]
    assert steps == list(range(1, 9))


def test_inv39_the_reward_model_on_disk_and_in_the_run_is_untouched(tmp_path, words):
    before = weights_of(tmp_path / "reward")
    assert run_main(main, lay_over(words, "ppo.num_updates=2")) == 0
    after = load_reward_model(str(tmp_path / "reward")).state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["reference={{path: {root}/short}}"], "the reference"),
        (["critic.path={root}/short_reward"], "the critic"),
        (
            ["scores=[{{model: {root}/short_reward}}]", "critic.init_from=policy"],
            "the reward model '.*short_reward'",
        ),
        (["policy.path={root}/short", "reference={{path: {root}/sft}}"], "the policy"),
    ],
)
def test_inv26_a_context_of_any_model_that_is_too_short_is_found_before_training(
    tmp_path, words, capsys, more, what
):
    """48 tokens of prompt and 8 of response do not fit into 55."""
    write_base(tmp_path / "short", n_positions=55)
    tokenizer = tiny_tokenizer()
    save_model(tiny_reward_model(tokenizer, n_positions=55), tokenizer, tmp_path / "short_reward")
    told = [word.format(root=tmp_path) for word in more]
    assert run_main(main, lay_over(words, *told)) == 2
    error = capsys.readouterr().err
    assert re.search(what + r".* reads at most 55 tokens", error), error
    assert "Traceback" not in error
    write_base(tmp_path / "short", n_positions=56)
    save_model(tiny_reward_model(tokenizer, n_positions=56), tokenizer, tmp_path / "short_reward")
    assert run_main(main, lay_over(words, *told, "ppo.num_updates=1")) == 0


def test_inv81_prompts_that_are_trained_on_are_not_evaluated(tmp_path, words, capsys):
    write_jsonl(tmp_path / "validation.jsonl", [*prompts(3), *prompts(8, seed=1)])
    more = ["evaluation.num_prompts=11", "evaluation.num_samples=11", "ppo.num_updates=1"]
    assert run_main(main, lay_over(words, *more)) == 0
    assert "data.validation: 3 of 11 records have prompts of data.train: left out" in capsys.readouterr().out
    rows = [row for row in read_jsonl(tmp_path / "ppo" / "samples.jsonl") if row["kind"] == "evaluation"]
    assert {row["prompt_id"] for row in rows} == {f"d1-{number}" for number in range(8)}


def test_fewer_records_than_a_batch_are_refused_before_a_finished_run_is_moved_away(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(main, lay_over(words, "ppo.rollout_batch_size=64")) == 2
    found = capsys.readouterr().err
    assert (
        "ppo.rollout_batch_size: data.train has 24 records, fewer than one batch of 64; lower ppo.rollout_batch_size"
        in found
    )
    assert not (tmp_path / "ppo" / "provenance.json").exists()
