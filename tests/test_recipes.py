"""The published recipes run, scaled down, and do what sets them apart."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

import pytest

from rlhf.runs.jsonl import read_jsonl
from rlhf.settings.layers import resolve_settings
from rlhf.settings.ppo import PpoSettings
from tests.ppo_stage import lay_over, main
from tests.stage_data import run_main, summary_of

CONFIGS = Path(__file__).parents[1] / "configs"
RECIPES = sorted((CONFIGS / "recipes").glob("*.yaml"))
SHIPPED = sorted({*CONFIGS.rglob("*ppo*.yaml")} - {*RECIPES})
SMALL = [
    "ppo.num_updates=2",
    "ppo.rollout_batch_size=8",
    "ppo.minibatch_size=4",
    "ppo.microbatch_size=2",
    "ppo.learning_rate=3e-3",
    "evaluation.every_updates=null",
    "checkpoint.every_updates=null",
    "run.output={run.root}/ppo",
]


def scaled_down(words: list[str], path: Path, *more: str) -> list[str]:
    """The recipe on the tiny models and files of `words`; what a recipe says stays wherever it can."""
    kept = [word for word in words if not word.startswith(("ppo.", "--config"))]
    settings = resolve_settings(PpoSettings, path).settings
    small = [*SMALL, *(["ppo.samples_per_prompt=4"] if settings.ppo.samples_per_prompt > 1 else [])]
    if settings.ptx is not None:
        small += ["ptx.num_documents=40", "ptx.max_tokens=32", "ptx.batch_size=32", "ptx.coef=1.0"]
    return lay_over([f"--config={path}", *lay_over(kept, *small)], *more)


def rows_of(folder: Path) -> list[dict]:
    return [row for row in read_jsonl(folder / "metrics.jsonl") if "ppo/kl" in row]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs_and_leaves_a_model(tmp_path, words, path):
    assert run_main(main, scaled_down(words, path)) == 0
    assert (tmp_path / "ppo" / "model.safetensors").is_file()
    rows = rows_of(tmp_path / "ppo")
    assert rows[0]["ppo/kl"] == rows[0]["ppo/first_ratio_error"] == 0.0
    settings = resolve_settings(PpoSettings, path).settings.ppo
    steps = settings.ppo_epochs * 2 * 2
    assert summary_of(tmp_path / "ppo")["num_optimizer_steps"] == steps
    assert all(row["ppo/value_loss"] > 0 for row in rows) is (settings.advantages == "gae")


def recipe(name: str) -> Path:
    return next(path for path in RECIPES if path.stem == name)


def test_ziegler_steers_the_kl_and_normalises_scores(tmp_path, words, capsys):
    assert run_main(main, scaled_down(words, recipe("ziegler"), "ppo.kl_horizon=40")) == 0
    assert "scores are normalised by mean" in capsys.readouterr().out
    rows = rows_of(tmp_path / "ppo")
    assert rows[1]["ppo/kl_coef"] == pytest.approx(0.15 * (1 - 0.2 * 8 / 40)), "KL 0 is far below the target"
    assert rows[0]["ppo/value_mean"] == 0.0, "a head on the trunk that starts at zero"


def test_tldr_gives_cut_responses_a_fixed_score(tmp_path, words):
    """The tiny policy hardly ever ends within two tokens; with scores of 5 the share that ended is in the mean."""
    (tmp_path / "five.py").write_text("def score(prompts, responses):\n    return [5.0] * len(responses)\n")
    told = [
        "sampling.max_response_tokens=2",
        f"scores=[{{function: {tmp_path}/five.py:score}}]",
        "critic.init_from=policy",
    ]
    assert run_main(main, scaled_down(words, recipe("tldr"), *told)) == 0
    for row in rows_of(tmp_path / "ppo"):
        ended = row["ppo/ended_fraction"]
        assert ended < 0.5
        assert row["ppo/score"] == pytest.approx(5.0 * ended - 1.0 * (1 - ended))


def test_grpo_has_its_kl_in_the_loss_and_rloo_in_the_reward(tmp_path, words):
    found = {}
    for name in ("grpo", "rloo"):
        # nearly all tiny responses are cut: with one score for all there would be nothing to learn
        told = [f"run.output={tmp_path}/{name}", "ppo.missing_eos_score=null"]
        assert run_main(main, scaled_down(words, recipe(name), *told)) == 0
        found[name] = rows_of(tmp_path / name)[-1]
    assert found["grpo"]["ppo/kl_loss"] > 0
    assert found["grpo"]["ppo/reward"] == pytest.approx(found["grpo"]["ppo/score"])
    assert found["rloo"]["ppo/kl_loss"] == 0
    assert found["rloo"]["ppo/reward"] == pytest.approx(
        found["rloo"]["ppo/score"] - 0.03 * found["rloo"]["ppo/kl"], abs=1e-6
    )


def test_instructgpt_leaves_the_averaged_weights(tmp_path, words):
    assert run_main(main, scaled_down(words, recipe("instructgpt"), "run.output={run.root}/average")) == 0
    plain = ["ppo.ema_decay=null", "checkpoint.weights=trained", "run.output={run.root}/trained"]
    assert run_main(main, scaled_down(words, recipe("instructgpt"), *plain)) == 0
    average, trained = (summary_of(tmp_path / name) for name in ("average", "trained"))
    assert all(row["ppo/ptx_loss"] > 1 for row in rows_of(tmp_path / "average")), "text is learned beside it"
    assert 0 < abs(average["kl"]) < abs(trained["kl"]), "an average over two updates has hardly moved"


# What the papers print (InstructGPT: section 3.5, appendices C and C.4; N+ details: table of hyperparameters;
# Ziegler et al.: section 2.2 and the released lm-human-preferences; RLOO: section 4; GRPO: section 4.2).
PRINTED = {
    "instructgpt": {
        "ppo.rollout_batch_size": 512, "ppo.minibatch_size": 64, "ppo.ppo_epochs": 1, "ppo.kl_coef": 0.02,
        "ppo.clip_range": 0.2, "ppo.ema_decay": 0.992, "ppo.adam_beta2": 0.95, "ppo.schedule": "constant",
        "critic.init_from": "reward", "critic.learning_rate": 9e-6, "ptx.coef": 27.8, "ptx.batch_size": 8 * 64,
        "sampling.temperature": 1.0, "ppo.gamma": 1.0, "checkpoint.weights": "average",
    },
    "tldr": {
        "ppo.rollout_batch_size": 512, "ppo.ppo_epochs": 4, "ppo.kl_coef": 0.05, "ppo.learning_rate": 3e-6,
        "ppo.clip_range": 0.2, "ppo.value_clip_range": 0.2, "ppo.missing_eos_score": -1.0, "ppo.adam_epsilon": 1e-5,
        "ppo.whiten_advantages": True, "ppo.whiten_rewards": False, "sampling.temperature": 0.7,
        "critic.init_from": "reward", "ppo.gae_lambda": 0.95, "ppo.gamma": 1.0,
    },
    "ziegler": {
        "ppo.kl_controller": "adaptive", "ppo.kl_target": 6.0, "ppo.kl_horizon": 10000, "ppo.kl_coef": 0.15,
        "ppo.ppo_epochs": 4, "ppo.rollout_batch_size": 512, "ppo.learning_rate": 1e-5, "critic.init_from": "trunk",
        "critic.value_coef": 0.1, "ppo.clip_range": 0.2, "ppo.score_normalisation": "initial", "ppo.gae_lambda": 0.95,
    },
    "rloo": {
        "critic": None, "ppo.advantages": "leave_one_out", "ppo.kl_in": "reward", "ppo.loss_average": "tokens",
        "ppo.samples_per_prompt": 4, "ppo.whiten_advantages": False,
    },
    "grpo": {
        "critic": None, "ppo.advantages": "group_normalised", "ppo.samples_per_prompt": 64, "ppo.kl_coef": 0.04,
        "ppo.rollout_batch_size": 1024, "ppo.minibatch_size": 1024, "ppo.ppo_epochs": 1, "ppo.learning_rate": 1e-6,
        "ppo.kl_in": "loss", "ppo.kl_loss": "k3", "ppo.loss_average": "responses",
    },
}  # fmt: skip


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_holds_the_numbers_of_its_paper(path):
    settings = resolve_settings(PpoSettings, path).settings
    found = {key: attrgetter(key)(settings) for key in PRINTED[path.stem]}
    assert found == PRINTED[path.stem]


@pytest.mark.parametrize("path", [*RECIPES, *SHIPPED], ids=lambda path: path.stem)
def test_inv22_no_shipped_run_lets_a_reward_model_score_what_it_never_learnt_to_read(path):
    """Without an end token it says anything, and PPO finds out (README: 0.693 where -1 gives 0.805)."""
    settings = resolve_settings(PpoSettings, path).settings
    assert settings.ppo.missing_eos_score == -1.0
