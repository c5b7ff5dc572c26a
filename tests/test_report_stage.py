from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlhf.models.saving import save_model
from rlhf.runs.jsonl import read_jsonl
from rlhf.settings.report import ReportSettings
from stages import report
from stages._command import run_stage
from tests.evaluation.report.made_up import warn, write_run
from tests.helpers import tiny_gpt2, tiny_reward_model, tiny_tokenizer
from tests.stage_data import JUDGE, demonstrations, files_of, run_main, write_base, write_jsonl


def main(argv: list[str]) -> None:
    run_stage("report", ReportSettings, report.train, check=report.check, argv=argv)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command line for a report on tiny runs in `tmp_path`."""
    tokenizer = tiny_tokenizer()
    for seed, (stage, config) in enumerate({"sft": "model", "reward": "model", "ppo": "policy"}.items()):
        folder = write_run(tmp_path / stage, stage, {"num_parameters": 12345, "pair_accuracy_labels": 0.75})
        model = tiny_reward_model(tokenizer, 3) if stage == "reward" else tiny_gpt2(tokenizer, seed + 1)
        save_model(model, tokenizer, folder, stop_token_ids=[tokenizer.eos_token_id])
        start = tmp_path / ("base" if stage == "sft" else "sft")
        (folder / "config.yaml").write_text(f"{config}:\n  path: {start}\n  dtype: float32\n")
    write_base(tmp_path / "base")
    (tmp_path / "judge.py").write_text(JUDGE)
    rows = [{**row, "family": "even" if n % 2 == 0 else "odd"} for n, row in enumerate(demonstrations(16))]
    return [
        "--config=configs/report.yaml",
        f"run.root={tmp_path}",
        f"data.test=[{{path: {write_jsonl(tmp_path / 'test.jsonl', rows)}}}]",
        f"evaluation.judge={tmp_path}/judge.py:judge",
        "evaluation.num_prompts=12",
        "evaluation.max_prompt_tokens=48",
        "evaluation.max_response_tokens=8",
        "evaluation.batch_size=5",
    ]


def numbers_of(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "summary.json").read_text())
    return found


def test_stage_writes_numbers_and_a_page_and_prints_them(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(main, words) == 0
    numbers = numbers_of(tmp_path)
    assert numbers["num_prompts"] == 12
    assert numbers["compared_by"] == "judge"
    ppo = numbers["ppo"]
    assert 0 <= ppo["win_rate_vs_sft_low"] <= ppo["win_rate_vs_sft"] <= ppo["win_rate_vs_sft_high"] <= 1
    assert ppo["kl_low"] <= ppo["kl"] <= ppo["kl_high"]
    for policy in ("base", "sft", "ppo"):
        assert {"judge_score", "reward_score", "criteria", "greedy"} <= numbers[policy].keys()
    assert "kl" not in ppo["greedy"]
    assert numbers["reward"]["pair_accuracy_labels"] == 0.75
    assert numbers["families"].keys() == {"even", "odd"}
    assert {stage: numbers["seconds"][stage] for stage in ("sft", "reward", "ppo")} == dict.fromkeys(
        ("sft", "reward", "ppo"), 60.0
    )
    assert numbers["seconds"]["report"] > 0
    assert numbers["versions"]["torch"]
    page = (tmp_path / "report.html").read_text()
    assert "Answers side by side" in page
    out = capsys.readouterr().out
    assert "PPO beats SFT on" in out
    assert "judge score" in out
    folder = tmp_path / "report"
    assert files_of(folder) >= {"config.yaml", "provenance.json", "samples.jsonl", "summary.json"}
    samples = read_jsonl(folder / "samples.jsonl")
    assert len(samples) == 2 * 3 * 12
    drawn = [row["kl"] for row in samples if row["policy"] == "ppo" and row["kind"] == "sampled"]
    assert sum(drawn) / 12 == pytest.approx(ppo["kl"])


def test_warnings_of_a_run_are_said_and_in_the_numbers_and_on_the_page(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    only = [*words, "stages.reward=null", "evaluation.greedy=false"]
    assert run_main(main, only) == 0
    assert numbers_of(tmp_path)["warnings"] == []
    assert "warning: " not in capsys.readouterr().out
    warn(tmp_path / "ppo", 5, "no response ended")
    assert run_main(main, only) == 0
    assert numbers_of(tmp_path)["warnings"] == [
        {"stage": "ppo", "code": "made_up", "step": 5, "text": "no response ended"}
    ]
    assert "warning: ppo, step 5: no response ended\n" in capsys.readouterr().out
    assert "no response ended" in (tmp_path / "report.html").read_text()


def test_the_same_seed_gives_the_same_page_and_another_one_does_not(tmp_path: Path, words: list[str]) -> None:
    pages = []
    for seed in ("1", "1", "2"):
        assert run_main(main, [*words, "evaluation.greedy=false", f"run.seed={seed}"]) == 0
        pages.append((tmp_path / "report.html").read_text())
    assert pages[0] == pages[1] != pages[2]
    assert "greedy" not in numbers_of(tmp_path)["ppo"]
    assert not (tmp_path / "report.previous").exists()


def test_without_ppo_and_judge_the_report_is_of_what_there_is(tmp_path: Path, words: list[str]) -> None:
    kept = [word for word in words if not word.startswith("evaluation.judge")]
    assert run_main(main, [*kept, "stages.ppo=null", "evaluation.judge=null", "report.family=null"]) == 0
    numbers = numbers_of(tmp_path)
    assert "ppo" not in numbers
    assert numbers["compared_by"] == "reward_model"
    assert "win_rate_vs_base" in numbers["sft"]
    assert "judge_score" not in numbers["sft"]
    assert numbers["families"] == {}
    assert "compared by the reward model" in (tmp_path / "report.html").read_text()


def test_a_reward_model_alone_needs_no_prompts(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "test.jsonl").unlink()
    assert run_main(main, [*words, "stages.sft=null", "stages.ppo=null"]) == 0
    assert numbers_of(tmp_path).keys() >= {"reward", "seconds"}
    assert "Does the reward model know?" in (tmp_path / "report.html").read_text()


def test_another_tokenizer_gives_scores_but_no_kl(tmp_path: Path, words: list[str]) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<|new|>"])
    save_model(tiny_gpt2(tokenizer), tokenizer, tmp_path / "ppo", stop_token_ids=[tokenizer.eos_token_id])
    assert run_main(main, [*words, "evaluation.greedy=false"]) == 0
    numbers = numbers_of(tmp_path)
    assert "kl" not in numbers["ppo"]
    assert "reward_score" in numbers["ppo"]
    assert "no KL between them" in numbers["notes"][0]


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("stages.ppo={root}/gone", "does not exist; run `make ppo`, or set stages.ppo"),
        ("stages.reward={root}/sft", "holds a run of the stage 'sft'; run `make reward`"),
        ("base={path: {root}/gone/base}", "base.path: "),
        ("evaluation.judge={root}/judge.py:nothing", "has no function 'nothing'"),
        ("evaluation.judge={root}/bad.py:judge", "a dictionary with 'score'"),
        ("evaluation.num_prompts=0", "evaluation.num_prompts"),
    ],
)
def test_user_mistakes_are_one_message(
    tmp_path: Path, words: list[str], pair: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.py").write_text("def judge(prompts, responses):\n    return [0.5 for _ in responses]\n")
    key = pair.partition("=")[0]
    kept = [word for word in words if word.partition("=")[0] != key]
    assert run_main(main, [*kept, pair.replace("{root}", str(tmp_path))]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "report.html").exists()
