"""`rlhf convert`: canonical rows, rows that TRL's reward trainer takes, and texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlhf.feedback import read_rankings
from rlhf.settings.yaml_file import dump_yaml
from tests.checking.made import ranking
from tests.feedback.shapes import FINEGRAINED_ROWS, FINEGRAINED_SETTINGS, HH_ROWS, write_rows
from tests.helpers import tiny_tokenizer
from tests.test_check_command import rlhf  # noqa: F401  # a fixture

ROWS = [
    ranking("Why?", "so", "no", "so and so", ranks=[1, 2, 1], annotator="ann", task="fact"),
    ranking("How?", "well", "badly", ranks=[2, 1]),
]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_canonical(tmp_path: Path, rlhf: Any) -> None:  # noqa: F811
    path, out = write_rows(tmp_path / "x.jsonl", ROWS), tmp_path / "o.jsonl"
    said = rlhf("convert", path, out, "--as", "rankings")
    assert (said.status, said.lines) == (0, [f"{out}: 2 rows of 2 rankings, 2 rows read"])
    first = rows_of(out)[0]
    assert {name: first[name] for name in ROWS[0]} == ROWS[0]


def test_labels_in_no_order_survive(tmp_path: Path, rlhf: Any) -> None:  # noqa: F811
    path, out = write_rows(tmp_path / "x.jsonl", FINEGRAINED_ROWS), tmp_path / "o.jsonl"
    pairs = [f"{name}={dump_yaml(value, flow=True)}" for name, value in FINEGRAINED_SETTINGS.items()]
    pairs = [
        f"prompt={FINEGRAINED_SETTINGS['prompt']}" if pair.startswith("prompt=") else pair for pair in pairs
    ]
    said = rlhf("convert", path, out, "--as", "rankings", *pairs)
    assert said.status == 0
    assert "  intransitive: 1" in said.lines
    before = read_rankings([{"path": path, **FINEGRAINED_SETTINGS}])
    after = read_rankings([{"path": str(out)}])
    assert [sorted(one.comparisons()) for one in after] == [sorted(one.comparisons()) for one in before]
    said = rlhf("convert", path, tmp_path / "t.jsonl", "--as", "rankings", "--to", "chosen-rejected", *pairs)
    # strict pairs: five of the first row, four of the second; ties: one and two
    assert said.lines[0].startswith(f"{tmp_path / 't.jsonl'}: 9 rows of 2 rankings")
    assert "  tied pairs have no better one and are left out: 3" in said.lines


@pytest.mark.parametrize("name", ["o.jsonl", "o.jsonl.gz", "o.parquet"])
def test_trl_takes_it(tmp_path: Path, rlhf: Any, name: str) -> None:  # noqa: F811
    from datasets import load_dataset
    from trl import RewardConfig, RewardTrainer
    from trl.data_utils import is_conversational

    path, out = write_rows(tmp_path / "x.jsonl", ROWS), tmp_path / name
    assert rlhf("convert", path, out, "--as", "rankings", "--to", "trl").status == 0
    kind = "parquet" if name.endswith("parquet") else "json"
    dataset = load_dataset(kind, data_files=str(out), cache_dir=str(tmp_path / "cache"))["train"]
    assert (dataset.column_names, len(dataset)) == (["prompt", "chosen", "rejected"], 3)
    assert is_conversational(dataset[0])
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    settings = RewardConfig(
        output_dir=str(tmp_path / "trl"),
        max_length=64,
        report_to=[],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=None,
    )
    made = RewardTrainer._prepare_dataset(None, dataset, tokenizer, settings, "train")
    texts = [tuple(tokenizer.decode(row[side]) for side in ("chosen_ids", "rejected_ids")) for row in made]
    assert texts == [
        ("<user>Why?<assistant>so", "<user>Why?<assistant>no"),
        ("<user>Why?<assistant>so and so", "<user>Why?<assistant>no"),
        ("<user>How?<assistant>badly", "<user>How?<assistant>well"),
    ]


def test_texts_and_what_is_lost(tmp_path: Path, rlhf: Any) -> None:  # noqa: F811
    path, out = write_rows(tmp_path / "x.jsonl", ROWS), tmp_path / "o.jsonl"
    said = rlhf("convert", path, out, "--as", "rankings", "--to", "chosen-rejected")
    assert rows_of(out)[2] == {"prompt": "How?", "chosen": "badly", "rejected": "well"}
    assert "  tied pairs have no better one and are left out: 1" in said.lines
    assert said.lines[-1] == "  this form has no place for ids, groups, annotators and other columns"


def test_a_config_gives_a_file_for_each_list(tmp_path: Path, rlhf: Any) -> None:  # noqa: F811
    data = {
        "train": [
            {
                "path": write_rows(tmp_path / "x.jsonl", HH_ROWS),
                "format": "transcript",
                "on_bad_row": "skip",
                "max_bad": 0.5,
            }
        ],
        "validation": [{"path": write_rows(tmp_path / "y.jsonl", ROWS)}],
        "test": [],
    }
    path = tmp_path / "reward.yaml"
    path.write_text(dump_yaml({"data": data, "reward": {}}))
    said = rlhf("convert", path, tmp_path / "o.jsonl")
    assert said.lines[0] == f"{tmp_path / 'o.train.jsonl'}: 4 rows of 4 rankings, 5 rows read"
    assert "  empty_response: 1" in said.lines
    assert (tmp_path / "o.validation.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{data}", "{out}"], "--as rankings"),
        (["{data}", "{data}", "--as", "rankings"], "exists already"),
        (["{data}", "o.parquet", "--as", "rankings"], "are no table"),
        (["{data}", "{out}", "--as", "prompts", "--to", "chosen-rejected"], "have no chosen and rejected"),
        (["{bad}", "{out}", "--as", "rankings"], "bad.jsonl:2: response 1 of 2 is empty"),
        (["configs", "{out}"], "is a folder of settings"),
        (["configs/base.yaml", "{out}"], "names no source"),
    ],
)
def test_mistakes(tmp_path: Path, rlhf: Any, words: list[str], message: str) -> None:  # noqa: F811
    places = {
        "data": write_rows(tmp_path / "x.jsonl", ROWS),
        "bad": write_rows(tmp_path / "bad.jsonl", [ROWS[0], ranking("Q", "", "b")]),
        "out": tmp_path / "o.jsonl",
    }
    said = rlhf("convert", *(word.format(**places) for word in words))
    assert (said.status, said.out) == (2, "")
    assert message in said.error
    assert not (tmp_path / "o.jsonl").exists()


def test_other_kinds(tmp_path: Path, rlhf: Any) -> None:  # noqa: F811
    path = write_rows(tmp_path / "x.jsonl", [{"instruction": "Why?", "input": "", "output": "So."}])
    assert (
        rlhf(
            "convert", path, tmp_path / "d.jsonl", "--as", "demonstrations", "preset=alpaca", "--to", "trl"
        ).status
        == 0
    )
    assert rows_of(tmp_path / "d.jsonl") == [
        {
            "prompt": [{"role": "user", "content": "Why?"}],
            "completion": [{"role": "assistant", "content": "So."}],
        }
    ]
    assert (
        rlhf(
            "convert",
            path,
            tmp_path / "t.jsonl",
            "--as",
            "texts",
            "text={instruction} {output}",
            "format=canonical",
        ).status
        == 0
    )
    assert rows_of(tmp_path / "t.jsonl")[0]["text"] == "Why? So."


def test_a_place_that_cannot_be_written_is_one_message(tmp_path: Path, rlhf: Any) -> None:  # noqa: F811
    path = write_rows(tmp_path / "x.jsonl", [{"prompt": "q", "chosen": "a", "rejected": "b"}])
    said = rlhf("convert", path, "/proc/nowhere/y.jsonl", "--as", "rankings")
    assert said.status == 2
    assert "/proc/nowhere/y.jsonl: cannot be written: No such file or directory" in said.error
