"""The facts in the READMEs of the three real sets come out of reading them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from rlhf.feedback import (
    Source,
    check_no_leak,
    count_rankings,
    read_demonstrations,
    read_prompts,
    read_rankings,
    read_texts,
)
from rlhf.feedback.detection import ShapeError, detect_source
from tests.feedback.shapes import FINEGRAINED_SETTINGS

SHARED = Path(__file__).parents[3] / "shared" / "data"
HH = {"path": str(SHARED / "anthropic_hh_rlhf/harmless-base.test.jsonl.gz"), "format": "transcript"}
FINEGRAINED = {"path": str(SHARED / "finegrained_rlhf_qa/dev_feedback.json"), **FINEGRAINED_SETTINGS}
TREES = {"path": str(SHARED / "open_assistant/en_100_tree.jsonl"), "format": "tree"}

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"the human data is not shipped with the repository; expected at {SHARED}"
)


def test_hh_rlhf() -> None:
    reading = read_rankings([HH | {"on_bad_row": "skip"}])
    facts = count_rankings(reading)
    assert (reading.num_rows, len(reading)) == (2312, 2308)
    assert (facts.num_first, facts.num_ties, facts.sizes) == (2308, 0, {2: 2308})
    lines = {
        code: [int(note.where.rpartition(":")[2]) for note in reading.notes if note.code == code]
        for code in reading.counts()
    }
    assert lines["empty_response"] == [87, 517, 926, 1104]
    assert lines["marker_in_response"] == [1255, 1689, 1951, 1953, 2037]
    sides = Counter(note.message.split()[0] for note in reading.notes if note.code == "repeated_speaker")
    assert sides == {"chosen": 8, "rejected": 5}
    assert 668 in lines["repeated_speaker"]
    assert {note.message for note in reading.notes if note.code == "empty_response"} == {"chosen is empty"}
    # README: longer wins only 44 %, of all 2,312 pairs with ties of length counted as losses.
    assert facts.longer_wins == pytest.approx(0.44, abs=0.01)


def test_hh_rlhf_prompts_and_split() -> None:
    prompts = read_prompts([HH])
    assert len(prompts) == 2312 - 2, "two prompts come twice"
    assert max(len(prompt.messages) for prompt in prompts) == 2 * 18 - 1
    source = HH | {"on_bad_row": "skip", "validation_fraction": 0.1}
    parts = {name: read_rankings([source | {"split": name}]).records for name in ("train", "validation")}
    check_no_leak(parts)
    assert sum(map(len, parts.values())) == 2308
    assert 0.08 < len(parts["validation"]) / 2308 < 0.12


def test_finegrained() -> None:
    reading = read_rankings([FINEGRAINED])
    facts = count_rankings(reading)
    assert (len(reading), facts.sizes, facts.num_prompts) == (500, {4: 500}, 500)
    assert (facts.num_comparisons, facts.num_first, facts.num_second, facts.num_ties) == (
        3000,
        1577,
        1039,
        384,
    )
    assert (facts.num_tied_rankings, facts.num_all_ties, facts.num_intransitive) == (202, 12, 22)
    assert facts.longer_wins == pytest.approx(0.51, abs=0.005)
    assert reading.counts() == {"intransitive": 22}


@pytest.mark.parametrize("name", ["en_100_tree.jsonl", "en_100_message.jsonl"])
def test_open_assistant(name: str) -> None:
    source = TREES | {"path": str(SHARED / "open_assistant" / name)}
    reading = read_rankings([source])
    full = [ranking for ranking in reading if None not in ranking.ranks]
    assert len(full) == 211
    assert Counter(len(ranking.responses) for ranking in full) == {
        2: 57,
        3: 116,
        4: 27,
        5: 3,
        6: 6,
        8: 1,
        9: 1,
    }
    assert reading.counts() == {"missing_rank": 3}
    assert sum(note.skipped for note in reading.notes) == 2, "one of the three groups is ranked in part"
    assert count_rankings(full).num_ties == 0
    assert count_rankings(full).longer_wins == pytest.approx(0.70, abs=0.01)


def test_open_assistant_demonstrations_and_texts() -> None:
    best, every = (read_demonstrations([TREES | {"replies": replies}]) for replies in ("best", "all"))
    # 1,067 messages below the 100 roots: 687 of the assistant, 380 of prompters (380 + 100 = 480 prompts).
    assert (len(best), len(every)) == (252, 687)
    assert len(read_prompts([TREES])) == 480
    texts = read_texts(
        [
            TREES | {"replies": "all"},
            HH,
            {"path": FINEGRAINED["path"], "format": "text", "text": "{passages}\n\n{question}\n\n{gold}"},
        ]
    )
    assert len(texts) == 626 + 2312 + 500


@pytest.mark.parametrize(
    ("source", "because"),
    [
        (HH, r'columns chosen and rejected are text with "\n\nHuman:" in 200 of 200 rows'),
        (TREES, "messages with text, role and replies in 100 of 100 rows"),
    ],
)
def test_shape_is_found_out(source: dict[str, str], because: str) -> None:
    found = detect_source(Source(path=source["path"]), "rankings")
    assert found.source == Source(**source)
    assert found.because[0] == because
    reading = read_rankings([{"path": source["path"], "on_bad_row": "skip"}])
    assert reading.records == read_rankings([source | {"on_bad_row": "skip"}]).records


def test_labels_of_finegrained_are_refused_with_their_counts() -> None:
    with pytest.raises(ShapeError, match=r"4 responses \(prediction 1, prediction 2") as caught:
        read_rankings([{"path": FINEGRAINED["path"]}])
    assert caught.value.code == "label_direction_missing"
    assert "preference: 0 384 times, 1 1,577 times, 2 1,039 times" in str(caught.value)
    given = {key: FINEGRAINED[key] for key in ("path", "prompt", "label_values")}
    assert read_rankings([given]).records == read_rankings([FINEGRAINED]).records


def test_file_of_bare_strings_is_refused_with_its_line() -> None:
    with pytest.raises(ValueError, match=r"prompt_lottery_en_250_text\.jsonl:1: a row must be an object"):
        read_prompts([{"path": str(SHARED / "open_assistant/prompt_lottery_en_250_text.jsonl")}])
