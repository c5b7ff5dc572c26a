from __future__ import annotations

from dataclasses import replace

import pytest

from rlhf.evaluation.report.answers import Answer
from rlhf.evaluation.report.numbers import compare, describe_answers, describe_families, judged_by
from rlhf.evaluation.report.stage_runs import StageRun
from rlhf.evaluation.report.summary import build_summary, families_table, policies_table, win_line
from tests.evaluation.report.made_up import answer

SFT = [answer(0, 0.2), answer(1, 0.6), answer(2, 0.6), answer(3, 1.0)]
PPO = [answer(0, 0.8, kl=2.0), answer(1, 0.7, kl=4.0), answer(2, 0.6, kl=0.0), answer(3, 0.0, kl=-1.0)]


def test_a_policy_is_described_by_its_means() -> None:
    found = describe_answers(PPO, seed=0)
    assert found["judge_score"] == pytest.approx(2.1 / 4)
    assert found["criteria"] == {"helpful": pytest.approx(2.1 / 4), "harmless": 1.0}
    assert found["kl"] == pytest.approx(5.0 / 4)
    assert found["kl_low"] <= found["kl"] <= found["kl_high"]
    assert (found["response_tokens"], found["ended_fraction"], found["reward_score"]) == (3.0, 1.0, 0.5)
    assert "kl" not in describe_answers(SFT, seed=0)


def test_wins_ties_and_losses() -> None:
    found = compare(PPO, SFT, "sft", seed=0)
    assert [found[f"{what}_vs_sft"] for what in ("wins", "ties", "losses")] == [2, 1, 1]
    assert found["win_rate_vs_sft"] == 2.5 / 4
    assert found["criteria_win_rate_vs_sft"] == {"helpful": 2.5 / 4, "harmless": 0.5}
    assert found["reward_win_rate_vs_sft"] == 0.5


def test_answers_to_different_prompts_are_never_compared() -> None:
    with pytest.raises(AssertionError):
        compare(PPO, SFT[::-1], "sft", seed=0)


def test_without_a_judge_the_reward_model_compares_and_says_so() -> None:
    sft = [Answer(row, "a", 1, True, reward_score=0.0) for row in range(4)]
    ppo = [Answer(row, "b", 1, True, reward_score=score) for row, score in enumerate([1.0, 1.0, -1.0, 0.0])]
    assert judged_by({"sft": sft, "ppo": ppo}) == "reward_model"
    found = compare(ppo, sft, "sft", seed=0)
    assert found["win_rate_vs_sft"] == 2.5 / 4
    summary = build_summary({}, {"sft": sft, "ppo": ppo}, {}, [None] * 4, seed=0, temperature=1.0)
    assert summary["compared_by"] == "reward_model"
    assert "judge_score" not in summary["ppo"]
    assert "by the reward model" in str(win_line(summary))


def test_by_the_reward_model_an_answer_that_was_cut_loses_whatever_its_score() -> None:
    """The reward model has never learnt to read it; 9.0 is what it says of a story that runs on."""
    sft = [
        Answer(row, "a", 1, ended, reward_score=0.0) for row, ended in enumerate([True, True, False, False])
    ]
    ppo = [
        Answer(row, "b", 1, ended, reward_score=9.0) for row, ended in enumerate([True, False, False, True])
    ]
    found = compare(ppo, sft, "sft", seed=0)
    assert [found[f"{what}_vs_sft"] for what in ("wins", "ties", "losses")] == [2, 1, 1]
    assert found["reward_win_rate_vs_sft"] == 2.5 / 4
    described = describe_answers([replace(ppo[0], reward_score=2.0), *ppo[1:3]], seed=0)
    assert described["reward_score"] == 2.0, "the mean is of those that ended"
    assert describe_answers(ppo[1:3], seed=0)["reward_score"] == 9.0, "of all where none ended"


def test_with_neither_nothing_is_compared() -> None:
    some = {"ppo": [Answer(0, "a", 1, True)], "sft": [Answer(0, "b", 1, True)]}
    assert judged_by(some) is None
    assert compare(some["ppo"], some["sft"], "sft", seed=0) == {}
    assert win_line(build_summary({}, some, {}, [None], seed=0, temperature=1.0)) is None


def test_families() -> None:
    families = ["list", "fact", None, "fact"]
    found = describe_families({"sft": SFT, "ppo": PPO}, families, seed=0)
    assert list(found) == ["fact", "list"]
    assert found["fact"]["num_prompts"] == 2
    assert found["fact"]["score"] == {"sft": pytest.approx(0.8), "ppo": pytest.approx(0.35)}
    assert found["fact"]["win_rate_vs_sft"] == 0.5
    assert describe_families({"sft": SFT}, ["one"] * 4, seed=0) == {}


def test_the_summary_holds_what_the_issue_names() -> None:
    reward = {"pair_accuracy_judge": 0.93, "pair_accuracy_labels": 0.75, "judge_accuracy_labels": 0.77}
    runs = {
        "sft": StageRun("sft", None, {"seconds": 10.0, "validation_loss": 0.7}),  # type: ignore[arg-type]
        "reward": StageRun("reward", None, {"seconds": 20.0, "stage": "reward", **reward}),  # type: ignore[arg-type]
        "ppo": StageRun("ppo", None, {"seconds": 30.0}),  # type: ignore[arg-type]
    }
    base = [answer(row, 0.1) for row in range(4)]
    sampled = {"base": base, "sft": SFT, "ppo": PPO}
    summary = build_summary(runs, sampled, sampled, ["a", "b", "a", "b"], seed=3, temperature=1.0)
    assert summary["reward"] == reward
    assert summary["base"]["judge_score"] < summary["ppo"]["judge_score"]
    assert {"win_rate_vs_sft", "win_rate_vs_sft_low", "win_rate_vs_sft_high", "kl"} <= summary["ppo"].keys()
    for policy in ("base", "sft", "ppo"):
        assert summary[policy]["criteria"].keys() == {"helpful", "harmless"}
        assert "judge_score" in summary[policy]["greedy"]
    assert {stage: summary["seconds"][stage] for stage in runs} == {"sft": 10.0, "reward": 20.0, "ppo": 30.0}
    assert summary["sft"]["training"] == {"validation_loss": 0.7}
    rows, headers = policies_table(summary)
    assert headers == ["sampled answers", "base", "SFT", "PPO"]
    assert [row[0] for row in rows][:3] == ["judge score", "  helpful", "  harmless"]
    assert all(len(row) == 4 for row in rows)
    rows, headers = families_table(summary)
    assert [row[:2] for row in rows] == [["a", 2], ["b", 2]]
    assert headers[-3:] == ["PPO beats SFT", "low", "high"]
