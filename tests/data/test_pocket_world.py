"""The embedded world: its splits, its raw text, its determinism, and the figures its README gives."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from pocket_world import checking, generate, prompts
from pocket_world.families import facts, lists, notes, refusals, rewrites, stories
from pocket_world.families.common import Flaws, mentions, plural, says_not_known, sentences
from pocket_world.names import TALL_TALES, tall_tales
from pocket_world.raw_text import documents
from pocket_world.world import DOMAINS, by_name, entities

SHIPPED = Path(__file__).parents[2] / "data" / "pocket_world"
KNOWN = next(e for e in entities() if e.kind == "resident" and "pet" in e.facts)


def test_tall_tales_exist_nowhere_in_the_world() -> None:
    told = {value for entity in entities() for value in entity.facts.values()} | {e.name for e in entities()}
    domains = {value for of_kind in DOMAINS.values() for values in of_kind.values() for value in values}
    things = {*notes.THINGS, *stories.THINGS, *rewrites.OBJECTS}
    tales = {tale for of_kind in TALL_TALES.values() for tale in of_kind}
    assert not tales & (told | domains | things)
    for kind, attributes in DOMAINS.items():
        assert all(len(tall_tales(attribute)) >= 3 for attribute in attributes), kind


def test_no_key_and_no_prompt_straddles_splits() -> None:
    groups: dict[str, set[str]] = {}
    words: dict[str, set[str]] = {}
    for file in sorted(SHIPPED.glob("*.jsonl*")):
        split = file.name.split(".")[1]
        for row in generate.load(file):
            groups.setdefault(row["group"], set()).add(split)
            words.setdefault(json.dumps(row["prompt"]), set()).add(split)
    assert len(words) > 20_000
    assert all(len(splits) == 1 for splits in groups.values())
    assert all(len(splits) == 1 for splits in words.values())


def test_raw_text_leaves_out_the_pairs_of_the_test_split() -> None:
    held_out = {tuple(task.spec["things"]) for task in prompts.tasks_by_split()["test"]["story"]}
    from pocket_world.raw_text import tale

    rng = random.Random(0)
    for _ in range(300):
        there = mentions(tale(rng), {thing for pair in held_out for thing in pair})
        assert not any(set(pair) <= there for pair in held_out if len(there) == 2)


def test_remarks_in_the_raw_text_are_true() -> None:
    rng = random.Random(5)
    for _ in range(200):
        wanted, text, remark = checking._WRITTEN["story"](
            rng, Flaws(incomplete=rng.random() < 0.5, mixed_up=rng.random() < 0.5)
        )
        missing = [
            thing for thing in wanted.rstrip(".").split("tale of ")[1].split(" and ") if thing not in text
        ]
        assert bool(remark) == bool(missing), (wanted, text, remark)
    for _ in range(200):
        said = checking.fact(KNOWN, rng)
        claim = said.split('"')[1]
        if any(mark in said for mark in checking.RIGHT):
            assert says_not_known(claim) or not facts.false_claims(claim, KNOWN), said
        if any(mark in said for mark in checking.INVENTED):
            assert not mentions(claim, KNOWN.facts.values()), said


def test_training_files_hold_nothing_that_only_the_judge_reads() -> None:
    for file in sorted(SHIPPED.glob("*.jsonl*")):
        hidden = {"family", "task"} & set().union(*generate.load(file))
        assert hidden == (set() if ".train." in file.name else {"family", "task"}), file.name


def _content(file: Path) -> bytes:
    """The bytes; of a .gz what is packed, as another build of zlib packs it otherwise."""
    data = file.read_bytes()
    return gzip.decompress(data) if file.suffix == ".gz" else data


def test_a_packed_file_names_no_time_and_no_system(tmp_path: Path) -> None:
    generate.dump(tmp_path / "rows.jsonl.gz", [{"a": 1}])
    assert (tmp_path / "rows.jsonl.gz").read_bytes()[
        3:10
    ] == b"\x00" * 5 + b"\x02\xff"  # no name, no time, best, unknown
    assert generate.load(tmp_path / "rows.jsonl.gz") == [{"a": 1}]


def test_the_same_seed_writes_the_same_bytes_as_shipped(tmp_path: Path) -> None:
    generate.generate(tmp_path, SHIPPED)
    files = sorted(file.name for file in SHIPPED.glob("*.jsonl*"))
    assert len(files) == 8
    assert sorted(file.name for file in tmp_path.iterdir()) == files
    for name in files:
        assert _content(tmp_path / name) == _content(SHIPPED / name), name
    assert list(itertools.islice(documents(3), 50)) == list(itertools.islice(documents(3), 50))


def test_what_ships_is_under_20_mb() -> None:
    total = sum(
        file.stat().st_size
        for file in SHIPPED.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    )
    assert total < 20_000_000, total


def test_two_labelers_agree_on_70_to_78_percent_of_pairs() -> None:
    agreed = compared = 0
    for split in ("validation", "test"):
        by_group: dict[str, list[dict]] = {}
        for row in generate.load(SHIPPED / f"rankings.{split}.jsonl"):
            by_group.setdefault(generate.prompt_of(row), []).append(row)
        for first, second in by_group.values():
            for i, j in itertools.combinations(range(len(first["ranks"])), 2):
                a, b = first["ranks"][i] - first["ranks"][j], second["ranks"][i] - second["ranks"][j]
                if a and b:
                    compared += 1
                    agreed += (a > 0) == (b > 0)
    assert 0.70 <= agreed / compared <= 0.78, agreed / compared


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_several_labelers_rank_four_to_six_responses_of_each_prompt(split: str) -> None:
    by_prompt: dict[str, list[dict]] = {}
    for row in generate.load(generate.file_of(SHIPPED, f"rankings.{split}")):
        by_prompt.setdefault(generate.prompt_of(row), []).append(row)
    for rows in by_prompt.values():
        assert len({row["annotator"] for row in rows}) == len(rows) == generate.NUM_LABELERS[split]
        assert all(row["responses"] == rows[0]["responses"] for row in rows)
        assert 4 <= len(rows[0]["responses"]) <= 6


def test_words_of_the_world() -> None:
    assert plural("mouse") == "mice"
    assert plural("birch") == "birches"
    assert plural("berry") == "berries"
    assert sentences("One. Two! Three?") == ["One.", "Two!", "Three?"]
    assert mentions("The Tall Ladder is open.", ["ladder", "the Tall Ladder"]) == {"the Tall Ladder"}
    assert len(by_name()) == len(entities()) > 100
    assert all(len(members) >= 4 for members in lists.sets().values())
    assert len(facts.tasks()) > 1000
    assert len(refusals.HARMS) == 20


def test_stored_responses_to_other_prompts_are_refused(tmp_path: Path) -> None:
    """The files are matched by id; after a change of the plan an id stands for another prompt."""
    rows = generate.load(SHIPPED / "rankings.validation.jsonl")
    rows[0]["prompt"] = [{"role": "user", "content": "What is new?"}]
    generate.dump(tmp_path / "rankings.validation.jsonl", rows[:1])
    with pytest.raises(SystemExit, match="sample new responses"):
        generate.generate(tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()


def test_sampling_from_a_policy_that_is_not_there_is_one_message() -> None:
    command = [sys.executable, "-m", "pocket_world.sample", "no/such/policy"]
    environment = {**os.environ, "PYTHONPATH": str(SHIPPED.parents[1])}
    ended = subprocess.run(command, cwd=SHIPPED.parent, env=environment, capture_output=True, text=True)
    assert ended.returncode == 2
    assert (
        ended.stderr == "policy: 'no/such/policy' does not exist; set policy to a model folder or a hub id\n"
    )
