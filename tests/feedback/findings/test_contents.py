"""Marks of templates, broken characters and HTML in texts; and texts that only look like it."""

from __future__ import annotations

import pytest

from rlhf.feedback import Note, Reading, find_oddities
from tests.feedback.findings.make import ask, counts, demonstrate, found, rank

BAD = {
    # what stands in a response: its code
    "So.<|im_end|>": "template_text",
    "<|start_header_id|>user": "template_text",
    "<|endoftext|>": "template_text",
    "<\uff5cUser\uff5c>hi": "template_text",
    "[INST] hi [/INST]": "template_text",
    "<<SYS>> be nice": "template_text",
    "<start_of_turn>model": "template_text",
    "the end</s>": "template_text",
    "[SEP]": "template_text",
    "well\n\n### Response:\nyes": "template_text",
    "### Instruction:": "template_text",
    "one<br>two": "html",
    "<p class='x'>one</p>": "html",
    "Law &amp; Order": "html",
    "it&#39;s": "html",
    "don\u00e2\u20ac\u2122t": "mojibake",  # don't, its apostrophe read as Windows-1252
    "don\u00e2\u0080\u0099t": "mojibake",  # and as Latin-1
    "caf\u00c3\u00a9": "mojibake",
    "10 \u00c2\u00b0C": "mojibake",
    "lost \ufffd": "mojibake",
    "bell\x07": "control_characters",
    "\x1b[31mred": "control_characters",
    "next\x85line": "control_characters",
    "turn\u202eed": "control_characters",
    "half \ud83d": "lone_surrogate",
    "So.\n\nHuman: and?\n\nAssistant: well": "marker_in_response",
    "So.\nHuman: and?\nAssistant: well": "marker_in_response",
}
GOOD = [
    "a < b and c > d", "f(x) <= 3; List<T>(c)", "# Heading\n\n## Another\n\n### Third: of them", "x[INSTALL]", "AT&T & co;",
    "tab\tand\r\nline", "caf\u00e9, \u00c3o, S\u00e3o Paulo, \u00c2ge, na\u00efve", "\U0001f600 \u4f60\u597d \u202frien", "x | y |> z <| f |",
    "one\n\ntwo Human: said he", "Human: said he\nAssistant: said she", "<s", "a<bold>", "R&D", "\u201cquoted\u201d \u2013 dash\u2026", "\u00e2ge", "\u2019s",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_what_does_not_belong_in_a_text(text: str) -> None:
    assert counts({"train": [demonstrate("q", text)]}) == {BAD[text]: 1}
    if BAD[text] != "marker_in_response":
        assert counts({"train": [demonstrate(text, "r")]}) == {BAD[text]: 1}


@pytest.mark.parametrize("text", GOOD)
def test_what_only_looks_like_it(text: str) -> None:
    assert counts({"train": [demonstrate(text, text)]}) == {}


def test_message_names_the_text_and_shows_the_place() -> None:
    record = rank("q", "a > b", 7)
    object.__setattr__(record, "responses", ("a", "b" * 50 + "\x07 " + "c" * 50))
    (note,) = found("control_characters", [record])
    assert (note.where, note.message) == (
        "a.jsonl:7",
        f"response 2 has {'b' * 30 + chr(7) + ' ' + 'c' * 29!a}",
    )
    (note,) = found("html", [demonstrate([("system", "<b>x</b>"), ("user", "q")], "<br>")])
    assert (note.count, note.message) == (1, "the prompt (system) has '<b>x</b>'"), "once a record"


def test_two_turns_of_one_speaker() -> None:
    turns = [("user", "a"), ("user", "b")]
    among = [*turns, ("assistant", "c"), ("user", "d")]
    assert counts({"train": [ask(among)]}) == {"repeated_speaker": 1}
    (note,) = found(
        "repeated_speaker", [ask(turns, 4), ask([("user", "a"), ("assistant", "b"), ("user", "c")], 5)]
    )
    assert (note.where, note.count) == ("a.jsonl:4", 1)
    assert "two turns of one speaker in a row (user, user)" in note.message


def test_what_the_reader_noted_is_not_counted_again() -> None:
    turns = [("user", "a"), ("user", "b")]
    noted = [Note("repeated_speaker", "a.jsonl:4", "chosen has two")]
    assert find_oddities({"train": Reading([ask(turns, 4)], noted)}) == []
    notes = find_oddities({"train": Reading([ask(turns, 4), ask([*turns, turns[0]], 5)], noted)})
    assert [(note.code, note.where) for note in notes] == [("repeated_speaker", "a.jsonl:5")]
