"""`rlhf check`: what it takes, what it prints, and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rlhf.settings.yaml_file import dump_yaml
from stages._cli import main
from stages._subjects import find_subjects, stage_of
from tests.checking.made import ranking
from tests.feedback.shapes import HH_ROWS, write_rows

REPOSITORY = Path(__file__).parents[1]
BASE = "data/pocket_world/base"
GOOD = [ranking(f"Why {number}?", "a good one", "bad") for number in range(5)]


class Said:
    """What a call of the command printed."""

    def __init__(self, status: int, out: str, error: str) -> None:
        self.status, self.out, self.error = status, out, error
        self.lines = out.splitlines()


@pytest.fixture
def rlhf(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: object) -> Said:
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Said(status, captured.out, captured.err)

    return call


def config(path: Path, **sections: Any) -> Path:
    path.write_text(dump_yaml(sections))
    return path


def test_help_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in ((["--help"], "rlhf check --help"), (["check", "--help"], "exit status: 0 fine")):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        assert said in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["chek"])
    assert ended.value.code == 2


def test_the_script_and_the_module_are_the_same() -> None:
    assert 'rlhf = "stages._cli:main"' in (REPOSITORY / "pyproject.toml").read_text()
    done = subprocess.run(
        [sys.executable, "-m", "stages._cli", "check", "configs/base.yaml"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "OK")


def check_without_a_reader(*words: str, buffered: bool = True) -> subprocess.CompletedProcess[str]:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, *([] if buffered else ["-u"]), "-m", "stages._cli", "check", *words],
        cwd=REPOSITORY,
        env={key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    return done


@pytest.mark.parametrize("buffered", [True, False])
def test_a_reader_that_goes_away_is_no_verdict(tmp_path: Path, buffered: bool) -> None:
    path = write_rows(tmp_path / "x.jsonl", [{"prompt": "Q", "response": 5}])
    done = check_without_a_reader(path, "--as", "demonstrations", buffered=buffered)
    assert (done.returncode, done.stderr) == (2, "")


@pytest.mark.parametrize("buffered", [True, False])
def test_files_are_written_also_where_the_reader_goes_away(tmp_path: Path, buffered: bool) -> None:
    rows = [{"prompt": "Q", "response": 5}, {"prompt": "Q", "response": "A"}]
    path, out = write_rows(tmp_path / "x.jsonl", rows), tmp_path / "out.jsonl"
    done = check_without_a_reader(path, "--as", "demonstrations", "--fix", str(out), buffered=buffered)
    assert done.returncode == 2
    assert "1 row" in done.stderr
    assert len(out.read_text().splitlines()) == 1
    assert len((tmp_path / "out.rejected.jsonl").read_text().splitlines()) == 1


def test_data_by_itself(tmp_path: Path, rlhf: Any) -> None:
    path = write_rows(tmp_path / "x.jsonl", GOOD)
    said = rlhf("check", path, "--as", "rankings")
    assert (said.status, said.lines[-1], said.error) == (0, "OK", "")
    assert said.lines[0] == f"{path}  5 rows read, 5 rankings"
    assert "  tokens      not counted: give the model that will read them: --model PATH" in said.lines
    assert "  BEST        rank 1 of 2 responses" in said.lines
    assert said.lines[said.lines.index("  WORST       rank 2 of 2 responses") + 1] == "    | bad"
    measured = rlhf("check", path, "--as", "rankings", "--model", BASE)
    assert f"  tokens      by the tokenizer and template of {BASE}" in measured.lines


def test_settings_of_the_one_source(tmp_path: Path, rlhf: Any) -> None:
    rows = [{"q": "Why?", "yes": "good", "no": "bad"}]
    path = write_rows(tmp_path / "x.jsonl", rows)
    said = rlhf("check", path, "--as", "rankings", "format=pair", "prompt=q", "chosen=yes", "rejected=no")
    assert said.status == 0
    assert "    | good" in said.lines
    other = rlhf("check", path, "--as", "demonstrations", "format=canonical", "prompt=q", "response=no")
    assert other.lines[other.lines.index("  RESPONSE") + 1] == "    | bad"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{data}"], "--as rankings, --as demonstrations"),
        (["{data}", "--as", "rankings", "formt=pair"], "did you mean format?"),
        (["{data}", "--as", "rankings", "format=scored"], "needs best: highest or lowest"),
        (["{data}", "--as", "rankings", "--stage", "sft"], "--stage is about settings"),
        (["{data}", "--as", "rankings", "--model", "no/such/model"], "does not exist"),
        (["{data}", "--as", "rankings", "--examples", "-1"], "--examples is -1"),
        (["{data}", "--as", "rankings", "--force"], "without --fix nothing is written"),
        (["{data}", "--as", "rankings", "--fix", "{data}"], "exists already"),
        (["{data}", "--as", "rankings", "--fix", "x.csv"], "ends in .jsonl"),
        (["configs/reward.yaml", "--as", "rankings"], "is settings; drop it"),
        (["configs/reward.yaml", "reward.los=pairwise"], "did you mean reward.loss?"),
        (["configs/reward.yaml", "sft:run.seed=3"], "is for another stage"),
        (["configs/no.yaml"], "does not exist"),
        (["configs", "--fix", "x.jsonl"], "name one file"),
        (["configs/recipes", "--stage", "sft"], "holds no settings of the sft stage"),
        (["configs/accelerate/one_process.yaml"], "settings of no stage"),
    ],
)
def test_what_cannot_be_checked_is_one_message_and_status_2(
    tmp_path: Path, rlhf: Any, words: list[str], message: str
) -> None:
    data = write_rows(tmp_path / "x.jsonl", GOOD)
    said = rlhf("check", *(word.format(data=data) for word in words))
    assert (said.status, said.out) == (2, "")
    assert message in said.error
    assert "Traceback" not in said.error


def test_a_missing_file_and_a_missing_direction_have_status_2(tmp_path: Path, rlhf: Any) -> None:
    said = rlhf("check", tmp_path / "no.jsonl", "--as", "rankings")
    assert (said.status, said.lines[-1]) == (2, "1 of 1 sources could not be checked")
    rows = [{"prompt": "Q", "response_a": "x", "response_b": "y", "label": number % 2} for number in range(4)]
    said = rlhf("check", write_rows(tmp_path / "x.jsonl", rows), "--as", "rankings")
    assert said.status == 2
    assert "label_values" in said.out


def test_bad_rows_have_status_1_and_are_all_reported(tmp_path: Path, rlhf: Any) -> None:
    rows = [*GOOD, ranking("Which?", "", "b"), ranking("What?", "a", "a"), ranking("Who?", " ", "b")]
    said = rlhf("check", write_rows(tmp_path / "x.jsonl", rows), "--as", "rankings")
    assert (said.status, said.lines[-1]) == (1, "2 problems")
    assert any(line.startswith("  ERROR       empty_response  2 left out:") for line in said.lines)
    assert any(line.startswith("  ERROR       same_responses  1 left out:") for line in said.lines)


def test_a_config_with_the_limits_of_its_stage(tmp_path: Path, rlhf: Any) -> None:
    rows = [*GOOD, ranking("Why? " * 40, "long " * 40, "bad")]
    path = config(
        tmp_path / "mine.yaml",
        model={"path": BASE},
        data={
            "train": [{"path": write_rows(tmp_path / "x.jsonl", rows)}],
            "validation": [{"path": write_rows(tmp_path / "y.jsonl", [ranking("New?")])}],
            "test": [],
        },
        reward={"max_prompt_tokens": 30, "max_response_tokens": 20, "batch_size": 2, "microbatch_size": 2},
    )
    said = rlhf("check", path)
    assert said.lines[0] == f"== {path} (reward)"
    text = said.out
    assert (
        "1 of 6 (16.7%) are longer than max_prompt_tokens 30: each loses its oldest part; longest: " in text
    )
    assert "1 of 12 (8.3%) are longer than max_response_tokens 20: left out of training" in text
    assert "rankings dropped (nothing compared is left): 1" in text
    assert said.status == 0
    missing = rlhf("check", path, "model.path=runs/none/sft")
    assert missing.out.count("tokens      not counted: model.path: 'runs/none/sft' does not exist") == 2
    assert missing.status == 0


def test_the_context_is_not_called_a_setting(tmp_path: Path, rlhf: Any) -> None:
    path = write_rows(tmp_path / "x.jsonl", [*GOOD, ranking("Why? " * 200)])
    said = rlhf("check", path, "--as", "rankings", "--model", BASE)
    assert (
        "1 of 6 (16.7%) are longer than the 255 tokens that the model's context leaves for them: " in said.out
    )
    assert "longer than max_prompt_tokens" not in said.out


def test_what_several_parts_of_one_file_have_in_common_is_said_once(tmp_path: Path, rlhf: Any) -> None:
    rows = [ranking(f"Why {number}?") for number in range(40)] + [ranking("Empty?", "", "y")]
    source = {"path": write_rows(tmp_path / "x.jsonl", rows), "validation_fraction": 0.5}
    other = {"path": write_rows(tmp_path / "y.jsonl", [ranking("New?", "", "y"), ranking("Last?")])}
    path = config(
        tmp_path / "mine_reward.yaml",
        model={"path": BASE},
        data={
            "train": [{**source, "split": "train"}],
            "validation": [{**source, "split": "validation"}],
            "test": [other],
        },
    )
    said = rlhf("check", path)
    errors = [line for line in said.lines if line.startswith("  ERROR")]
    assert [line.split()[1] for line in errors] == ["empty_response"] * 2, "of each file once"
    assert "  as above    empty_response 1: in the same rows as of data.train[0]" in said.lines
    assert sum(line.startswith("  training") for line in said.lines) == 2
    assert (said.lines[-1], said.status) == ("1 problem", 1)


def test_lengths_are_counted_even_where_the_limits_do_not_fit(rlhf: Any) -> None:
    said = rlhf("check", "configs/sft.yaml", "sft.max_prompt_tokens=250", "sft.max_response_tokens=250")
    assert "the stage stops: sft: max_prompt_tokens 250 and max_response_tokens 250 do not fit" in said.out
    assert "50 %: " in said.out
    assert said.lines[-1] == "the stage stops: its limits do not fit into the model's context"
    assert said.status == 2
    document = json.loads(rlhf("check", "configs/sft.yaml", "--json", "sft.max_prompt_tokens=250").out)
    assert (document["exit_code"], document["sources"][0]["lengths"]["stops"]) == (2, True)


def test_a_folder_is_checked_stage_by_stage(tmp_path: Path, rlhf: Any) -> None:
    data = write_rows(tmp_path / "x.jsonl", [{"prompt": f"Why {n}?", "response": "So."} for n in range(4)])
    other = write_rows(tmp_path / "y.jsonl", [{"prompt": "New?", "response": ""}])
    both = {"train": [{"path": data}], "validation": [{"path": other}]}
    folder = tmp_path / "configs"
    folder.mkdir()
    config(folder / "sft.yaml", data=both, model={"path": BASE}, sft={})
    config(folder / "ppo.yaml", data=both, policy={"path": BASE})
    said = rlhf("check", folder, "sft.epochs=1")
    assert [line for line in said.lines if line.startswith("==")] == [
        f"== {folder}/ppo.yaml (ppo)",
        f"== {folder}/sft.yaml (sft)",
    ]
    assert said.status == 1, "the empty response is a problem of the demonstrations only"
    assert rlhf("check", folder, "--stage", "ppo").status == 0
    documents = json.loads(rlhf("check", folder, "--json").out)
    assert [(one["stage"], one["exit_code"]) for one in documents] == [("ppo", 0), ("sft", 1)]


def test_json_is_a_document_also_where_nothing_can_be_checked(tmp_path: Path, rlhf: Any) -> None:
    said = rlhf("check", tmp_path / "nowhere.yaml", "--json")
    document = json.loads(said.out)
    assert (said.status, document["exit_code"]) == (2, 2)
    assert "nowhere.yaml" in document["failure"]
    assert document["failure"] == said.error.rstrip("\n")


def test_json_is_one_document_and_nothing_else(tmp_path: Path, rlhf: Any) -> None:
    path = write_rows(tmp_path / "x.jsonl", [*GOOD, ranking("Which?", "", "b")])
    said = rlhf("check", path, "--as", "rankings", "--json", "--model", BASE, "--fix", tmp_path / "o.jsonl")
    document = json.loads(said.out)
    assert (document["verdict"], document["exit_code"], said.status) == ("1 problem", 1, 1)
    (source,) = document["sources"]
    assert source["lengths"]["prompts"]["percentiles"]["50"] > 0
    assert set(source["lengths"]["responses"]["longest"][0]) == {"num_tokens", "where"}
    assert "o.jsonl: 5 rows" in said.error


def test_fix_of_a_config_writes_a_file_for_each_list(tmp_path: Path, rlhf: Any) -> None:
    path = config(
        tmp_path / "reward.yaml",
        model={"path": BASE},
        data={
            "train": [{"path": write_rows(tmp_path / "x.jsonl", HH_ROWS), "format": "transcript"}],
            "validation": [{"path": write_rows(tmp_path / "y.jsonl", GOOD)}],
            "test": [],
        },
    )
    said = rlhf("check", path, "--stage", "reward", "--fix", tmp_path / "fixed.jsonl.gz")
    assert said.status == 1
    made = sorted(file.name for file in tmp_path.glob("fixed*"))
    assert made == [
        "fixed.train.jsonl.gz",
        "fixed.train.rejected.jsonl",
        "fixed.validation.jsonl.gz",
        "fixed.validation.rejected.jsonl",
    ]
    again = rlhf("check", tmp_path / "fixed.train.jsonl.gz", "--as", "rankings")
    assert again.lines[0].endswith("4 rows read, 4 rankings")


@pytest.mark.parametrize("stage", ["base", "sft", "reward", "ppo", "report"])
def test_the_stage_is_told_by_its_sections(stage: str) -> None:
    assert stage_of(f"configs/{stage}.yaml") == stage
    assert stage_of(f"configs/smoke/{stage}.yaml") == stage


def test_every_shipped_config_tells_its_stage() -> None:
    told = {
        path.name: stage_of(str(path))
        for path in (REPOSITORY / "configs").glob("*/*.yaml")
        if path.parent.name != "accelerate"
    }
    assert told["hh_reward.yaml"] == "reward"
    assert told["instructgpt.yaml"] == "ppo"
    assert len(told) > 8


def test_a_yaml_that_leaves_it_open(tmp_path: Path, rlhf: Any) -> None:
    both = {"train": [{"path": write_rows(tmp_path / "x.jsonl", GOOD)}]}
    said = rlhf("check", config(tmp_path / "mine.yaml", data=both))
    assert (said.status, "say which: --stage" in said.error) == (2, True)
    assert stage_of(str(config(tmp_path / "my_reward.yaml", data=both))) == "reward"


def test_every_list_of_ppo_is_looked_at(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", GOOD)
    one = f"[{{path: {path}, format: canonical}}]"
    pairs = [f"data.train={one}", f"data.validation={one}", f"ptx={{text: {one}, demonstrations: {one}}}"]
    (checked,) = find_subjects(
        "configs/ppo.yaml", [*pairs, f"evaluation.text={{text: [{{path: {path}x}}]}}"], None, None
    )
    assert [(subject.part, subject.kind) for subject in checked.subjects] == [
        ("data.train", "prompts"),
        ("data.validation", "prompts"),
        ("ptx.text", "texts"),
        ("ptx.demonstrations", "demonstrations"),
        ("evaluation.text.text", "texts"),
    ]


def test_a_folder_of_data_may_hold_a_yaml(tmp_path: Path, rlhf: Any) -> None:
    write_rows(tmp_path / "x.jsonl", GOOD)
    (tmp_path / "card.yaml").write_text("licence: MIT\n")
    said = rlhf("check", tmp_path, "--as", "rankings")
    assert said.lines[0] == f"{tmp_path}  5 rows read, 5 rankings"


def test_a_generator_is_said_not_to_be_checked(rlhf: Any) -> None:
    said = rlhf("check", "configs/base.yaml")
    assert "data.generator: data/pocket_world/raw_text.py:documents makes texts of its own" in said.out
