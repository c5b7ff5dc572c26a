from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rlhf.errors import RunError
from rlhf.evaluation.report.stage_runs import StageRun, calibration_bins, find_stale_runs, read_stage_run
from tests.evaluation.report.made_up import warn, write_run


@pytest.mark.parametrize("stage", ["sft", "reward", "ppo"])
def test_a_missing_stage_names_its_make_target(tmp_path: Path, stage: str) -> None:
    with pytest.raises(RunError, match=f"stages.{stage}: .* does not exist; run `make {stage}`"):
        read_stage_run(tmp_path / "gone", stage)


def test_an_unfinished_stage_says_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "ppo", "ppo", status="interrupted")
    (folder / "summary.json").unlink()
    with pytest.raises(RunError, match=r"has not finished \(status: interrupted\); run `make ppo`"):
        read_stage_run(folder, "ppo")
    (folder / "provenance.json").unlink()
    with pytest.raises(RunError, match="it has no summary"):
        read_stage_run(folder, "ppo")


def test_a_broken_or_foreign_run_is_one_message(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "sft", "sft")
    with pytest.raises(RunError, match="a run of the stage 'sft'; run `make ppo`"):
        read_stage_run(folder, "ppo")
    (folder / "summary.json").write_text("[1")
    with pytest.raises(RunError, match=r"stages.sft: .* cannot be read"):
        read_stage_run(folder, "sft")


def test_the_model_and_its_summary_are_enough(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "sft", "sft")
    for name in ("metrics.jsonl", "config.yaml", "provenance.json"):
        (folder / name).unlink()
    run = read_stage_run(folder, "sft")
    assert (run.metrics, run.config, run.provenance, run.seconds) == ([], {}, {}, 60.0)
    assert run.warnings == []


def test_warnings_are_read(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "ppo", "ppo")
    warn(folder, 3, "a")
    warn(folder, 7, "b")
    found = [(one["code"], one["step"], one["text"]) for one in read_stage_run(folder, "ppo").warnings]
    assert found == [("made_up", 3, "a"), ("made_up", 7, "b")]
    (folder / "warnings.jsonl").write_text("[1]\n")
    with pytest.raises(RunError, match=r"warnings\.jsonl:1: is not a JSON object"):
        read_stage_run(folder, "ppo")


def write_one_older_than_sft(tmp_path: Path) -> dict[str, StageRun]:
    times = {"sft": ("T10", "T12"), "ppo": ("T11", "T13")}
    folders = {
        stage: write_run(tmp_path / stage, stage, started=start, ended=end, folder=str(tmp_path))
        for stage, (start, end) in times.items()
    }
    return {stage: read_stage_run(folder, stage) for stage, folder in folders.items()}


@pytest.mark.parametrize("named", ["policy: {path: sft}", "scores: [{model: './sft/'}]", "a: '{}/sft'", ""])
def test_a_run_that_is_older_than_what_it_starts_from_is_told(tmp_path: Path, named: str) -> None:
    """Wherever its settings name the folder, from where it was started; without settings it may have."""
    runs = write_one_older_than_sft(tmp_path)
    told = replace(
        runs["ppo"], config=yaml.safe_load(named.format(tmp_path) if "'{}" in named else named) or {}
    )
    [note] = find_stale_runs(runs | {"ppo": told})
    assert "ppo was made before" in note
    assert "run `make ppo` again" in note


def test_a_run_that_starts_from_another_folder_is_not_stale(tmp_path: Path) -> None:
    runs = write_one_older_than_sft(tmp_path)
    config = {"policy": {"path": "runs/sft"}, "run": {"seed": 1}, "scores": [{"model": "sft/x"}]}
    assert find_stale_runs(runs | {"ppo": replace(runs["ppo"], config=config)}) == []


def test_runs_that_were_moved_together_are_still_told(tmp_path: Path) -> None:
    """Their settings name the places where they were made."""
    runs = write_one_older_than_sft(tmp_path)
    made = {
        "sft": replace(runs["sft"], config={"run": {"output": "runs/my/sft"}}),
        "ppo": replace(runs["ppo"], config={"policy": {"path": "runs/my/sft"}}),
    }
    assert len(find_stale_runs(made)) == 1
    elsewhere = replace(made["sft"], config={"run": {"output": "runs/other/sft"}})
    assert find_stale_runs({**made, "sft": elsewhere}) == []


def test_a_run_that_is_newer_than_what_it_starts_from_is_fine(tmp_path: Path) -> None:
    runs = write_one_older_than_sft(tmp_path)
    newer = replace(
        runs["ppo"], provenance={**runs["ppo"].provenance, "started": "T12"}, config={"policy": "sft"}
    )
    assert find_stale_runs(runs | {"ppo": newer}) == []


def test_calibration_from_the_samples(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "reward", "reward")
    assert calibration_bins(read_stage_run(folder, "reward")) == []
    # the better one scores higher, again (written second), and a tie, of which half agree: 2.5 of 3
    rows = [("a", 1, 3.0), ("a", 2, 0.0), ("b", 2, 0.0), ("b", 1, 3.0), ("c", 1, 9.0), ("c", 1, 0.0)]
    text = "".join(json.dumps({"id": i, "rank": rank, "score": score}) + "\n" for i, rank, score in rows)
    (folder / "samples.jsonl").write_text(text)
    [only] = calibration_bins(read_stage_run(folder, "reward"), num_bins=1)
    assert (only["num_pairs"], only["observed"]) == (3, 2.5 / 3)
