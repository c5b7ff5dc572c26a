"""Positions, lengths and annotators that prevail."""

from __future__ import annotations

from typing import Any

from rlhf.feedback import Ranking
from tests.feedback.findings.make import ask, found


def pairs(
    first: int, second: int, *, start: int = 0, ties: int = 0, longer: int | None = None, **more: Any
) -> list[Ranking]:
    """Rankings of which the first or the second response is better; `longer` of them the longer one."""
    made = []
    total = first + second + ties
    for number in range(total):
        ranks = (1, 2) if number < first else (2, 1) if number < first + second else (1, 1)
        texts = ["xx", "yy"]
        if longer is not None and number < first + second:
            better = ranks.index(1)
            texts[better if number < longer else 1 - better] += "longer"
        made.append(Ranking(ask(f"q{start + number}", number + 1, **more), (texts[0], texts[1]), ranks, None))
    return made


def told(records: list[Ranking], code: str = "imbalance") -> list[str]:
    return [note.message for note in found(code, records)]


def test_position_wins_more_than_two_thirds() -> None:
    assert told(pairs(65, 35)) == []
    (message,) = told(pairs(66, 34, ties=50))
    assert message.startswith("train: the first of two responses is the better one in 66.0% of 100 pairs")
    assert "the second of two" in told(pairs(40, 160))[0]
    assert told(pairs(60, 10)) == [], "too few to say"


def test_layout_of_chosen_before_rejected_is_no_preference() -> None:
    assert told(pairs(150, 0)) == []
    assert told(pairs(150, 0) + pairs(60, 40, start=200, file="b.jsonl")) == [], "each file by itself"
    assert len(told(pairs(150, 1))) == 1


def test_longer_or_shorter_wins_more_than_sixty_percent() -> None:
    assert told(pairs(100, 100, longer=120)) == []
    assert (
        "the longer response (in characters) is the better one in 60.5% of 200 pairs"
        in told(pairs(100, 100, longer=121))[0]
    )
    assert (
        "the shorter response (in characters) is the better one in 61.0%"
        in told(pairs(100, 100, longer=78))[0]
    )
    assert told(pairs(60, 60) + pairs(40, 40, start=200, longer=80)) == [], "pairs of one length do not count"


def by(names: dict[str, int], shared: bool = False) -> list[Ranking]:
    made = []
    for name, number in names.items():
        for count in range(number):
            line = len(made) + 1
            prompt = ask(f"q{count if shared else line}", line)
            made.append(Ranking(prompt, ("xx", "yy"), (1, 2) if line % 2 else (2, 1), None, name))
    return made


def test_annotator_who_gives_most() -> None:
    assert told(by({"ann": 65, "bob": 35}, shared=True)) == []
    assert told(by({"ann": 66, "bob": 34}, shared=True)) == [
        "train: annotator ann gave 66.0% of 100 judgements"
    ]
    assert told(by({"ann": 66, "bob": 33}, shared=True)) == [], "too few to say"


def test_agreement_needs_a_prompt_with_two_annotators() -> None:
    assert told(by({"ann": 3, "bob": 3}, shared=True), "one_annotator") == []
    assert told(by({"ann": 3}), "one_annotator") == [
        "train: only ann; no prompt has two, so their agreement cannot be computed"
    ]
    assert "2 annotators, but no prompt has two" in told(by({"ann": 3, "bob": 3}), "one_annotator")[0]
    assert told(pairs(2, 2), "one_annotator") == [], "nobody is named"
