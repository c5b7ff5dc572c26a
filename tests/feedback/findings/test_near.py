"""Near-duplicates: by hand, and against comparing every prompt with every other."""

from __future__ import annotations

import random
import re
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf.feedback.findings import near
from tests.feedback.findings.make import ask, counts, found

TEN = "one two three four five six seven eight nine ten"  # three 8-grams


def nearly(held_out: list[str], train: list[str], **options: bool) -> list[tuple[str, str]]:
    notes = found(
        "near_duplicate",
        {
            "train": [ask(text, line, file="t.jsonl") for line, text in enumerate(train, 1)],
            "test": [ask(text, line, file="h.jsonl") for line, text in enumerate(held_out, 1)],
        },
        **options,
    )
    return [(note.where, re.findall(r"t\.jsonl:\d+", note.message)[0]) for note in notes]


def test_one_word_more_is_near_and_another_text_is_not() -> None:
    # The longer one has four 8-grams, of which three are those of ten words: 75 %.
    assert nearly([TEN + " eleven"], ["something else", TEN]) == [("h.jsonl:1", "t.jsonl:2")]
    # Two words more: three of five, 60 %.
    assert nearly([TEN + " eleven twelve"], [TEN]) == []
    # All of the shorter one's are in the longer one.
    assert nearly([TEN], ["zero " + TEN + " eleven twelve"]) == [("h.jsonl:1", "t.jsonl:1")]


def test_exactly_the_share_counts() -> None:
    words = [f"w{number}" for number in range(17)]  # ten 8-grams, of which the first 14 words have seven
    assert nearly([" ".join(words)], [" ".join(words[:14])]) == [("h.jsonl:1", "t.jsonl:1")]
    assert nearly([" ".join(words)], [" ".join(words[:13])]) == []


def test_punctuation_and_case_do_not_matter_but_equal_prompts_are_leaks() -> None:
    assert nearly(["Why is the sky blue"], ["why is the sky blue?"]) == [("h.jsonl:1", "t.jsonl:1")]
    assert nearly(["Why is the  sky blue?"], ["why is the sky blue?"]) == []
    assert nearly(["Why is the sky blue"], ["Why is the sea blue?"]) == []
    # Composed and decomposed: one word.
    assert nearly(["caf\u00e9!"], ["cafe\u0301?"]) == [("h.jsonl:1", "t.jsonl:1")]


def test_nearest_training_prompt_is_named_and_its_place_does_not_matter() -> None:
    near_one, nearer = TEN.replace("one", "uno"), TEN
    assert nearly([TEN + "!"], [near_one, nearer + "?"]) == [("h.jsonl:1", "t.jsonl:2")]
    assert nearly([TEN + "!"], [nearer + "?", near_one]) == [("h.jsonl:1", "t.jsonl:1")]


def test_template_of_many_prompts_makes_none_of_them_near() -> None:
    template = "below is an instruction that describes a task write a response to it please now "
    train = [template + f"t{number}" for number in range(30)]
    assert nearly([template + "h"], train) == [], "all but one of its grams are the template's"
    assert nearly([template + "h"], train[:3]) == [("h.jsonl:1", "t.jsonl:1")]
    # Rows of one prompt are one prompt.
    assert nearly([TEN + "!"], [TEN] * 30) == [("h.jsonl:1", "t.jsonl:1")]
    # 20 different prompts may have a gram, 21 make it a template's.
    assert len(nearly([TEN + " x"], [f"{TEN} {number}" for number in range(20)])) == 1
    assert nearly([TEN + " x"], [f"{TEN} {number}" for number in range(21)]) == []


def test_conversation_that_goes_on_is_near() -> None:
    turns = [
        ("user", "Tell me a story about a cat."),
        ("assistant", "There was a cat named Tom."),
        ("user", "More!"),
    ]
    longer = [*turns, ("assistant", "No."), ("user", "Why?")]
    notes = found("near_duplicate", {"test": [ask(turns, 5)], "train": [ask(longer, 7)]})
    assert [(note.where, note.count) for note in notes] == [("a.jsonl:5", 1)]
    assert "100% of the word 8-grams of this test prompt are in train's a.jsonl:7" in notes[0].message
    assert "not left out of evaluation" in notes[0].message


def test_only_where_asked_and_only_against_train() -> None:
    assert nearly([TEN + " eleven"], [TEN], near=False) == []
    assert counts({"validation": [ask(TEN)], "test": [ask(TEN + "!")]}) == {}


def by_definition(held_out: list[str], train: list[str]) -> int:
    """Count near-duplicates by comparing each with each."""

    def grams(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.casefold())
        return {tuple(words[start : start + 8]) for start in range(max(1, len(words) - 7))}

    def same(text: str) -> str:
        return " ".join(text.casefold().split())

    of_train = {same(text): grams(text) for text in train}
    spread = Counter(gram for own in of_train.values() for gram in own)
    number = 0
    for text in {same(text) for text in held_out} - set(of_train):
        telling = {gram for gram in grams(text) if spread[gram] <= 20}
        best = max((len(telling & own) for own in of_train.values()), default=0)
        number += best > 0 and best >= 0.7 * len(telling)
    return number


PROMPTS = st.lists(
    st.lists(st.sampled_from("abAB."), min_size=1, max_size=12)
    .map(" ".join)
    .filter(lambda text: text.strip(". ")),
    max_size=30,
)


@given(held_out=PROMPTS, train=PROMPTS)
def test_same_as_comparing_each_with_each(held_out: list[str], train: list[str]) -> None:
    assert len(nearly(held_out, train)) == min(by_definition(held_out, train), 20)


def test_large_held_out_set_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a quarter of the grams, still every copy with one word changed in eighty is found."""
    chance = random.Random(0)
    texts = [[f"w{chance.randrange(5000)}" for _ in range(80)] for _ in range(12)]
    changed = [[*words[:40], "other", *words[41:]] for words in texts]
    monkeypatch.setattr(near, "MAX_GRAMS", 12 * 73 // 3)
    assert len(nearly([" ".join(words) for words in changed], [" ".join(words) for words in texts])) == 12
    others = [[f"v{chance.randrange(5000)}" for _ in range(80)] for _ in range(12)]
    assert nearly([" ".join(words) for words in changed], [" ".join(words) for words in others]) == []


def test_time_grows_with_the_words_and_not_with_their_square() -> None:
    chance = random.Random(0)

    def seconds(number: int) -> float:
        texts = [" ".join(f"w{chance.randrange(2000)}" for _ in range(30)) for _ in range(number)]
        start = time.process_time()
        nearly(texts[: number // 4], texts[number // 4 :])
        return time.process_time() - start

    seconds(100)
    assert seconds(8000) < 4 * (8 * seconds(1000) + 0.2)
