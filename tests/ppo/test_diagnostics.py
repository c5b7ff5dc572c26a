"""Diagnostics: each trouble is told once, with what to change, and a healthy run is left in peace."""

from __future__ import annotations

import json
import math
import random
import re
from pathlib import Path

import pytest

from rlhf.ppo.diagnostics import RULES, WATCHED, Finding, Watch, record_findings
from rlhf.runs import console
from rlhf.runs.folder import RunFolder
from rlhf.runs.jsonl import read_jsonl
from rlhf.settings.ppo import PpoSettings
from rlhf.settings.ppo_models import CriticSettings
from rlhf.settings.shared import AdapterSettings
from tests.ppo.running import run_training
from tests.ppo.runs_gone_wrong import (
    NEARLY,
    TROUBLES,
    Rows,
    at_step,
    changed,
    from_step,
    healthy,
    rise_and_fall,
)
from tests.ppo.tiny import function_scorer, tiny_recipe


def look(rows: Rows, watch: Watch | None = None) -> list[Finding]:
    watch = watch or Watch()
    return [finding for step, row in rows for finding in watch.look(step, row)]


def codes(rows: Rows, watch: Watch | None = None) -> list[tuple[str, int]]:
    return [(finding.code, finding.step) for finding in look(rows, watch)]


def test_every_rule_has_its_trouble_here() -> None:
    assert {rule.code for rule in RULES} == {code for code, *_ in TROUBLES}
    assert {key for _, row in healthy() for key in row} >= WATCHED


@pytest.mark.parametrize(("code", "name", "change", "step", "words"), TROUBLES)
def test_a_trouble_is_told_once_and_nothing_else_is(code, name, change, step, words) -> None:
    [finding] = look(changed(healthy(), name, change))
    assert (finding.code, finding.step) == (code, step)
    assert words in finding.text


@pytest.mark.parametrize("seed", range(30))
def test_a_healthy_run_is_left_in_peace(seed: int) -> None:
    assert look(healthy(seed)) == []


@pytest.mark.parametrize(("name", "change"), NEARLY)
def test_noise_and_small_amounts_are_left_in_peace(name, change) -> None:
    assert look(changed(healthy(), name, change)) == []


def test_inv33_kl_that_does_not_start_at_0_is_told_unless_another_reference_was_asked_for() -> None:
    rows = changed(healthy(), "ppo/kl", at_step(1, 0.5))
    [finding] = look(rows)
    assert (finding.code, finding.step) == ("kl_at_start", 1)
    for cause in (
        "base model in the place of the SFT model",
        "randomness of its own",
        "policy.dtype",
        "chat_template",
    ):
        assert cause in finding.text
    assert look(rows, Watch(reference_is_policy=False)) == []
    both = changed(rows, "evaluation/kl", at_step(0, 0.5))
    assert codes(both) == [("kl_at_start", 0)]  # once, and before the first update has cost any time


def test_inv33_rounding_of_long_responses_in_16_bits_is_no_kl() -> None:
    assert Watch().look(1, {"ppo/kl": 0.05, "ppo/response_tokens": 1000.0}) == []
    assert Watch().look(1, {"ppo/kl": 0.05, "ppo/response_tokens": 100.0})


@pytest.mark.parametrize(("error", "told"), [(0.0, 0), (2e-6, 0), (9e-5, 0), (2e-4, 1), (0.02, 1)])
def test_inv01_a_first_ratio_that_is_not_1_is_told(error: float, told: int) -> None:
    assert len(look(changed(healthy(), "ppo/first_ratio_error", from_step(1, error)))) == told


@pytest.mark.parametrize(("sampler", "expected"), [("policy", []), ("reference", ["negative_kl"])])
def test_inv35_kl_of_responses_from_another_distribution_is_told(sampler: str, expected: list[str]) -> None:
    """Words drawn by the policy itself have E[log pi / ref] = KL; drawn by the reference, minus the other KL."""
    models = {"policy": [0.4, 0.3, 0.2, 0.1], "reference": [0.3, 0.3, 0.2, 0.2]}
    ratio = [math.log(p / r) for p, r in zip(models["policy"], models["reference"], strict=True)]
    draw = random.Random(0)
    rows: Rows = [(1, {"ppo/kl": 0.0})]
    for step in range(2, 200):
        words = draw.choices(range(4), models[sampler], k=128)
        rows.append((step, {"ppo/kl": sum(ratio[word] for word in words) / 128}))
    assert [finding.code for finding in look(rows)] == expected


@pytest.mark.parametrize("sign", [1, -1])
def test_inv43_a_score_that_follows_length_is_told_with_its_direction(sign: int) -> None:
    [finding] = look([(step, {"ppo/score_length_correlation": sign * 0.8}) for step in range(1, 30)])
    assert (finding.code, finding.step) == ("score_follows_length", 10)
    assert f"{sign * 0.8:+.2f}" in finding.text
    assert ("longer pays" if sign > 0 else "shorter pays") in finding.text
    assert ("raise" if sign > 0 else "lower") + " ppo.length_penalty" in finding.text
    assert "samples.jsonl" in finding.text


@pytest.mark.parametrize("gone", sorted(WATCHED))
@pytest.mark.parametrize("instead", ["missing", math.nan, math.inf])
def test_metrics_that_are_missing_or_not_finite_do_no_harm(gone: str, instead: object) -> None:
    rows: Rows = [
        (
            step,
            {
                **{k: v for k, v in row.items() if k != gone},
                **({} if instead == "missing" else {gone: instead}),
            },
        )
        for step, row in healthy()
    ]
    assert look(rows) == []


def test_a_held_out_score_that_only_jitters_is_hardly_ever_taken_for_a_fall() -> None:
    told = 0
    for seed in range(500):
        draw = random.Random(seed)
        told += bool(
            look(
                [
                    (n, {"evaluation/score": n, "evaluation/held_out_score": draw.gauss(0, 1)})
                    for n in range(21)
                ]
            )
        )
    assert told <= 20  # 4 %


def test_a_fall_that_the_own_score_sees_too_is_not_over_optimisation() -> None:
    rows = changed(healthy(), "evaluation/held_out_score", rise_and_fall)
    assert codes(rows) == [("over_optimised", 80)]
    assert look(changed(rows, "evaluation/score", rise_and_fall)) == []


def test_the_peak_of_the_held_out_score_is_never_forgotten() -> None:
    """Up to 10 in 10 evaluations, then 0.02 down with each: a fifth of the 10 is lost after a hundred more."""
    rows: Rows = [
        (
            n,
            {
                "evaluation/score": float(n),
                "evaluation/held_out_score": float(n) if n < 10 else 10 - 0.02 * (n - 10),
            },
        )
        for n in range(150)
    ]
    [finding] = look(rows)
    assert 110 <= finding.step <= 113
    assert "Stop near update 11 " in finding.text


def test_what_is_measured_again_at_the_same_step_counts_once() -> None:
    rows: Rows = [(step, {"ppo/explained_variance": -1.0}) for step in range(1, 20)]
    assert look([row for row in rows for _ in range(3)]) == []
    assert codes([*rows, (20, {"ppo/explained_variance": -1.0})]) == [("useless_critic", 20)]


def test_two_troubles_are_both_told() -> None:
    rows = changed(healthy(), "ppo/ended_fraction", from_step(1, 0.0))
    rows = changed(rows, "ppo/score_std", from_step(1, 0.0))
    assert codes(rows) == [("no_response_ends", 5), ("equal_scores", 5)]


@pytest.mark.parametrize(("code", "name", "change", "step", "words"), TROUBLES)
def test_a_resumed_run_is_told_the_same_and_nothing_twice(code, name, change, step, words) -> None:
    rows = changed(healthy(), name, change)
    unbroken = look(rows)
    for saved_after in range(0, len(rows), 17):
        before, after = Watch(), Watch()
        found = look(rows[:saved_after], before)
        state = before.state_dict()
        written = json.dumps(state, allow_nan=False)
        look(rows[saved_after:], before)  # what a killed run did after its checkpoint
        assert json.dumps(state) == written
        loaded = json.loads(written)
        after.load_state_dict(loaded)
        assert found + look(rows[saved_after:], after) == unbroken
        assert json.dumps(loaded) == written


def test_a_watch_forgets_what_no_rule_looks_back_on() -> None:
    watch = Watch()
    look(healthy(), watch)
    size = len(json.dumps(watch.state_dict()))
    look([(step + 100, row) for step, row in healthy() if "ppo/kl" in row and step > 1], watch)
    assert len(json.dumps(watch.state_dict())) < 1.05 * size


def test_findings_are_said_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = RunFolder.open(tmp_path / "ppo", {}, stage="ppo")
    other = RunFolder(tmp_path / "other", is_main=False, wait=lambda: None)
    findings = [Finding("much_clipped", 7, "too far"), Finding("negative_kl", 9, "below 0")]
    record_findings(main, findings)
    record_findings(main, [])
    console.silence()
    try:
        record_findings(other, findings)
    finally:
        console.silence(False)
    main.finish()
    assert capsys.readouterr().out == (
        "warning: after 7 updates: too far\nwarning: after 9 updates: below 0\n"
    )
    assert read_jsonl(tmp_path / "ppo" / "warnings.jsonl") == [
        {"code": "much_clipped", "step": 7, "text": "too far"},
        {"code": "negative_kl", "step": 9, "text": "below 0"},
    ]
    assert not (tmp_path / "other").exists()


def test_every_setting_that_a_text_names_exists() -> None:
    sections = {name: field.annotation for name, field in PpoSettings.model_fields.items()}
    sections |= {"lora": AdapterSettings, "critic": CriticSettings}
    named = set()
    for _, name, change, *_ in TROUBLES:
        for finding in look(changed(healthy(), name, change)):
            named |= set(re.findall(rf"\b(?:{'|'.join(sections)})\.[a-z_]+", finding.text))
    assert len(named) > 15
    missing = {key for key in named if key.split(".")[1] not in sections[key.split(".")[0]].model_fields}
    assert missing == set()


def test_the_watched_metrics_are_those_that_the_loop_writes(tmp_path: Path) -> None:
    run_training(tmp_path / "ppo", tiny_recipe(num_updates=2))
    written = {name for row in read_jsonl(tmp_path / "ppo" / "metrics.jsonl") for name in row}
    assert WATCHED - written == {"evaluation/held_out_score"}  # there is no such model here


def test_a_run_says_a_trouble_once_also_where_it_is_resumed(tmp_path: Path, capsys) -> None:
    def same(prompts, responses):
        return [1.0] * len(responses)

    options = {"scorer": function_scorer(same), "held_out": False}
    run_training(tmp_path / "ppo", tiny_recipe(num_updates=6), finish=False, **options)
    # long enough for a watch that has forgotten to find it again
    run_training(tmp_path / "ppo", tiny_recipe(num_updates=12), **options)
    found = read_jsonl(tmp_path / "ppo" / "warnings.jsonl")
    assert [row["code"] for row in found].count("equal_scores") == 1
    assert capsys.readouterr().out.count("got the same score") == 1
