from __future__ import annotations

import os
from pathlib import Path

import pytest

from rlhf.errors import RunError
from rlhf.runs.existing import find_checkpoints
from rlhf.runs.files import read_json
from rlhf.runs.jsonl import read_jsonl
from rlhf.settings.yaml_file import read_yaml
from tests.runs.opening import CONFIG, OTHER, kill, save, start


def test_what_a_run_leaves(path: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("x")
    run = start(path, command=["make", "ppo"])
    run.fingerprint_data([data])
    run.metrics.append({"step": 1})
    run.samples.append({"id": "a"})
    run.warnings.append({"code": "b", "step": 1, "text": "c"})
    save(run, 1)
    run.write_summary({"kl": 2.0})
    run.finish()

    assert read_yaml(path / "config.yaml") == {**CONFIG, "run": {**CONFIG["run"], "trackers": []}}
    facts = read_json(path / "provenance.json")
    assert (facts["stage"], facts["status"], facts["seed"], facts["command"]) == (
        "ppo",
        "finished",
        3,
        "make ppo",
    )
    assert list(facts["data"]) == [str(data)]
    assert facts["ended"] is not None
    assert read_jsonl(path / "metrics.jsonl") == [{"step": 1}]
    assert read_jsonl(path / "samples.jsonl") == [{"id": "a"}]
    assert read_jsonl(path / "warnings.jsonl") == [{"code": "b", "step": 1, "text": "c"}]
    summary = read_json(path / "summary.json")
    assert (summary["stage"], summary["kl"]) == ("ppo", 2.0)
    assert 0 <= summary["seconds"] < 60


def test_running_a_finished_stage_again_replaces_it_and_loses_nothing(path: Path) -> None:
    for name in ("first", "second", "third"):
        run = start(path)
        (path / name).write_text(name)
        save(run, 1)
        run.finish()
    assert (path / "third").exists()
    assert not (path / "second").exists()
    assert (path.with_name("ppo.previous") / "first").exists()
    assert (path.with_name("ppo.previous2") / "second").exists()
    assert find_checkpoints(path) == [path / "checkpoints" / "step_000001"]


def test_a_run_that_fails_before_it_has_anything_gives_the_place_back(path: Path) -> None:
    run = start(path)
    (path / "good").write_text("")
    run.finish()
    failed = start(path)
    assert not (path / "good").exists()
    assert failed.give_back() == path
    assert (path / "good").exists()
    assert os.listdir(path.parent) == ["ppo"]
    start(path).finish()  # nobody holds a lock on it
    showing = start(path)
    showing.metrics.append({"step": 0})
    assert showing.give_back() is None, "it has something to show"


def test_keep_previous_false_deletes(path: Path) -> None:
    start(path).finish()
    start(path, keep_previous=False).finish()
    assert os.listdir(path.parent) == ["ppo"]


def test_an_unfinished_run_never_pushes_a_finished_one_out(path: Path) -> None:
    run = start(path)
    (path / "good").write_text("")
    run.finish()
    for config in (OTHER, CONFIG):
        run = start(path, config)
        save(run, 5)
        kill(run)
    start(path, OTHER).finish()
    assert (path.with_name("ppo.previous") / "good").exists()
    assert find_checkpoints(path.with_name("ppo.unfinished"))


def test_an_unfinished_run_without_checkpoint_is_simply_replaced(path: Path) -> None:
    run = start(path)
    run.metrics.append({"step": 0})
    kill(run)
    again = start(path)
    assert again.resume_from is None
    assert not (path / "metrics.jsonl").exists()
    assert os.listdir(path.parent) == ["ppo"]


def test_inv73_a_killed_run_goes_on_from_its_last_complete_checkpoint(path: Path) -> None:
    run = start(path)
    for step in (1, 2):
        run.metrics.append({"step": step})
        save(run, step)
    run.metrics.append({"step": 3})
    with pytest.raises(OSError, match="full"), run.checkpoint(3) as folder:
        (folder / "half").write_text("")
        raise OSError("full")
    kill(run)
    again = start(path)
    assert again.resume_from == path / "checkpoints" / "step_000002"
    assert (again.resume_from / "state").read_text() == "2"
    again.metrics.cut(lambda row: row["step"] <= 2)
    again.metrics.append({"step": 3})
    assert [row["step"] for row in read_jsonl(path / "metrics.jsonl")] == [1, 2, 3]
    assert read_json(path / "provenance.json")["resumed_from"] == "checkpoints/step_000002"


def test_seconds_go_on_over_a_resume(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 0.0}
    monkeypatch.setattr("time.monotonic", lambda: clock["now"])
    run = start(path)
    clock["now"] = 10.0
    save(run, 1)
    clock["now"] = 13.0  # lost: after the last checkpoint
    kill(run)
    again = start(path)
    clock["now"] = 17.0
    assert again.seconds == 14.0
    again.finish()
    assert read_json(path / "provenance.json")["seconds"] == 14.0


def test_other_settings_start_anew_and_say_what_changed(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(path)
    save(run, 1)
    kill(run)
    again = start(path, OTHER)
    assert again.resume_from is None
    assert "ppo.kl_coef 0.1 -> 0.2" in capsys.readouterr().out
    assert (path.with_name("ppo.unfinished") / "checkpoints" / "step_000001" / "state").exists()


@pytest.mark.parametrize("key", ["resume", "keep_previous", "trackers", "name"])
def test_how_a_run_is_kept_is_no_other_setting(path: Path, key: str) -> None:
    run = start(path)
    save(run, 1)
    kill(run)
    again = start(path, {**CONFIG, "run": {**CONFIG["run"], key: "changed"}})
    assert again.resume_from is not None


def test_resume_true(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RunError, match=r"run\.resume is true, but .* has no checkpoint"):
        start(path, resume=True)
    run = start(path)
    save(run, 1)
    run.finish()
    again = start(path, OTHER, resume=True)  # even a finished run: to make it longer
    assert again.resume_from == path / "checkpoints" / "step_000001"
    assert "changed since it began: ppo.kl_coef 0.1 -> 0.2" in capsys.readouterr().out


def test_resume_false_starts_anew(path: Path) -> None:
    run = start(path)
    save(run, 1)
    kill(run)
    assert start(path, resume=False).resume_from is None


def test_data_that_changed_stops_a_resume(path: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("x")
    run = start(path)
    run.fingerprint_data([data])
    save(run, 1)
    kill(run)
    data.write_text("y")
    again = start(path)
    with pytest.raises(
        RunError, match=r"data\.jsonl has changed since the run in .* began; run\.resume=false"
    ):
        again.fingerprint_data([data])


def test_what_is_not_a_run_is_left_alone(path: Path) -> None:
    path.mkdir(parents=True)
    (path / "thesis.txt").write_text("")
    with pytest.raises(RunError, match=r"holds other things than a run \(thesis\.txt\)"):
        start(path)
    assert os.listdir(path) == ["thesis.txt"]
    with pytest.raises(RunError, match="is a file"):
        start(path / "thesis.txt")


def test_another_stage_is_left_alone(path: Path) -> None:
    start(path, stage="sft").finish()
    with pytest.raises(RunError, match="holds a run of the stage 'sft'"):
        start(path)


def test_two_processes_cannot_write_to_one_folder(path: Path) -> None:
    run = start(path)
    with pytest.raises(RunError, match="another process is writing to"):
        start(path)
    run.finish()
    start(path).finish()


def test_a_checkpoint_of_the_same_step_replaces_the_older_one(path: Path) -> None:
    run = start(path)
    for text in ("first", "second"):
        with run.checkpoint(1) as folder:
            (folder / "state").write_text(text)
    assert (path / "checkpoints" / "step_000001" / "state").read_text() == "second"
    assert os.listdir(path / "checkpoints") == ["step_000001"]


def test_prune_keeps_the_newest(path: Path) -> None:
    run = start(path)
    for step in (1, 20, 300, 1_000_000):
        save(run, step)
    run.prune_checkpoints(2)
    assert [folder.name for folder in find_checkpoints(path)] == ["step_000300", "step_1000000"]


def test_other_processes_follow_the_main_one(path: Path) -> None:
    run = start(path)
    save(run, 1)
    kill(run)
    main = start(path)
    before = sorted(path.rglob("*"))
    other = start(path, is_main=False)
    assert other.resume_from == main.resume_from
    other.metrics.append({"step": 1})
    other.write_summary({})
    other.fingerprint_data([path])
    other.finish()
    assert sorted(path.rglob("*")) == before


def test_a_process_that_does_not_see_the_folder(path: Path) -> None:
    with pytest.raises(RunError, match=r"several machines need a run\.root on a disk that all of them share"):
        start(path, is_main=False)


def test_a_checkpoint_waits_for_all_processes(path: Path) -> None:
    calls: list[str] = []
    run = start(path, wait=lambda: calls.append("wait"))
    calls.clear()
    with run.checkpoint(1):
        calls.append("write")
    assert calls == ["wait", "write", "wait", "wait"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder where nothing can be made")
def test_a_place_where_no_folder_can_be_made() -> None:
    with pytest.raises(RunError, match=r"run\.output '/proc/nosuch/ppo' cannot be made"):
        start(Path("/proc/nosuch/ppo"))
