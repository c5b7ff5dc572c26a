"""The PPO stage with memory.one_base."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rlhf.models.adapter_folders import adapter_base
from rlhf.models.loading import load_policy, load_reward_model
from rlhf.runs.jsonl import read_jsonl
from tests.models.adapters import IDS, write_reward_adapter, write_sft_adapter
from tests.ppo_stage import lay_over, main, prompts, write_reward
from tests.stage_data import JUDGE, files_of, run_main, summary_of, weights_of, write_base, write_jsonl

LORA = "lora={rank: 4, alpha: 8.0}"
KEPT = "lora={rank: 4, alpha: 8.0, merge: false}"


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command line for a tiny run in `tmp_path`: a whole SFT model and reward adapters on it."""
    (tmp_path / "judge.py").write_text(JUDGE)
    write_base(tmp_path / "sft")
    write_reward_adapter(tmp_path / "reward", str(tmp_path / "sft"))
    write_reward_adapter(tmp_path / "reward2", str(tmp_path / "sft"), seed=2)
    return [
        "--config=configs/ppo.yaml",
        f"run.root={tmp_path}",
        f"data.train=[{{path: {write_jsonl(tmp_path / 'train.jsonl', prompts(24))}}}]",
        f"data.validation=[{{path: {write_jsonl(tmp_path / 'validation.jsonl', prompts(8, seed=1))}}}]",
        f"evaluation.judge={tmp_path}/judge.py:judge",
        "evaluation.num_prompts=8",
        "checkpoint.every_updates=1",
        "checkpoint.export=last",
        "sampling.max_prompt_tokens=48",
        "sampling.max_response_tokens=8",
        "ppo.num_updates=2",
        "ppo.rollout_batch_size=8",
        "ppo.minibatch_size=4",
        "ppo.microbatch_size=2",
        "ppo.learning_rate=3e-2",
        "ppo.mixed_precision=no",
        "memory.one_base=true",
        LORA,
    ]


@pytest.fixture
def from_adapter(tmp_path: Path, words: list[str]) -> list[str]:
    """The same where SFT left an adapter and the reward adapters are on its base."""
    (tmp_path / "sft").rename(tmp_path / "base")
    write_sft_adapter(tmp_path / "sft", str(tmp_path / "base"))
    for seed, name in ((1, "reward"), (2, "reward2")):
        write_reward_adapter(tmp_path / name, str(tmp_path / "base"), seed=seed)
    return words


def rows_of(folder: Path) -> list[dict]:
    return [row for row in read_jsonl(folder / "metrics.jsonl") if "ppo/kl" in row]


def test_inv33_inv64_inv65_a_merged_policy_comes_out_and_nothing_else_changes(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in ("sft", "reward")}
    assert run_main(main, words) == 0
    said = capsys.readouterr().out
    in_base = sum(value.numel() for value in weights_of(tmp_path / "sft").values())
    assert re.search(rf"one base: the {in_base:,} parameters of '.*/sft' are held once", said), said
    assert "loaded whole" not in said
    start, end = weights_of(tmp_path / "sft"), weights_of(tmp_path / "ppo")
    assert start.keys() == end.keys()
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    assert moved
    assert not any(part in name for name in moved for part in ("wte", "wpe", "ln"))
    rows = rows_of(tmp_path / "ppo")
    assert rows[0]["ppo/kl"] == 0.0
    assert rows[1]["ppo/kl"] != 0.0
    assert all(row["ppo/first_ratio_error"] == 0.0 for row in rows)
    assert before == {name: (tmp_path / name).stat().st_mtime_ns for name in before}


def test_inv64_from_an_sft_adapter_the_kl_is_to_that_model(tmp_path: Path, from_adapter: list[str]) -> None:
    assert run_main(main, lay_over(from_adapter, KEPT)) == 0
    rows = rows_of(tmp_path / "ppo")
    assert rows[0]["ppo/kl"] == 0.0  # not the KL to the base, which is another model
    assert rows[1]["ppo/kl"] != 0.0
    assert all(row["ppo/first_ratio_error"] == 0.0 for row in rows)
    folder = tmp_path / "ppo"
    assert "model.safetensors" not in files_of(folder)
    assert adapter_base(str(folder)) == str(tmp_path / "base")
    started, ended = (load_file(path / "adapter_model.safetensors") for path in (tmp_path / "sft", folder))
    assert started.keys() == ended.keys()  # the policy's adapter alone
    assert not all(torch.equal(started[name], value) for name, value in ended.items())
    assert torch.isfinite(load_policy(str(folder))(IDS).logits).all()


@pytest.mark.parametrize("start", ["words", "from_adapter"])
def test_inv73_a_killed_run_ends_with_the_weights_of_an_unbroken_one(
    tmp_path: Path, start: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rlhf.ppo import loop

    words = lay_over(request.getfixturevalue(start), "ppo.num_updates=3")
    assert run_main(main, lay_over(words, "run.output={run.root}/whole")) == 0
    original = loop.save_checkpoint

    def then_killed(run, parts, progress, keep):
        original(run, parts, progress, keep)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save_checkpoint", then_killed)
    assert run_main(main, words) == 130
    monkeypatch.undo()
    assert run_main(main, words) == 0
    whole, broken = weights_of(tmp_path / "whole"), weights_of(tmp_path / "ppo")
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_an_ensemble_and_held_out_scores_are_adapters_on_the_base(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    more = [
        f"scores=[{{models: [{tmp_path}/reward, {tmp_path}/reward2], combine: mean}}]",
        f"evaluation.held_out_scores=[{{model: {tmp_path}/reward2}}]",
        "ppo.num_updates=1",
    ]
    assert run_main(main, lay_over(words, *more)) == 0
    assert "loaded whole" not in capsys.readouterr().out
    found = next(row for row in read_jsonl(tmp_path / "ppo" / "metrics.jsonl") if "evaluation/score" in row)
    alone = {}
    for name in ("reward", "reward2"):
        one = [
            f"scores=[{{model: {tmp_path}/{name}}}]",
            f"run.output={{run.root}}/{name}_ppo",
            "ppo.num_updates=1",
        ]
        assert run_main(main, lay_over(words, *one)) == 0
        rows = read_jsonl(tmp_path / f"{name}_ppo" / "metrics.jsonl")
        alone[name] = next(row["evaluation/score"] for row in rows if "evaluation/score" in row)
    assert found["evaluation/score"] == pytest.approx(sum(alone.values()) / 2, abs=1e-5)
    assert found["evaluation/held_out_score"] == pytest.approx(alone["reward2"], abs=1e-5)


@pytest.mark.parametrize(
    ("sources", "reason"),
    [
        (
            "[{{model: {root}/whole}}]",
            r"whole' is no adapter on '.*/sft': it is loaded whole, beside the base",
        ),
        ("[{{model: {root}/reward, dtype: bfloat16}}]", "is to be bfloat16, not float32 as the base"),
    ],
)
def test_another_reward_model_is_loaded_beside_the_base(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str], sources: str, reason: str
) -> None:
    write_reward(tmp_path / "whole")
    more = [f"scores={sources.format(root=tmp_path)}", "critic.init_from=policy", "ppo.num_updates=1"]
    assert run_main(main, lay_over(words, *more)) == 0
    assert re.search(reason, capsys.readouterr().out)


@pytest.mark.parametrize(
    "more",
    [
        ["critic.init_from=policy"],
        ["critic.init_from=trunk"],
        ["critic=null", "ppo.advantages=leave_one_out", "ppo.samples_per_prompt=2"],
        ["ppo.gradient_checkpointing=true"],
    ],
)
@pytest.mark.parametrize("start", ["words", "from_adapter"])
def test_every_critic_and_gradient_checkpointing(
    tmp_path: Path, start: str, more: list[str], request: pytest.FixtureRequest
) -> None:
    words = lay_over(request.getfixturevalue(start), *more, "ppo.num_updates=1")
    assert run_main(main, words) == 0
    assert summary_of(tmp_path / "ppo")["kl_before"] == 0.0


def test_inv67_without_one_base_adapters_are_loaded_as_whole_models(
    tmp_path: Path, from_adapter: list[str]
) -> None:
    """Judge and critic start from the reward adapter, policy and reference from the SFT adapter."""
    more = ["memory.one_base=false", "lora=null", "ppo.num_updates=1"]
    assert run_main(main, lay_over(from_adapter, *more)) == 0
    rows = rows_of(tmp_path / "ppo")
    assert rows[0]["ppo/kl"] == 0.0
    end = weights_of(tmp_path / "ppo")
    assert not any("lora" in name for name in end)
    assert load_reward_model(str(tmp_path / "reward")).config.num_labels == 1


def test_one_base_and_models_apart_say_the_same_at_the_start(tmp_path: Path, words: list[str]) -> None:
    found = []
    for one_base in ("true", "false"):
        more = [f"memory.one_base={one_base}", f"run.output={{run.root}}/{one_base}", "ppo.num_updates=1"]
        assert run_main(main, lay_over(words, *more)) == 0
        rows = read_jsonl(tmp_path / one_base / "metrics.jsonl")
        found.append({**rows[0], **next(row for row in rows if "ppo/kl" in row)})
    for name in ("evaluation/score", "ppo/score", "ppo/response_tokens", "ppo/value_mean"):
        assert found[0][name] == pytest.approx(found[1][name], abs=1e-4), name


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["lora=null"], "memory.one_base trains adapters: set lora={rank: 16, alpha: 32}"),
        (["reference={path: runs/sft}"], "has the policy as it starts for its reference: set reference=null"),
        (["memory.offload=true"], "set memory.offload=false"),
        (["lora=null", "memory.offload=true"], "trains adapters: .*; it leaves nothing to move"),
        (
            ["critic.path={root}/whole"],
            r"critic.path: with memory.one_base the critic starts from an adapter on",
        ),
        (
            ["scores=[{{model: {root}/whole}}]"],
            r"scores\[0\].model: with memory.one_base .*merge: false.*init_from",
        ),
        (["policy.path={root}/reward"], "is a reward model, which says nothing"),
    ],
)
def test_what_one_base_cannot_do_is_one_message(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    write_reward(tmp_path / "whole")
    more = [word.replace("{root}", str(tmp_path)).replace("{{", "{").replace("}}", "}") for word in more]
    assert run_main(main, [*lay_over(words, *more), "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert re.search(message, error), error


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["lora={rank: 8, alpha: 8.0}"], "set lora.rank=4 lora.alpha=8"),
        (
            [KEPT, "memory.one_base=false"],
            "is an adapter itself, and an adapter on it could not be loaded again",
        ),
    ],
)
def test_what_an_sft_adapter_does_not_allow_is_one_message(
    from_adapter: list[str], capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert run_main(main, [*lay_over(from_adapter, *more), "--dry-run"]) == 2
    assert message in capsys.readouterr().err
