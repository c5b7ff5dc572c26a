"""An accelerate config that is missing or broken is one line, and status 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlhf.errors import SettingsError
from stages import _launch
from stages._accelerate_config import read_accelerate_config

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _two_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("configs/accelerate")
    folder.mkdir(parents=True)
    for name in ("one.yaml", "two.yaml"):
        (folder / name).write_text('distributed_type: "NO"\n')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'mine.yaml: has no distributed_type: "NO" (one process), MULTI_GPU or MULTI_CPU'),
        ("num_processes: 2\n", "mine.yaml: has no distributed_type: "),
        (
            "run: {}\nppo: {}\n",
            "mine.yaml: is no accelerate config: it has no distributed_type, but run, ppo",
        ),
        ("a: [2\n", "mine.yaml:2: expected ',' or ']', but got '<stream end>'"),
        ("- 1\n", "mine.yaml: holds a list; "),
        ("distributed_type: FOO\n", "mine.yaml: distributed_type is 'FOO'; "),
        ('distributed_type: "NO"\nbogus: 1\n', "mine.yaml: bogus is not a setting of accelerate"),
        ("distributed_type: MULTI_GPU\n", "mine.yaml: has no num_processes, which a distributed_type of "),
        ("distributed_type: MULTI_CPU\nnum_processes: two\n", "mine.yaml: num_processes is 'two'; a whole "),
        (
            'distributed_type: "NO"\nmixed_precision: fp99\n',
            "mine.yaml: mixed_precision is 'fp99'; it is one ",
        ),
        (
            'distributed_type: "NO"\nmixed_precision: no\n',
            "mine.yaml: mixed_precision is no without quotes, ",
        ),
        ("distributed_type: NO\n", "mine.yaml: distributed_type is no without quotes, "),
        ("compute_environment: moon\n", "mine.yaml: accelerate cannot use it (ValueError: "),
    ],
)
def test_a_broken_one_is_named_with_those_there_are(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.yaml").write_text(text)
    assert _launch.main(["--config_file", "mine.yaml", "-m", "stages.sft"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(message)
    assert line.endswith("; configs/accelerate has: one.yaml, two.yaml")


def test_a_missing_one_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert _launch.main(["--config_file", "configs/accelerate/nope.yaml", "-m", "stages.sft"]) == 2
    assert _launch.main(["--config_file", "configs", "-m", "stages.sft"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "the accelerate config configs/accelerate/nope.yaml does not exist; configs/accelerate has: one.yaml, two.yaml",
        "the accelerate config configs is a folder; give a file; configs/accelerate has: one.yaml, two.yaml",
    ]


def test_a_good_one_is_read(tmp_path: Path) -> None:
    for file in (REPOSITORY / "configs/accelerate").glob("*.yaml"):
        assert read_accelerate_config(str(file)).num_processes >= 1
    Path("mine.yaml").write_text("distributed_type: MULTI_GPU\n")
    assert read_accelerate_config("mine.yaml", num_processes=2).num_processes == -1
    Path("mine.yaml").write_text("distributed_type: NO\nnum_processes: 1\n")  # accelerate takes that
    assert read_accelerate_config("mine.yaml").num_processes == 1
    Path("mine.json").write_text("{")
    with pytest.raises(SettingsError, match=r"mine\.json: accelerate cannot use it \(JSONDecodeError"):
        read_accelerate_config("mine.json")
